/* SPDX-License-Identifier: MIT */
/*
 * A program as others write them for the public TrustVisor ABI: nothing of our SDK, its own
 * declarations, VMCALL on every CPU, mappings of one page, descriptors on the stack. For Linux
 * and Windows, 32 and 64 bits.   pal_compat [ROUNDS [SEED]], or  pal_compat all
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#endif

#define PAGE 4096u
#define MAX  10u
#define AREA_HEADER 0x18u /* bytes of the PARAM page before the first parameter */
#define PARAM_HEADER 24u  /* and before each one's data */

typedef uintptr_t word;

/* The ABI, written down anew: the test of our own header. */
enum { CODE = 1, DATA = 2, PARAM = 3, STACK = 4, SHARED_CODE = 5 };
enum { INTEGER = 1, POINTER = 2 };
struct section { uint32_t type, pages; uint64_t start; } __attribute__((packed));
struct sections { uint32_t count, padding; struct section s[MAX]; } __attribute__((packed));
struct param { uint32_t type, padding; uint64_t words; } __attribute__((packed));
struct params { uint32_t count, padding; struct param p[MAX]; } __attribute__((packed));

/* Their 64-bit PALs use the System V convention on Windows too. */
#ifdef __x86_64__
#define ABI __attribute__((sysv_abi))
#define IS_64 1
#else
#define ABI __attribute__((cdecl))
#define IS_64 0
#endif
#if defined(_WIN32) && defined(__x86_64__)
#define LIST __builtin_sysv_va_list
#define LIST_START __builtin_sysv_va_start
#define LIST_END __builtin_sysv_va_end
#else
#define LIST va_list
#define LIST_START va_start
#define LIST_END va_end
#endif

#ifdef _WIN32
#define CODE_SECTION "palcode$b"
#else
#define CODE_SECTION "palcode"
#endif
#define PAL __attribute__((section(CODE_SECTION), noinline, used, aligned(16)))

/* The command is EAX: what 64-bit code has in the other half doesn't count. */
static word vmcall(uint32_t command, word ecx, word edx, word esi, word edi)
{
    word eax = command | (word)0x5a5a5a5a00000000ULL;

    __asm__ volatile(".byte 0x0f, 0x01, 0xc1"
                     : "+a"(eax) : "c"(ecx), "d"(edx), "S"(esi), "D"(edi) : "memory");
    return eax;
}

static inline __attribute__((always_inline)) void cpuid(uint32_t leaf, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(0));
}

/* --- the PAL ---------------------------------------------------------------------------- */

/* What the parameters are: in CODE, where a PAL finds it wherever it was copied to. */
struct spec { uint32_t count, words[MAX], pointers; };
extern const uint8_t spec_place[];

#ifdef _WIN32
#define SECTION_DIRECTIVE ".section palcode$a,\"xr\"\n"
#else
#define SECTION_DIRECTIVE ".section palcode,\"ax\"\n"
#endif
#if defined(_WIN32) && !defined(__x86_64__)
#define NAME(x) "_" x
#else
#define NAME(x) x
#endif
/* All assembly comes before the first function of that section: the compiler doesn't see where it
 * ends. */
__asm__(SECTION_DIRECTIVE ".balign 16\n" NAME("spec_place") ":\n.fill 64, 1, 0\n.text\n");

/* Writes all of the stack, from the word below the return address down to `bottom`; how many bytes
 * that is. */
extern const uint8_t fill_stack[];
#ifdef __x86_64__
__asm__(SECTION_DIRECTIVE ".balign 16\n" NAME("fill_stack") ":\n"
        "mov %rsp, %rax; 1: sub $8, %rax; mov %rax, (%rax); cmp %rdi, %rax; ja 1b\n"
        "mov %rsp, %rax; sub %rdi, %rax; ret\n.text\n");
#else
__asm__(SECTION_DIRECTIVE ".balign 16\n" NAME("fill_stack") ":\n"
        "mov 4(%esp), %edx\n"
        "mov %esp, %eax; 1: sub $4, %eax; mov %eax, (%eax); cmp %edx, %eax; ja 1b\n"
        "mov %esp, %eax; sub %edx, %eax; ret\n.text\n");
#endif

