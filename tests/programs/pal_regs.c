/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "No register of a PAL is seen by the OS at an interrupt, at
 * return or at death" and "A PAL sees nothing of its caller's or another PAL's registers".
 *
 * Caller and PAL fill all that a program can reach (general registers, flags, selectors, x87,
 * SSE, AVX and whatever else XSAVE knows) with a pattern of their own. The PAL writes down what
 * it sees at entry; the caller looks at what it has after the return, and what the OS's signal
 * frames have when the PAL is interrupted and when it dies.   pal_regs
 */
#define _GNU_SOURCE
#include "tap.h"
#include "regs.h"
#include <cpuid.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { AX, CX, DX, BX, SP, BP, SI, DI, R8, R12 = 12, R13, R14, R15 };
enum { ES, CS, SS, DS, FS, GS };

struct regs_seen {
    pal_word gpr[16], flags, segments[6], xcr0;
    uint8_t gap[SEEN_XSTATE - 24 * W];
    uint8_t xstate[XSTATE_ROOM];
} __attribute__((aligned(PAGE)));
_Static_assert(offsetof(struct regs_seen, flags) == SEEN_FLAGS
               && offsetof(struct regs_seen, segments) == SEEN_SEGMENTS
               && offsetof(struct regs_seen, xcr0) == SEEN_XCR0
               && offsetof(struct regs_seen, xstate) == SEEN_XSTATE, "regs.h");

extern const uint8_t regs_pal[];
void regs_call(void);
struct regs_seen regs_before, regs_after;
uint8_t regs_image[PAGE] __attribute__((aligned(64)));
int regs_have_xsave;
pal_word regs_args[4];
const void *regs_entry;
pal_word regs_sp;

static struct regs_seen seen;        /* by the PAL, at its entry */
static size_t xstate_size = 512;     /* of which XSAVE or FXSAVE writes something */
static uint64_t xcr0;
static bool intel;

#define CALLER_WORD ((pal_word)(0x100000001ULL * CALLER32))
#define FLAGS_MASK  ((pal_word)CALLER_FLAGS | 1 << 10)
#define SIMD_NAMES  (xcr0 & 0xe0 ? "x87, SSE, AVX, AVX-512" \
                     : xcr0 & 4 ? "x87, SSE, AVX" : "x87, SSE")

/* --- the caller's pattern -------------------------------------------------------------------- */

static void make_image(void)
{
    uint32_t pattern = CALLER32, mxcsr = 0x5fa5, pkru = 0xcffffffc, a, b, c, d;
    uint16_t words[3] = { 0x7f, 0x1000, 0xff }; /* another precision, TOP, all registers full */

    for (size_t i = 0; i < sizeof(regs_image); i += 4) {
        memcpy(regs_image + i, &pattern, 4);
    }
    memcpy(regs_image, words, sizeof(words));
    memcpy(regs_image + 24, &mxcsr, 4);
    __cpuid(0, a, b, c, d);
    intel = c == 0x6c65746e;
    __cpuid(1, a, b, c, d);
    regs_have_xsave = (c >> 27 & 1) != 0;
    if (!regs_have_xsave) {
        return;
    }
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    xcr0 = a & ~0x18u; /* without MPX: not every pattern is valid there */
    memset(regs_image + 512, 0, 64);
    memcpy(regs_image + 512, &xcr0, 8);
    __cpuid_count(13, 0, a, b, c, d);
    xstate_size = b;
    if (xcr0 & 1 << 9) { /* protection keys: the program must go on with its own memory */
        __cpuid_count(13, 9, a, b, c, d);
        memcpy(regs_image + b, &pkru, 4);
    }
}

/* --- looking --------------------------------------------------------------------------------- */

static char why[200]; /* the first thing that was wrong; "": nothing */

