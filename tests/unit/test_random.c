/* SPDX-License-Identifier: MIT */
/* The core's random generator on machines whose sources are good, stuck, uneven, seldom there or
 * absent: who gets bytes, and what is said. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/random.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <x86/cpuid.h>

#define PM_TIMER 0x408

enum {
    RDSEED = XMHF_RANDOM_RDSEED, RDRAND = XMHF_RANDOM_RDRAND, TIMING = XMHF_RANDOM_TIMING,
    INPUT = XMHF_RANDOM_INPUT, SEEDED = XMHF_RANDOM_SEEDED,
};

static struct vcpu cpu[2];
static struct vcpu *me;
static char said[4][160];
static unsigned lines, errors;

struct vcpu *this_vcpu(void) { return me; }

static void say(const char *fmt, va_list ap)
{
    assert_true(lines < 4);
    vsnprintf(said[lines++], sizeof(said[0]), fmt, ap);
}

void log_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void log_error(const char *fmt, ...)
{
    va_list ap;

    errors++;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

static void start(bool rdseed, bool rdrand, uint64_t jitter)
{
    machine_set_cpuid(CPUID_BASIC, 0, (struct cpuid_regs){ .eax = CPUID_EXT_FEATURES });
    machine_set_cpuid(1, 0, (struct cpuid_regs){ .ecx = rdrand ? CPUID_1_ECX_RDRAND : 0 });
    machine_set_cpuid(CPUID_EXT_FEATURES, 0,
                      (struct cpuid_regs){ .ebx = rdseed ? CPUID_7_0_EBX_RDSEED : 0 });
    machine.jitter = jitter;
    cpu[1].index = 1;
    me = &cpu[0];
    lines = errors = 0;
    random_init(sha256_blocks, PM_TIMER);
    random_cpu_init();
}

/* All zeros for one who got nothing; else all different. */
static bool gets_bytes(void)
{
    uint64_t word[64] = { 0 };
    const bool ok = random_bytes(word, sizeof(word));

    for (unsigned i = 0; i < 64; i++) {
        assert_true((word[i] != 0) == ok);
        for (unsigned k = 0; k < i && ok; k++) {
            assert_int_not_equal(word[i], word[k]);
        }
    }
    return ok;
}

static void all_sources(void)
{
    start(true, true, 1000);
    assert_string_equal(said[0], "random: RDSEED, RDRAND and timing");
    assert_int_equal(random_status(),
                     SEEDED | RDSEED | RDRAND | TIMING);
    assert_true(gets_bytes());
}

static void timing_only(void)
{
    start(false, false, 1000);
    assert_string_equal(said[0], "random: timing only");
    assert_int_equal(random_status(), SEEDED | TIMING);
    assert_true(gets_bytes());
}

static void timing_without_jitter(void)
{
    start(false, true, 0);
    assert_string_equal(said[0], "random: timing has failed its health test");
    assert_string_equal(said[1], "random: RDRAND");
    assert_int_equal(random_status(), SEEDED | RDRAND | TIMING << 8);
    assert_true(gets_bytes());
}

static void nothing_at_all(void)
{
    start(false, false, 0);
    assert_string_equal(said[1], "random: no entropy (no source): there will be no random numbers");
    assert_int_equal(errors, 1);
    assert_int_equal(random_status(), TIMING << 8);
    assert_false(gets_bytes());
    assert_false(random_refresh());
    assert_false(gets_bytes());
}

/* As AMD's CPUs have been seen after a resume: success, and all ones. */
static void stuck_at(uint64_t word)
{
    machine.rdrand = NOISE_STUCK;
    machine.stuck_at = word;
    start(false, true, 0);
    assert_string_equal(said[0], "random: RDRAND has failed its health test");
    assert_int_equal(random_status(), (RDRAND | TIMING) << 8);
    assert_false(gets_bytes());
}

static void stuck_at_ones(void) { stuck_at(~0ULL); }
static void stuck_at_zeros(void) { stuck_at(0); }
static void stuck_at_a_word(void) { stuck_at(0x0123456789abcdef); }

static void stuck_but_timing(void)
{
    machine.rdrand = NOISE_STUCK;
    machine.stuck_at = ~0ULL;
    start(false, true, 1000);
    assert_string_equal(said[1], "random: timing only");
    assert_true(gets_bytes());
}

static void uneven(void)
{
    machine.rdrand = NOISE_UNEVEN;
    start(false, true, 0);
    assert_string_equal(said[0], "random: RDRAND has failed its health test");
    assert_false(gets_bytes());
}

