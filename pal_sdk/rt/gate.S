/* SPDX-License-Identifier: MIT */
/*
 * The gate: all hypercalls of libpal-rt. A function without arguments: EAX is the command, RCX,
 * RDX, RSI and RDI what goes with it, RAX the answer; no other register changes, flags do.
 *
 * VMCALL inside a PAL is #UD on AMD CPUs, and VMMCALL on others, so pal_rt_hypercall has looked
 * which CPU it is. The image has both: its identity is the same on all CPUs.
 *
 * Native mode puts its own code over the first 16 bytes.
 */
#include "rt_asm.h"

FUNCTION(pal_rt_gate)
#ifdef __x86_64__
    cmpb    $0, C(pal_rt_vmmcall)(%rip)
#else
    cmpb    $0, C(pal_rt_vmmcall)
#endif
    jne     1f
    .byte   0x0f, 0x01, 0xc1 /* vmcall */
    ret
    .balign 16
1:  .byte   0x0f, 0x01, 0xd9 /* vmmcall */
    ret
END(pal_rt_gate)

#ifdef __ELF__
    .section .note.GNU-stack, "", @progbits
#endif
