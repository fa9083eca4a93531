/* SPDX-License-Identifier: MIT */
/*
 * What a PAL's code may use of libpal-rt beside string.h, stdlib.h and the like
 * (pal_sdk/rt/include). notes/libpal-rt.md tells what is there and what isn't.
 *
 * All of it may be called by several of the PAL's stacks at once, unless a function says otherwise.
 */
#ifndef PAL_RT_H
#define PAL_RT_H

#include <pal/format.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef PAL_WORD /* C99 has no second typedef of a name */
#define PAL_WORD
typedef uintptr_t pal_word;
#endif

/* --- from the hypervisor ------------------------------------------------------ */

/* Fill `n` bytes at `buf`, which lie in the PAL's writable sections, with random bytes of the
 * hypervisor's generator. 0; or an enum tv_error (TV_NO_ENTROPY, or TV_UNKNOWN_COMMAND by a
 * hypervisor that has no generator), and then all `n` bytes are zero. */
__attribute__((warn_unused_result)) int pal_random(void *buf, size_t n);

/* How often this call was interrupted so far: by nothing but a fault, an interrupt of the machine's
 * or an end of the thread's time. */
pal_word pal_interruptions(void);

/* Is this really a PAL under the hypervisor? False in native mode. The hypervisor answers it, by
 * an instruction that the OS can't answer inside a PAL. */
bool pal_inside(void);

/* Any hypercall, by the one gate: the command, and what RCX, RDX, RSI and RDI hold. RAX. */
pal_word pal_rt_hypercall(uint32_t command, pal_word rcx, pal_word rdx, pal_word rsi,
                          pal_word rdi);

/* --- memory ------------------------------------------------------------------- */

/* Are `n` bytes the same? Its time depends on `n` only. */
bool pal_equal_ct(const void *a, const void *b, size_t n);
/* Zeros that no compiler takes for useless. */
void pal_wipe(void *p, size_t n);

/* Once in one C file, outside of functions: so many bytes for malloc() and its like. A PAL that
 * allocates and doesn't say has 64 KiB. Each block costs up to 48 bytes more than what is asked
 * for, 32 with 32 bits. */
#define PAL_HEAP(bytes) \
    unsigned char pal_rt_heap[((bytes) + 15) / 16 * 16] __attribute__((aligned(16))); \
    const size_t pal_rt_heap_size = sizeof(pal_rt_heap)
extern unsigned char pal_rt_heap[];
extern const size_t pal_rt_heap_size;

/* Bytes that are allocated now, without what each block costs. */
size_t pal_heap_used(void);
/* Look at all blocks: dies as free() does if one was overrun. */
void pal_heap_check(void);

/* --- dying, and telling -------------------------------------------------------- */

/* Die here and now, by an instruction that is invalid (exception 6): pal-addr2line tells the
 * line. */
#define pal_abort() \
    do { \
        __asm__ volatile("ud2 /* line %c0 */" : : "i"(__LINE__)); \
        __builtin_unreachable(); \
    } while (0)

/* printf for debugging: the host prints it, if the image was made by pal-cc --debug. In any other
 * image it is nothing: no text of it is in there. At most PAL_PRINT_MAX bytes of each call, the
 * rest is lost. Conversions as with snprintf (stdio.h). */
#define PAL_PRINT_MAX 512u
#ifdef __PAL_DEBUG__
#define pal_printf(...) pal_rt_printf(PAL_PRINTED(__VA_ARGS__))
#else
#define pal_printf(...) ((void)(0 && pal_rt_printf(PAL_PRINTED(__VA_ARGS__))))
#endif
PAL_PRINTF(1, 2) int pal_rt_printf(const char *format, ...);

/* The ocall by which a debug image prints: the request is the text. The host's library has it;
 * declared functions are numbered from 0. */
#define PAL_RT_OCALL_PRINT 0xffffffffu

/* --- for the wrappers of entries ----------------------------------------------- */

/* Before anything else of a call: draws the stack protector's guard, once. Called by a function
 * that has no stack protector itself (PAL_RT_NO_GUARD). */
void pal_rt_enter(void);
#ifdef __clang__
#define PAL_RT_NO_GUARD __attribute__((no_stack_protector))
#else
#define PAL_RT_NO_GUARD __attribute__((optimize("no-stack-protector")))
#endif

#ifdef __cplusplus
}
#endif

#endif