#ifdef __x86_64__
/* What a 64-bit Windows program has for the ABI's System V: a piece of code outside of the PAL,
 * from Microsoft's convention to System V's, and one behind the PAL's code that leads back. Each
 * gets the address that it calls when it is copied. */
extern const uint8_t outer[], outer_address[], outer_end[], inner[], inner_address[], inner_end[];
__asm__(".text\n"
        NAME("outer") ":\n"
        "push %rbp; mov %rsp, %rbp; push %rdi; push %rsi\n"
        "push 88(%rbp); push 80(%rbp); push 72(%rbp); push 64(%rbp)\n"
        "mov %rcx, %rdi; mov %rdx, %rsi; mov %r8, %rdx; mov %r9, %rcx\n"
        "mov 48(%rbp), %r8; mov 56(%rbp), %r9\n"
        "movabs $0x0123456789abcdef, %rax\n"
        NAME("outer_address") ":\n"
        "call *%rax\n"
        "add $32, %rsp; pop %rsi; pop %rdi; pop %rbp; ret\n"
        NAME("outer_end") ":\n"
        NAME("inner") ":\n"
        "push %rbp; mov %rsp, %rbp\n"
        "push 40(%rbp); push 32(%rbp); push 24(%rbp); push 16(%rbp); push %r9; push %r8\n"
        "sub $32, %rsp\n"
        "mov %rcx, %r9; mov %rdx, %r8; mov %rsi, %rdx; mov %rdi, %rcx\n"
        "movabs $0xfedcba9876543210, %rax\n"
        NAME("inner_address") ":\n"
        "call *%rax\n"
        "leave; ret\n"
        NAME("inner_end") ":\n");
#endif

static inline __attribute__((always_inline)) const volatile struct spec *find_spec(void)
{
    const volatile struct spec *s;

#ifdef __x86_64__
    __asm__ volatile("lea " NAME("spec_place") "(%%rip), %0" : "=r"(s));
#else
    __asm__ volatile("call 1f; 1: pop %0; add $(" NAME("spec_place") " - 1b), %0" : "=r"(s));
#endif
    return s;
}

static inline __attribute__((always_inline)) word mix(word h, word a)
{
    return (h ^ a) * (word)0x9e3779b97f4a7c15ULL + (h >> 7);
}

/* Whatever the parameters are: each counts, with its place; buffers are changed. */
PAL static ABI word any(word first, ...)
{
    const volatile struct spec *s = find_spec();
    word h = s->count, a = first;
    LIST list;

    LIST_START(list, first);
    for (uint32_t i = 0; i < s->count; i++) {
        if (i > 0) {
            a = __builtin_va_arg(list, word);
        }
        if (s->pointers >> i & 1) {
            volatile word *p = (volatile word *)a;
            for (uint32_t k = 0; k < s->words[i]; k++) {
                h = mix(h, p[k]);
                p[k] = p[k] * 3 + k + i;
            }
        } else {
            h = mix(h, a);
        }
    }
    LIST_END(list);
    return h;
}

/* 0 if CPUID says the same as the caller's argument: inside, and whether of 64 bits. */
PAL static ABI word where(word inside)
{
    uint32_t r[4];

    cpuid(0x7a567254, r);
    return r[0] != 0x7a767274 || (r[1] != 0xffffffff) != inside || r[2] != IS_64 || r[3] != 0;
}

/* What DATA holds, and what is added to it, stays from call to call. */
PAL static ABI word keep(word data, word by)
{
    volatile word *p = (volatile word *)data;
    word was = *p;

    *p += by;
    return was;
}

PAL static ABI word times_seven(word a) { return a * 7; }

/* Calls what may lie in SHARED_CODE. */
PAL static ABI word calls(word function, word a)
{
    return ((ABI word (*)(word))function)(a) + 1;
}

#ifdef __x86_64__
/* By Microsoft's convention. */
#define MS __attribute__((ms_abi))
typedef MS word (*ms_ten)(word, word *, word, word, word, word, word, word, word *, word);

PAL static MS word ten_ms(word a, word *b, word c, word d, word e, word f, word g, word h, word *i,
                          word j)
{
    word m = mix(mix(mix(mix(mix(mix(mix(mix(10, a), c), d), e), f), g), h), j);

    for (unsigned k = 0; k < 3; k++) {
        m = mix(mix(m, b[k]), i[k]);
        b[k] += a + k;
        i[k] -= j + k;
    }
    return m;
}
#endif

