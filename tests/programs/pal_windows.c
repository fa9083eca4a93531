/* SPDX-License-Identifier: MIT */
/*
 * What only Windows programs have: the compiler's own convention, kinds of memory, threads that
 * are suspended and looked at, the thread's block behind FS or GS.   pal_windows
 */
#include "tap.h"
#include <pal/module.h>

typedef pal_word word;

#define MIX(h, a) ((h) * (word)0x9e3779b97f4a7c15ULL + (a))
#define SPIN_MS     300u
#define SUSPENSIONS 40u

/* --- the PALs: no PAL_ABI, so Microsoft's convention with 64 bits, cdecl with 32 --------- */

PAL_CODE static word none(void) { return 17; }
PAL_CODE static word mix4(word a, word b, word c, word d)
{
    return MIX(MIX(MIX(MIX(4, a), b), c), d);
}
PAL_CODE static word mix5(word a, word b, word c, word d, word e)
{
    return MIX(mix4(a, b, c, d), e);
}
PAL_CODE static word mix12(word a, word b, word c, word d, word e, word f, word g, word h, word i,
                           word j, word k, word l)
{
    return MIX(mix5(mix4(a, b, c, d), mix4(e, f, g, h), i, j, k), l);
}

/* With 64 bits it stores what came in registers in the 32 bytes above the return address. */
PAL_CODE static word mix_list(word n, ...)
{
    __builtin_va_list list;
    word h = n;

    __builtin_va_start(list, n);
    for (word i = 0; i < n; i++) {
        h = MIX(h, __builtin_va_arg(list, word));
    }
    __builtin_va_end(list);
    return h;
}

/* Two pointers, one of them on the stack. */
PAL_CODE static word reverse(word n, const volatile word *from, word a, word b, volatile word *to)
{
    for (word i = 0; i < n; i++) {
        to[i] = from[n - 1 - i];
    }
    return a - b;
}

PAL_CODE static word spin(word rounds, word start)
{
    for (word i = 0; i < rounds; i++) {
        start = start * (word)6364136223846793005ULL + (word)1442695040888963407ULL;
        __asm__ volatile("" : "+r"(start));
    }
    return start;
}

PAL_CODE static PAL_ABI word count_up(volatile word *data, word by) { return *data += by; }

/* --- helpers ---------------------------------------------------------------------------- */

#define CODE_OF(f) ((const void *)(uintptr_t)(f))

static bool made(struct pal_module *m, unsigned param_pages)
{
    struct pal_module_spec spec = PAL_MODULE_SPEC;

    spec.convention = PAL_CONVENTION_NATIVE;
    spec.param_pages = param_pages;
    return pal_module_create(m, &spec) == 0 || ok(false, "memory for a PAL");
}

static bool live(struct pal_module *m)
{
    return tap_no_error(pal_module_register(m), "register");
}

/* --- the compiler's own convention --------------------------------------------------------- */

