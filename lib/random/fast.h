/* SPDX-License-Identifier: MIT */
/*
 * A generator for one CPU: ChaCha20 whose key is replaced by its own output at each refill, and
 * whose bytes are erased as they are handed out. So memory that is read later tells nothing of what
 * was drawn before. All zeros: it has no key yet. It locks nothing.
 */
#ifndef LIB_RANDOM_FAST_H
#define LIB_RANDOM_FAST_H

#include <xmhf/types.h>

#define FAST_KEY    32u
#define FAST_BUFFER 224u /* bytes that a refill gives: four blocks, less the next key */

struct fast_random {
    uint8_t key[FAST_KEY];         /* of the next refill */
    uint8_t bytes[FAST_BUFFER];    /* the last `left` of them are for who asks next */
    uint32_t left;
    uint32_t refills;              /* since fast_key */
    bool keyed;
};

/* Mix FAST_KEY bytes into the key: if the old key or these are unknown, so is what comes now. What
 * was made before is erased. */
void fast_key(struct fast_random *f, const uint8_t key[FAST_KEY]);
/* `n` bytes. False: there is no key, and nothing is written. */
bool fast_bytes(struct fast_random *f, void *out, size_t n);

#endif
