/* SPDX-License-Identifier: MIT */
/*
 * A PAL that runs for seconds: interrupted and resumed, with signals (on Windows it is
 * suspended), other threads and SSE state that must survive.
 *   pal_spin [SECONDS]          all of it
 *   pal_spin one SECONDS        one call, of integers
 *   pal_spin budget             a call without an end; needs the hypervisor's option palbudget=
 */
#include "spin.h"
#include "tap.h"
#include <pthread.h>
#include <sched.h>
#include <time.h>

/* A linear congruence: the result tells every step. */
PAL_CODE static PAL_ABI pal_word spin(pal_word rounds, pal_word start)
{
    for (pal_word i = 0; i < rounds; i++) {
        start = start * (pal_word)6364136223846793005ULL + (pal_word)1442695040888963407ULL;
        __asm__ volatile("" : "+r"(start));
    }
    return start;
}

/* Counts to `rounds` in XMM0 by XMM15 (XMM7) = 1; other registers hold more of the sum. */
extern const uint8_t spin_sse[];
#ifdef __x86_64__
PAL_ASM(spin_sse,
        "mov $1, %eax; movq %rax, %xmm15; movq %rsi, %xmm0; mov %rdi, %rcx\n"
        "pxor %xmm8, %xmm8\n"
        "1: paddq %xmm15, %xmm0; paddq %xmm15, %xmm8; dec %rcx; jnz 1b\n"
        "movq %xmm8, %rdx; cmp %rdx, %rdi; jne 2f\n"
        "movq %xmm0, %rax; ret\n"
        "2: xor %eax, %eax; ret");
#define BUSY_SSE "pcmpeqb %xmm0, %xmm0; movdqa %xmm0, %xmm8; movdqa %xmm0, %xmm15"
#else
PAL_ASM(spin_sse,
        "mov $1, %eax; movd %eax, %xmm7; movd 8(%esp), %xmm0; mov 4(%esp), %ecx\n"
        "pxor %xmm5, %xmm5\n"
        "1: paddd %xmm7, %xmm0; paddd %xmm7, %xmm5; dec %ecx; jnz 1b\n"
        "movd %xmm5, %edx; cmp %edx, 4(%esp); jne 2f\n"
        "movd %xmm0, %eax; ret\n"
        "2: xor %eax, %eax; ret");
#define BUSY_SSE "pcmpeqb %xmm0, %xmm0; movdqa %xmm0, %xmm5; movdqa %xmm0, %xmm7"
#endif

static volatile unsigned long worker_rounds;
static volatile bool stop_worker;

