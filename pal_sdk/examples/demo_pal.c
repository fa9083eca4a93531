/* SPDX-License-Identifier: MIT */
/*
 * A PAL with a secret: it adds two numbers, and does it right only while it can read its
 * 32 secret bytes.
 *
 *   demo_pal [--secret-seed N] [--hold]
 *
 * --hold: say "ready" and wait for a line on standard input before unregistering, so that
 * somebody can search memory for the secret meanwhile. Without a hypervisor the same code
 * runs as an ordinary function.
 */
#include <pal/pal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_SIZE 32

typedef pal_word (PAL_ABI *sum_fn)(volatile const uint8_t *, pal_word, pal_word, pal_word);

/* a + b, off by the difference between the secret's checksum and the expected one. */
PAL_CODE static PAL_ABI pal_word secret_sum(volatile const uint8_t *secret, pal_word expected,
                                            pal_word a, pal_word b)
{
    pal_word checksum = 0;

    for (unsigned i = 0; i < SECRET_SIZE; i++) {
        checksum = checksum * 31 + secret[i];
    }
    return a + b + (checksum - expected);
}

static uint8_t secret_byte(unsigned seed, unsigned i)
{
    return (uint8_t)(0xa5 ^ ((seed * 31 + i * 7) & 0xff));
}

/* Made in place, byte by byte: no other copy exists, not even in a wide register. */
static void make_secret(volatile uint8_t *at, unsigned seed)
{
    for (unsigned i = 0; i < SECRET_SIZE; i++) {
        at[i] = secret_byte(seed, i);
    }
}

/* The checksum alone tells little about 32 bytes. */
static pal_word expected_checksum(unsigned seed)
{
    pal_word checksum = 0;

    for (volatile unsigned i = 0; i < SECRET_SIZE; i++) {
        checksum = checksum * 31 + secret_byte(seed, i);
    }
    return checksum;
}

static int usage(void)
{
    fputs("usage: demo_pal [--secret-seed N] [--hold]\n", stderr);
    return 2;
}

/* Register; false after a message if that fails. */
static bool protect(struct pal *p)
{
    uint64_t error = pal_register(p);

    if (error != TV_OK) {
        printf("registering failed: %s (%s)\n", pal_error_name(error), pal_error_text(error));
        return false;
    }
    printf("registered entry=%p\n", p->entry);
    return true;
}

static bool call(const struct pal *p, unsigned seed)
{
    pal_word sum = ((sum_fn)(uintptr_t)p->entry)(p->data, expected_checksum(seed), 20, 22);

    printf("call secret-sum(20,22) = %llu %s\n", (unsigned long long)sum,
           sum == 42 ? "ok" : "WRONG");
    return sum == 42;
}

static void hold(void)
{
    int c;

    puts("ready");
    fflush(stdout);
    do {
        c = getchar();
    } while (c != '\n' && c != EOF);
}

static bool run(struct pal *p, unsigned seed, bool do_hold)
{
    bool protected = pal_available();
    bool ok = true;

    make_secret(p->data, seed);
    if (!protected) {
        puts("no hypervisor: running unprotected");
    } else if (!protect(p)) {
        return false;
    }
    ok = call(p, seed);
    if (do_hold) {
        hold();
    }
    if (protected) {
        uint64_t error = pal_unregister(p);
        puts(error == TV_OK ? "unregistered" : pal_error_text(error));
        ok = ok && error == TV_OK;
    }
    return ok;
}

int main(int argc, char **argv)
{
    struct pal_spec spec = PAL_SPEC(secret_sum);
    struct pal p;
    unsigned seed = 1;
    bool do_hold = false, ok;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--hold") == 0) {
            do_hold = true;
        } else if (strcmp(argv[i], "--secret-seed") == 0 && i + 1 < argc) {
            seed = (unsigned)strtoul(argv[++i], NULL, 0);
        } else {
            return usage();
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (pal_create(&p, &spec) != 0) {
        perror("demo_pal: memory for the PAL");
        return 1;
    }
    for (int i = 0; i < 4; i++) {
        pal_add_integer(&p);
    }
    ok = run(&p, seed, do_hold);
    pal_destroy(&p);
    return ok ? 0 : 1;
}
