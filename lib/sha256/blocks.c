/* SPDX-License-Identifier: MIT */
/* SHA-256's block function in portable C, unrolled (FIPS 180-4, 4.1.2, 6.2.2). */
#include <sha256/sha256.h>

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

/* Ch with one operation less than the standard's form. */
#define CH(e, f, g) ((g) ^ ((e) & ((f) ^ (g))))

/* The standard's rotations by 2, 13, 22 and by 6, 11, 25, one inside the other: fewer moves. */
#define BIG0(x)   ROTATE(ROTATE(ROTATE(x, 9) ^ (x), 11) ^ (x), 2)
#define BIG1(x)   ROTATE(ROTATE(ROTATE(x, 14) ^ (x), 5) ^ (x), 6)
#define SMALL0(x) (ROTATE(x, 7) ^ ROTATE(x, 18) ^ (x) >> 3)
#define SMALL1(x) (ROTATE(x, 17) ^ ROTATE(x, 19) ^ (x) >> 10)

/* One round; the caller renames the words instead of moving them. Maj(a, b, c) is
 * ((a ^ b) & (b ^ c)) ^ b, and `bc` has b ^ c from the round before, where it was a ^ b. */
#define ROUND(a, b, c, d, e, f, g, h, k, word) do { \
        const uint32_t ab = (a) ^ (b); \
        (h) += BIG1(e) + CH(e, f, g) + (k) + (word); \
        (d) += (h); \
        (h) += BIG0(a) + ((ab & bc) ^ (b)); \
        bc = ab; \
    } while (0)

/* Word i of the first sixteen, and of the later ones: w[] holds the last sixteen. */
#define LOAD(i) (w[i] = load(p + 4 * (i)))
#define NEXT(i) (w[i] += SMALL1(w[((i) + 14) & 15]) + w[((i) + 9) & 15] + SMALL0(w[((i) + 1) & 15]))

#define EIGHT(word, i, k0, k1, k2, k3, k4, k5, k6, k7) \
    ROUND(a, b, c, d, e, f, g, h, k0, word((i) + 0)); \
    ROUND(h, a, b, c, d, e, f, g, k1, word((i) + 1)); \
    ROUND(g, h, a, b, c, d, e, f, k2, word((i) + 2)); \
    ROUND(f, g, h, a, b, c, d, e, k3, word((i) + 3)); \
    ROUND(e, f, g, h, a, b, c, d, k4, word((i) + 4)); \
    ROUND(d, e, f, g, h, a, b, c, k5, word((i) + 5)); \
    ROUND(c, d, e, f, g, h, a, b, k6, word((i) + 6)); \
    ROUND(b, c, d, e, f, g, h, a, k7, word((i) + 7))

/* A big-endian word; compilers make a load and a BSWAP of it. */
static inline uint32_t load(const uint8_t *p)
{
    uint32_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static void one_block(uint32_t state[8], const uint8_t *p)
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    uint32_t w[16], bc = b ^ c;

    /* The constants: FIPS 180-4, 4.2.2. */
    EIGHT(LOAD, 0, 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
          0x923f82a4, 0xab1c5ed5);
    EIGHT(LOAD, 8, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
          0x9bdc06a7, 0xc19bf174);
    EIGHT(NEXT, 0, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
          0x5cb0a9dc, 0x76f988da);
    EIGHT(NEXT, 8, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
          0x06ca6351, 0x14292967);
    EIGHT(NEXT, 0, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb,
          0x81c2c92e, 0x92722c85);
    EIGHT(NEXT, 8, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624,
          0xf40e3585, 0x106aa070);
    EIGHT(NEXT, 0, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
          0x5b9cca4f, 0x682e6ff3);
    EIGHT(NEXT, 8, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb,
          0xbef9a3f7, 0xc67178f2);

    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

void sha256_blocks(uint32_t state[8], const void *data, size_t blocks)
{
    const uint8_t *p = data;

    for (; blocks != 0; blocks--, p += SHA256_BLOCK) {
        one_block(state, p);
    }
}