/* --- memory ------------------------------------------------------------------------------ */

#ifdef _WIN32
extern const uint8_t code_end[];
__asm__(".section palcode$z,\"xr\"\n" NAME("code_end") ":\n.text\n");
#define code_start spec_place
#else
extern const uint8_t __start_palcode[], __stop_palcode[];
#define code_start __start_palcode
#define code_end   __stop_palcode
#endif

static void *pages_new(uint32_t n)
{
#ifdef _WIN32
    void *p = VirtualAlloc(NULL, n * PAGE, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
    VirtualLock(p, n * PAGE);
#else
    void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    if (p == MAP_FAILED) {
        p = NULL;
    } else {
        mlock(p, n * PAGE);
    }
#endif
    if (!p) {
        puts("Bail out! no memory");
        exit(98);
    }
    memset(p, 0x90, n * PAGE);
    return p;
}

static void pages_free(void *p, uint32_t n)
{
#ifdef _WIN32
    (void)n;
    VirtualFree(p, 0, MEM_RELEASE);
#else
    munmap(p, n * PAGE);
#endif
}

/* Nobody may write it any more. */
static void make_text(void *p, uint32_t n)
{
#ifdef _WIN32
    DWORD old;
    VirtualProtect(p, n * PAGE, PAGE_EXECUTE_READ, &old);
#else
    mprotect(p, n * PAGE, PROT_READ | PROT_EXEC);
#endif
}

static bool all_zero(const uint8_t *p, uint32_t n)
{
    return p[0] == 0 && memcmp(p, p + 1, n * PAGE - 1) == 0;
}

/* --- checks -------------------------------------------------------------------------------- */

static unsigned count, failed;
static uint64_t state = 1;

static void ok(bool good, const char *what, unsigned long n)
{
    printf("%s %u - %s (%lu)\n", good ? "ok" : "not ok", ++count, what, n);
    fflush(stdout);
    failed += !good;
}

static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16) % n;
}

/* --- one PAL -------------------------------------------------------------------------------- */

struct one {
    uint8_t *page[4];   /* in the order of their section types, CODE first */
    uint32_t pages[4];
    struct section more[6]; /* beyond those four */
    unsigned mores;
    word entry;
};

static const uint32_t one_each[4] = { 1, 1, 1, 1 };

/* Its code `offset` bytes into CODE. */
static void one_new(struct one *o, const void *function, const struct spec *s, uint32_t offset,
                    const uint32_t pages[4])
{
    size_t size = (size_t)(code_end - code_start);

    if (offset + size > pages[0] * PAGE) {
        puts("Bail out! the PALs' code has grown");
        exit(98);
    }
    for (unsigned i = 0; i < 4; i++) {
        o->pages[i] = pages[i];
        o->page[i] = pages_new(pages[i]);
    }
    o->mores = 0;
    memcpy(o->page[0] + offset, code_start, size);
    if (s) {
        memcpy(o->page[0] + offset + (spec_place - code_start), s, sizeof(*s));
    }
    o->entry = (word)o->page[0] + offset + ((word)function - (word)code_start);
}

static void one_free(struct one *o)
{
    for (unsigned i = 0; i < 4; i++) {
        pages_free(o->page[i], o->pages[i]);
    }
}

static void one_add(struct one *o, uint32_t type, const void *start, uint32_t pages)
{
    o->more[o->mores++] = (struct section){ type, pages, (word)start };
}

/* Register, with the four sections in any of 24 orders and the descriptors on this stack. Padding
 * and the sizes of integers don't count. */
static word one_register(const struct one *o, const struct spec *s, unsigned order)
{
    unsigned at[4] = { 0, 1, 2, 3 };
    struct sections sections = { .count = 4 + o->mores, .padding = below(0xffffffff) };
    struct params params = { .count = s->count, .padding = below(0xffffffff) };

    for (unsigned i = 0; i < 3; i++) {
        unsigned k = i + order % (4 - i), old = at[i];
        at[i] = at[k];
        at[k] = old;
        order /= 4 - i;
    }
    for (unsigned i = 0; i < 4; i++) {
        sections.s[i] = (struct section){ CODE + at[i], o->pages[at[i]], (word)o->page[at[i]] };
    }
    memcpy(&sections.s[4], o->more, o->mores * sizeof(o->more[0]));
    for (unsigned i = 0; i < s->count; i++) {
        params.p[i].type = s->pointers >> i & 1 ? POINTER : INTEGER;
        params.p[i].padding = below(0xffffffff);
        params.p[i].words = s->pointers >> i & 1 ? s->words[i] : below(0xffffffff);
    }
    return vmcall(1, (word)&sections, 0, (word)&params, o->entry);
}

