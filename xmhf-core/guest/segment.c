/* SPDX-License-Identifier: MIT */
/* The guest's segments. */
#include <guest/segment.h>
#include <virt/virt.h>

enum segment_index segment_of(uint8_t prefix, enum segment_index usual)
{
    switch (prefix) {
    case 0x26: return SEG_ES;
    case 0x2e: return SEG_CS;
    case 0x36: return SEG_SS;
    case 0x3e: return SEG_DS;
    case 0x64: return SEG_FS;
    case 0x65: return SEG_GS;
    default: return usual;
    }
}

uint64_t segment_linear(struct vcpu *v, const struct guest_paging *p, enum segment_index seg,
                        uint64_t offset)
{
    struct segment s;

    if (p->mode == MODE_LONG64 && seg != SEG_FS && seg != SEG_GS) {
        return offset;
    }
    virt->get_segment(v, seg, &s);
    return p->mode == MODE_LONG64 ? s.base + offset : (uint32_t)(s.base + offset);
}
