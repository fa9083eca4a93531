/* SPDX-License-Identifier: MIT */
/* Gathers noise, judges it, and gives each CPU random bytes. */
#include <cpu/random.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <hw/insn.h>
#include <random/drbg.h>
#include <random/fast.h>
#include <random/health.h>
#include <smp/spinlock.h>
#include <util/string.h>
#include <x86/cpuid.h>

#define START_WORDS   1024u /* of RDSEED and RDRAND at the start (SP 800-90B, 4.3) */
#define START_TIMINGS 4096u
#define LATER_WORDS   8u    /* at each refresh */
#define LATER_TIMINGS 16u
#define TRIES         64u   /* RDSEED and RDRAND may have nothing for a moment */
#define MISSES        16u   /* in a row, each of so many tries: the source has failed */
#define REFILLS       1024u /* of a CPU's generator, until its key is old */
#define PIECE         512u  /* samples that become one digest at the start */
#define DIGEST_BITS   (8 * SHA256_SIZE)
#define AREA_LINES    256u  /* cache lines that timing touches */

/*
 * What a source's samples are worth, and when they are too much alike (notes/random.md has the
 * numbers): false alarms are rarer than one in 2^30 samples.
 */
enum source { RDSEED, RDRAND, TIMING, SOURCES };
static const struct worth {
    const char *name;
    unsigned per_bits;      /* so many samples ... */
    unsigned bits;          /* ... hold so many bits of entropy */
    uint32_t repetitions, proportion;
} worth[SOURCES] = {
    [RDSEED] = { "RDSEED", 1, 32, 2, 3 },
    [RDRAND] = { "RDRAND", 1, 16, 3, 5 },
    [TIMING] = { "timing", 4, 1, 121, 477 },
};

static struct spinlock lock = SPINLOCK_INIT; /* guards all that is static here but cpus[] */
static struct { bool there; struct health health; } source[SOURCES];
static struct drbg drbg;
static unsigned credit;                      /* bits of entropy in it, up to RANDOM_NEED */
static bool input;                           /* random_add brought some of them */
static struct sha256 samples;                /* on their way into it */
static sha256_blocks_fn *hash_blocks;
static uint16_t pm_port;
static struct timing { uint64_t last, delta, delta2; uint32_t counter, at; } timing;
static uint8_t area[AREA_LINES * 64];

static _Alignas(64) struct fast_random cpus[CPU_MAX];

static bool seeded(void)
{
    return credit >= RANDOM_NEED;
}

static void take_word(uint64_t word)
{
    sha256_update(&samples, &word, sizeof(word));
}

/* What was taken since the last time, as one digest. */
static void pour(void)
{
    uint8_t digest[SHA256_SIZE];

    sha256_final(&samples, digest);
    sha256_init(&samples, hash_blocks);
    drbg_reseed(&drbg, digest, sizeof(digest));
    memset(digest, 0, sizeof(digest));
}

/* So much entropy came by one digest, or by random_add. */
static void count(unsigned bits, unsigned most)
{
    credit += bits < most ? bits : most;
    credit = credit < RANDOM_NEED ? credit : RANDOM_NEED;
}

/* --- sources ---------------------------------------------------------------------- */

/* A word of RDSEED or RDRAND. False: it had none. */
static bool draw(enum source s, uint64_t *word)
{
    for (unsigned i = 0; i < TRIES; i++) {
        if (s == RDSEED ? hw_rdseed(word) : hw_rdrand(word)) {
            return true;
        }
        hw_pause();
    }
    return false;
}

/* Of a stuck one AMD's CPUs say after a resume that all is well. Either word comes by chance once
 * in 2^63. */
static bool impossible(uint64_t word)
{
    return word == 0 || word == ~0ULL;
}

/* Up to `n` words; returns how many came. */
static unsigned take_words(enum source s, unsigned n)
{
    struct health *h = &source[s].health;
    unsigned got = 0, misses = 0;
    uint64_t word;

    for (unsigned i = 0; i < n && !h->failed; i++) {
        if (!draw(s, &word)) {
            h->failed = ++misses >= MISSES;
            continue;
        }
        misses = 0;
        if (impossible(word)) {
            h->failed = true;
        } else if (health_sample(h, word)) {
            take_word(word);
            got++;
        }
    }
    return got;
}

/*
 * Something whose duration nobody can tell: a read of the PM timer, which lies behind a bus, and a
 * walk to a page whose translation the TLB has just lost, with a store to a line chosen by what was
 * before. Returns the PM timer's count: its clock isn't the TSC's.
 */
static uint32_t pass_time(void)
{
    volatile uint8_t *line = &area[timing.at % AREA_LINES * 64];
    uint32_t counter = pm_port ? hw_in32(pm_port) : 0;

    hw_invlpg((uintptr_t)line);
    *line = (uint8_t)(*line + counter + timing.last);
    return counter;
}

/* One duration by both clocks. By differences: so what the guest has written to the TSC doesn't
 * count. It is no news if it goes on as the last ones did: evenly, or growing evenly. */