static word one_unregister(const struct one *o) { return vmcall(2, o->entry, 0, 0, 0); }

typedef ABI word (*ten)(word, word, word, word, word, word, word, word, word, word);

static word one_call(word entry, const word a[MAX])
{
    return ((ten)entry)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
}

/* --- parameters ------------------------------------------------------------------------------- */

#define GUARD  64u
#define BUFFER (3 * PAGE + GUARD)
static uint8_t buffers[2][MAX][BUFFER];

/* Of a buffer without length nothing is touched, wherever it is. */
static word wild(void)
{
    static const word some[] = {
        0, 1, (word)-1, (word)0xfffff000, (word)0x8000000000000000ULL, (word)0xffff888000000000ULL,
    };

    return some[below(sizeof(some) / sizeof(some[0]))];
}

/* Buffers with random contents, the same for both calls, at addresses of any alignment. */
static void fill(const struct spec *s, word inside[MAX], word outside[MAX], unsigned shift)
{
    for (unsigned i = 0; i < MAX; i++) {
        if (!(s->pointers >> i & 1)) {
            inside[i] = outside[i] = ((word)below(0xffffffff) << (IS_64 * 16) << (IS_64 * 16)) ^
                                     below(0xffffffff);
        } else if (s->words[i] == 0) {
            inside[i] = outside[i] = wild();
        } else {
            for (unsigned k = 0; k < s->words[i] * sizeof(word) + GUARD; k++) {
                buffers[0][i][k] = buffers[1][i][k] = (uint8_t)below(256);
            }
            inside[i] = (word)&buffers[0][i][shift];
            outside[i] = (word)&buffers[1][i][shift];
        }
    }
}

static bool same_buffers(const struct spec *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->pointers >> i & 1
            && memcmp(buffers[0][i], buffers[1][i], s->words[i] * sizeof(word) + GUARD) != 0) {
            return false;
        }
    }
    return true;
}

/* Does a call do what the plain function in a copy of the code outside does? */
static bool same_call(const struct one *o, const struct spec *s)
{
    static struct one plain;
    word inside[MAX], outside[MAX];

    if (plain.entry == 0) {
        one_new(&plain, (const void *)(word)any, NULL, 0, one_each);
    }
    memcpy(plain.page[0] + (spec_place - code_start), s, sizeof(*s));
    fill(s, inside, outside, below(16));
    return one_call(o->entry, inside) == one_call(plain.entry, outside) && same_buffers(s);
}

static bool same_sized(const struct spec *s, unsigned order, uint32_t offset,
                       const uint32_t pages[4])
{
    struct one o;
    bool good;

    one_new(&o, (const void *)(word)any, s, offset, pages);
    good = !one_register(&o, s, order) && same_call(&o, s) && !one_unregister(&o);
    one_free(&o);
    return good;
}

static bool same(const struct spec *s, unsigned order, uint32_t offset)
{
    return same_sized(s, order, offset, one_each);
}

/* Words of data that PARAM has room for. */
static uint32_t area_words(const struct spec *s, uint32_t pages)
{
    return (pages * PAGE - AREA_HEADER - PARAM_HEADER * s->count) / (uint32_t)sizeof(word);
}

/* Random sizes, zero often, that fit PARAM. */
static void random_sizes(struct spec *s, uint32_t pages)
{
    uint32_t left = area_words(s, pages);

    for (unsigned i = 0; i < s->count; i++) {
        s->words[i] = 0;
        if (s->pointers >> i & 1 && below(4) != 0) {
            s->words[i] = below(left / (below(6) + 1) + 1);
            left -= s->words[i];
        }
    }
}

