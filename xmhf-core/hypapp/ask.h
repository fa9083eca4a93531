/* SPDX-License-Identifier: MIT */
/*
 * What a hypapp may ask to see of the guest's doings. Each service here is for the hypapp's `init`
 * alone, and gives 0, or -1 with nothing changed: no room, a bad range, or somebody has it already.
 * A callback that is NULL is as if it answered HYP_CORE.
 * What nobody asked for doesn't exit, and costs nothing.
 */
#ifndef XMHF_HYPAPP_ASK_H
#define XMHF_HYPAPP_ASK_H

#include <cpu/vcpu.h>
#include <policy/answer.h>
#include <xmhf/access.h>
#include <xmhf/types.h>

/*
 * `fn` is asked before each access that touches one of the ports [first, first + count). The core's
 * own ports (reset, sleep, A20) can be among them: the hypapp is asked first, and HYP_CORE gives
 * the core its turn. Of ranges of several calls the one that has the lowest byte's port is asked.
 * They don't overlap.
 */
int hyp_ports(uint16_t first, uint32_t count, hyp_io_fn *fn);
/* What the guest would read there without the hypapp; for an `fn` that changes what it reads. */
uint32_t hyp_port_in(struct vcpu *v, uint16_t port, unsigned size);

/*
 * `fn` is asked about the guest's accesses to [base, base + size), whole pages of a device, 64 at
 * most in all calls together. `access`: ACCESS_WRITE, or ACCESS_READ | ACCESS_WRITE (no CPU lets a
 * page be written that can't be read). An instruction that reads and writes is two accesses, in
 * this order. Those that the core can't take apart (SIMD, x87, pushes, CMPXCHG, across pages) get
 * #GP(0) and a log line; a fetch, a page walk and the
 * delivery of an event get #GP(0).
 */
int hyp_mmio(gpa_t base, uint64_t size, unsigned access, hyp_mmio_fn *fn);

/* hypapp.msr is asked at each RDMSR (ACCESS_READ in `access`) and WRMSR (ACCESS_WRITE) of
 * [first, last]. Before the policy looks: what is denied is asked about too. */
int hyp_msr_range(uint32_t first, uint32_t last, unsigned access);

/* hypapp.cr_write is asked at each write of CR0 or CR4 that changes one of `bits`; of CR3 at each,
 * but for hardware task switches on AMD: these load CR3 (and set CR0.TS) without an exit. `cr`: 0,
 * 3, 4. More bits are added to those asked for before. Of a task switch that the core carries out
 * (Intel) only HYP_REFUSE counts, #GP in the new task; all else is HYP_CORE. */
int hyp_cr_bits(unsigned cr, uint64_t bits);

/* hypapp.table_write is asked at each LGDT, LIDT, LLDT or LTR of those whose bit is set in
 * `tables`: 1u << enum hyp_table. More are added to those asked for before. */
int hyp_trap_tables(unsigned tables);

/*
 * The hypapp's own boot module: the first one whose command line starts with the word "hypapp" (the
 * guest doesn't get it). NULL: there is none. Its memory is the guest's from the start on, who
 * could have read it anyway: what is to be kept is copied.
 */
const void *hyp_module(size_t *size);

#endif
