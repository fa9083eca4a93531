/* SPDX-License-Identifier: MIT */
/* The guest's memory as its own instructions reach it: addresses by segments and registers,
 * accesses with the rights that its CPL gives. */
#ifndef XMHF_EXIT_OPERAND_H
#define XMHF_EXIT_OPERAND_H

#include <guest/segment.h>
#include <insn/operand.h>

/*
 * The linear address of `size` bytes at `offset` in `seg`. False: its limit, its type or a bit
 * above the canonical ones forbid `access` (ACCESS_READ or WRITE), and #GP(0), or for SS #SS(0), is
 * queued.
 */
bool linear_address(struct vcpu *v, const struct guest_paging *p, enum segment_index seg,
                    uint64_t offset, unsigned size, unsigned access, uint64_t *linear);

/* The offset of the memory operand `o` in its segment, of an instruction of `len` bytes at RIP. */
uint64_t operand_offset(const struct vcpu *v, const struct insn_operand *o, unsigned len);

/* linear_address for the memory operand `o` of an instruction of `len` bytes at RIP. */
bool operand_address(struct vcpu *v, const struct guest_paging *p, const struct insn_operand *o,
                     unsigned len, unsigned size, unsigned access, uint64_t *linear);

/* Read RSI, RDI or RCX as a string instruction with addresses of `bits` uses it, and add to it
 * so. */
static inline uint64_t index_register(const struct vcpu *v, unsigned reg, unsigned bits)
{
    return insn_low(v->regs.gpr[reg], bits);
}

static inline void index_add(uint64_t *reg, unsigned bits, uint64_t delta)
{
    insn_set_register(reg, 0, bits / 8, *reg + delta);
}

/*
 * Copy `len` bytes from the guest or to it, across pages. Before a write all pages are looked at.
 * False: nothing is written, and a fault is queued: #PF, or #GP(0) where there is no RAM (a read
 * may also be of the BIOS).
 */
bool linear_read(struct vcpu *v, const struct guest_paging *p, uint64_t at, void *to, size_t len);
bool linear_write(struct vcpu *v, const struct guest_paging *p, uint64_t at, const void *from,
                  size_t len);

/* Set `bits` of the byte at `at` by a locked access. False: a fault is queued, as by
 * linear_write. */
bool linear_set_bits(struct vcpu *v, const struct guest_paging *p, uint64_t at, uint8_t bits);

bool linear_canonical(uint64_t a, const struct guest_paging *p);

/* Can all of [at, at+len), in at most two pages, be reached for `access`? False: a fault is
 * queued, as by linear_write. */
bool linear_reach(struct vcpu *v, const struct guest_paging *p, uint64_t at, size_t len,
                  unsigned access);

#endif
