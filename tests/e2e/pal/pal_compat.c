/* SPDX-License-Identifier: MIT */
/*
 * A program as others write them for the public TrustVisor ABI: nothing of our SDK, its own
 * declarations, VMCALL on every CPU, four mappings of one page, descriptors on the stack. For
 * Linux and Windows, 32 and 64 bits.   pal_compat [ROUNDS [SEED]], or  pal_compat all
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
enum { CODE = 1, DATA = 2, PARAM = 3, STACK = 4 };
enum { INTEGER = 1, POINTER = 2 };
struct section { uint32_t type, pages; uint64_t start; } __attribute__((packed));
struct sections { uint32_t count, padding; struct section s[MAX]; } __attribute__((packed));
struct param { uint32_t type, padding; uint64_t words; } __attribute__((packed));
struct params { uint32_t count, padding; struct param p[MAX]; } __attribute__((packed));

/* Their 64-bit PALs use the System V convention on Windows too. */
#ifdef __x86_64__
#define ABI __attribute__((sysv_abi))
#define WIDE 1
#else
#define ABI __attribute__((cdecl))
#define WIDE 0
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
#define PAL __attribute__((section(CODE_SECTION), noinline, used))

static word vmcall(word eax, word ecx, word edx, word esi, word edi)
{
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
__asm__(SECTION_DIRECTIVE ".balign 16\n" NAME("spec_place") ":\n.fill 64, 1, 0\n.text\n");

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

/* 0 if CPUID says the same as the caller's argument: inside, and how wide. */
PAL static ABI word where(word inside)
{
    uint32_t r[4];

    cpuid(0x7a567254, r);
    return r[0] != 0x7a767274 || (r[1] != 0xffffffff) != inside || (r[2] & 1) != WIDE;
}

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

static void *page_new(void)
{
#ifdef _WIN32
    void *p = VirtualAlloc(NULL, PAGE, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
    VirtualLock(p, PAGE);
#else
    void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    if (p == MAP_FAILED) {
        p = NULL;
    } else {
        mlock(p, PAGE);
    }
#endif
    if (p == NULL) {
        puts("Bail out! no memory");
        exit(98);
    }
    memset(p, 0x90, PAGE);
    return p;
}

static void page_free(void *p)
{
#ifdef _WIN32
    VirtualFree(p, 0, MEM_RELEASE);
#else
    munmap(p, PAGE);
#endif
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
    word entry;
};

/* Its code `offset` bytes into the page. */
static void one_new(struct one *o, ABI word (*function)(word, ...), const struct spec *s,
                    uint32_t offset)
{
    size_t size = (size_t)(code_end - code_start);

    for (unsigned i = 0; i < 4; i++) {
        o->page[i] = page_new();
    }
    memcpy(o->page[0] + offset, code_start, size);
    if (s != NULL) {
        memcpy(o->page[0] + offset + (spec_place - code_start), s, sizeof(*s));
    }
    o->entry = (word)o->page[0] + offset + ((word)function - (word)code_start);
}

static void one_free(struct one *o)
{
    for (unsigned i = 0; i < 4; i++) {
        page_free(o->page[i]);
    }
}

/* Register, with the sections in any of 24 orders and the descriptors on this stack. */
static word one_register(const struct one *o, const struct spec *s, unsigned order)
{
    unsigned at[4] = { 0, 1, 2, 3 };
    struct sections sections = { .count = 4 };
    struct params params = { .count = s->count };

    for (unsigned i = 0; i < 3; i++, order /= 4 - i) {
        unsigned k = i + order % (4 - i), old = at[i];
        at[i] = at[k];
        at[k] = old;
    }
    for (unsigned i = 0; i < 4; i++) {
        sections.s[i] = (struct section){ CODE + at[i], 1, (word)o->page[at[i]] };
    }
    for (unsigned i = 0; i < s->count; i++) {
        params.p[i].type = s->pointers >> i & 1 ? POINTER : INTEGER;
        params.p[i].words = s->pointers >> i & 1 ? s->words[i] : below(3);
    }
    return vmcall(1, (word)&sections, 0, (word)&params, o->entry);
}

typedef ABI word (*ten)(word, word, word, word, word, word, word, word, word, word);

static word one_call(word entry, const word a[MAX])
{
    return ((ten)entry)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
}

/* --- parameters ------------------------------------------------------------------------------- */

#define BUFFER (PAGE + 64)
static uint8_t buffers[2][MAX][BUFFER];

/* Buffers with random contents, the same for both calls, at addresses of any alignment. */
static void fill(const struct spec *s, word inside[MAX], word outside[MAX], unsigned shift)
{
    for (unsigned i = 0; i < MAX; i++) {
        if (s->pointers >> i & 1) {
            for (unsigned k = 0; k < s->words[i] * sizeof(word) + 64; k++) {
                buffers[0][i][k] = buffers[1][i][k] = (uint8_t)below(256);
            }
            inside[i] = (word)&buffers[0][i][shift];
            outside[i] = (word)&buffers[1][i][shift];
        } else {
            inside[i] = outside[i] = ((word)below(0xffffffff) << (WIDE * 16) << (WIDE * 16)) ^
                                     below(0xffffffff);
        }
    }
}

/* What the PAL would do, by the plain function in a copy of the code outside. */
static bool same(const struct spec *s, unsigned order, uint32_t offset)
{
    word inside[MAX], outside[MAX], got, expected;
    struct one o, plain;
    bool good = false;

    one_new(&o, any, s, offset);
    one_new(&plain, any, s, 0);
    fill(s, inside, outside, below(16));
    if (!one_register(&o, s, order)) {
        got = one_call(o.entry, inside);
        expected = one_call(plain.entry, outside);
        good = got == expected && memcmp(buffers[0], buffers[1], sizeof(buffers[0])) == 0 &&
               !vmcall(2, o.entry, 0, 0, 0);
    }
    one_free(&o);
    one_free(&plain);
    return good;
}

static uint32_t area_words(const struct spec *s)
{
    return (PAGE - AREA_HEADER - PARAM_HEADER * s->count) / (uint32_t)sizeof(word);
}

/* Random sizes, zero often, that fit the PARAM page. */
static void random_sizes(struct spec *s)
{
    uint32_t left = area_words(s);

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
            random_sizes(&s);
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
        random_sizes(&s);
        good += same(&s, below(24), below(3) * 16);
    }
    ok(good == rounds, "random counts, types and sizes", rounds);
}

/* One pointer, 0 to all of the PARAM page; one word more is refused. */
static void test_sizes(uint32_t step)
{
    struct spec s = { .count = 1, .pointers = 1 };
    uint32_t most = area_words(&s);
    unsigned long n = 0, good = 0;

    for (uint32_t w = 0; w <= most; w = w < most && w + step > most ? most : w + step, n++) {
        s.words[0] = w;
        good += same(&s, 0, 0);
        if (w == most) {
            n++;
            break;
        }
    }
    ok(good == n, "a buffer of every size", n);
    s.words[0] = most + 1;
    ok(!same(&s, 0, 0), "which must fit the PARAM page: this many words don't", most + 1);
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

/* --- lives --------------------------------------------------------------------------------------- */

static void test_ten(void)
{
    static struct one o[10];
    unsigned long good = 0;

    for (unsigned i = 0; i < 10; i++) {
        struct spec s = { .count = i + 1 };
        one_new(&o[i], any, &s, 0);
        good += !one_register(&o[i], &s, i);
    }
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 10; i++) {
            word a[MAX], h = i + 1;
            for (unsigned k = 0; k < MAX; k++) {
                a[k] = below(0xffffffff);
                h = k <= i ? mix(h, a[k]) : h;
            }
            good += one_call(o[i].entry, a) == h;
        }
    }
    for (unsigned i = 0; i < 10; i++) {
        good += !vmcall(2, o[i].entry, 0, 0, 0);
        one_free(&o[i]);
    }
    ok(good == 120, "ten PALs at the same time", good);
}