static void test_convention(void)
{
    const word from[6] = { 1, 2, 3, 4, 5, 6 };
    word to[6] = { 0 };
    struct pal_module m;
    void *e[6];

    if (!made(&m, 1)) {
        return;
    }
    for (unsigned i = 0; i < 12; i++) {
        pal_module_integer(&m);
    }
    pal_module_integer(&m);                        /* parameters 12 to 16 are those of reverse() */
    pal_module_pointer(&m, XMHF_IN, sizeof(from));
    pal_module_integer(&m);
    pal_module_integer(&m);
    pal_module_pointer(&m, XMHF_OUT, sizeof(to));
    e[0] = pal_module_entry(&m, CODE_OF(none), 0, 0);
    e[1] = pal_module_entry(&m, CODE_OF(mix4), 0, 4);
    e[2] = pal_module_entry(&m, CODE_OF(mix5), 0, 5);
    e[3] = pal_module_entry(&m, CODE_OF(mix12), 0, 12);
    e[4] = pal_module_entry(&m, CODE_OF(mix_list), 0, 8);
    e[5] = pal_module_entry(&m, CODE_OF(reverse), 12, 5);
    if (!live(&m)) {
        return;
    }
    ok(((word (*)(void))(uintptr_t)e[0])() == 17, "a plain function pointer to a PAL: no argument");
    ok(((word (*)(word, word, word, word))(uintptr_t)e[1])(1, 2, 3, 4) == mix4(1, 2, 3, 4),
       "4 arguments, in registers if there are 64 bits");
    ok(((word (*)(word, word, word, word, word))(uintptr_t)e[2])(1, 2, 3, 4, 5) ==
           mix5(1, 2, 3, 4, 5), "5, one on the stack");
    ok(((word (*)(word, word, word, word, word, word, word, word, word, word, word,
                  word))(uintptr_t)e[3])(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) ==
           mix12(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), "12");
    ok(((word (*)(word, ...))(uintptr_t)e[4])(7, (word)1, (word)2, (word)3, (word)4, (word)5,
                                              (word)6, (word)7) ==
           mix_list(7, (word)1, (word)2, (word)3, (word)4, (word)5, (word)6, (word)7),
       "a variable list of arguments");
    ok(((word (*)(word, const word *, word, word, word *))(uintptr_t)e[5])(6, from, 50, 8, to) == 42
       && to[0] == 6 && to[5] == 1, "pointers in and out");
    ok(pal_module_call(&m, e[3], (word[]){ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, 12).result ==
           mix12(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), "the same by the SDK");
    ok(pal_module_unregister(&m) == TV_OK, "unregistered");
    pal_module_destroy(&m);
}

#ifdef __x86_64__
/* Leaves 0x5e in every register. */
extern const uint8_t fill_registers[];
PAL_ASM(fill_registers,
        "mov $0x5e5e5e5e5e5e5e5e, %rax\n"
        "mov %rax, 8(%rsp); mov %rax, 16(%rsp); mov %rax, 24(%rsp); mov %rax, 32(%rsp)\n"
        "mov %rax, %rbx; mov %rax, %rcx; mov %rax, %rdx; mov %rax, %rsi; mov %rax, %rdi\n"
        "mov %rax, %rbp; mov %rax, %r8; mov %rax, %r9; mov %rax, %r10; mov %rax, %r11\n"
        "mov %rax, %r12; mov %rax, %r13; mov %rax, %r14; mov %rax, %r15\n"
        "movq %rax, %xmm0; movq %rax, %xmm5; movq %rax, %xmm6; movq %rax, %xmm15\n"
        "std; ret");

/* RCX: entry, RDX: after[16]: RAX, what a function may change (RCX, RDX, R8 to R11), what it must
 * keep (RBX, RBP, RSI, RDI, R12 to R15, XMM6, XMM15). */
void call_and_dump(const void *entry, word after[16]);
__asm__(".text\n"
        "call_and_dump:\n"
        "push %rbx; push %rbp; push %rsi; push %rdi; push %r12; push %r13; push %r14; push %r15\n"
        "push %rdx; sub $64, %rsp\n"
        "movdqu %xmm6, 32(%rsp); movdqu %xmm15, 48(%rsp)\n"
        "mov %rcx, %rax; mov $0xb1, %ebx; mov $0xb2, %ebp; mov $0xb3, %esi; mov $0xb4, %edi\n"
        "mov $0xb5, %r12d; mov $0xb6, %r13d; mov $0xb7, %r14d; mov $0xb8, %r15d\n"
        "movq %rbx, %xmm6; movq %rbp, %xmm15\n"
        "call *%rax\n"
        "push %rax; mov 72(%rsp), %rax\n"
        "mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %r8, 24(%rax); mov %r9, 32(%rax)\n"
        "mov %r10, 40(%rax); mov %r11, 48(%rax); mov %rbx, 56(%rax); mov %rbp, 64(%rax)\n"
        "mov %rsi, 72(%rax); mov %rdi, 80(%rax); mov %r12, 88(%rax); mov %r13, 96(%rax)\n"
        "mov %r14, 104(%rax); mov %r15, 112(%rax)\n"
        "pop (%rax)\n"
        "movq %xmm6, %rcx; movq %xmm15, %rdx; shl $8, %rcx; or %rdx, %rcx; mov %rcx, 120(%rax)\n"
        "cld; movdqu 32(%rsp), %xmm6; movdqu 48(%rsp), %xmm15\n"
        "add $64, %rsp; pop %rdx\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rdi; pop %rsi; pop %rbp; pop %rbx\n"
        "ret\n");

static void test_registers(void)
{
    word r[16] = { 0 };
    struct pal_module m;
    const void *entry;
    bool kept = true;

    /* Nothing behind the stack: the 32 bytes above the return address must be part of it. */
    if (!made(&m, 0)) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        pal_module_integer(&m);
    }
    entry = pal_module_entry(&m, fill_registers, 0, 4);
    if (!live(&m)) {
        return;
    }
    call_and_dump(entry, r);
    for (unsigned i = 0; i < 8; i++) {
        kept = kept && r[7 + i] == 0xb1 + i;
    }
    ok(r[0] == 0x5e5e5e5e5e5e5e5eULL, "the result arrives");
    ok((r[1] | r[2] | r[3] | r[4] | r[5] | r[6]) == 0,
       "no register that a function may change has anything of the PAL");
    ok(kept, "RSI, RDI and all others that it must keep are the caller's");
    ok(r[15] == 0xb1b2, "XMM6 and XMM15 too");
    ok(pal_module_unregister(&m) == TV_OK, "unregistered");
    pal_module_destroy(&m);
}
#else
static void test_registers(void) { skip("32-bit code has one convention: pal_test"); }
#endif

