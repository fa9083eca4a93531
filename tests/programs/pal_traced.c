/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Only its token resumes an interrupted call, once" and "No
 * register of a PAL is seen by the OS at an interrupt, at return or at death", against a debugger.
 *
 * A process stops another one while its PAL runs, looks at the registers, changes them, lets it go
 * on, and steps through a call. The call always ends with its own result, and each step with a
 * trap.
 *
 *   pal_traced [STOPS]
 */
#define _GNU_SOURCE
#include "spin.h"
#include "tap.h"
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define FACTOR ((pal_word)2862933555777941757ULL)
#define STEPS_MAX 200000u
#define LIMIT_MS 60000u
#define STOPS_MAX 100u
#define RUN_US 3000u    /* until a call is stopped: much less than any such call takes */

typedef struct user_regs_struct registers;

/* The token's low and high half, as far as one register goes. */
#ifdef __x86_64__
#define IP rip
#define LOW rax
#define HIGH rdx
static unsigned long long others(const registers *r)
{
    return r->rbx | r->rcx | r->rsi | r->rdi | r->rbp | r->r8 | r->r9 | r->r10 | r->r11 | r->r12
        | r->r13 | r->r14 | r->r15;
}
#else
#define IP eip
#define LOW eax
#define HIGH ebx
static unsigned long long others(const registers *r)
{
    return (unsigned long)(r->esi | r->edi | r->ebp);
}
#endif

PAL_CODE static PAL_ABI pal_word spin(pal_word rounds, pal_word start)
{
    for (pal_word i = 0; i < rounds; i++) {
        start = start * FACTOR + i;
        __asm__ volatile("" : "+r"(start));
    }
    return start;
}

/* What both see. */
struct shared {
    volatile bool ready, go, returned, finish;
    volatile pal_word rounds, result;
    struct pal p;
} *shared;

/* --- the one that is traced ------------------------------------------------------------------- */

/* A call of `ms` milliseconds. */
static void child(unsigned number, pal_word ms)
{
    struct pal_spec spec = PAL_SPEC(spin);
    struct shared *s = &shared[number];

    if (pal_create(&s->p, &spec) != 0) {
        _exit(1);
    }
    pal_add_integer(&s->p);
    pal_add_integer(&s->p);
    if (pal_register(&s->p) != TV_OK) {
        _exit(2);
    }
    s->rounds = calibrate(&s->p, ms);
    s->ready = true;
    while (!s->go) {
        usleep(1000);
    }
    s->result = ((spin_fn)(uintptr_t)s->p.entry)(s->rounds, number);
    s->returned = true;
    while (!s->finish) {
        usleep(1000);
    }
    _exit(pal_unregister(&s->p) == TV_OK ? 0 : 3);
}

/* --- the tracer ----------------------------------------------------------- */

static registers look(pid_t pid)
{
    registers r;

    memset(&r, 0, sizeof(r));
    ptrace(PTRACE_GETREGS, pid, 0, &r);
    return r;
}

static void change(pid_t pid, const registers *r) { ptrace(PTRACE_SETREGS, pid, 0, r); }

static bool inside(unsigned number, const registers *r)
{
    pal_word entry = (pal_word)(uintptr_t)shared[number].p.entry;

    return (((pal_word)r->IP ^ entry) & ~(pal_word)(PAL_PAGE - 1)) == 0 && (pal_word)r->IP != entry;
}

/* The signal that stopped it; 0 for a stop that was asked for; -1 if none came, or it has ended. */
static int wait_stop(pid_t pid)
{
    uint64_t limit = now_ms() + LIMIT_MS;
    int status;

    while (now_ms() < limit) {
        pid_t seen = waitpid(pid, &status, WNOHANG);

        if (seen == pid && WIFSTOPPED(status)) {
            return status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
        }
        if (seen != 0) {
            return -1;
        }
        usleep(200);
    }
    return -1;
}

static int go_on(pid_t pid, int how)
{
    ptrace(how, pid, 0, 0);
    return wait_stop(pid);
}

