/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 (FIPS 180-4), with a block function that the caller chooses: portable C here, the
 * CPU's SHA extensions in the core (hw/sha256.S). Constant time: no branch and no address
 * depends on the data. Tests compare all of it with BearSSL.
 */
#ifndef LIB_SHA256_SHA256_H
#define LIB_SHA256_SHA256_H

#include <xmhf/types.h>

#define SHA256_BLOCK 64u /* bytes */
#define SHA256_SIZE  32u /* bytes of a result */

/* Work `blocks` times 64 bytes at `data`, of any alignment, into the eight words of `state`. */
typedef void sha256_blocks_fn(uint32_t state[8], const void *data, size_t blocks);

struct sha256 {
    uint32_t state[8];
    uint8_t partial[SHA256_BLOCK]; /* the last length % 64 bytes */
    uint64_t length;               /* bytes so far; below 2^61 */
    sha256_blocks_fn *blocks;
};

/* Portable C, fully unrolled: about 3,000 instructions a block. */
sha256_blocks_fn sha256_blocks;

/* Begin a hash that uses `blocks`. */
void sha256_init(struct sha256 *h, sha256_blocks_fn *blocks);
/* Some bytes, in order. */
void sha256_update(struct sha256 *h, const void *bytes, size_t len);
/* The result, big endian as the standard has it. `h` keeps bytes of what was hashed: who hashes
 * secrets wipes it. */
void sha256_final(struct sha256 *h, uint8_t out[SHA256_SIZE]);

#endif
