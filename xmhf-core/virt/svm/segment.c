/* SPDX-License-Identifier: MIT */
/* Segments from a VMCB to the neutral form (virt/state.h) and back; both have the same fields. */
#include <virt/svm/svm.h>

struct vmcb_segment *svm_segment(struct vmcb *c, enum segment_index i)
{
    switch (i) {
    case SEG_ES: return &c->es;
    case SEG_CS: return &c->cs;
    case SEG_SS: return &c->ss;
    case SEG_DS: return &c->ds;
    case SEG_FS: return &c->fs;
    case SEG_GS: return &c->gs;
    case SEG_LDTR: return &c->ldtr;
    default: return &c->tr;
    }
}

void svm_write_segment(struct vmcb *c, enum segment_index i, const struct segment *s)
{
    *svm_segment(c, i) = (struct vmcb_segment){ s->selector, s->attr, s->limit, s->base };
}
