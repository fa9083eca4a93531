/* SPDX-License-Identifier: MIT */
/* Descriptors in the guest's tables (SDM vol. 3, 3.4.5). */
#ifndef XMHF_GUEST_DESCRIPTOR_H
#define XMHF_GUEST_DESCRIPTOR_H

#include <virt/state.h>
#include <x86/cpu.h>

/* What loading `selector` makes of the descriptor `d`: a segment with its hidden part. Of a
 * 16-byte descriptor `d` is the lower half. */
static inline void descriptor_parse(const uint8_t d[8], uint16_t selector, struct segment *s)
{
    uint32_t limit = d[0] | (uint32_t)d[1] << 8 | (uint32_t)(d[6] & 15) << 16;

    s->selector = selector;
    s->attr = (uint16_t)(d[5] | (d[6] & 0xf0u) << 4);
    s->limit = s->attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit;
    s->base = d[2] | (uint32_t)d[3] << 8 | (uint32_t)d[4] << 16 | (uint32_t)d[7] << 24;
}

#endif
