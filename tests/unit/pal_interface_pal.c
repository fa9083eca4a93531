/* SPDX-License-Identifier: MIT */
/* The PAL's side of test_pal_host.c: its functions, and the wrappers and records of the header. */
#define __PAL__
#define PAL_DEFINE_ENTRIES
#include "pal_interface.h"
#include "pal_interface_pal.h"

uint32_t add(uint32_t a, int8_t b) { return a + (uint32_t)b; }
int64_t wide(int64_t a, bool b, uint16_t c) { return a * 2 + b + c; }
bool ping(void) { return true; }
void nothing(void) {}

uint32_t buffers(const uint16_t *in, uint8_t n, struct point *out, uint32_t m, uint8_t *both,
                 uint8_t k)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < n; i++) {
        sum += in[i];
    }
    for (uint32_t i = 0; i < m; i++) {
        out[i].x = i + 100;
    }
    for (unsigned i = 0; i < k; i++) {
        both[i] ^= 0xff;
    }
    return sum;
}

uint32_t whole(const uint8_t in[4], uint32_t out[2], uint8_t both[3], const struct point *a,
               struct point *b, struct pair *c)
{
    out[1] = in[3];
    both[2]++;
    *b = *a;
    c->more[1].tag[4] = c->first.t;
    return (uint32_t)a->x;
}

uint32_t text(const char *first, uint32_t x, const char *second)
{
    return (uint32_t)(strlen(first) * 100 + strlen(second)) + x;
}

#define A(n) uint8_t a##n
#define M(n) h = h * 31 + a##n;
uint32_t many(A(0), A(1), A(2), A(3), A(4), A(5), A(6), A(7), A(8), A(9), A(10), A(11), A(12),
              A(13), A(14), A(15), A(16), A(17), A(18), A(19), A(20), A(21), A(22), A(23), A(24),
              A(25), A(26), A(27), A(28), A(29), A(30), A(31))
{
    uint32_t h = 7;

    M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)
    M(16) M(17) M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) M(27) M(28) M(29) M(30)
    M(31)
    return h;
}

int32_t through(uint32_t how, const char *what)
{
    struct point p = { .x = 77 };
    uint16_t list[6] = { 1, 2, 3, 4, 5, 6 };
    uint8_t answer[3];
    int16_t r = 0;
    int error;

    if (how == 2) {
        return tell();
    }
    error = ask(&r, what, answer, list, 1ULL << 40, how == 3 ? 6 : 4, &p);
    return error ? error : r * 1000 + answer[2] * 10 + list[3];
}

const struct pal_descriptor *const test_entries[] = {
    &pal_descriptor_add, &pal_descriptor_wide, &pal_descriptor_ping, &pal_descriptor_nothing,
    &pal_descriptor_buffers, &pal_descriptor_whole, &pal_descriptor_text, &pal_descriptor_many,
    &pal_descriptor_through,
};
const struct pal_descriptor *const test_ocalls[] = { &pal_ocall_descriptor_ask,
                                                     &pal_ocall_descriptor_tell };
