/* SPDX-License-Identifier: MIT */
/*
 * The argument test: torture [ROUNDS [SEED]]. The program calls every entry, computes itself what
 * the PAL must have got and given, and compares. Counted buffers lie against a page that nobody may
 * touch, so that a byte too many is a fault.
 */
#include "torture_interface.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#endif

PAL_IMAGE(torture);

enum { PAGE = 4096, ROOM = 6 * PAGE };

static struct pal_handle *pal;
static unsigned checks, failures;
static uint32_t all_mixed = TORTURE_START;

static void check(bool good, const char *what)
{
    checks++;
    failures += !good;
    if (!good || what[0] != ' ') {
        printf("%s %s\n", good ? "ok   " : "WRONG", what);
    }
}

/* The call came to its end, and its result is that. */
static void expect(struct pal_status s, uint32_t result, uint32_t wanted, const char *what)
{
    char text[PAL_TEXT];

    check(s.error == PAL_OK && result == wanted, what);
    if (s.error != PAL_OK) {
        printf("      (%s)\n", pal_status_text(&s, text, sizeof(text)));
    }
    all_mixed = torture_mix(all_mixed, &result, sizeof(result));
}

static void refuse(struct pal_status s, enum pal_error wanted, const char *what)
{
    char text[PAL_TEXT];

    check(s.error == wanted, what);
    if (s.error != wanted) {
        printf("      (%s)\n", pal_status_text(&s, text, sizeof(text)));
    }
}

/* --- memory with an edge --- */

/* The end of ROOM bytes behind which is a page that can't be touched. NULL: no memory. */
static uint8_t *edge(void)
{
#ifdef _WIN32
    DWORD before;
    uint8_t *p = VirtualAlloc(NULL, ROOM + PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);

    return p && VirtualProtect(p + ROOM, PAGE, PAGE_NOACCESS, &before) ? p + ROOM : NULL;
#else
    uint8_t *p = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);

    return p != MAP_FAILED && mprotect(p + ROOM, PAGE, PROT_NONE) == 0 ? p + ROOM : NULL;
#endif
}

static uint8_t *edges[6];

/* A buffer of so many bytes that ends at the edge, filled from `seed`. */
static void *at_edge(unsigned which, size_t bytes, uint32_t seed)
{
    torture_fill(seed, edges[which] - bytes, bytes);
    return edges[which] - bytes;
}

/* Whether a buffer has what torture_fill() makes of that. */
static bool filled(uint32_t mix, const void *data, size_t bytes)
{
    static uint8_t wanted[ROOM];

    torture_fill(mix, wanted, bytes);
    return memcmp(data, wanted, bytes) == 0;
}

/* --- integers --- */

static uint32_t v[33];

