/* SPDX-License-Identifier: MIT */
/* The work itself, in plain C: in the PAL, and once more in the program, to compare with. SHA-512
 * is FIPS 180-4, 6.4. */
#ifndef WIDE_CODE_H
#define WIDE_CODE_H

#include <stddef.h>
#include <stdint.h>

static const uint64_t wide_k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static inline uint64_t wide_rotate(uint64_t x, unsigned n) { return x >> n | x << (64 - n); }

static inline uint64_t wide_load(const uint8_t *p)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < 8; i++) {
        x = x << 8 | p[i];
    }
    return x;
}

static void wide_block(uint64_t h[8], const uint8_t *p)
{
    uint64_t w[80], s[8];

    for (unsigned t = 0; t < 16; t++) {
        w[t] = wide_load(p + 8 * (size_t)t);
    }
    for (unsigned t = 16; t < 80; t++) {
        const uint64_t a = w[t - 15], b = w[t - 2];
        w[t] = w[t - 16] + w[t - 7] + (wide_rotate(a, 1) ^ wide_rotate(a, 8) ^ a >> 7)
            + (wide_rotate(b, 19) ^ wide_rotate(b, 61) ^ b >> 6);
    }
    for (unsigned i = 0; i < 8; i++) {
        s[i] = h[i];
    }
    for (unsigned t = 0; t < 80; t++) {
        const uint64_t a = s[0], e = s[4];
        const uint64_t t1 = s[7] + (wide_rotate(e, 14) ^ wide_rotate(e, 18) ^ wide_rotate(e, 41))
            + ((e & s[5]) ^ (~e & s[6])) + wide_k[t] + w[t];
        const uint64_t t2 = (wide_rotate(a, 28) ^ wide_rotate(a, 34) ^ wide_rotate(a, 39))
            + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        for (unsigned i = 7; i > 0; i--) {
            s[i] = s[i - 1];
        }
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++) {
        h[i] += s[i];
    }
}

static void wide_sha512(const uint8_t *p, uint32_t n, uint8_t hash[64])
{
    uint64_t h[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };
    uint8_t last[256] = { 0 };
    const uint32_t rest = n % 128, end = rest < 112 ? 128 : 256;

    for (uint32_t at = 0; at + 128 <= n; at += 128) {
        wide_block(h, p + at);
    }
    for (uint32_t i = 0; i < rest; i++) {
        last[i] = p[n - rest + i];
    }
    last[rest] = 0x80;
    for (unsigned i = 0; i < 8; i++) {
        last[end - 1 - i] = (uint8_t)((uint64_t)n * 8 >> 8 * i);
    }
    for (uint32_t at = 0; at < end; at += 128) {
        wide_block(h, last + at);
    }
    for (unsigned i = 0; i < 64; i++) {
        hash[i] = (uint8_t)(h[i / 8] >> (56 - 8 * (i % 8)));
    }
}

/* All 128 bits of a product. */
static void wide_mul(uint64_t a, uint64_t b, uint64_t *low, uint64_t *high)
{
#ifdef __SIZEOF_INT128__
    const unsigned __int128 product = (unsigned __int128)a * b;

    *low = (uint64_t)product;
    *high = (uint64_t)(product >> 64);
#else
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t ll = al * bl, lh = al * bh, hl = ah * bl;
    const uint64_t middle = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;

    *low = (uint32_t)ll | middle << 32;
    *high = ah * bh + (lh >> 32) + (hl >> 32) + (middle >> 32);
#endif
}

#define WIDE_PRIME ((1ULL << 61) - 1)

static uint64_t wide_power(uint64_t a, uint64_t n)
{
    uint64_t result = 1;

    for (a %= WIDE_PRIME; n != 0; n >>= 1) {
        uint64_t low, high;
        if (n & 1) {
            wide_mul(result, a, &low, &high);
            result = ((low & WIDE_PRIME) + (low >> 61 | high << 3)) % WIDE_PRIME;
        }
        wide_mul(a, a, &low, &high);
        a = ((low & WIDE_PRIME) + (low >> 61 | high << 3)) % WIDE_PRIME;
    }
    return result;
}

static uint64_t own_powers(uint64_t a, uint64_t n, uint32_t times)
{
    uint64_t sum = 0;

    while (times-- > 0) {
        sum = (sum + wide_power(a, n++)) % WIDE_PRIME;
    }
    return sum;
}

#endif