/* The same pages again and again: CODE must come back each time, all else is zero. */
static void test_rounds(unsigned rounds)
{
    const struct spec s = { .count = 2 };
    struct one o;
    unsigned long good = 0;

    one_new(&o, any, &s, 0);
    for (unsigned i = 0; i < rounds; i++) {
        const word a[MAX] = { i, ~(word)i };
        word h = mix(mix(2, i), ~(word)i);
        good += !one_register(&o, &s, i % 24) && (i % 8 != 0 || one_call(o.entry, a) == h) &&
                !vmcall(2, o.entry, 0, 0, 0) && one_call(o.entry, a) == h;
    }
    one_free(&o);
    ok(good == rounds, "the same PAL registered and unregistered", rounds);
}

static void test_detection(void)
{
    const struct spec s = { .count = 1 };
    struct one o;
    const word outside[MAX] = { 0 }, inside[MAX] = { 1 };

    one_new(&o, (ABI word (*)(word, ...))(void (*)(void))where, NULL, 0);
    ok(one_call(o.entry, outside) == 0, "outside CPUID says so", 0);
    ok(!one_register(&o, &s, 0) && one_call(o.entry, inside) == 0, "inside CPUID says so", 1);
    ok(!vmcall(2, o.entry, 0, 0, 0), "unregistered", 0);
    ok(vmcall(2, o.entry, 0, 0, 0) != 0, "and not twice", 0);
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
    test_sizes(all ? 1 : 37);
    test_ten();
    test_rounds(all ? 5000 : rounds);
    printf("1..%u\n", count);
    return failed != 0;
}
