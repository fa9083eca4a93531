/* SPDX-License-Identifier: MIT */
/*
 * What the keystore costs in the guest, in ticks of the TSC: its registration, and signatures and
 * other operations by the PAL beside the same object code called directly in this process. One line
 * "NAME VALUE" per result; tests/bench/keystore.py reads them.
 *
 *   guest_keystore              everything
 *   guest_keystore --loop NAME  one operation for ever, for tests/bench/profile.py
 */
#include "keystore_client.h"

#include <pal/pal.h>
#include <stdio.h>
#include <string.h>

enum { OPEN_RUNS = 3, RUNS = 12, MESSAGE = 64 };

/* The PAL's functions, linked into the program without the PAL. */
uint32_t import(uint32_t type, uint32_t uses, uint32_t limit, const uint8_t *secret, uint32_t size,
                uint32_t handle[1]);
uint32_t sign(uint32_t handle, const uint8_t *message, uint32_t size, uint8_t signature[64]);
uint32_t agree(uint32_t handle, const uint8_t *peer, uint32_t size, uint8_t shared[32]);
uint32_t mac(uint32_t handle, const uint8_t *message, uint32_t size, uint8_t code[32]);

static inline uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return low | (uint64_t)high << 32;
}

static void report(const char *name, const char *how, uint64_t value)
{
    printf("%s%s %llu\n", name, how, (unsigned long long)value);
    fflush(stdout);
}

static struct ks *ks;
static uint8_t message[MESSAGE], out[64], outside[64], peer[32] = { 9 };

struct operation {
    const char *name;
    uint32_t type, use;
    uint32_t (*inside)(struct ks *, uint32_t handle);
    uint32_t (*direct)(uint32_t handle);
};

static uint32_t sign_inside(struct ks *k, uint32_t handle)
{
    return ks_sign(k, handle, message, MESSAGE, out);
}

static uint32_t sign_direct(uint32_t handle)
{
    return sign(handle, message, MESSAGE, outside);
}

static uint32_t agree_inside(struct ks *k, uint32_t handle)
{
    return ks_agree(k, handle, peer, 32, out);
}

static uint32_t agree_direct(uint32_t handle)
{
    return agree(handle, peer, 32, outside);
}

static uint32_t mac_inside(struct ks *k, uint32_t handle)
{
    return ks_mac(k, handle, message, MESSAGE, out);
}

static uint32_t mac_direct(uint32_t handle)
{
    return mac(handle, message, MESSAGE, outside);
}

static const struct operation operations[] = {
    { "sign-ed25519", KEYSTORE_ED25519, KEYSTORE_SIGN, sign_inside, sign_direct },
    { "sign-p256", KEYSTORE_P256, KEYSTORE_SIGN, sign_inside, sign_direct },
    { "agree-x25519", KEYSTORE_X25519, KEYSTORE_AGREE, agree_inside, agree_direct },
    { "hmac-64", KEYSTORE_HMAC_SHA256, KEYSTORE_MAC, mac_inside, mac_direct },
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* The least of some runs both ways, so that no timer interrupt is in it. False: an error, or the
 * two differ. */
static bool measure(const struct operation *o)
{
    uint64_t inside = UINT64_MAX, direct = UINT64_MAX, start, took;
    uint8_t secret[32];
    uint32_t handle = 0, own[1] = { 0 }, error;

    memset(secret, 0x55, sizeof(secret));
    error = ks_import(ks, o->type, o->use, 0, secret, sizeof(secret), &handle);
    error |= import(o->type, o->use, 0, secret, sizeof(secret), own);
    for (unsigned i = 0; i < RUNS; i++) {
        start = ticks();
        error |= o->inside(ks, handle);
        took = ticks() - start;
        inside = took < inside ? took : inside;
        start = ticks();
        error |= o->direct(own[0]);
        took = ticks() - start;
        direct = took < direct ? took : direct;
    }
    report(o->name, "", inside);
    report(o->name, "-direct", direct);
    return error == KEYSTORE_OK && memcmp(out, outside, o->use == KEYSTORE_SIGN ? 64 : 32) == 0;
}

/* Open and close it a few times; the last one stays open. */
static bool open_it(void)
{
    uint64_t opening = UINT64_MAX, hashing = 0, start, took, hash;

    for (unsigned i = 0; i < OPEN_RUNS; i++) {
        ks_close(ks);
        hash = pal_info(XMHF_INFO_HASH_TICKS);
        start = ticks();
        if (ks_open(&ks) != KEYSTORE_OK) {
            puts(ks_failure());
            return false;
        }
        took = ticks() - start;
        if (took < opening) {
            opening = took;
            hashing = pal_info(XMHF_INFO_HASH_TICKS) - hash;
        }
    }
    report("open", "", opening);
    report("open-hash", "", hashing);
    return true;
}

/* profile.py cuts its trace where this function is entered; guest_bench.c has its like. */
__attribute__((noinline, used)) static void loop_mark(void)
{
    __asm__ volatile("xchgw %%bx, %%bx" : : : "memory");
}

static int loop(const char *name)
{
    const struct operation *o = operations;
    uint8_t secret[32] = { 0x55 };
    uint32_t handle;

    while (o < operations + OPERATIONS && strcmp(o->name, name) != 0) {
        o++;
    }
    if (o == operations + OPERATIONS) {
        fprintf(stderr, "guest_keystore: no operation %s\n", name);
        return 2;
    }
    if (ks_import(ks, o->type, o->use, 0, secret, sizeof(secret), &handle) != KEYSTORE_OK) {
        fputs("guest_keystore: no key\n", stderr);
        return 1;
    }
    puts("looping");
    fflush(stdout);
    for (;;) {
        loop_mark();
        o->inside(ks, handle);
    }
}

int main(int argc, char **argv)
{
    if (!pal_available()) {
        puts("no hypervisor");
        return 1;
    }
    if (argc == 3 && strcmp(argv[1], "--loop") == 0) {
        return ks_open(&ks) == KEYSTORE_OK ? loop(argv[2]) : 1;
    }
    if (!open_it()) {
        return 1;
    }
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (!measure(&operations[i])) {
            printf("%s: an error, or two results\n", operations[i].name);
            return 1;
        }
    }
    ks_close(ks);
    return 0;
}