/* --- kinds of memory -------------------------------------------------------------------------- */

struct place { const char *what; void *page; };

/* Registers with `data` as DATA page; what came of it. The signal is in tap_signal. */
static uint64_t try_data(void *data)
{
    struct pal_spec spec = PAL_SPEC(count_up);
    static struct pal p;
    static volatile uint64_t error;

    error = ~0ULL;
    if (pal_create(&p, &spec) != 0) {
        return error;
    }
    pal_add_integer(&p);
    pal_add_integer(&p);
    p.sections.sections[1].start_addr = (uintptr_t)data;
    if (CATCH()) {
        error = pal_register(&p);
    }
    if (error == TV_OK) {
        word (PAL_ABI *call)(void *, word) = (word (PAL_ABI *)(void *, word))(uintptr_t)p.entry;
        word before = call(data, 0);
        if (call(data, 5) != before + 5 || *(volatile word *)data != 0
            || pal_unregister(&p) != TV_OK) {
            error = ~1ULL;
        }
    }
    pal_destroy(&p);
    return error;
}

static void expect_ok(void *page, const char *what)
{
    uint64_t error = try_data(page);

    ok(error == TV_OK && tap_signal == 0, "%s is a PAL's DATA: %s, signal %d", what,
       error > 1000 ? "wrong" : pal_error_name(error), tap_signal);
}

static void expect_fault(void *page, const char *what)
{
    uint64_t error = try_data(page);

    ok(error == ~0ULL && tap_signal == SIGSEGV && tap_address == page,
       "%s is an access violation there (signal %d)", what, tap_signal);
}

static void *pages(DWORD type, DWORD protection)
{
    return VirtualAlloc(NULL, PAL_PAGE, type, protection);
}

static uint8_t own_data[2 * PAL_PAGE] __attribute__((aligned(4096))) = { 1 };

static void test_private(void)
{
    uint8_t *text = (uint8_t *)((uintptr_t)&pal_hypercall & ~(uintptr_t)0xfff);
    uint8_t *guard = pages(MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD), byte = text[7];
    uint8_t *decommitted = pages(MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);

    expect_ok(pages(MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE), "fresh memory");
    expect_ok(pages(MEM_RESERVE | MEM_COMMIT | MEM_TOP_DOWN, PAGE_EXECUTE_READWRITE),
              "memory at the top of all");
    expect_ok(pages(MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, PAGE_READWRITE),
              "memory whose writes are watched");
    expect_ok(own_data + PAL_PAGE, "the program's own data");
    expect_fault(pages(MEM_RESERVE, PAGE_READWRITE), "memory that is only reserved");
    expect_fault(pages(MEM_RESERVE | MEM_COMMIT, PAGE_READONLY), "memory to be read only");
    expect_fault(pages(MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS), "memory without access");
    expect_fault(text, "the program's text");
    ok(text[7] == byte, "which is unchanged");
    decommitted[5] = 5;
    VirtualFree(decommitted, PAL_PAGE, MEM_DECOMMIT);
    expect_fault(decommitted, "memory given back");
    try_data(guard);
    ok(tap_signal == SIGSEGV, "a guard page raises its exception");
    expect_ok(guard, "after which it is memory and");
}

