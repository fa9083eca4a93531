/* SPDX-License-Identifier: MIT */
/* Code sizes and segments: what an instruction of the guest's means by an offset. */
#ifndef XMHF_GUEST_SEGMENT_H
#define XMHF_GUEST_SEGMENT_H

#include <cpu/vcpu.h>
#include <virt/state.h>

/* The default operand and address size of the code at RIP: 16, 32 or 64. */
static inline unsigned code_bits(enum cpu_mode m)
{
    return m == MODE_LONG64 ? 64 : m == MODE_PROT32 ? 32 : 16;
}

/* The segment that an override's prefix byte names; `usual` if there is no override (0). */
enum segment_index segment_of(uint8_t prefix, enum segment_index usual);

/* The linear address of `offset` in `seg`, which has gone through the CPU: neither limit nor rights
 * are asked for (exit/operand.h does that). This CPU's own vCPU. */
uint64_t segment_linear(struct vcpu *v, const struct guest_paging *p, enum segment_index seg,
                        uint64_t offset);

#endif