static void __attribute__((format(printf, 1, 2))) wrong(const char *fmt, ...)
{
    va_list ap;

    if (why[0] == 0) {
        va_start(ap, fmt);
        vsnprintf(why, sizeof(why), fmt, ap);
        va_end(ap);
    }
}

/* Is there a word of `pattern` at any place? */
static bool holds(const void *memory, size_t size, uint32_t pattern)
{
    return memmem(memory, size, &pattern, sizeof(pattern)) != NULL;
}

/* The same FPU state, of what this width can reach, and nothing of the PAL in all of it. */
static void compare_xstate(const uint8_t *got, const char *where)
{
    const struct { size_t from, to; } parts[] = {
        /* A 32-bit program's last x87 instruction is lost in Linux' signal frames. */
        { 0, 6 }, { W == 8 ? 6 : 24, W == 8 ? 416 : 288 },
        { 576, W == 8 ? xstate_size : xcr0 & 4 ? 704 : 576 },
    };

    if (holds(got, xstate_size, SECRET32)) {
        wrong("%s: a word of the PAL's FPU state", where);
    }
    for (unsigned i = 0; i < 3; i++) {
        for (size_t at = parts[i].from; at < parts[i].to; at++) {
            if (got[at] != regs_before.xstate[at]) {
                wrong("%s: byte %zu of the FPU state is %02x, was %02x", where, at, got[at],
                      regs_before.xstate[at]);
                return;
            }
        }
    }
}

/* The caller's registers: `kept` for those that the convention preserves, else zero. */
static void compare_gprs(const pal_word gpr[16], pal_word kept, unsigned free_ones,
                         const char *where)
{
    static const bool preserved[16] = {
        [BX] = true, [BP] = true, [SI] = W == 4, [DI] = W == 4,
        [R12] = true, [R13] = true, [R14] = true, [R15] = true,
    };

    for (unsigned i = 0; i < 2 * W; i++) {
        pal_word expected = preserved[i] ? kept : 0;
        if (i != SP && !(free_ones >> i & 1) && gpr[i] != expected) {
            wrong("%s: register %u is %llx, not %llx", where, i, (unsigned long long)gpr[i],
                  (unsigned long long)expected);
        }
    }
}

/* --- signals: what the OS sees of a PAL that is interrupted, and of one that died ------------- */

static const struct pal *current;
static volatile unsigned interruptions;
static volatile pal_word rip_at_death;

static void read_frame(const ucontext_t *u, pal_word gpr[16], pal_word *rip, pal_word *flags,
                       const uint8_t **xstate)
{
    const greg_t *g = u->uc_mcontext.gregs;
#ifdef __x86_64__
    static const int index[16] = {
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
    };
    const uint8_t *fp = (const uint8_t *)u->uc_mcontext.fpregs;
    *rip = (pal_word)g[REG_RIP];
#else
    static const int index[8] = {
        REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI,
    };
    const uint8_t *fp = (const uint8_t *)u->uc_mcontext.fpregs + 112; /* behind FSAVE's image */
    *rip = (pal_word)g[REG_EIP];
#endif
    for (unsigned i = 0; i < 2 * W; i++) {
        gpr[i] = (pal_word)g[index[i]];
    }
    *flags = (pal_word)g[REG_EFL];
    *xstate = fp;
}

#ifdef __x86_64__
#define GS_BASE 0x3ca11e4d000ULL

static void check_bases(const char *where)
{
    static uint64_t fs;
    uint64_t now_fs = 0, now_gs = 0;

    syscall(SYS_arch_prctl, 0x1003, &now_fs);
    syscall(SYS_arch_prctl, 0x1004, &now_gs);
    if (fs == 0) {
        fs = now_fs;
    }
    if (now_fs != fs || now_gs != GS_BASE) {
        wrong("%s: FS base %llx, GS base %llx", where, (unsigned long long)now_fs,
              (unsigned long long)now_gs);
    }
}