/* Stopped, about to call. */
static pid_t begin(unsigned number, pal_word ms)
{
    struct shared *s = &shared[number];
    pid_t pid;

    s->ready = s->go = s->returned = s->finish = false;
    pid = fork();
    if (pid == 0) {
        child(number, ms);
    }
    while (!s->ready && waitpid(pid, NULL, WNOHANG) == 0) {
        usleep(1000);
    }
    ptrace(PTRACE_SEIZE, pid, 0, 0);
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    ok(wait_stop(pid) == 0, "process %u is traced", number);
    s->go = true;
    return pid;
}

/* Let the call run for a while and stop it. False: it isn't in its PAL any more. */
static bool stop_inside(unsigned number, pid_t pid, registers *r)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        ptrace(PTRACE_CONT, pid, 0, 0);
        usleep(RUN_US);
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        if (wait_stop(pid) != 0) {
            return false;
        }
        *r = look(pid);
        if (inside(number, r)) {
            return true;
        }
    }
    return false;
}

static pal_word expected(unsigned number) { return spin(shared[number].rounds, number); }

/* Let it run until it is behind the call, and stop it. How many other stops there were. */
static unsigned until_returned(unsigned number, pid_t pid)
{
    uint64_t limit = now_ms() + LIMIT_MS;
    unsigned others_seen = 0;
    int status;

    ptrace(PTRACE_CONT, pid, 0, 0);
    while (!shared[number].returned && now_ms() < limit) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            others_seen++;
            ptrace(PTRACE_CONT, pid, 0, 0);
        }
        usleep(200);
    }
    usleep(10000);
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    for (int seen = wait_stop(pid); seen > 0 && others_seen < 100; others_seen++) {
        seen = go_on(pid, PTRACE_CONT);
    }
    return others_seen;
}

