/* SPDX-License-Identifier: MIT */
/*
 * PALs by the public ABI. NOTHING HERE CHECKS THE CODE: it is copied out of the program as it is,
 * and neither compiler, linker nor this library sees a constant, a call or a variable that lies
 * outside of it. The PAL then computes with other bytes, dies, or gives away what it knows; its
 * stack may run into its data. New PALs are better images of their own (pal/host.h,
 * pal/interface.h, pal-cc), where all that is refused when they are built. This stays for programs
 * that are there.
 *
 * Running a piece of a program as a PAL: isolated by the hypervisor from the rest of the
 * program and from the operating system.
 *
 *     PAL_CODE static PAL_ABI pal_word add(pal_word a, pal_word b) { return a + b; }
 *
 *     struct pal p;
 *     struct pal_spec spec = PAL_SPEC(add);
 *     pal_create(&p, &spec);                  memory, code copied
 *     pal_add_integer(&p); pal_add_integer(&p);
 *     uint64_t error = pal_register(&p);      0, or pal_error_text(error) tells
 *     pal_word sum = ((pal_word (PAL_ABI *)(pal_word, pal_word))p.entry)(20, 22);
 *     pal_unregister(&p);
 *     pal_destroy(&p);
 *
 * A PAL's code sees its own sections and its arguments, nothing else: no library, no
 * constants in other sections, no thread-local storage, no system calls. Compile it with
 * PAL_CFLAGS of pal_sdk/sources.am. It is copied, so it must be position-independent and
 * call only functions that are PAL_CODE too. On Windows the compiler adds a call to functions
 * whose variables take a page or more: that many belong in DATA.
 *
 * A PAL that dies ends the program by a signal at the call (Windows: an exception). If the program
 * handles none, a sentence on standard error says first what died, why and where, unless
 * pal_handler_off() was called.
 */
#ifndef PAL_PAL_H
#define PAL_PAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xmhf/hypercall.h>
#include <xmhf/trustvisor.h>

#define PAL_PAGE 4096u

/* 64-bit PALs are called by the System V convention, 32-bit ones by cdecl, on Windows too. */
#ifdef __x86_64__
#define PAL_ABI __attribute__((sysv_abi))
#else
#define PAL_ABI __attribute__((cdecl))
#endif

/* The machine word: what an integer argument is, what a pointer's size is counted in. */
#ifndef PAL_WORD /* C99 has no second typedef of a name */
#define PAL_WORD
typedef uintptr_t pal_word;
#endif

/* Functions that make up the PAL: the linker gathers them. Loops must not become calls of
 * memset or memcpy, which lie outside. */
#ifdef __clang__
#define PAL_NO_LIBRARY __attribute__((no_builtin))
#else
#define PAL_NO_LIBRARY __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif
#define PAL_CODE __attribute__((section("pal_code"), noinline, used, aligned(16))) PAL_NO_LIBRARY
extern const uint8_t __start_pal_code[], __stop_pal_code[];

/* A function in assembly that is PAL_CODE:  extern const uint8_t name[]; PAL_ASM(name, "ret"); */
#ifdef _WIN32
#define PAL_ASM_BEGIN ".section pal_code, \"xr\"\n"
#define PAL_ASM_END   ".text\n"
#else
#define PAL_ASM_BEGIN ".pushsection pal_code, \"ax\"\n"
#define PAL_ASM_END   ".popsection\n"
#endif
#if defined(_WIN32) && !defined(__x86_64__)
#define PAL_SYMBOL(name) "_" name
#else
#define PAL_SYMBOL(name) name
#endif
#define PAL_ASM(name, code) \
    __asm__(PAL_ASM_BEGIN ".balign 16\n" PAL_SYMBOL(#name) ":\n" code "\n" PAL_ASM_END)

/* What memory a PAL gets, in pages; and its code. */
struct pal_spec {
    const void *code_start, *code_end;
    const void *entry;                     /* inside the code */
    unsigned data_pages, stack_pages, param_pages;
};

/* All PAL_CODE of the program, to be entered at `function`; one page of each section. */
#define PAL_SPEC(function) \
    { __start_pal_code, __stop_pal_code, (const void *)(uintptr_t)(function), 1, 1, 1 }

struct pal {
    void *entry;                /* call this, by PAL_ABI, in code that was registered or not */
    void *code, *data, *stack, *param;
    void *memory;               /* all sections */
    size_t size;                /* in bytes */
    bool registered;
    struct tv_pal_sections sections;
    struct tv_pal_params params;
};

/* True if a hypervisor with PALs is there. */
bool pal_available(void);
/* True if this code is running as a PAL. May be called there: it is inlined. */
static inline bool pal_inside(void)
{
    uint32_t a = TV_CPUID_LEAF, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return a == TV_CPUID_REPLY_EAX && b != TV_CPUID_NOT_IN_PAL;
}

/* A hypercall with up to four arguments; only if pal_available(). 32-bit code: the low halves
 * of arguments and result. */
uint64_t pal_hypercall(uint32_t command, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
/* An item of enum xmhf_info. */
uint64_t pal_info(uint32_t which);
/* The sentence for an error of pal_register, pal_unregister or pal_hypercall. */
const char *pal_error_text(uint64_t error);
/* The name of the constant, e.g. "TV_NOT_RAM". */
const char *pal_error_name(uint64_t error);

/* From here on nothing is said of deaths of PALs that are registered later. */
void pal_handler_off(void);

/* Get locked memory for the sections, in the order CODE, DATA, STACK, PARAM, with a page behind
 * each that is none of the PAL's, and copy the code. A child made by fork doesn't have it: it
 * creates PALs of its own. 0, or -1 (errno or GetLastError() tells). */
int pal_create(struct pal *p, const struct pal_spec *spec);
/* Declare the next parameter. 0, or -1 if there are TV_MAX_PARAMS already. */
int pal_add_integer(struct pal *p);
int pal_add_pointer(struct pal *p, uint64_t words);
/* From here on the sections belong to the PAL. TV_OK or an error, then nothing changed. */
uint64_t pal_register(struct pal *p);
/* The code is the program's again, the other sections are zeros. */
uint64_t pal_unregister(struct pal *p);
/* Unregister if need be and free the memory. No thread may be in a call: it would end as if the
 * memory had been taken away under it. */
void pal_destroy(struct pal *p);

#endif
