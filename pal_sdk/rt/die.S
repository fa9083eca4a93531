/* SPDX-License-Identifier: MIT */
/* Deaths with names (rt_internal.h), and abort(), which is one. */
#include "rt_asm.h"

DEATH(__stack_chk_fail)
DEATH(pal_rt_heap_overrun)
DEATH(pal_rt_heap_bad_free)
DEATH(pal_rt_no_memory)
DEATH(pal_rt_no_entropy)
DEATH(abort)

#ifdef __ELF__
DEATH(__stack_chk_fail_local) /* what gcc calls in -fpic code of i386 */
    .section .note.GNU-stack, "", @progbits
#endif