/* Leave it alone; it must unregister and end well. */
static bool end(unsigned number, pid_t pid)
{
    int status;

    shared[number].finish = true;
    ptrace(PTRACE_DETACH, pid, 0, 0);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void check_end(unsigned number, pid_t pid, const char *what)
{
    unsigned signals = until_returned(number, pid);

    ok(signals == 0 && shared[number].returned && shared[number].result == expected(number),
       "%s: the result is right, no signal came (%u)", what, signals);
    ok(end(number, pid), "%s: unregistered", what);
}

/* --- stops and registers -------------------------------------------------- */

/* How many of the tokens before were the same. */
static unsigned seen_before(const registers *r, const registers *all, unsigned n)
{
    unsigned same = 0;

    for (unsigned i = 0; i < n; i++) {
        same += all[i].LOW == r->LOW && all[i].HIGH == r->HIGH;
    }
    return same;
}

static void test_stops(unsigned wanted)
{
    registers r, all[STOPS_MAX];
    unsigned stops = 0, same = 0, left = 0;
    pid_t pid = begin(0, 1000);

    while (stops < wanted && stop_inside(0, pid, &r)) {
        left += others(&r) != 0;
        if (stops > 0 && r.LOW == all[stops - 1].LOW) { /* it had no time to run in between */
            continue;
        }
        same += seen_before(&r, all, stops);
        all[stops++] = r;
    }
    ok(stops == wanted, "stopped %u times inside of a PAL", stops);
    ok(same == 0, "each time another token (%u were not)", same);
    ok(left == 0, "all other registers are zero (not so %u times)", left);
    check_end(0, pid, "stops");
}

/* With these registers the thread must get SIGSEGV and stay where it is. */
static bool refused(pid_t pid, registers bad)
{
    change(pid, &bad);
    if (go_on(pid, PTRACE_CONT) != SIGSEGV) {
        return false;
    }
    registers now = look(pid);
    return now.IP == bad.IP && now.LOW == bad.LOW && now.HIGH == bad.HIGH;
}

static void test_tokens(void)
{
    static const char *const names[] = { "a bit", "another bit", "half of it", "nothing",
                                         "an earlier token" };
    registers first, r;
    pid_t pid = begin(0, 1000);

    ok(stop_inside(0, pid, &first), "a stop inside");
    for (unsigned i = 0; i < 5; i++) {
        if (!ok(stop_inside(0, pid, &r), "a stop inside (%s)", names[i])) {
            return;
        }
        registers wrong = r;

        switch (i) {
        case 0: wrong.LOW ^= 1; break;
        case 1: wrong.HIGH ^= 1L << (8 * sizeof(long) - 1); break;
        case 2: wrong.HIGH = 0; break;
        case 3: wrong.LOW = wrong.HIGH = 0; break;
        default: wrong.LOW = first.LOW; wrong.HIGH = first.HIGH; break;
        }
        ok(refused(pid, wrong), "a token changed by the tracer: SIGSEGV there (%s)", names[i]);
        change(pid, &r);
    }
    check_end(0, pid, "with its own token again");
}

static void test_swapped(void)
{
    pid_t pid[2] = { begin(0, 1000), begin(1, 1000) };
    registers r[2], wrong;

    for (unsigned i = 0; i < 2; i++) {
        ok(stop_inside(i, pid[i], &r[i]), "process %u is inside", i);
    }
    for (unsigned i = 0; i < 2; i++) {
        wrong = r[i];
        wrong.LOW = r[!i].LOW;
        wrong.HIGH = r[!i].HIGH;
        ok(refused(pid[i], wrong), "the other process's token: SIGSEGV");
        change(pid[i], &r[i]);
    }
    check_end(0, pid[0], "one");
    check_end(1, pid[1], "the other");
}

/* --- steps ---------------------------------------------------------------- */

/* One by one through the call. */
static void test_steps(void)
{
    unsigned steps = 0, traps_inside = 0;
    pid_t pid = begin(0, 50);

    while (!shared[0].returned && steps < STEPS_MAX) {
        int seen = go_on(pid, PTRACE_SINGLESTEP);
        registers r = look(pid);

        if (seen != SIGTRAP) {
            break;
        }
        traps_inside += inside(0, &r);
        steps++;
    }
    ok(shared[0].returned && steps < STEPS_MAX && traps_inside > 0,
       "%u steps through a call, %u of them inside", steps, traps_inside);
    check_end(0, pid, "steps");
}

/* A step that begins while the PAL is interrupted ends: there again, or behind the call. */
static void test_step_out(void)
{
    unsigned steps = 0;
    int seen = SIGTRAP;
    registers r;
    pid_t pid = begin(0, 300);

    ok(stop_inside(0, pid, &r), "a stop inside");
    while (inside(0, &r) && seen == SIGTRAP && steps < STEPS_MAX) {
        seen = go_on(pid, PTRACE_SINGLESTEP);
        r = look(pid);
        steps++;
    }
    ok(seen == SIGTRAP && !inside(0, &r) && !shared[0].returned,
       "%u steps, the last one ends right behind the call", steps);
    check_end(0, pid, "steps that begin inside");
}

/* Steps that are given up while the PAL is interrupted don't go on behind the call. */
static void test_step_in(void)
{
    unsigned steps = 0;
    registers r = { 0 };
    pid_t pid = begin(0, 100);

    while (!inside(0, &r) && steps < STEPS_MAX) {
        go_on(pid, PTRACE_SINGLESTEP);
        r = look(pid);
        steps++;
    }
    ok(inside(0, &r), "%u steps, the last one ends inside", steps);
    check_end(0, pid, "no more steps");
}

static void test_detach(void)
{
    registers r;
    pid_t pid = begin(0, 300);

    ok(stop_inside(0, pid, &r), "a stop inside");
    ok(end(0, pid) && shared[0].result == expected(0), "left alone inside: the result is right");
}

int main(int argc, char **argv)
{
    unsigned stops = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 30;

    tap_need_hypervisor();
    stops = stops < STOPS_MAX ? stops : STOPS_MAX;
    shared = mmap(NULL, 2 * sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                  0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    test_stops(stops);
    test_tokens();
    test_swapped();
    test_steps();
    test_step_out();
    test_step_in();
    test_detach();
    return tap_end();
}