static void test_sections(void)
{
    HANDLE h = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 2 * PAL_PAGE,
                                  NULL);
    uint8_t *a = MapViewOfFile(h, FILE_MAP_WRITE, 0, 0, 0),
        *b = MapViewOfFile(h, FILE_MAP_WRITE, 0, 0, 0);
    uint8_t *copy = MapViewOfFile(h, FILE_MAP_COPY, 0, 0, 0);
    struct pal_spec spec = PAL_SPEC(count_up);
    struct pal p;

    if (!a || !b || !copy) {
        ok(false, "views of a section: error %lu", GetLastError());
        return;
    }
    memset(a, 0x77, 2 * PAL_PAGE);
    expect_ok(copy, "a copy-on-write view");
    ok(a[0] == 0x77 && b[4095] == 0x77 && copy[PAL_PAGE] == 0x77, "and what it is a copy of stays");
    pal_create(&p, &spec);
    pal_add_integer(&p);
    p.sections.sections[1].start_addr = (uintptr_t)a;
    p.sections.sections[2].start_addr = (uintptr_t)b;
    ok(pal_register(&p) == TV_DUPLICATE_PAGE && a[0] == 0x77, "one page in two views is refused");
    pal_destroy(&p);
    expect_ok(a, "a shared view");
    ok(b[0] == 0 && b[PAL_PAGE] == 0x77, "and the other view sees zeros");
    UnmapViewOfFile(a);
    UnmapViewOfFile(b);
    UnmapViewOfFile(copy);
    CloseHandle(h);
}

/* --- threads --------------------------------------------------------------------------------- */

static ULONGLONG ms_of(const struct pal_module *m, void *entry, word rounds)
{
    ULONGLONG begin = GetTickCount64();

    pal_module_call(m, entry, (word[]){ rounds, 1 }, 2);
    return GetTickCount64() - begin;
}

/* As calibrate() in spin.h: what takes long must do so twice. */
static word rounds_of(const struct pal_module *m, void *entry, unsigned ms)
{
    word rounds = 1000;
    ULONGLONG took = 0;

    while (took < 60) {
        rounds *= 2;
        took = ms_of(m, entry, rounds);
        if (took >= 60) {
            ULONGLONG again = ms_of(m, entry, rounds);
            took = again < took ? again : took;
        }
    }
    return (word)((uint64_t)rounds * ms / took);
}

struct job {
    const struct pal_module *m;
    void *entry;
    word rounds;
    struct pal_answer a;
    volatile LONG started;
    bool block_kept, error_kept;
};

/* This thread's block, which FS or GS leads to. (MinGW's NtCurrentTeb() makes gcc warn.) */
static void *thread_block(void)
{
    void *block;

#ifdef __x86_64__
    __asm__ volatile("mov %%gs:0x30, %0" : "=r"(block));
#else
    __asm__ volatile("mov %%fs:0x18, %0" : "=r"(block));
#endif
    return block;
}

static DWORD WINAPI work(void *arg)
{
    struct job *j = arg;
    void *block = thread_block();

    SetLastError(4711);
    InterlockedExchange(&j->started, 1);
    j->a = pal_module_call(j->m, j->entry, (word[]){ j->rounds, 77 }, 2);
    j->error_kept = GetLastError() == 4711;
    j->block_kept = thread_block() == block;
    return 5;
}

/* What a debugger sees of a thread that is in the PAL. */
static bool at_stub(HANDLE thread, const struct pal_module *m, bool *clean)
{
    CONTEXT c = { .ContextFlags = CONTEXT_CONTROL | CONTEXT_INTEGER };
    uintptr_t ip;

    if (!GetThreadContext(thread, &c)) {
        return false;
    }
#ifdef __x86_64__
    ip = c.Rip;
    *clean = (c.Rbx | c.Rcx | c.Rsi | c.Rdi | c.Rbp | c.R8 | c.R9 | c.R10 | c.R11 | c.R12 | c.R13 |
              c.R14 | c.R15) == 0;
#else
    ip = c.Eip;
    *clean = (c.Esi | c.Edi | c.Ebp) == 0;
#endif
    return ip >= (uintptr_t)m->memory && ip < (uintptr_t)m->memory + PAL_PAGE;
}

/* A registered module whose entry spins. */
static bool made_spinner(struct pal_module *m, struct job *j)
{
    if (!made(m, 1)) {
        return false;
    }
    pal_module_integer(m);
    pal_module_integer(m);
    j->entry = pal_module_entry(m, CODE_OF(spin), 0, 2);
    return live(m);
}