/* Every mix of types, up to `most` parameters. */
static void test_mixes(uint32_t most)
{
    unsigned long n = 0, good = 0;

    for (uint32_t k = 1; k <= most; k++) {
        for (uint32_t mask = 0; mask < 1u << k; mask++, n++) {
            struct spec s = { .count = k, .pointers = mask };
            random_sizes(&s, 1);
            good += same(&s, below(24), 0);
        }
    }
    ok(good == n, "every mix of parameters", n);
}

static void test_random_mixes(unsigned rounds)
{
    unsigned long good = 0;

    for (unsigned i = 0; i < rounds; i++) {
        struct spec s = { .count = 1 + below(MAX), .pointers = below(1024) };
        random_sizes(&s, 1);
        good += same(&s, below(24), below(3) * 16);
    }
    ok(good == rounds, "random counts, types and sizes", rounds);
}

/* 1 to 10 parameters, one of them with 0 words to all of the PARAM page, the others integers and
 * buffers without length; one word more is refused. */
static void test_sizes(bool all)
{
    unsigned long n = 0, good = 0, refused = 0;

    for (uint32_t k = 1; k <= MAX; k++) {
        struct spec s = { .count = k };
        const uint32_t most = area_words(&s, 1), step = all ? 1 : 37 * k;
        for (uint32_t w = 0; w < most + step; w += step, n++) {
            uint32_t i = below(k);
            memset(s.words, 0, sizeof(s.words));
            s.words[i] = w < most ? w : most;
            s.pointers = below(1u << k) | 1u << i;
            good += same(&s, below(24), 0);
        }
        memset(s.words, 0, sizeof(s.words));
        s.pointers = 1u << (k - 1);
        s.words[k - 1] = most + 1;
        refused += !same(&s, 0, 0);
    }
    ok(good == n, "with each number of parameters a buffer of every size", n);
    ok(refused == MAX, "which must fit the PARAM page: a word too much is refused", refused);
}

static void test_orders(void)
{
    struct spec s = { .count = 10, .pointers = 0x2aa, .words = { 0, 1, 0, 2, 0, 3, 0, 4, 0, 5 } };
    unsigned long good = 0;

    for (unsigned i = 0; i < 24; i++) {
        good += same(&s, i, 16 * i);
    }
    ok(good == 24, "sections in every order, the entry in several places", good);
}

/* Sections of several pages, code and parameters across their borders. */
static void test_large(unsigned rounds)
{
    static const uint32_t pages[4] = { 2, 3, 3, 10 };
    unsigned long good = 0;

    for (unsigned i = 0; i < rounds; i++) {
        struct spec s = { .count = 1 + below(MAX), .pointers = below(1024) };
        random_sizes(&s, pages[2]);
        good += same_sized(&s, below(24), below(PAGE / 16) * 16, pages);
    }
    ok(good == rounds, "sections of several pages", rounds);
}

/* The stack begins 16 bytes below its section's end, with the arguments that aren't in registers,
 * which are at a multiple of 16, and the return address, and all of it is the PAL's. */
static void test_stack(void)
{
    unsigned long good = 0;

    for (uint32_t n = 1; n <= MAX; n++) {
        const word on_stack = !IS_64 ? n : n > 6 ? n - 6 : 0;
        struct spec s = { .count = n };
        struct one o;
        one_new(&o, fill_stack, NULL, 0, one_each);
        if (!one_register(&o, &s, n)) {
            const word a[MAX] = { (word)o.page[3] };
            good += one_call(o.entry, a)
                == (PAGE - 16 - on_stack * sizeof(word)) / 16 * 16 - sizeof(word)
                && !one_unregister(&o) && all_zero(o.page[3], 1);
        }
        one_free(&o);
    }
    ok(good == MAX, "the stack begins where it must and is a page less 16 bytes", good);
}

