/* SPDX-License-Identifier: MIT */
/*
 * The life of PALs in a real guest: arguments of every kind, thousands of rounds, ten at a
 * time, registers, fork.   pal_test [ROUNDS [SEED]]
 */
#include "tap.h"

#define GUARD ((word)0x4755415244475541ULL)
#define WORDS_MAX 99

typedef pal_word word;
typedef word (PAL_ABI *fn10)(word, word, word, word, word, word, word, word, word, word);

static uint64_t seed = 1;

static word rnd(void) { return (word)tap_random(&seed); }

/* --- the PALs ------------------------------------------------------------------------ */

/* Every argument counts, and its place. */
#define MIX(h, a) ((h) * (word)0x9e3779b97f4a7c15ULL + (a))

PAL_CODE static PAL_ABI word f1(word a) { return MIX(1, a); }
PAL_CODE static PAL_ABI word f2(word a, word b) { return MIX(MIX(2, a), b); }
PAL_CODE static PAL_ABI word f3(word a, word b, word c) { return MIX(MIX(MIX(3, a), b), c); }
PAL_CODE static PAL_ABI word f6(word a, word b, word c, word d, word e, word f)
{
    return MIX(MIX(MIX(MIX(MIX(MIX(6, a), b), c), d), e), f);
}
PAL_CODE static PAL_ABI word f7(word a, word b, word c, word d, word e, word f, word g)
{
    return MIX(MIX(MIX(MIX(MIX(MIX(MIX(7, a), b), c), d), e), f), g);
}
PAL_CODE static PAL_ABI word f10(word a, word b, word c, word d, word e, word f, word g, word h,
                                 word i, word j)
{
    return MIX(MIX(MIX(MIX(MIX(MIX(MIX(MIX(MIX(MIX(10, a), b), c), d), e), f), g), h), i), j);
}

PAL_CODE static PAL_ABI word is_inside(void) { return pal_inside(); }

/* Ten words in and out. */
PAL_CODE static PAL_ABI word ten_pointers(word *a, word *b, word *c, word *d, word *e, word *f,
                                          word *g,
                                         word *h, word *i, word *j)
{
    word sum = *a + *b + *c + *d + *e + *f + *g + *h + *i + *j;

    *a += 1; *b += 2; *c += 3; *d += 4; *e += 5;
    *f += 6; *g += 7; *h += 8; *i += 9; *j += 10;
    return sum;
}

PAL_CODE static word turn(word n, volatile word *p)
{
    word sum = 0;

    for (word i = 0; i < n; i++) {
        sum = MIX(sum, p[i]);
        p[i] = ~p[i] + i;
    }
    return sum;
}

/* Five buffers with their lengths. */
PAL_CODE static PAL_ABI word five_pairs(word na, word *a, word nb, word *b, word nc, word *c,
                                        word nd,
                                       word *d, word ne, word *e)
{
    return turn(na, a) + 3 * turn(nb, b) + 5 * turn(nc, c) + 7 * turn(nd, d) + 9 * turn(ne, e);
}

/* Adds up the words of a large DATA section. */
PAL_CODE static PAL_ABI word sum_data(const volatile word *data, word words)
{
    word sum = 0;

    for (word i = 0; i < words; i++) {
        sum = MIX(sum, data[i]);
    }
    return sum;
}

/* A counter kept in DATA: state lasts from call to call. */
PAL_CODE static PAL_ABI word count_up(volatile word *data, word by) { return *data += by; }

/* Leaves 0x5e in every register, callee-saved ones too. */
extern const uint8_t pal_fill_registers[];
#ifdef __x86_64__
PAL_ASM(pal_fill_registers,
        "mov $0x5e5e5e5e5e5e5e5e, %rax\n"
        "mov %rax, %rbx; mov %rax, %rcx; mov %rax, %rdx; mov %rax, %rsi; mov %rax, %rdi\n"
        "mov %rax, %rbp; mov %rax, %r8; mov %rax, %r9; mov %rax, %r10; mov %rax, %r11\n"
        "mov %rax, %r12; mov %rax, %r13; mov %rax, %r14; mov %rax, %r15\n"
        "movq %rax, %xmm0; movq %rax, %xmm1; movq %rax, %xmm7; movq %rax, %xmm8\n"
        "movq %rax, %xmm15\n"
        "std\n"
        "ret");