/* A thread that does the job, once it is about to call. */
static HANDLE started(struct job *j)
{
    HANDLE thread = CreateThread(NULL, 0, work, j, 0, NULL);

    while (!j->started) {
        Sleep(1);
    }
    return thread;
}

static void test_suspend(void)
{
    struct pal_module m;
    struct job j = { .m = &m };
    unsigned seen = 0, cleared = 0, times = 0;
    HANDLE thread;

    if (!made_spinner(&m, &j)) {
        return;
    }
    j.rounds = rounds_of(&m, j.entry, SPIN_MS * 2);
    thread = started(&j);
    while (times < SUSPENSIONS && WaitForSingleObject(thread, 10) == WAIT_TIMEOUT) {
        bool clean = false;
        SuspendThread(thread);
        if (at_stub(thread, &m, &clean)) {
            seen++;
            cleared += clean;
        }
        times++;
        ResumeThread(thread);
    }
    WaitForSingleObject(thread, INFINITE);
    ok(j.a.death == TV_DEATH_ALIVE && j.a.result == spin(j.rounds, 77),
       "a thread that was suspended %u times gets the right result of its PAL", times);
    ok(seen > 0 && seen == cleared,
       "%u times it was seen in the PAL, %u times with nothing of it in its registers", seen,
       cleared);
    ok(j.block_kept && j.error_kept, "its thread block and last error are as before");
    CloseHandle(thread);
    ok(pal_module_unregister(&m) == TV_OK, "unregistered");
    pal_module_destroy(&m);
}

/* A thread that is ended in a PAL leaves its activation behind; unregistering works. */
static void test_terminate(void)
{
    struct pal_module m;
    struct job j = { .m = &m };
    unsigned busy = 0;
    DWORD status = 0;
    uint64_t error;
    HANDLE thread;

    if (!made_spinner(&m, &j)) {
        return;
    }
    j.rounds = ~(word)0;
    thread = started(&j);
    Sleep(SPIN_MS);
    ok(TerminateThread(thread, 9) && WaitForSingleObject(thread, 10000) == WAIT_OBJECT_0
       && GetExitCodeThread(thread, &status) && status == 9,
       "a thread is ended in an endless call");
    CloseHandle(thread);
    do { /* it may be on its CPU for a moment longer */
        error = pal_module_unregister(&m);
        busy++;
    } while (error == TV_BUSY);
    ok(error == TV_OK, "its PAL is unregistered, at attempt %u", busy);
    pal_module_destroy(&m);
}

/* --- processes ------------------------------------------------------------ */

static int one_pal(void)
{
    struct pal_spec spec = PAL_SPEC(count_up);
    struct pal p;
    word sum = 0;

    if (pal_create(&p, &spec) != 0) {
        return 1;
    }
    pal_add_integer(&p);
    pal_add_integer(&p);
    if (pal_register(&p) != TV_OK) {
        return 2;
    }
    for (word i = 1; i <= 10; i++) {
        sum = ((word (PAL_ABI *)(void *, word))(uintptr_t)p.entry)(p.data, i);
    }
    pal_destroy(&p);
    return sum == 55 ? 0 : 3;
}

static const tap_child children[] = { one_pal };

static void test_processes(void)
{
    struct pal_spec spec = PAL_SPEC(count_up);
    struct pal p;

    if (pal_create(&p, &spec) != 0) {
        return;
    }
    pal_add_integer(&p);
    pal_add_integer(&p);
    if (tap_no_error(pal_register(&p), "register")) {
        ok(tap_child_run(children, 0) == 0, "another process has a PAL of the same code");
        ok(((word (PAL_ABI *)(void *, word))(uintptr_t)p.entry)(p.data, 3) == 3,
           "this one's is its own");
        ok(pal_unregister(&p) == TV_OK, "unregistered");
    }
    pal_destroy(&p);
}

int main(int argc, char **argv)
{
    uint64_t before;

    tap_child_main(argc, argv, children);
    tap_need_hypervisor();
    tap_catch_signals();
    before = pal_info(XMHF_INFO_POOL_FREE);
    test_convention();
    test_registers();
    test_private();
    test_sections();
    test_suspend();
    test_terminate();
    test_processes();
    ok(tap_pals() == 0 && tap_no_leak(&before), "all memory came back");
    return tap_end();
}
