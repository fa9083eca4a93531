/* SPDX-License-Identifier: MIT */
/* ChaCha20 with fast key erasure. */
#include <bearssl.h>
#include <random/fast.h>
#include <util/string.h>

/* As memset, but the compiler can't leave it out for nobody reading the zeros. */
static void forget(volatile uint8_t *p, size_t n)
{
    while (n > 0) {
        p[--n] = 0;
    }
}

/* Key stream in place of the old key and the old bytes: they lie one behind the other. */
static void refill(struct fast_random *f)
{
    static const uint8_t nonce[12]; /* each key makes one stream only */
    uint8_t key[FAST_KEY];

    _Static_assert(offsetof(struct fast_random, bytes) == FAST_KEY, "one piece");
    memcpy(key, f->key, sizeof(key));
    memset(f, 0, FAST_KEY + FAST_BUFFER);
    br_chacha20_ct_run(key, nonce, 0, f, FAST_KEY + FAST_BUFFER);
    forget(key, sizeof(key));
    f->left = FAST_BUFFER;
    f->refills++;
}

void fast_key(struct fast_random *f, const uint8_t key[FAST_KEY])
{
    for (unsigned i = 0; i < FAST_KEY; i++) {
        f->key[i] ^= key[i];
    }
    memset(f->bytes, 0, sizeof(f->bytes));
    f->left = f->refills = 0;
    f->keyed = true;
}

bool fast_bytes(struct fast_random *f, void *out, size_t n)
{
    uint8_t *to = out;

    if (!f->keyed) {
        return false;
    }
    while (n > 0) {
        if (f->left == 0) {
            refill(f);
        }
        size_t part = n < f->left ? n : f->left;
        uint8_t *from = f->bytes + FAST_BUFFER - f->left;
        memcpy(to, from, part);
        memset(from, 0, part);
        f->left -= (uint32_t)part;
        to += part;
        n -= part;
    }
    return true;
}