/* Another thread that uses SSE registers all the time. */
static void *worker(void *arg)
{
    (void)arg;
    tap_no_ticks();
    while (!stop_worker) {
        /* Compiled without SSE, so nothing else lives there. */
        __asm__ volatile(BUSY_SSE);
        worker_rounds++;
        if (worker_rounds % 100000 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static bool make(struct pal *p, const void *entry)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, entry, 1, 1, 1 };

    if (pal_create(p, &spec) != 0) {
        return ok(false, "memory for a PAL");
    }
    pal_add_integer(p);
    pal_add_integer(p);
    return tap_no_error(pal_register(p), "register");
}

static void run(const void *function, const char *name, uint64_t ms)
{
    pal_word rounds, plain, protected;
    uint64_t began, took;
    unsigned long before_worker;
    unsigned before_ticks;
    struct pal p;

    if (!make(&p, function)) {
        return;
    }
    rounds = calibrate(&p, ms);
    plain = ((spin_fn)(uintptr_t)function)(rounds, 77);
    before_worker = worker_rounds;
    before_ticks = tap_ticks;
    began = now_ms();
    protected = ((spin_fn)(uintptr_t)p.entry)(rounds, 77);
    took = now_ms() - began;
    ok(plain == protected, "%s: %llu rounds in %llu ms give the right result", name,
       (unsigned long long)rounds, (unsigned long long)took);
    ok(tap_ticks > before_ticks + 5, "%s: %u signals were handled meanwhile", name,
       tap_ticks - before_ticks);
    ok(worker_rounds > before_worker, "%s: another thread ran %lu rounds meanwhile", name,
       worker_rounds - before_worker);
    ok(pal_unregister(&p) == TV_OK, "%s: unregistered", name);
    pal_destroy(&p);
}

/* --- several callers of one PAL ------------------------------------------------------------- */

struct caller { const struct pal *p; pal_word rounds, start; bool good; };

static void *calling_thread(void *arg)
{
    struct caller *c = arg;

    c->good = ((spin_fn)(uintptr_t)c->p->entry)(c->rounds, c->start) == spin(c->rounds, c->start);
    return NULL;
}

static void test_callers(uint64_t ms)
{
    struct caller c[3];
    pthread_t thread[3];
    struct pal p;
    pal_word rounds;

    if (!make(&p, (const void *)(uintptr_t)spin)) {
        return;
    }
    rounds = calibrate(&p, ms);
    for (unsigned i = 0; i < 3; i++) {
        c[i] = (struct caller){ &p, rounds, i * 1000 + 1, false };
        pthread_create(&thread[i], NULL, calling_thread, &c[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
    }
    ok(c[0].good && c[1].good && c[2].good, "three threads call one PAL, each gets its own result");
    ok(pal_unregister(&p) == TV_OK, "unregistered");
    pal_destroy(&p);
}

/* Different PALs at the same time. */
static void test_parallel(uint64_t ms)
{
    struct caller c[4];
    pthread_t thread[4];
    static struct pal p[4];
    bool good = true;
    pal_word rounds = 0;

    for (unsigned i = 0; i < 4; i++) {
        if (!make(&p[i], (const void *)(uintptr_t)spin)) {
            return;
        }
        rounds = i == 0 ? calibrate(&p[0], ms) : rounds;
        c[i] = (struct caller){ &p[i], rounds, i * 1000 + 7, false };
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_create(&thread[i], NULL, calling_thread, &c[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        good = good && c[i].good;
        good = pal_unregister(&p[i]) == TV_OK && good;
        pal_destroy(&p[i]);
    }
    ok(good, "four threads run four PALs");
}

/* The PAL that takes too long is ended, and no other. */
static void test_budget(void)
{
    struct pal endless, other;
    uint64_t death;
    unsigned before_ticks = tap_ticks;

    if (!make(&endless, (const void *)(uintptr_t)spin)
        || !make(&other, (const void *)(uintptr_t)spin)) {
        return;
    }
    if (CATCH()) {
        while (true) {
            ((spin_fn)(uintptr_t)endless.entry)((pal_word)-1, 1);
        }
    }
    death = pal_info(XMHF_INFO_LAST_DEATH);
    ok(tap_signal == SIGSEGV && (death & 0xffff) == TV_DEATH_BUDGET,
       "a call without an end: signal %d, death %u",
       (int)tap_signal, (unsigned)(death & 0xffff));
    ok(tap_ticks > before_ticks + 5, "%u signals were handled meanwhile", tap_ticks - before_ticks);
    ok(((spin_fn)(uintptr_t)other.entry)(1000, 5) == spin(1000, 5),
       "another PAL of this process works");
    ok(pal_hypercall(TV_HC_UNREG, (uintptr_t)endless.entry, 0, 0, 0) == TV_NOT_FOUND,
       "the first one is gone");
    endless.registered = false;
    pal_destroy(&endless);
    ok(pal_unregister(&other) == TV_OK, "the other one is unregistered");
    pal_destroy(&other);
}

static uint64_t milliseconds(const char *text)
{
    return strtoull(text, NULL, 0) * 1000;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "3";
    uint64_t before;
    pthread_t other;

    tap_need_hypervisor();
    tap_catch_signals();
    before = pal_info(XMHF_INFO_POOL_FREE);
    pthread_create(&other, NULL, worker, NULL);
    tap_ticker(20000);
    if (strcmp(mode, "budget") == 0) {
        test_budget();
    } else if (strcmp(mode, "one") == 0 && argc > 2) {
        run((const void *)(uintptr_t)spin, "integers", milliseconds(argv[2]));
    } else {
        run((const void *)(uintptr_t)spin, "integers", milliseconds(mode));
        run(spin_sse, "SSE", milliseconds(mode));
        test_callers(milliseconds(mode) / 4);
        test_parallel(milliseconds(mode) / 4);
    }
    tap_ticker(0);
    stop_worker = true;
    pthread_join(other, NULL);
    ok(tap_no_leak(&before), "all memory came back");
    return tap_end();
}