#else
PAL_ASM(pal_fill_registers,
        "mov $0x5e5e5e5e, %eax\n"
        "mov %eax, %ebx; mov %eax, %ecx; mov %eax, %edx; mov %eax, %esi; mov %eax, %edi\n"
        "mov %eax, %ebp; movd %eax, %xmm0; movd %eax, %xmm1; movd %eax, %xmm7\n"
        "std\n"
        "ret");
#endif

/* --- helpers --------------------------------------------------------------------------- */

static bool make(struct pal *p, const void *entry, unsigned data, unsigned param)
{
    struct pal_spec spec = {
        __start_pal_code, __stop_pal_code, entry, data, 1, param,
    };

    return pal_create(p, &spec) == 0 || ok(false, "memory for a PAL");
}

/* A PAL with n integers, called with random ones. */
static void try_integers(const void *function, unsigned n)
{
    struct pal p;
    word a[10], protected, plain;

    if (!make(&p, function, 1, 1)) {
        return;
    }
    for (unsigned i = 0; i < 10; i++) {
        a[i] = rnd();
        if (i < n) {
            pal_add_integer(&p);
        }
    }
    /* By the System V convention surplus arguments do no harm. */
    plain = ((fn10)(uintptr_t)function)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
    if (tap_no_error(pal_register(&p), "register")) {
        protected =
            ((fn10)(uintptr_t)p.entry)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
        ok(plain == protected, "%u integers reach the PAL, each in its place", n);
        tap_no_error(pal_unregister(&p), "unregister");
    }
    pal_destroy(&p);
}

static void test_integers(void)
{
    try_integers((const void *)(uintptr_t)f1, 1);
    try_integers((const void *)(uintptr_t)f2, 2);
    try_integers((const void *)(uintptr_t)f3, 3);
    try_integers((const void *)(uintptr_t)f6, 6);
    try_integers((const void *)(uintptr_t)f7, 7);
    try_integers((const void *)(uintptr_t)f10, 10);
}

static void test_inside(void)
{
    struct pal p;

    if (!make(&p, (const void *)(uintptr_t)is_inside, 1, 1)) {
        return;
    }
    pal_add_integer(&p);
    ok(!pal_inside() && !((word (PAL_ABI *)(void))(uintptr_t)p.entry)(),
       "outside of a PAL CPUID says so");
    if (tap_no_error(pal_register(&p), "register")) {
        ok(((word (PAL_ABI *)(void))(uintptr_t)p.entry)() == 1, "inside of a PAL CPUID says so");
        ok(tap_pals() == 1, "this process has one PAL");
    }
    pal_destroy(&p);
}

static void test_ten_pointers(void)
{
    typedef word (PAL_ABI *fn)(word *, word *, word *, word *, word *, word *, word *, word *,
                               word *, word *);
    word w[21], sum = 0, got;
    bool good = true;
    struct pal p;

    if (!make(&p, (const void *)(uintptr_t)ten_pointers, 1, 1)) {
        return;
    }
    for (unsigned i = 0; i < 21; i++) {
        w[i] = i % 2 ? rnd() : GUARD;
        sum += i % 2 ? w[i] : 0;
    }
    for (unsigned i = 0; i < 10; i++) {
        pal_add_pointer(&p, 1);
    }
    if (tap_no_error(pal_register(&p), "register")) {
        word before[21];
        memcpy(before, w, sizeof(w));
        got = ((fn)(uintptr_t)p.entry)(&w[1], &w[3], &w[5], &w[7], &w[9], &w[11], &w[13], &w[15],
                                       &w[17], &w[19]);
        for (unsigned i = 0; i < 21; i++) {
            good = good && w[i] == before[i] + (i % 2 ? i / 2 + 1 : 0);
        }
        ok(got == sum && good, "10 pointers go in and out, the words between stay");
    }
    pal_destroy(&p);
}