#define ARGUMENT(i) v[i]
#define CALL_WITH(count) \
    do { \
        result = 0; \
        s = torture_n##count(pal, &result, TORTURE_##count(ARGUMENT)); \
        expect(s, result, torture_mix(TORTURE_START + count, v + 1, 4 * count), \
               "integers: " #count); \
    } while (0)

static void numbers(void)
{
    uint32_t result = 0;
    struct pal_status s;

    torture_fill(1, v, sizeof(v));
    s = torture_n0(pal, &result);
    expect(s, result, TORTURE_START, "integers: 0");
    CALL_WITH(1);
    CALL_WITH(2);
    CALL_WITH(3);
    CALL_WITH(4);
    CALL_WITH(5);
    CALL_WITH(6);
    CALL_WITH(7);
    CALL_WITH(8);
    CALL_WITH(9);
    CALL_WITH(10);
    CALL_WITH(11);
    CALL_WITH(31);
    CALL_WITH(32);
}

#define MIX(mix, value) torture_mix(mix, &(value), sizeof(value))

static void types(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g,
                  uint64_t h, char i, bool j, const char *what)
{
    uint32_t mix = MIX(MIX(MIX(MIX(MIX(TORTURE_START, a), b), c), d), e), result = 0;
    struct pal_status s = torture_types(pal, &result, a, b, c, d, e, f, g, h, i, j);

    mix = MIX(MIX(MIX(MIX(MIX(mix, f), g), h), i), j);
    expect(s, result, mix, what);
}

static void results(void)
{
    int8_t a = 0;
    int16_t b = 0;
    int32_t c = 0;
    int64_t d = 0;
    uint64_t e = 0;
    bool f = false;

    types(INT8_MIN, UINT8_MAX, INT16_MIN, UINT16_MAX, INT32_MIN, UINT32_MAX, INT64_MIN, UINT64_MAX,
          (char)-1, true, "ten types at their limits");
    types(0, 0, 0, 0, 0, 0, 0, 0, 0, false, "ten types with zeros");
    types(-1, 1, -1, 1, -1, 1, -1, 1, 1, true, "ten types with ones");
    torture_same8(pal, &a, INT8_MIN);
    torture_same16(pal, &b, INT16_MIN);
    torture_same32(pal, &c, INT32_MIN);
    torture_same64(pal, &d, INT64_MIN);
    torture_double64(pal, &e, 5, 0x8123456789abcdefull, 3);
    torture_invert(pal, &f, false);
    check(a == INT8_MIN && b == INT16_MIN && c == INT32_MIN && d == INT64_MIN, "signed results");
    check(e == 0x02468acf13579be0ull && f, "a 64-bit result, a bool");
    check(torture_same8(pal, NULL, 1).error == PAL_OK, "a result that nobody wants");
    check(torture_nothing(pal).error == PAL_OK, "an entry without parameter and result");
}

/* --- counted buffers --- */

static void buffers_of(uint32_t n, uint32_t nothings)
{
    uint8_t *data = at_edge(0, n, n + 2);
    uint32_t mix = torture_mix(TORTURE_START, data, n), result = 0;
    struct pal_status s = torture_in(pal, &result, data, n);

    expect(s, result, mix, " in");
    check(filled(n + 2, data, n), " in stays as it is");
    s = torture_out(pal, &result, n + 3, n, data);
    expect(s, result, nothings, " out");
    check(filled(n + 3, data, n), " out is filled");
    mix = torture_mix(TORTURE_START, data, n);
    s = torture_inout(pal, &result, data, n);
    expect(s, result, mix, " in and out");
    check(filled(mix, data, n), " in and out is filled");
}

static void buffers(void)
{
    static const uint32_t counts[] = { 0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 255,
                                       256, 257, 4080, 4095, 4096, 4097, 4999, 5000 };
    static uint8_t data[TORTURE_BYTES + 1];
    unsigned wrong = failures;
    uint32_t result = 7;

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        buffers_of(counts[i], 1);
    }
    check(wrong == failures, "buffers of 0 to 5000 bytes, against a page that can't be touched");
    refuse(torture_in(pal, &result, data, TORTURE_BYTES + 1), PAL_BAD_COUNT, "5001 bytes in");
    refuse(torture_out(pal, &result, 1, TORTURE_BYTES + 1, data), PAL_BAD_COUNT, "5001 bytes out");
    refuse(torture_inout(pal, &result, data, UINT32_MAX), PAL_BAD_COUNT, "2^32 - 1 bytes");
    refuse(torture_in(pal, &result, NULL, 1), PAL_BAD_ARGUMENT, "a byte at NULL");
    expect(torture_in(pal, &result, NULL, 0), TORTURE_START, TORTURE_START, "none at NULL");
}

static void wide_of(uint8_t n, uint16_t m)
{
    uint64_t *list = at_edge(0, n * sizeof(*list), n);
    uint16_t *small = at_edge(1, m * sizeof(*small), m);
    uint32_t mix = torture_mix(TORTURE_START, list, n * sizeof(*list)), result = 0;
    struct pal_status s = torture_wide(pal, &result, list, n, small, m);

    expect(s, result, mix, " elements of 8 and 2 bytes");
    check(filled(mix, small, m * sizeof(*small)), " 2 bytes each are filled");
}