/* With the rest of ten sections. */
static void test_ten_sections(void)
{
    const struct spec s = { .count = 3, .pointers = 2, .words = { 0, 9, 0 } };
    unsigned long good = 0;
    uint8_t *more = pages_new(5);

    for (unsigned order = 0; order < 24; order++) {
        struct one o;
        one_new(&o, (const void *)(word)any, &s, 0, one_each);
        memset(more, 0x90, 5 * PAGE);
        one_add(&o, DATA, more, 1);
        one_add(&o, PARAM, more + PAGE, 1);
        one_add(&o, STACK, more + 2 * PAGE, 2);
        one_add(&o, CODE, more + 4 * PAGE, 1);
        one_add(&o, DATA, more, 0); /* as if it weren't there */
        one_add(&o, DATA, more + PAGE, 0);
        good += !one_register(&o, &s, order) && same_call(&o, &s) && !one_unregister(&o)
            && all_zero(more, 4) && more[4 * PAGE] == 0x90;
        one_free(&o);
    }
    pages_free(more, 5);
    ok(good == 24, "ten sections, the first four in every order", good);
}

#ifdef __x86_64__
static void copy_stub(uint8_t *to, const uint8_t *from, const uint8_t *address, const uint8_t *end,
                      word target)
{
    memcpy(to, from, (size_t)(end - from));
    memcpy(to + (address - from) - 8, &target, 8);
}

/* A function by Microsoft's convention on both sides. */
static void test_microsoft(unsigned rounds)
{
    const struct spec s = { .count = 10, .pointers = 0x102, .words = { [1] = 3, [8] = 3 } };
    uint8_t *out = pages_new(1);
    unsigned long good = 0;

    for (unsigned i = 0; i < rounds; i++) {
        word b[2][2][3], n[8], got;
        struct one o;
        for (unsigned k = 0; k < 8; k++) {
            n[k] = (word)below(0xffffffff) << 32 | below(0xffffffff);
        }
        for (unsigned k = 0; k < 6; k++) {
            b[0][k / 3][k % 3] = b[1][k / 3][k % 3] = (word)below(0xffffffff) << 32 | k;
        }
        one_new(&o, (const void *)(word)ten_ms, NULL, 0, one_each);
        copy_stub(o.page[0] + (code_end - code_start), inner, inner_address, inner_end, o.entry);
        o.entry = (word)o.page[0] + (word)(code_end - code_start);
        copy_stub(out, outer, outer_address, outer_end, o.entry);
        if (!one_register(&o, &s, i % 24)) {
            got = ((ms_ten)(word)out)(n[0], b[0][0], n[1], n[2], n[3], n[4], n[5], n[6], b[0][1],
                                      n[7]);
            good += got == ten_ms(n[0], b[1][0], n[1], n[2], n[3], n[4], n[5], n[6], b[1][1], n[7])
                && memcmp(b[0], b[1], sizeof(b[0])) == 0 && !one_unregister(&o);
        }
        one_free(&o);
    }
    pages_free(out, 1);
    ok(good == rounds, "Microsoft's convention by code that translates", rounds);
}
#endif

/* --- lives ---------------------------------------------------------------- */

/* Of every kind of parameters; those that are left live on. */
static void test_ten(void)
{
    static struct one o[10];
    static struct spec s[10];
    unsigned long good = 0;

    for (unsigned i = 0; i < 10; i++) {
        s[i] = (struct spec){ .count = i + 1, .pointers = below(1024) };
        random_sizes(&s[i], 1);
        one_new(&o[i], (const void *)(word)any, &s[i], 0, one_each);
        good += !one_register(&o[i], &s[i], i);
    }
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 10; i++) {
            unsigned turn = i * 7 % 10;
            if (turn >= round) {
                good += same_call(&o[i], &s[i]);
            }
            if (turn == round) {
                good += !one_unregister(&o[i]);
                one_free(&o[i]);
            }
        }
    }
    ok(good == 10 + 55 + 10, "ten PALs at the same time, until one after the other goes", good);
}

/* DATA as it was registered, then as the PAL left it; nothing of it is seen in the end. */
static void test_data(void)
{
    const struct spec s = { .count = 2 };
    word first, a[MAX] = { 0 };
    unsigned long good = 0;
    uint8_t code[PAGE];
    struct one o;

    one_new(&o, (const void *)(word)keep, NULL, 0, one_each);
    memset(&first, 0x90, sizeof(first));
    memcpy(code, o.page[0], PAGE);
    a[0] = (word)o.page[1] + PAGE - sizeof(word);
    for (unsigned round = 0; round < 3; round++) {
        good += !one_register(&o, &s, 0);
        for (word i = 0; i < 10; i++) {
            a[1] = 3;
            good += one_call(o.entry, a) == first + 3 * i;
        }
        good += !one_unregister(&o);
        good += memcmp(code, o.page[0], PAGE) == 0 && all_zero(o.page[1], 1)
            && all_zero(o.page[2], 1) && all_zero(o.page[3], 1);
        first = 0;
    }
    one_free(&o);
    ok(good == 39, "DATA stays from call to call; unregistered, all but CODE is zeros", good);
}