static bool take_timing(void)
{
    struct health *h = &source[TIMING].health;
    const uint64_t start = hw_rdtsc();
    const uint32_t counter = pass_time();
    const uint64_t ticks = (hw_rdtsc() - start) << 8 | ((counter - timing.counter) & 0xff);
    const uint64_t delta = ticks - timing.last, delta2 = delta - timing.delta;
    const bool news = delta != 0 && delta2 != 0 && delta2 != timing.delta2;

    timing = (struct timing){ .last = ticks, .delta = delta, .delta2 = delta2, .counter = counter,
                              .at = timing.at * 5 + 1 + (uint32_t)(ticks ^ ticks >> 8) };
    take_word(ticks);
    return health_sample(h, news ? ticks : h->last) && news;
}

static unsigned take_timings(unsigned n)
{
    unsigned got = 0;

    for (unsigned i = 0; i < n; i++) {
        got += take_timing();
    }
    return got;
}

/* Up to `n` samples of one source; returns what they are worth. */
static unsigned take(enum source s, unsigned n)
{
    struct health *h = &source[s].health;
    const bool before = h->failed;
    unsigned got;

    if (!source[s].there || before) {
        return 0;
    }
    got = s == TIMING ? take_timings(n) : take_words(s, n);
    if (h->failed) {
        log_line("random: %s has failed its health test", worth[s].name);
    }
    return h->failed ? 0 : got / worth[s].per_bits * worth[s].bits;
}

/* As many samples of a source as the standard wants to see at the start. Those before a failure
 * are worth nothing either. */
static void gather(enum source s)
{
    const unsigned pieces = s == TIMING ? START_TIMINGS / PIECE : START_WORDS / PIECE;
    unsigned bits[START_TIMINGS / PIECE], k;

    for (k = 0; k < pieces; k++) {
        bits[k] = take(s, PIECE);
        pour();
    }
    while (k-- > 0 && !source[s].health.failed) {
        count(bits[k], DIGEST_BITS);
    }
}

/* --- set-up ------------------------------------------------------------------------ */

/* Those that work, or those that have failed, as XMHF_RANDOM_*. */
static unsigned sources(bool failed)
{
    _Static_assert(1u << RDSEED == XMHF_RANDOM_RDSEED && 1u << RDRAND == XMHF_RANDOM_RDRAND
                       && 1u << TIMING == XMHF_RANDOM_TIMING, "our ABI");
    unsigned mask = 0;

    for (enum source s = 0; s < SOURCES; s++) {
        mask |= source[s].there && source[s].health.failed == failed ? 1u << s : 0;
    }
    return mask | (input && !failed ? XMHF_RANDOM_INPUT : 0);
}

uint64_t random_status(void)
{
    return sources(false) | sources(true) << 8 | (seeded() ? XMHF_RANDOM_SEEDED : 0);
}

static void tell(void)
{
    static const char *const text[8] = {
        "no source", "RDSEED", "RDRAND", "RDSEED and RDRAND", "timing only", "RDSEED and timing",
        "RDRAND and timing", "RDSEED, RDRAND and timing",
    };
    const char *by = text[sources(false) & 7];

    if (seeded()) {
        log_line("random: %s", by);
    } else {
        log_error("random: no entropy (%s): there will be no random numbers", by);
    }
}

static bool cpu_has(enum source s)
{
    if (s == RDSEED) {
        return hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES
            && (hw_cpuid(CPUID_EXT_FEATURES, 0).ebx & CPUID_7_0_EBX_RDSEED);
    }
    return s == TIMING || (hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_RDRAND);
}

void random_init(sha256_blocks_fn *blocks, uint16_t pm_timer)
{
    const uint64_t now = hw_rdtsc();

    pm_port = pm_timer;
    hash_blocks = blocks;
    input = false;
    credit = 0;
    sha256_init(&samples, blocks);
    drbg_use(blocks);
    drbg_init(&drbg, &now, sizeof(now));
    for (enum source s = 0; s < SOURCES; s++) {
        source[s].there = cpu_has(s);
        source[s].health = (struct health){ .repetitions = worth[s].repetitions,
                                            .proportion = worth[s].proportion };
        gather(s);
    }
    tell();
}

/* --- bytes ------------------------------------------------------------------------- */

static void new_key(struct fast_random *f)
{
    uint8_t key[FAST_KEY];

    if (seeded()) {
        drbg_generate(&drbg, key, sizeof(key));
        fast_key(f, key);
        memset(key, 0, sizeof(key));
    }
}

static struct fast_random *ours(void)
{
    return &cpus[this_vcpu()->index];
}

void random_cpu_init(void)
{
    spin_lock(&lock);
    new_key(ours());
    spin_unlock(&lock);
}

void random_add(const void *bytes, size_t n, unsigned bits)
{
    spin_lock(&lock);
    drbg_reseed(&drbg, bytes, n);
    input = input || bits != 0;
    count(bits, RANDOM_NEED);
    new_key(ours()); /* an older one was drawn without these bytes, if there was one at all */
    spin_unlock(&lock);
}

bool random_bytes(void *out, size_t n)
{
    return fast_bytes(ours(), out, n);
}

bool random_refresh(void)
{
    struct fast_random *f = ours();

    if (f->refills < REFILLS || !spin_trylock(&lock)) {
        return false;
    }
    for (enum source s = 0; s < SOURCES; s++) {
        take(s, s == TIMING ? LATER_TIMINGS : LATER_WORDS);
    }
    pour();
    new_key(f);
    spin_unlock(&lock);
    return true;
}

void random_wipe(void)
{
    memset(cpus, 0, sizeof(cpus));
    memset(&drbg, 0, sizeof(drbg));
    memset(&samples, 0, sizeof(samples));
    credit = 0;
}
