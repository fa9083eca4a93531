/* SPDX-License-Identifier: MIT */
/* MISTAKE struct by value: as argument and as result, small and large. */
/* WORKS 3: 0x2a out=030f1b */
#include "mistake_interface.h"

struct small {
    uint8_t a, b, c;
};

struct large {
    uint32_t list[20];
};

static __attribute__((noinline)) struct small triple(struct small s, uint32_t n)
{
    s.a = (uint8_t)(s.a * n);
    s.b = (uint8_t)(s.b * n);
    s.c = (uint8_t)(s.c * n);
    return s;
}

static __attribute__((noinline)) struct large fill(struct large l, struct small s)
{
    for (uint32_t i = 0; i < 20; i++) {
        l.list[i] += s.a + i;
    }
    return l;
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    struct small s = triple((struct small){ in[1], in[5], in[9] }, n);
    struct large l = { { 0 } };

    l.list[19] = 20;
    l = fill(l, s);
    out[0] = s.a;
    out[1] = s.b;
    out[2] = s.c;
    return l.list[19];
}