static void shared_count_of(uint32_t n)
{
    uint8_t *a = at_edge(0, n, n);
    uint32_t *b = at_edge(1, n * sizeof(*b), n + 1), result = 0;
    uint16_t *c = at_edge(2, n * sizeof(*c), n + 2);
    uint32_t mix = torture_mix(torture_mix(TORTURE_START, a, n), b, n * sizeof(*b));
    struct pal_status s = torture_shared_count(pal, &result, n, a, b, c);

    expect(s, result, mix, " one count for three");
    check(filled(mix, c, n * sizeof(*c)), " the third is filled");
}

static void elements(void)
{
    static uint64_t list[41];
    static uint16_t small[34];
    unsigned wrong = failures;
    uint32_t result = 0;

    for (unsigned n = 0; n <= 40; n++) {
        wide_of((uint8_t)n, (uint16_t)(n <= 33 ? 33 - n : 0));
    }
    check(wrong == failures, "elements of 8 and 2 bytes, counted by 8 and 16 bits");
    refuse(torture_wide(pal, &result, list, 41, small, 0), PAL_BAD_COUNT, "41 of 40");
    refuse(torture_wide(pal, &result, list, 0, small, 34), PAL_BAD_COUNT, "34 of 33");
    for (uint32_t n = 0; n <= 100; n += 10) {
        shared_count_of(n);
    }
    check(wrong == failures, "one count for three buffers");
}

/* --- arrays, structures, text --- */

static void arrays(void)
{
    uint8_t a[1] = { 200 };
    uint32_t b[7], result = 0, mix;
    uint64_t c[5];
    struct pal_status s;

    torture_fill(9, c, sizeof(c));
    mix = torture_mix(torture_mix(TORTURE_START, a, 1), c, 40);
    s = torture_arrays(pal, &result, &a, &b, &c);
    expect(s, result, mix, "arrays");
    check(filled(mix, b, sizeof(b)) && filled(mix, c, sizeof(c)), "arrays that come out");
}

static void doubles(void)
{
    double list[16], sum[1] = { -1 };
    float product[1] = { -1 };
    uint32_t result = 0;
    struct pal_status s;

    for (unsigned i = 0; i < 16; i++) {
        list[i] = (i % 2 ? -1.5 : 0.25) * (i + 1);
    }
    s = torture_doubles(pal, &result, list, 3, &sum, &product);
    expect(s, result, 3, "floating point in buffers");
    check(sum[0] == 0.25 - 3.0 + 0.75 && product[0] == 0.25f * -3.0f * 0.75f,
          "a sum and a product");
    s = torture_doubles(pal, &result, list, 0, &sum, &product);
    check(s.error == PAL_OK && sum[0] == 0 && product[0] == 1, "of nothing");
}

static struct torture_point some_point(uint32_t seed)
{
    struct torture_point p;

    memset(&p, 0, sizeof(p));
    p.x = (uint16_t)seed;
    p.y = seed * 0x100000001ull;
    p.z = (float)seed / 2;
    p.good = seed & 1;
    for (unsigned i = 0; i < 3; i++) {
        p.inner[i].tag = (uint8_t)(seed + i);
        p.inner[i].weight = seed * 0.125 + i;
    }
    torture_fill(seed, p.name, sizeof(p.name));
    return p;
}

static uint32_t mix_point(uint32_t mix, const struct torture_point *p)
{
    mix = MIX(MIX(MIX(MIX(mix, p->x), p->y), p->z), p->good);
    for (unsigned i = 0; i < 3; i++) {
        mix = MIX(MIX(mix, p->inner[i].tag), p->inner[i].weight);
    }
    return MIX(mix, p->name);
}

/* Whether b is what the PAL makes of a. */
static bool turned(const struct torture_point *a, const struct torture_point *b)
{
    return b->x + a->x == 0xffff && b->y == a->y + 1 && b->z == 2 * a->z && b->good == !a->good
           && b->inner[0].tag == a->inner[0].tag && b->inner[0].weight == a->inner[0].weight
           && b->inner[1].tag == a->inner[2].tag && b->inner[1].weight == a->inner[2].weight
           && b->inner[2].weight == a->inner[2].weight / 2 && b->name[10] == 'x'
           && memcmp(a->name, b->name, 10) == 0;
}

