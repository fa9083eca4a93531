/* SPDX-License-Identifier: MIT */
/* What the files of libpal-rt share. */
#ifndef PAL_RT_INTERNAL_H
#define PAL_RT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

/* How the assembler calls a name of C's: i386 PE puts a line before it. */
#define RT_TEXT2(x) #x
#define RT_TEXT(x)  RT_TEXT2(x)
#define RT_ASM_NAME(name) RT_TEXT(__USER_LABEL_PREFIX__) #name

/* Random words of this PAL's life: the stack protector's guard, and what the heap's checks are
 * mixed with. pal_rt_enter() draws both. */
extern uintptr_t __stack_chk_guard;
extern uintptr_t pal_rt_heap_secret;

/* Deaths with names (die.S): each is an invalid instruction at its own symbol. */
_Noreturn void __stack_chk_fail(void);
_Noreturn void pal_rt_heap_overrun(void);     /* a block's end, or its header, was overwritten */
_Noreturn void pal_rt_heap_bad_free(void);    /* no block, or one that was freed before */
_Noreturn void pal_rt_no_memory(void);        /* C++ new */
_Noreturn void pal_rt_no_entropy(void);       /* a library can't go on without random numbers */

/* A lock of a few instructions. The holder's thread may be interrupted: then the others spin until
 * the OS lets it go on, as their budget allows. */
static inline void rt_lock(int *lock)
{
    while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0) {
        __builtin_ia32_pause();
    }
}

static inline void rt_unlock(int *lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }

#endif
