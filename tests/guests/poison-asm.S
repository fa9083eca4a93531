/* SPDX-License-Identifier: MIT */
/* Where every poisoned pointer leads: it counts, and ends the code under test. */
#include "layout.h"

    .text
    .code64
    .globl poison_gadget
poison_gadget:
    lock incq poison_count
    int $VECTOR_DONE
1:  hlt
    jmp 1b
    .section .note.GNU-stack, "", @progbits