/* Text that the program goes on using and can't write, in two PALs at the same time. */
static void test_shared_code(void)
{
    const struct spec s = { .count = 2 };
    uint8_t *text = pages_new(2);
    const word function = (word)text + PAGE - 16 + ((word)times_seven - (word)code_start);
    ABI word (*times)(word) = (ABI word (*)(word))function;
    struct one o[2];
    const word a[MAX] = { function, 5 };
    unsigned good = 0;

    memcpy(text + PAGE - 16, code_start, (size_t)(code_end - code_start));
    make_text(text, 2);
    for (unsigned i = 0; i < 2; i++) {
        one_new(&o[i], (const void *)(word)calls, NULL, 0, one_each);
        one_add(&o[i], SHARED_CODE, text, 2);
        good += !one_register(&o[i], &s, i);
    }
    for (unsigned i = 0; i < 2; i++) {
        good += times(3) == 21 && one_call(o[0].entry, a) == 36 && one_call(o[1].entry, a) == 36;
    }
    good += !one_unregister(&o[0]) && one_call(o[1].entry, a) == 36;
    good += !one_unregister(&o[1]) && times(3) == 21;
    for (unsigned i = 0; i < 2; i++) {
        one_free(&o[i]);
    }
    pages_free(text, 2);
    ok(good == 6, "SHARED_CODE is the program's and two PALs'", good);
}

/* The same pages again and again: CODE must come back each time, all else is zero. */
static void test_rounds(unsigned rounds)
{
    const struct spec s = { .count = 2 };
    struct one o;
    unsigned long good = 0;

    one_new(&o, (const void *)(word)any, &s, 0, one_each);
    for (unsigned i = 0; i < rounds; i++) {
        const word a[MAX] = { i, ~(word)i };
        word h = mix(mix(2, i), ~(word)i);
        good += !one_register(&o, &s, i % 24) && (i % 8 != 0 || one_call(o.entry, a) == h)
            && !one_unregister(&o) && one_call(o.entry, a) == h && all_zero(o.page[1], 1)
            && all_zero(o.page[2], 1) && all_zero(o.page[3], 1);
    }
    one_free(&o);
    ok(good == rounds, "the same PAL registered and unregistered", rounds);
}

static void test_detection(void)
{
    const struct spec s = { .count = 1 };
    struct one o;
    const word outside[MAX] = { 0 }, inside[MAX] = { 1 };

    one_new(&o, (const void *)(word)where, NULL, 0, one_each);
    ok(one_call(o.entry, outside) == 0, "outside CPUID says so", 0);
    ok(!one_register(&o, &s, 0) && one_call(o.entry, inside) == 0, "inside CPUID says so", 1);
    ok(!one_unregister(&o), "unregistered", 0);
    ok(one_unregister(&o) != 0, "and not twice", 0);
    ok(!vmcall(255, 77, 0, 0, 0), "TV_HC_TEST", 77);
    one_free(&o);
}

int main(int argc, char **argv)
{
    bool all = argc > 1 && strcmp(argv[1], "all") == 0;
    unsigned rounds = all ? 3000 : argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 100;
    uint32_t r[4];

    state = (argc > 2 ? strtoull(argv[2], NULL, 0) : 1) * 0x9e3779b97f4a7c15ULL | 1;
    cpuid(0x7a567254, r);
    if (r[0] != 0x7a767274) {
        puts("Bail out! no hypervisor here");
        return 99;
    }
    test_detection();
    test_orders();
    test_mixes(all ? MAX : 5);
    test_random_mixes(rounds);
    test_sizes(all);
    test_large(all ? 300 : 10);
    test_stack();
    test_ten_sections();
#ifdef __x86_64__
    test_microsoft(all ? 100 : 10);
#endif
    test_ten();
    test_data();
    test_shared_code();
    test_rounds(all ? 5000 : rounds);
    printf("1..%u\n", count);
    return failed != 0;
}
