/* SPDX-License-Identifier: MIT */
/*
 * HMAC-DRBG with SHA-256 (NIST SP 800-90A, 10.1.2): BearSSL's, over this tree's SHA-256, so that it
 * has the CPU's SHA extensions where there are some. The state is plain data: who is done wipes it.
 * It locks nothing: one caller at a time.
 */
#ifndef LIB_RANDOM_DRBG_H
#define LIB_RANDOM_DRBG_H

#include <bearssl.h>
#include <sha256/sha256.h>

/* Blocks of SHA-256 that drbg_reseed and then drbg_generate, of 32 bytes each, take together. */
#define DRBG_REFRESH_BLOCKS 30u

struct drbg { br_hmac_drbg_context state; };

/* Which block function all of them use from now on; until then the portable one. */
void drbg_use(sha256_blocks_fn *blocks);
/* Begin with `n` bytes of entropy input, of any length and quality: who calls judges that. */
void drbg_init(struct drbg *d, const void *seed, size_t n);
/* Stir in `n` more bytes (1 and more). They can't make it worse, whatever they are. */
void drbg_reseed(struct drbg *d, const void *seed, size_t n);
/* `n` bytes; afterwards nothing in the state tells what they were. */
void drbg_generate(struct drbg *d, void *out, size_t n);

#endif
