/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "A call that could only wait for its own thread gets an
 * answer".
 *
 * A signal comes while a thread is inside a PAL with one stack, and its handler calls: the same
 * PAL, on the same stack and on another one, through a second PAL, after a jump out of the handler.
 * By the public ABI that is SIGSEGV, by the module interface PAL_BUSY, and the interrupted call
 * goes on. Another thread waits, also for a thread that has ended; then unregistering helps.
 */
#define _GNU_SOURCE
#include "spin.h"
#include "tap.h"
#include "ticking.h"
#include <pal/module.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

PAL_CODE static PAL_ABI pal_word spin(pal_word rounds, pal_word start)
{
    while (rounds-- > 0) {
        start = start * 5 + rounds;
    }
    return start;
}

/* A PAL with one stack: by the public ABI, or by the module interface. */
struct one { bool own; struct pal p; struct pal_module m; void *entry; };

static struct one public, ours;
static void (*volatile in_handler)(void);   /* what the next signal inside a PAL does */
static volatile unsigned handled;
static sigjmp_buf after_fault, out;
static volatile sig_atomic_t expecting;     /* after_fault is good */

static void make(struct one *o, bool own)
{
    struct pal_spec spec = PAL_SPEC(spin);
    struct pal_module_spec mspec = PAL_MODULE_SPEC;
    uint64_t error;

    o->own = own;
    if (own) {
        mspec.param_pages = 0;
        pal_module_create(&o->m, &mspec);
        int first = pal_module_integer(&o->m);
        pal_module_integer(&o->m);
        o->entry = pal_module_entry(&o->m, (const void *)(uintptr_t)spin, first, 2);
        error = pal_module_register(&o->m);
    } else {
        pal_create(&o->p, &spec);
        pal_add_integer(&o->p);
        pal_add_integer(&o->p);
        o->entry = o->p.entry;
        error = pal_register(&o->p);
    }
    if (error != TV_OK) {
        ok(false, "register: %s", pal_error_name(error));
        exit(1);
    }
}

static uint64_t end(struct one *o)
{
    uint64_t error = o->own ? pal_module_unregister(&o->m) : pal_unregister(&o->p);

    if (o->own) {
        pal_module_destroy(&o->m);
    } else {
        pal_destroy(&o->p);
    }
    return error;
}

enum answer { RESULT, WRONG, BUSY, FAULT };
static const char *const name[] = { "the result", "a wrong result", "PAL_BUSY", "SIGSEGV" };
static const enum answer refused[] = { FAULT, BUSY };

/* Call and say how it ended. */
static enum answer call(struct one *o, pal_word rounds)
{
    const pal_word right = spin(rounds, 7);

    if (o->own) {
        struct pal_answer a = pal_module_call(&o->m, o->entry, (pal_word[]){ rounds, 7 }, 2);
        return a.death == PAL_BUSY ? BUSY : a.death == TV_DEATH_ALIVE && a.result == right ? RESULT
            : WRONG;
    }
    if (sigsetjmp(after_fault, 1) != 0) {
        expecting = 0;
        return FAULT;
    }
    expecting = 1;
    pal_word r = ((spin_fn)(uintptr_t)o->entry)(rounds, 7);
    return r == right ? RESULT : WRONG;
}

static bool inside(const struct one *o, uintptr_t ip)
{
    return o->entry && ip / PAL_PAGE == (uintptr_t)o->entry / PAL_PAGE && ip != (uintptr_t)o->entry;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    uintptr_t ip = signal_ip(context);
    void (*what)(void) = in_handler;

    (void)number;
    (void)info;
    if (what && (inside(&public, ip) || inside(&ours, ip))) {
        in_handler = NULL;
        handled++;
        what();
    }
}

static void on_fault(int number)
{
    (void)number;
    if (!expecting) {
        _exit(3);
    }
    siglongjmp(after_fault, 1);
}

static void on_late(int number)
{
    static const char text[] = "not ok 99 - no answer within 300 s\n";

    (void)number;
    (void)!write(1, text, sizeof(text) - 1);
    _exit(1);
}

/* Call `o`, as long as it takes until a signal comes and its handler has done `what`. */
static enum answer interrupted_call(struct one *o, void (*what)(void))
{
    const unsigned before = handled;
    timer_t t = ticking();
    enum answer a = RESULT;

    for (pal_word rounds = 1 << 20; handled == before && a == RESULT && rounds < (pal_word)1 << 31;
         rounds *= 2) {
        in_handler = what;
        a = call(o, rounds);
    }
    in_handler = NULL;
    timer_delete(t);
    ok(handled > before, "a signal came while the thread was inside");
    return a;
}

static struct one *volatile again;          /* what the handler calls */
static volatile enum answer answered;

static void calls_again(void) { answered = call(again, 10); }

static void jumps_out(void) { siglongjmp(out, 1); }

