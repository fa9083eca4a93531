/* SPDX-License-Identifier: MIT */
/* Deaths with names: calls of C++ functions that have no body. */
#include "rt_asm.h"

DEATH(__cxa_pure_virtual)
DEATH(__cxa_deleted_virtual)

#ifdef __ELF__
    .section .note.GNU-stack, "", @progbits
#endif
