/* SPDX-License-Identifier: MIT */
/* The PAL of the argument test: mixes what it gets, fills what it gives. */
#include "torture_interface.h"

#define MIX(mix, value) torture_mix(mix, &(value), sizeof(value))

#define PARAMETER(i) uint32_t v##i
#define NAME(i) v##i
#define OF_SO_MANY(count) \
    uint32_t n##count(TORTURE_##count(PARAMETER)) \
    { \
        uint32_t list[] = { TORTURE_##count(NAME) }; \
        return MIX(TORTURE_START + count, list); \
    }

uint32_t n0(void)
{
    return TORTURE_START;
}

OF_SO_MANY(1)
OF_SO_MANY(2)
OF_SO_MANY(3)
OF_SO_MANY(4)
OF_SO_MANY(5)
OF_SO_MANY(6)
OF_SO_MANY(7)
OF_SO_MANY(8)
OF_SO_MANY(9)
OF_SO_MANY(10)
OF_SO_MANY(11)
OF_SO_MANY(31)
OF_SO_MANY(32)

/* --- values --- */

uint32_t types(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g,
               uint64_t h, char i, bool j)
{
    uint32_t mix = MIX(MIX(MIX(MIX(MIX(TORTURE_START, a), b), c), d), e);

    return MIX(MIX(MIX(MIX(MIX(mix, f), g), h), i), j);
}

int8_t same8(int8_t a)
{
    return a;
}

int16_t same16(int16_t a)
{
    return a;
}

int32_t same32(int32_t a)
{
    return a;
}

int64_t same64(int64_t a)
{
    return a;
}

uint64_t double64(uint32_t before, uint64_t a, uint32_t after)
{
    return 2 * a + before - after;
}

bool invert(bool a)
{
    return !a;
}

static uint32_t nothings;

void nothing(void)
{
    nothings++;
}

/* --- counted buffers --- */

uint32_t in(const uint8_t *data, uint32_t n)
{
    return torture_mix(TORTURE_START, data, n);
}

uint32_t out(uint32_t seed, uint32_t n, uint8_t *data)
{
    torture_fill(seed, data, n);
    return nothings;
}

uint32_t inout(uint8_t *data, uint32_t n)
{
    uint32_t mix = torture_mix(TORTURE_START, data, n);

    torture_fill(mix, data, n);
    return mix;
}

uint32_t wide(const uint64_t *list, uint8_t n, uint16_t *small, uint16_t m)
{
    uint32_t mix = torture_mix(TORTURE_START, list, n * sizeof(*list));

    torture_fill(mix, small, m * sizeof(*small));
    return mix;
}

uint32_t shared_count(uint32_t n, const uint8_t *a, const uint32_t *b, uint16_t *c)
{
    uint32_t mix = torture_mix(torture_mix(TORTURE_START, a, n), b, n * sizeof(*b));

    torture_fill(mix, c, n * sizeof(*c));
    return mix;
}

/* --- arrays, structures, text --- */

uint32_t arrays(const uint8_t a[1], uint32_t b[7], uint64_t c[5])
{
    uint32_t mix = torture_mix(torture_mix(TORTURE_START, a, 1), c, 40);

    torture_fill(mix, b, 28);
    torture_fill(mix, c, 40);
    return mix;
}

uint32_t doubles(const double *list, uint32_t n, double sum[1], float product[1])
{
    sum[0] = 0;
    product[0] = 1;
    for (uint32_t i = 0; i < n; i++) {
        sum[0] += list[i];
        product[0] *= (float)list[i];
    }
    return n;
}

/* Field by field: what lies between the fields has no meaning. */
static uint32_t mix_point(uint32_t mix, const struct torture_point *p)
{
    mix = MIX(MIX(MIX(MIX(mix, p->x), p->y), p->z), p->good);
    for (unsigned i = 0; i < 3; i++) {
        mix = MIX(MIX(mix, p->inner[i].tag), p->inner[i].weight);
    }
    return MIX(mix, p->name);
}

static struct torture_point turn(struct torture_point p) /* a structure by value, both ways */
{
    p.x = (uint16_t)~p.x;
    p.y += 1;
    p.z *= 2;
    p.good = !p.good;
    p.inner[1] = p.inner[2];
    p.inner[2].weight /= 2;
    p.name[10] = 'x';
    return p;
}

uint32_t structs(const struct torture_point *a, struct torture_point *b, struct torture_point *c)
{
    uint32_t mix = mix_point(mix_point(TORTURE_START, a), c);

    *b = turn(*a);
    *c = turn(*c);
    return mix;
}

uint32_t points(struct torture_point *list, uint32_t n)
{
    uint32_t mix = TORTURE_START;

    for (uint32_t i = 0; i < n; i++) {
        mix = mix_point(mix, &list[i]);
        list[i] = turn(list[i]);
    }
    return mix;
}

uint32_t text(const char *a, const char *b)
{
    return torture_mix(torture_mix(TORTURE_START, a, strlen(a) + 1), b, strlen(b) + 1);
}

/* --- all of them --- */

uint32_t all(uint32_t k1, const uint8_t *i1, uint32_t k2, uint8_t *o1, uint32_t k3, uint8_t *x1,
             uint8_t k4, const uint16_t *i2, uint16_t k5, uint32_t *o2, uint32_t k6, uint64_t *x2,
             int8_t a, int16_t b, int64_t c, bool d, const uint8_t i3[3], uint8_t o3[4],
             uint8_t x3[5], const struct torture_inner *s1, struct torture_inner *s2,
             struct torture_point *s3, const char *text1, const char *text2, const uint8_t *i4,
             uint8_t *o4)
{
    uint32_t mix = torture_mix(torture_mix(TORTURE_START, i1, k1), x1, k3);

    mix = torture_mix(torture_mix(mix, i2, k4 * sizeof(*i2)), x2, k6 * sizeof(*x2));
    mix = MIX(MIX(MIX(MIX(mix, a), b), c), d);
    mix = torture_mix(torture_mix(torture_mix(mix, i3, 3), x3, 5), i4, k1);
    mix = mix_point(MIX(MIX(mix, s1->tag), s1->weight), s3);
    mix = torture_mix(torture_mix(mix, text1, strlen(text1)), text2, strlen(text2));
    torture_fill(mix + 1, o1, k2);
    torture_fill(mix + 2, x1, k3);
    torture_fill(mix + 3, o2, k5 * sizeof(*o2));
    torture_fill(mix + 4, x2, k6 * sizeof(*x2));
    torture_fill(mix + 5, o3, 4);
    torture_fill(mix + 6, x3, 5);
    torture_fill(mix + 7, o4, k1);
    s2->tag = s1->tag;
    s2->weight = -s1->weight;
    *s3 = turn(*s3);
    return mix;
}
