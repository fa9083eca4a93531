/* SPDX-License-Identifier: MIT */
/* SHA-256: whole blocks from a stream of bytes, and padding (FIPS 180-4, 5.1.1, 6.2). */
#include <sha256/sha256.h>
#include <util/string.h>

void sha256_init(struct sha256 *h, sha256_blocks_fn *blocks)
{
    static const uint32_t first[8] = { /* FIPS 180-4, 5.3.3 */
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
        0x5be0cd19,
    };

    *h = (struct sha256){ .blocks = blocks };
    memcpy(h->state, first, sizeof(first));
}

void sha256_update(struct sha256 *h, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    const size_t have = h->length % SHA256_BLOCK;
    const size_t room = SHA256_BLOCK - have;

    h->length += len;
    if (have != 0) {
        const size_t part = len < room ? len : room;

        memcpy(h->partial + have, p, part);
        if (part < room) {
            return;
        }
        h->blocks(h->state, h->partial, 1);
        p += part;
        len -= part;
    }
    if (len >= SHA256_BLOCK) {
        h->blocks(h->state, p, len / SHA256_BLOCK);
    }
    memcpy(h->partial, p + len / SHA256_BLOCK * SHA256_BLOCK, len % SHA256_BLOCK);
}

static void put_big_endian(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    }
}

void sha256_final(struct sha256 *h, uint8_t out[SHA256_SIZE])
{
    const size_t have = h->length % SHA256_BLOCK;
    /* the first "zero" is the bit behind the end */
    const size_t zeros = (have < 56 ? 56 : 120) - have;
    uint8_t end[72] = { 0x80 };

    put_big_endian(end + zeros, h->length * 8, 8);
    sha256_update(h, end, zeros + 8);
    for (size_t i = 0; i < 8; i++) {
        put_big_endian(out + 4 * i, h->state[i], 4);
    }
}