static void ends_thread(void) { syscall(SYS_exit, 0); }

/* In a second PAL, whose call is interrupted too. */
static struct one *volatile between;
static volatile enum answer answered_between;

static void calls_between(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    answered_between = interrupted_call(between, calls_again);
}

static void set_signals(int flags)
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART | flags };

    sa.sa_sigaction = on_signal;
    sigaction(SIGRTMIN, &sa, NULL);
    sa = (struct sigaction){ .sa_handler = on_fault, .sa_flags = SA_NODEFER | flags };
    sigaction(SIGSEGV, &sa, NULL);
    sa = (struct sigaction){ .sa_handler = on_late };
    sigaction(SIGALRM, &sa, NULL);
}

/* The handler's call gets its answer, and the call that it interrupted its result. */
static void test_handler(struct one *o, int flags, const char *what)
{
    enum answer outer;

    set_signals(flags);
    again = o;
    answered = RESULT;
    outer = interrupted_call(o, calls_again);
    ok(answered == refused[o->own], "%s: the handler's call got %s", what, name[answered]);
    ok(outer == RESULT, "%s: the call that it interrupted got %s", what, name[outer]);
}

static void test_chain(struct one *o, struct one *through, const char *what)
{
    enum answer outer;

    set_signals(0);
    again = o;
    between = through;
    answered = RESULT;
    outer = interrupted_call(o, calls_between);
    ok(answered == refused[o->own] && answered_between == RESULT && outer == RESULT,
       "%s: in the second PAL's handler %s, then %s and %s", what, name[answered],
       name[answered_between], name[outer]);
}

static void *waiter(void *arg)
{
    timer_t t = ticking();

    if (sigsetjmp(out, 1) == 0) {
        enum answer a = call(arg, 10);
        ok(false, "another thread's call got %s", name[a]);
    }
    timer_delete(t);
    return NULL;
}

static volatile unsigned waits;

static void on_wait(int number, siginfo_t *info, void *context)
{
    uintptr_t ip = signal_ip(context);

    (void)number;
    (void)info;
    if (ip == (uintptr_t)again->entry && ++waits == 20) {
        siglongjmp(out, 1);
    }
}

/* Others wait for a call that doesn't go on, until they give up; unregistering ends it. `here`: the
 * main thread; a new one may have the thread-local storage of one that has ended, and count as that
 * one. */
static void expect_others_wait(struct one *o, bool here, const char *what)
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };
    pthread_t other;

    again = o;
    waits = 0;
    sa.sa_sigaction = on_wait;
    sigaction(SIGRTMIN, &sa, NULL);
    if (here) {
        waiter(o);
    } else {
        pthread_create(&other, NULL, waiter, o);
        pthread_join(other, NULL);
    }
    ok(waits == 20, "%s: another thread waited through %u signals", what, waits);
    ok(end(o) == TV_OK, "%s: unregistered", what);
    make(o, o->own);
    ok(call(o, 100) == RESULT, "%s: registered again, and called", what);
}

static void test_jump(struct one *o, const char *what)
{
    enum answer a;

    set_signals(0);
    if (sigsetjmp(out, 1) == 0) {
        interrupted_call(o, jumps_out);
    }
    a = call(o, 10);
    ok(a == refused[o->own], "%s: after a jump out of the handler the next call got %s", what,
       name[a]);
    expect_others_wait(o, false, what);
}

static void *ending(void *arg)
{
    interrupted_call(arg, ends_thread);
    return NULL;
}

static void test_ended(struct one *o, const char *what)
{
    pthread_t t;

    set_signals(0);
    handled = 0;
    pthread_create(&t, NULL, ending, o);
    pthread_join(t, NULL);
    ok(handled == 1, "%s: a thread has ended inside", what);
    expect_others_wait(o, true, what);
}

int main(void)
{
    static char stack[65536];
    const stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
    uint64_t before;

    tap_need_hypervisor();
    before = pal_info(XMHF_INFO_POOL_FREE);
    set_signals(0);
    sigaltstack(&other, NULL);
    alarm(300);
    make(&public, false);
    make(&ours, true);
    test_handler(&public, 0, "public ABI");
    test_handler(&ours, 0, "module interface");
    test_handler(&public, SA_ONSTACK, "public ABI, on another stack");
    test_handler(&ours, SA_ONSTACK, "module interface, on another stack");
    test_chain(&ours, &public, "ours, public, ours");
    test_jump(&public, "public ABI, jump");
    test_jump(&ours, "module interface, jump");
    test_ended(&public, "public ABI, thread ended");
    test_ended(&ours, "module interface, thread ended");
    ok(end(&public) == TV_OK && end(&ours) == TV_OK && pal_info(XMHF_INFO_POOL_FREE) >= before,
       "unregistered, all memory is back");
    return tap_end();
}