/* --- random buffers ---------------------------------------------------------------------- */

struct buffers {
    word n[5];
    word words[5][WORDS_MAX + 2];
};

static word call_pairs(const void *entry, struct buffers *b)
{
    return ((fn10)(uintptr_t)entry)(
        b->n[0], (uintptr_t)&b->words[0][1], b->n[1], (uintptr_t)&b->words[1][1], b->n[2],
        (uintptr_t)&b->words[2][1], b->n[3], (uintptr_t)&b->words[3][1], b->n[4],
        (uintptr_t)&b->words[4][1]);
}

static bool pairs_round(void)
{
    static struct buffers a, b;
    struct pal p;
    bool good = false;

    if (!make(&p, (const void *)(uintptr_t)five_pairs, 1, 2)) {
        return false;
    }
    for (unsigned i = 0; i < 5; i++) {
        a.n[i] = rnd() % (WORDS_MAX + 1);
        if (rnd() % 4 == 0) {
            a.n[i] = 0;
        }
        for (unsigned k = 0; k < WORDS_MAX + 2; k++) {
            a.words[i][k] = rnd();
        }
        pal_add_integer(&p);
        pal_add_pointer(&p, a.n[i]);
    }
    b = a;
    if (pal_register(&p) == TV_OK) {
        word protected = call_pairs(p.entry, &a);
        word plain = call_pairs((const void *)(uintptr_t)five_pairs, &b);
        good = protected == plain && memcmp(&a, &b, sizeof(a)) == 0;
        good = pal_unregister(&p) == TV_OK && good;
    }
    pal_destroy(&p);
    return good;
}

static void test_rounds(unsigned rounds)
{
    uint64_t before = pal_info(XMHF_INFO_POOL_FREE);
    unsigned good = 0;

    while (good < rounds && pairs_round()) {
        good++;
    }
    ok(good == rounds, "%u rounds of register, call with 5 random buffers, unregister", good);
    ok(tap_no_leak(&before), "all memory came back");
}

/* --- several ---------------------------------------------------------------------------------- */

static void test_ten_pals(void)
{
    typedef word (PAL_ABI *fn)(void *, word);
    static struct pal p[10];
    uint64_t before = pal_info(XMHF_INFO_POOL_FREE);
    bool good = true;

    for (unsigned i = 0; i < 10; i++) {
        good = good && make(&p[i], (const void *)(uintptr_t)count_up, 1, 1);
        pal_add_integer(&p[i]);
        pal_add_integer(&p[i]);
        good = good && tap_no_error(pal_register(&p[i]), "register one of ten");
    }
    ok(good && tap_pals() == 10, "ten PALs at the same time");
    for (unsigned round = 1; round <= 20; round++) {
        for (unsigned i = 0; i < 10; i++) {
            good = good && ((fn)(uintptr_t)p[i].entry)(p[i].data, i + 1) == (word)round * (i + 1);
        }
    }
    ok(good, "each keeps its own state from call to call");
    for (unsigned i = 0; i < 10; i++) {
        pal_destroy(&p[(i * 7 + 3) % 10]);
    }
    ok(tap_pals() == 0 && tap_no_leak(&before),
       "unregistered in another order, all memory came back");
}