static void structs(void)
{
    struct torture_point a = some_point(11), b = some_point(12), c = some_point(13), before = c;
    struct torture_point list[9], were[9];
    uint32_t result = 0, mix = mix_point(mix_point(TORTURE_START, &a), &c);
    struct pal_status s = torture_structs(pal, &result, &a, &b, &c);
    bool good = true;

    expect(s, result, mix, "structures");
    check(turned(&a, &b) && turned(&before, &c), "structures that come out");
    mix = TORTURE_START;
    for (unsigned i = 0; i < 9; i++) {
        list[i] = were[i] = some_point(20 + i);
        mix = i < 8 ? mix_point(mix, &list[i]) : mix;
    }
    s = torture_points(pal, &result, list, 8);
    expect(s, result, mix, "8 of 9 structures in a buffer");
    for (unsigned i = 0; i < 8; i++) {
        good = good && turned(&were[i], &list[i]);
    }
    check(good && memcmp(&were[8], &list[8], sizeof(list[8])) == 0, "the ninth stays as it is");
}

static void text_of(size_t a, size_t b)
{
    char *first = at_edge(0, a + 1, 3), *second = at_edge(1, b + 1, 4);
    uint32_t result = 0, mix;
    struct pal_status s;

    for (size_t i = 0; i < a; i++) {
        first[i] = (char)(first[i] != 0 ? first[i] : 1);
    }
    memset(second, 'b', b);
    first[a] = second[b] = 0;
    mix = torture_mix(torture_mix(TORTURE_START, first, a + 1), second, b + 1);
    s = torture_text(pal, &result, first, second);
    expect(s, result, mix, " text");
}

static void texts(void)
{
    static char longest[TORTURE_TEXT + 2];
    unsigned wrong = failures;
    uint32_t result = 0;

    for (size_t n = 0; n <= TORTURE_TEXT; n += n < 20 ? 1 : 35) {
        text_of(n, n & 1);
    }
    text_of(TORTURE_TEXT, 1);
    check(wrong == failures, "text of 0 to 300 bytes, against a page that can't be touched");
    memset(longest, 'x', TORTURE_TEXT + 1);
    refuse(torture_text(pal, &result, longest, ""), PAL_BAD_COUNT, "text of 301");
    refuse(torture_text(pal, &result, "", "bb"), PAL_BAD_COUNT, "text of 2 where 1 fits");
    refuse(torture_text(pal, &result, NULL, ""), PAL_BAD_ARGUMENT, "no text");
}

/* --- all of them, at random --- */

static uint32_t state;

static uint32_t random_below(uint32_t limit)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)state * limit >> 32);
}

/* What goes into torture_all(). */
struct everything {
    uint32_t n1, n2, n3, n6;
    uint8_t n4;
    uint16_t n5;
    uint8_t *i1, *o1, *x1, *i4, *o4;
    uint16_t *i2;
    uint32_t *o2;
    uint64_t *x2;
    int8_t a;
    int16_t b;
    int64_t c;
    bool d;
    uint8_t i3[3], o3[4], x3[5];
    struct torture_inner s1, s2;
    struct torture_point s3, before;
    char text1[21], text2[21];
};

static void choose_text(char *text)
{
    uint32_t n = random_below(21);

    for (uint32_t i = 0; i < n; i++) {
        text[i] = (char)('a' + random_below(26));
    }
    text[n] = 0;
}