static void set_bases(void) { syscall(SYS_arch_prctl, 0x1001, GS_BASE); check_bases("at first"); }
#define TOKEN (1u << AX | 1u << DX)
#else
static void set_bases(void) { }
static void check_bases(const char *where) { (void)where; }
#define TOKEN (1u << AX | 1u << DX | 1u << CX | 1u << BX)
#endif

static void check_frame(const ucontext_t *u, bool death)
{
    const char *where = death ? "at death" : "interrupted";
    pal_word gpr[16], rip, flags;
    const uint8_t *xstate;

    read_frame(u, gpr, &rip, &flags, &xstate);
    if (!current || rip - (pal_word)current->code >= PAGE) {
        return; /* not in the PAL */
    }
    compare_gprs(gpr, death ? CALLER_WORD : 0, death ? 0 : TOKEN, where);
    compare_xstate(xstate, where);
    check_bases(where);
    if (((flags ^ CALLER_FLAGS) & FLAGS_MASK) != 0) {
        wrong("%s: flags %llx", where, (unsigned long long)flags);
    }
    if (death) {
        rip_at_death = rip;
    } else {
        interruptions++;
    }
}

static void on_alarm(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    check_frame(context, false);
}

static void on_death(int number, siginfo_t *info, void *context)
{
    if (!current) {
        printf("Bail out! signal %d, code %d, at %p\n", number, info->si_code, info->si_addr);
        fflush(stdout);
        _exit(97);
    }
    check_frame(context, true);
    tap_handler(number, info, context);
}

static void catch_signals(void)
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };

    tap_catch_signals();
    sa.sa_sigaction = on_death;
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGTRAP, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    sa.sa_sigaction = on_alarm;
    sigaction(SIGALRM, &sa, NULL);
}

static void set_timer(long us)
{
    struct itimerval it = { { 0, us }, { 0, us } };

    setitimer(ITIMER_REAL, &it, NULL);
}

/* --- calls ------------------------------------------------------------------------------------ */

static bool make(struct pal *p)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, regs_pal, 3, 1, 2 };

    if (pal_create(p, &spec) != 0) {
        return ok(false, "memory for a PAL");
    }
    pal_add_integer(p);
    pal_add_integer(p);
    pal_add_pointer(p, PAGE / W);
    pal_add_integer(p);
    return tap_no_error(pal_register(p), "register");
}

static void call(const struct pal *p, pal_word mode, pal_word rounds)
{
    const pal_word args[4] = { mode, (pal_word)p->data, (pal_word)&seen, rounds };

    memcpy(regs_args, args, sizeof(args));
    memset(&seen, 0xee, sizeof(seen));
    regs_entry = p->entry;
    current = p;
    regs_call();
    current = NULL;
}

/* What the PAL saw at its entry is the template, and its arguments. */
static void check_seen(const struct pal *p)
{
    pal_word expected[16] = { 0 };
    pal_word at = seen.gpr[SP] - (pal_word)p->stack, cs = W == 8 ? 0x33 : 0x23;
    const uint16_t fpu[3] = { 0x37f, 0, 0 };
    const uint32_t mxcsr = 0x1f80;

    if (W == 8) {
        memcpy(expected, (pal_word[]){ 0, regs_args[3], seen.gpr[DX], 0, 0, 0, regs_args[1],
                                       regs_args[0] }, 8 * W);
        if (seen.gpr[DX] - (pal_word)p->param >= 2 * PAGE) {
            wrong("at entry: the buffer is at %llx", (unsigned long long)seen.gpr[DX]);
        }
    }
    expected[SP] = at < PAGE ? seen.gpr[SP] : 0;
    for (unsigned i = 0; i < 2 * W; i++) {
        if (seen.gpr[i] != expected[i]) {
            wrong("at entry: register %u is %llx", i, (unsigned long long)seen.gpr[i]);
        }
    }
    if (seen.flags != 0x202) {
        wrong("at entry: flags %llx", (unsigned long long)seen.flags);
    }
    for (unsigned i = 0; i < 6; i++) {
        pal_word s = seen.segments[i];
        if (i == CS ? s != cs : s != 0x2b) {
            wrong("at entry: selector %u is %llx", i, (unsigned long long)s);
        }
    }
    if (memcmp(seen.xstate, fpu, sizeof(fpu)) != 0 || memcmp(seen.xstate + 24, &mxcsr, 4) != 0) {
        wrong("at entry: x87 control %02x%02x, MXCSR %02x%02x", seen.xstate[1], seen.xstate[0],
              seen.xstate[25], seen.xstate[24]);
    }
    for (size_t i = 6; i < XSTATE_ROOM; i++) {
        /* but for MXCSR and its mask, and the list of components in use */
        if (seen.xstate[i] != 0 && (i < 24 || i >= 32) && (i < 512 || i >= 520)) {
            wrong("at entry: byte %zu of the FPU state is %02x", i, seen.xstate[i]);
        }
    }
}