static void test_large(unsigned pages)
{
    struct pal p;
    word words = (word)pages * PAL_PAGE / sizeof(word), plain, protected;

    if (!make(&p, (const void *)(uintptr_t)sum_data, pages, 1)) {
        return;
    }
    for (word i = 0; i < words; i++) {
        ((word *)p.data)[i] = rnd();
    }
    plain = sum_data(p.data, words);
    pal_add_integer(&p);
    pal_add_integer(&p);
    if (tap_no_error(pal_register(&p), "register a large one")) {
        word seen = 0;
        protected = ((word (PAL_ABI *)(void *, word))(uintptr_t)p.entry)(p.data, words);
        for (word i = 0; i < words; i++) {
            seen |= ((volatile word *)p.data)[i];
        }
        ok(plain == protected, "a PAL of %u pages has all its data", pages);
        ok(seen == 0, "outside, all of its data is zero");
        ok(pal_unregister(&p) == TV_OK && memcmp(p.code, __start_pal_code,
               (size_t)(__stop_pal_code - __start_pal_code)) == 0, "its code is given back");
    }
    pal_destroy(&p);
}

/* --- registers and processes ---------------------------------------------- */

#ifdef __x86_64__
/* Call with known registers; `after` gets RAX, RBX, RCX ... R15 and XMM0, 7, 15, flags. */
static void call_and_dump(const void *entry, word after[20])
{
    __asm__ volatile(
        "sub $128, %%rsp\n" /* the red zone */
        "push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n"
        "push %%rsi\n"
        "mov $0xb1, %%ebx; mov $0xb2, %%ebp; mov $0xb3, %%r12d; mov $0xb4, %%r13d\n"
        "mov $0xb5, %%r14d; mov $0xb6, %%r15d\n"
        "movq %%rbx, %%xmm0; movq %%rbp, %%xmm7; movq %%r12, %%xmm15\n"
        "call *%%rdi\n"
        "push %%rax; mov 8(%%rsp), %%rax\n" /* rax = after */
        "mov %%rbx, 8(%%rax); mov %%rcx, 16(%%rax); mov %%rdx, 24(%%rax)\n"
        "mov %%rsi, 32(%%rax); mov %%rdi, 40(%%rax); mov %%rbp, 48(%%rax)\n"
        "mov %%r8, 56(%%rax); mov %%r9, 64(%%rax); mov %%r10, 72(%%rax); mov %%r11, 80(%%rax)\n"
        "mov %%r12, 88(%%rax); mov %%r13, 96(%%rax); mov %%r14, 104(%%rax)\n"
        "mov %%r15, 112(%%rax)\n"
        "movq %%xmm0, 120(%%rax); movq %%xmm7, 128(%%rax); movq %%xmm15, 136(%%rax)\n"
        "pop %%rcx; mov %%rcx, (%%rax)\n"
        "pushfq; pop 144(%%rax); cld\n"
        "pop %%rsi\n"
        "pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"
        "add $128, %%rsp\n"
        : "+D"(entry), "+S"(after)
        :: "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
}

static bool preserved(const word *r)
{
    return r[1] == 0xb1 && r[6] == 0xb2 && r[11] == 0xb3 && r[12] == 0xb4 && r[13] == 0xb5
        && r[14] == 0xb6;
}

static bool cleared(const word *r)
{
    return (r[2] | r[3] | r[4] | r[5] | r[7] | r[8] | r[9] | r[10]) == 0;
}

static bool sse_kept(const word *r) { return r[15] == 0xb1 && r[16] == 0xb2 && r[17] == 0xb3; }
#else
/* Call with known registers; `after` gets EAX, EBX, ECX, EDX, ESI, EDI, EBP, XMM0, 7, flags. */
void call_and_dump(const void *entry, word after[20]);
__asm__(".text\n"
        PAL_SYMBOL("call_and_dump") ":\n"
        "push %ebp; push %ebx; push %esi; push %edi\n"
        "mov 20(%esp), %eax\n"
        "mov $0xb1, %ebx; mov $0xb2, %ebp; mov $0xb3, %esi; mov $0xb4, %edi\n"
        "movd %ebx, %xmm0; movd %ebp, %xmm7\n"
        "push $77; call *%eax; add $4, %esp\n"
        "push %eax; mov 28(%esp), %eax\n" /* eax = after */
        "mov %ebx, 4(%eax); mov %ecx, 8(%eax); mov %edx, 12(%eax); mov %esi, 16(%eax)\n"
        "mov %edi, 20(%eax); mov %ebp, 24(%eax); movd %xmm0, 28(%eax); movd %xmm7, 32(%eax)\n"
        "pushf; pop 72(%eax); cld\n"
        "pop %ecx; mov %ecx, (%eax)\n"
        "pop %edi; pop %esi; pop %ebx; pop %ebp\n"
        "ret\n");

static bool preserved(const word *r)
{
    return r[1] == 0xb1 && r[6] == 0xb2 && r[4] == 0xb3 && r[5] == 0xb4;
}

static bool cleared(const word *r) { return (r[2] | r[3]) == 0; }
static bool sse_kept(const word *r) { return r[7] == 0xb1 && r[8] == 0xb2; }
#endif

static void test_registers(void)
{
    word r[20] = { 0 };
    struct pal p;

    if (!make(&p, pal_fill_registers, 1, 1)) {
        return;
    }
    pal_add_integer(&p);
    if (tap_no_error(pal_register(&p), "register")) {
        call_and_dump(p.entry, r);
        ok(r[0] == (word)0x5e5e5e5e5e5e5e5eULL, "the result arrives");
        ok(preserved(r), "callee-saved registers are the caller's");
        ok(cleared(r), "no other register has anything of the PAL");
        ok(sse_kept(r), "SSE registers are the caller's");
        ok((r[18] & 0x400) == 0, "the direction flag is the caller's");
    }
    pal_destroy(&p);
}

/* fork: the child has neither the PAL nor, with this library, the stubs. */
static void test_fork(void)
{
#ifdef _WIN32
    skip("Windows has no fork");
#else
    struct pal p;
    int status = 0;
    pid_t child;

    if (!make(&p, (const void *)(uintptr_t)f1, 1, 1)) {
        return;
    }
    pal_add_integer(&p);
    if (tap_no_error(pal_register(&p), "register")) {
        child = fork();
        if (child == 0) {
            ((word (PAL_ABI *)(word))(uintptr_t)p.entry)(1);
            _exit(0);
        }
        waitpid(child, &status, 0);
        ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
           "a child has nothing there: SIGSEGV");
        ok(((word (PAL_ABI *)(word))(uintptr_t)p.entry)(5) == f1(5), "the parent's PAL works on");
        ok(pal_unregister(&p) == TV_OK, "and is unregistered");
    }
    pal_destroy(&p);
#endif
}

