/* SPDX-License-Identifier: MIT */
/*
 * The interface of the hypapp lockdown: how a guest says what is to be locked, and what it can ask
 * afterwards. Shared by the hypapp, tools/lockdown-ctl and the tests.
 *
 * Hypercall XMHF_HC_LOCKDOWN, 64-bit callers: RCX = enum lockdown_op, RDX and RSI its arguments,
 * RDI the token; RAX = enum lockdown_error. Ring 0 may always call. Ring 3 needs the token, which a
 * 32-bit IN tells, the low half at LOCKDOWN_PORT, the high half 4 ports above: only those can
 * execute it whom the kernel lets at ports. An operation that fails has changed nothing.
 */
#ifndef XMHF_LOCKDOWN_H
#define XMHF_LOCKDOWN_H

#include <stdint.h>

#define LOCKDOWN_PORT       0x358u
#define LOCKDOWN_RANGE_MAX  256u   /* pages in one LOCKDOWN_RANGE */
#define LOCKDOWN_SITES_PAGE 512u   /* sites in one LOCKDOWN_SITES, at most */

enum lockdown_op {
    /* Forget what was told. RDX: bits of CR3 to clear where the kernel's pages are looked for
     * (Linux' page table isolation: bit 12; else 0). */
    LOCKDOWN_BEGIN,
    /* The next pages of a range. RDX: address of the first. RSI: number of pages << 12 | enum
     * lockdown_range. A range is contiguous in the kernel's addresses and in memory, but for CODE,
     * which may be anything; of that, what comes before the first bad page is added. */
    LOCKDOWN_RANGE,
    /* The next sites, in ascending order over all calls. RDX: where they are. RSI: how many; but
     * in the last call LOCKDOWN_SITES_PAGE. */
    LOCKDOWN_SITES,
    /* Lock, from now on until the machine is reset. RDX: not 0: ring 0 executes no RAM that was
     * there at boot but TEXT and CODE; 0: it may. */
    LOCKDOWN_LOCK,
};

/* CODE: other pages that ring 0 may go on to execute; all rights to them stay. */
enum lockdown_range { LOCKDOWN_TEXT, LOCKDOWN_RODATA, LOCKDOWN_CODE = 3 };

/* A site is a place where the kernel patches its own text; its kind says what may stand there.
 * JUMP2 and JUMP5: a jump label, the NOP or the JMP to `target`. CALL: an entry of ftrace, the NOP
 * or a CALL into the text. STATIC: a static call or its trampoline; the NOP, CALL or JMP into the
 * text, RET, or what clears EAX. */
enum lockdown_site_kind { LOCKDOWN_JUMP2, LOCKDOWN_JUMP5, LOCKDOWN_CALL, LOCKDOWN_STATIC };
#define LOCKDOWN_AT_BITS 30
struct lockdown_site {
    uint32_t at;       /* kind << LOCKDOWN_AT_BITS | offset from the text's first byte */
    uint32_t target;   /* JUMP: offset likewise; else 0 */
};

#define LOCKDOWN_ERRORS(X) \
    X(OK, "done") \
    X(NOT_ALLOWED, "the caller is neither ring 0 nor has the token") \
    X(LOCKED, "it is locked already") \
    X(BAD, "no such operation, or bad arguments") \
    X(NOT_RAM, "a page isn't there, or is no memory of the guest") \
    X(SCATTERED, "the pages aren't contiguous") \
    X(FULL, "too many sites, or pages of code") \
    X(NO_RIGHTS, "the pages' rights can't be taken, for lack of memory or for what they are") \
    X(BAD_IDT, "the interrupt descriptor table isn't alone in one page") \
    X(NO_EXEC, "this CPU, or the hypervisor on it, can't take execution from ring 0 alone")
enum lockdown_error {
#define X(name, sentence) LOCKDOWN_E_##name,
    LOCKDOWN_ERRORS(X)
#undef X
};

/* What is refused, each with a counter. The first three are writes to memory. */
#define LOCKDOWN_KINDS(X) \
    X(TEXT, "kernel text: write that is no patch of a site") \
    X(RODATA, "read-only data: write") \
    X(IDT_PAGE, "interrupt descriptor table: write") \
    X(CR0, "CR0: WP cleared") \
    X(CR4, "CR4: SMEP, SMAP or UMIP cleared") \
    X(EFER, "EFER: NXE cleared") \
    X(IDTR, "IDTR: another table, or this one with protections off") \
    X(SYSCALL, "MSRs of SYSCALL and SYSENTER: another entry") \
    X(EXEC, "ring 0: execution outside of kernel text")
enum lockdown_kind {
#define X(name, sentence) LOCKDOWN_K_##name,
    LOCKDOWN_KINDS(X)
#undef X
    LOCKDOWN_KIND_COUNT
};

/* XMHF_HC_INFO, XMHF_INFO_LOCKDOWN + one of these; any ring. */
enum lockdown_info {
    LOCKDOWN_INFO_STATE,             /* 1: locked, 0: not */
    LOCKDOWN_INFO_PAGES,             /* pages that are, or will be, locked */
    LOCKDOWN_INFO_SITES,
    LOCKDOWN_INFO_PATCHES,           /* stores to sites that were let through */
    LOCKDOWN_INFO_CAN_EXEC,          /* 1: LOCK can take execution */
    LOCKDOWN_INFO_CODE,              /* pages of CODE that were told */
    LOCKDOWN_INFO_REFUSED,           /* + enum lockdown_kind */
};

#endif