static void check_after(void)
{
    if (regs_after.gpr[AX] != DONE) {
        wrong("the PAL gave %llx", (unsigned long long)regs_after.gpr[AX]);
    }
    compare_gprs(regs_after.gpr, CALLER_WORD, 1u << AX, "after");
    compare_xstate(regs_after.xstate, "after");
    check_bases("after");
    if (((regs_after.flags ^ CALLER_FLAGS) & FLAGS_MASK) != 0) {
        wrong("after: flags %llx", (unsigned long long)regs_after.flags);
    }
    for (unsigned i = 0; i < 6; i++) {
        pal_word old = regs_before.segments[i], now = regs_after.segments[i];
        if (old != now && (old > 3 || now > 3)) { /* Linux makes 0 a 3 behind a signal */
            wrong("after: selector %u is %llx, not %llx", i, (unsigned long long)now,
                  (unsigned long long)old);
        }
    }
}

static void __attribute__((format(printf, 1, 2))) verdict(const char *fmt, ...)
{
    char text[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ok(why[0] == 0, "%s%s%s", text, why[0] ? ": " : "", why);
    why[0] = 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

/* The same code as a plain function does see its caller and does leave its secret. */
static void test_control(void)
{
    static uint8_t data[3 * PAGE] __attribute__((aligned(PAGE)));
    const struct pal plain = { .entry = (void *)(uintptr_t)regs_pal, .data = data };

    call(&plain, MODE_FILL, 1);
    ok(regs_after.gpr[AX] == DONE && seen.gpr[BX] == CALLER_WORD && (seen.flags & 0x8d5) == 0x8d5
       && holds(seen.xstate, xstate_size, CALLER32)
       && holds(regs_after.xstate, xstate_size, SECRET32)
       && regs_after.gpr[BX] != CALLER_WORD && (regs_after.flags & 1 << 10) != 0,
       "control: outside of a PAL the same code sees its caller and leaves its secret");
    for (size_t at = 160; at + 4 <= 160 + 16 * 2 * W; at += 4) {
        if (!holds(regs_after.xstate + at, 4, SECRET32)) {
            wrong("byte %zu isn't filled", at);
        }
    }
    verdict("control: all of %zu bytes of SSE registers are filled", (size_t)(16 * 2 * W));
}

static void test_return(struct pal *a, struct pal *b)
{
    call(a, MODE_FILL | MODE_SELECTORS, 1);
    check_seen(a);
    verdict("a PAL sees nothing of its caller (%s)", SIMD_NAMES);
    check_after();
    verdict("after the return the caller has its own registers and nothing of the PAL's");
    call(a, MODE_FILL | MODE_SELECTORS, 1);
    check_seen(a);
    verdict("nor of its own last call");
    call(b, 0, 1);
    check_seen(b);
    check_after();
    verdict("the next PAL sees nothing of the one before");
    call(a, 0, 1);
    check_seen(a);
    check_after();
    verdict("nor does the first one, when it is called again");
}

static void test_interruption(struct pal *a, struct pal *b)
{
    pal_word rounds = 500000;

    interruptions = 0;
    set_timer(3000);
    do {
        rounds *= 2;
        call(a, MODE_FILL | MODE_SPIN, rounds);
        check_after();
    } while (interruptions < 10 && rounds < 1000000000);
    set_timer(0);
    if (interruptions < 10) {
        wrong("only %u signals came", interruptions);
    }
    verdict("%u signals' frames show nothing of the PAL, and it goes on with all it had",
            interruptions);
    call(b, 0, 1);
    check_seen(b);
    verdict("nor does the next PAL see anything");
}

static void test_death(struct pal *a, struct pal *b)
{
    rip_at_death = 0;
    if (CATCH()) {
        call(a, MODE_FILL | MODE_SELECTORS | MODE_DIE, 1);
        wrong("it returned");
    } else {
        current = NULL;
        if (tap_signal != SIGSEGV || rip_at_death != (pal_word)a->entry) {
            wrong("signal %d at %llx", (int)tap_signal, (unsigned long long)rip_at_death);
        }
    }
    __asm__ volatile("fninit; ldmxcsr %0" :: "m"((uint32_t){ 0x1f80 }));
    verdict("at its death the frame shows nothing of the PAL");
    a->registered = false;
    call(b, 0, 1);
    check_seen(b);
    check_after();
    verdict("nor does the next PAL see anything");
}

/* --- breakpoints of the OS: they stay, and the PAL is none of their business --- */

static volatile pal_word watched;

static void traced(void)
{
    struct pal p;

    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP); /* the parent sets a watchpoint */
    watched = 1;
    if (!make(&p)) {
        _exit(1);
    }
    for (unsigned i = 0; i < 3; i++) {
        call(&p, MODE_FILL, 1);
    }
    if (regs_after.gpr[AX] != DONE) {
        _exit(2);
    }
    watched = 2;
    pal_destroy(&p);
    _exit(0);
}

static void test_breakpoints(void)
{
    unsigned traps = 0;
    int status = 0;
    pid_t child;

    if (W == 4 && intel) {
        skip("watchpoints: SYSRET of Bochs' Intel CPUs leaves 32-bit code with a 16-bit stack");
        return;
    }
    child = fork();
    if (child == 0) {
        traced();
    }
    waitpid(child, &status, 0);
    ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg[0]), &watched);
    ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg[7]),
           (void *)(uintptr_t)(W == 8 ? 0x90401 : 0xd0401)); /* writes of a word */
    for (;;) {
        ptrace(PTRACE_CONT, child, 0, 0);
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
            break;
        }
        traps += WSTOPSIG(status) == SIGTRAP;
        if (WSTOPSIG(status) != SIGTRAP) {
            kill(child, SIGKILL);
        }
    }
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0 && traps == 2,
       "a watchpoint of the OS is hit before and after calls (%u times, status %x)", traps, status);
}

int main(void)
{
    struct pal a, b;
    cpu_set_t one;
    uint64_t free, now;

    tap_need_hypervisor();
    free = pal_info(XMHF_INFO_POOL_FREE);
    catch_signals();
    make_image();
    set_bases();
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof(one), &one);
    test_control();
    if (make(&a) && make(&b)) {
        test_return(&a, &b);
        test_interruption(&a, &b);
        test_death(&a, &b);
        pal_destroy(&a);
        pal_destroy(&b);
    }
    test_breakpoints();
    now = pal_info(XMHF_INFO_POOL_FREE);
    /* Where large pages can't be executed (CVE-2018-12207), running new code costs some. */
    ok(now + (intel ? 4 : 0) >= free, "all memory came back: %llu free pages, %llu at first",
       (unsigned long long)now, (unsigned long long)free);
    return tap_end();
}