/* Those before don't count either: they may have been no better. */
static void sticks_at_the_start(void)
{
    uint8_t bytes[32] = { 1 };

    machine.noise_until = 700;
    machine.stuck_at = 3;
    start(false, true, 0);
    assert_string_equal(said[0], "random: RDRAND has failed its health test");
    assert_false(gets_bytes());
    random_add(bytes, sizeof(bytes), RANDOM_NEED - 1);
    random_cpu_init();
    assert_false(gets_bytes());
}

static void empty(void)
{
    machine.rdrand = NOISE_EMPTY;
    machine.rdseed = NOISE_EMPTY;
    start(true, true, 0);
    assert_int_equal(random_status() & 0xff00,
                     (RDSEED | RDRAND | TIMING) << 8);
    assert_false(gets_bytes());
}

static void seldom(void)
{
    machine.rdseed = NOISE_SELDOM;
    start(true, false, 0);
    assert_int_equal(random_status(), SEEDED | RDSEED | TIMING << 8);
    assert_true(gets_bytes());
}

/* A TPM's bytes: before, between and after them. */
static void input(void)
{
    uint8_t bytes[48] = { 1 };

    start(false, false, 0);
    random_add(bytes, sizeof(bytes), 0);
    assert_false(gets_bytes());
    random_add(bytes, sizeof(bytes), RANDOM_NEED - 1);
    assert_false(gets_bytes());
    random_add(bytes, 1, 1);
    assert_true(gets_bytes()); /* though this CPU had come for its key before */
    assert_int_equal(random_status(), SEEDED | INPUT | TIMING << 8);
}

/* Each CPU has bytes of its own, and one without a key none. */
static void two_cpus(void)
{
    uint64_t a[4], b[4];

    start(true, true, 1000);
    me = &cpu[1];
    assert_false(gets_bytes());
    random_cpu_init();
    assert_true(random_bytes(a, sizeof(a)));
    me = &cpu[0];
    assert_true(random_bytes(b, sizeof(b)));
    assert_memory_not_equal(a, b, sizeof(a));
}

/* Draw until a refresh is due. */
static void draw_many(void)
{
    uint8_t bytes[4096];

    for (unsigned i = 0; i < 64; i++) {
        assert_true(random_bytes(bytes, sizeof(bytes)));
    }
}

/* Two machines with the same noise at the start, and another one's at the refresh. */
static void refresh_takes_noise(void)
{
    uint64_t a[4], b[4];

    start(false, true, 0);
    assert_false(random_refresh());
    draw_many();
    machine.random = 99;
    assert_true(random_refresh());
    assert_false(random_refresh());
    assert_true(random_bytes(a, sizeof(a)));
    random_wipe();
    machine_reset(0);
    machine.random = 1;
    start(false, true, 0);
    draw_many();
    machine.random = 100;
    assert_true(random_refresh());
    assert_true(random_bytes(b, sizeof(b)));
    assert_memory_not_equal(a, b, sizeof(a));
}

/* What sticks later is noticed, and the bytes go on coming: the entropy is there. */
static void sticks_later(void)
{
    start(false, true, 0);
    draw_many();
    machine.rdrand = NOISE_STUCK;
    machine.stuck_at = ~0ULL;
    lines = 0;
    assert_true(random_refresh());
    assert_string_equal(said[0], "random: RDRAND has failed its health test");
    assert_int_equal(random_status(), SEEDED | (RDRAND | TIMING) << 8);
    assert_true(gets_bytes());
    draw_many();
    assert_true(random_refresh());
    assert_int_equal(lines, 1); /* said once */
}

static void wiped(void)
{
    start(true, true, 1000);
    assert_true(gets_bytes());
    random_wipe();
    assert_false(gets_bytes());
    assert_int_equal(random_status() & SEEDED, 0);
}

static void run(void **state)
{
    void (*test)(void);

    memcpy(&test, state, sizeof(test));
    machine_reset(0);
    machine.random = 1;
    random_wipe();
    test();
}

#define TEST(f) { #f, run, NULL, NULL, (void *)(f) }
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_sources), TEST(timing_only), TEST(timing_without_jitter), TEST(nothing_at_all),
        TEST(stuck_at_ones), TEST(stuck_at_zeros), TEST(stuck_at_a_word), TEST(stuck_but_timing),
        TEST(uneven), TEST(sticks_at_the_start), TEST(empty), TEST(seldom), TEST(input),
        TEST(two_cpus), TEST(refresh_takes_noise), TEST(sticks_later), TEST(wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