static void choose(struct everything *e)
{
    static uint8_t behind[2][704]; /* there are six edges, and eight buffers */

    memset(e, 0, sizeof(*e));
    e->n1 = random_below(701);
    e->n2 = random_below(701);
    e->n3 = random_below(701);
    e->n4 = (uint8_t)random_below(201);
    e->n5 = (uint16_t)random_below(66);
    e->n6 = random_below(65);
    e->i1 = at_edge(0, e->n1, state);
    e->o1 = at_edge(1, e->n2, state + 1);
    e->x1 = at_edge(2, e->n3, state + 2);
    e->i2 = at_edge(3, e->n4 * sizeof(*e->i2), state + 3);
    e->o2 = at_edge(4, e->n5 * sizeof(*e->o2), state + 4);
    e->x2 = at_edge(5, e->n6 * sizeof(*e->x2), state + 5);
    e->i4 = behind[0];
    e->o4 = behind[1];
    torture_fill(state + 6, behind, sizeof(behind));
    e->a = (int8_t)random_below(256);
    e->b = (int16_t)random_below(65536);
    e->c = (int64_t)((uint64_t)random_below(UINT32_MAX) << 32 | random_below(UINT32_MAX));
    e->d = random_below(2);
    torture_fill(state + 7, e->i3, 3);
    torture_fill(state + 8, e->x3, 5);
    e->s1.tag = (uint8_t)random_below(256);
    e->s1.weight = random_below(1000) * 0.5;
    e->s3 = e->before = some_point(random_below(60000));
    choose_text(e->text1);
    choose_text(e->text2);
}

static uint32_t mix_everything(const struct everything *e)
{
    uint32_t mix = torture_mix(torture_mix(TORTURE_START, e->i1, e->n1), e->x1, e->n3);

    mix = torture_mix(mix, e->i2, e->n4 * sizeof(*e->i2));
    mix = torture_mix(mix, e->x2, e->n6 * sizeof(*e->x2));
    mix = MIX(MIX(MIX(MIX(mix, e->a), e->b), e->c), e->d);
    mix = torture_mix(torture_mix(torture_mix(mix, e->i3, 3), e->x3, 5), e->i4, e->n1);
    mix = mix_point(MIX(MIX(mix, e->s1.tag), e->s1.weight), &e->s3);
    return torture_mix(torture_mix(mix, e->text1, strlen(e->text1)), e->text2, strlen(e->text2));
}

static bool everything_came(const struct everything *e, uint32_t mix)
{
    return filled(mix + 1, e->o1, e->n2) && filled(mix + 2, e->x1, e->n3)
           && filled(mix + 3, e->o2, e->n5 * sizeof(*e->o2))
           && filled(mix + 4, e->x2, e->n6 * sizeof(*e->x2)) && filled(mix + 5, e->o3, 4)
           && filled(mix + 6, e->x3, 5) && filled(mix + 7, e->o4, e->n1)
           && e->s2.tag == e->s1.tag && e->s2.weight == -e->s1.weight
           && turned(&e->before, &e->s3);
}

static void at_random(unsigned rounds)
{
    static struct everything e;
    unsigned wrong = failures;
    uint32_t mix, result;
    struct pal_status s;

    for (unsigned i = 0; i < rounds; i++) {
        choose(&e);
        mix = mix_everything(&e);
        result = 0;
        s = torture_all(pal, &result, e.n1, e.i1, e.n2, e.o1, e.n3, e.x1, e.n4, e.i2, e.n5, e.o2,
                        e.n6, e.x2, e.a, e.b, e.c, e.d, &e.i3, &e.o3, &e.x3, &e.s1, &e.s2, &e.s3,
                        e.text1, e.text2, e.i4, e.o4);
        expect(s, result, mix, " all at once");
        check(everything_came(&e, mix), " all that comes out");
    }
    check(wrong == failures, "all kinds at once, at random");
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 50;
    struct pal_status s = pal_open(&torture_image, &pal);
    char text[PAL_TEXT];

    state = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 1;
    printf("%u rounds, seed %" PRIu32 "\n", rounds, state);
    for (unsigned i = 0; i < 6; i++) {
        edges[i] = edge();
    }
    if (s.error != PAL_OK || !edges[5]) {
        puts(s.error != PAL_OK ? pal_status_text(&s, text, sizeof(text)) : "no memory");
        return 1;
    }
    numbers();
    results();
    buffers();
    elements();
    arrays();
    doubles();
    structs();
    texts();
    at_random(rounds);
    printf("%u checks, %u wrong, mixed %08" PRIx32 "\n", checks, failures, all_mixed);
    pal_close(pal);
    return failures != 0;
}