/* So large that the last ones get memory only if that of the first ones comes back. */
static unsigned owner_pages(void)
{
    return (unsigned)pal_info(XMHF_INFO_POOL_TOTAL) * 3 / 2 / TAP_PROCESSES;
}

static int die_with_pal(void)
{
    struct pal p;

    if (!make(&p, (const void *)(uintptr_t)f1, owner_pages(), 1)) {
        return 1;
    }
    pal_add_integer(&p);
    return pal_register(&p) == TV_OK && ((word (PAL_ABI *)(word))(uintptr_t)p.entry)(5) == f1(5)
               ? 0 : 1;
}

static const tap_child children[] = { die_with_pal };

/* A process that ends without a word leaves nothing that lasts. */
static void test_dead_owners(void)
{
    uint64_t total = pal_info(XMHF_INFO_POOL_TOTAL), left;
    unsigned good = 0;

    for (unsigned i = 0; i < TAP_PROCESSES; i++) {
        good += tap_child_run(children, 0) == 0;
    }
    left = pal_info(XMHF_INFO_POOL_FREE);
    ok(good == TAP_PROCESSES,
       "%u of %u processes died with a PAL of %u pages, %llu of %llu pages are free",
       good, TAP_PROCESSES, owner_pages() + 3, (unsigned long long)left, (unsigned long long)total);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 1000;

    tap_child_main(argc, argv, children);
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 12345;
    tap_need_hypervisor();
    test_inside();
    test_integers();
    test_ten_pointers();
    test_rounds(rounds);
    test_ten_pals();
    test_large(300);
    test_registers();
    test_fork();
    test_dead_owners();
    return tap_end();
}
