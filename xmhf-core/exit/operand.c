/* SPDX-License-Identifier: MIT */
/* Memory operands of the guest's instructions, as its CPU would reach them. */
#include <exit/operand.h>
#include <guest/inject.h>
#include <guest/phys.h>
#include <util/string.h>
#include <virt/virt.h>
#include <x86/cpu.h>

static void segment_fault(struct vcpu *v, enum segment_index seg)
{
    const struct event e = { .vector = seg == SEG_SS ? EXC_SS : EXC_GP, .type = EVENT_EXCEPTION,
                             .has_error = true };

    virt->inject(v, &e);
}

/* SDM vol. 3, 6.3 and 6.5: a data segment that grows down holds what is above its limit. */
static bool in_segment(const struct segment *s, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1, top = s->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;

    return (s->attr & (SEG_ATTR_S | 12)) == (SEG_ATTR_S | 4) ? offset > s->limit && last <= top
        : last <= s->limit;
}

/* Data is read and, bit 1, written; code is executed and, bit 1, read. In real mode none of it is
 * looked at. */
static bool has_right(const struct segment *s, const struct guest_paging *p, unsigned access)
{
    bool code = s->attr & 8, second = s->attr & 2;

    if (p->mode == MODE_REAL) {
        return true;
    }
    return (s->attr & SEG_ATTR_P) && (access & ACCESS_WRITE ? !code && second : !code || second);
}

bool linear_canonical(uint64_t a, const struct guest_paging *p)
{
    return is_canonical(a, p->cr4 & CR4_LA57 ? 57 : 48);
}

bool linear_address(struct vcpu *v, const struct guest_paging *p, enum segment_index seg,
                    uint64_t offset, unsigned size, unsigned access, uint64_t *linear)
{
    bool wide = p->mode == MODE_LONG64, based = !wide || seg == SEG_FS || seg == SEG_GS;
    struct segment s = { 0 };

    if (based) {
        virt->get_segment(v, seg, &s);
    }
    *linear = wide ? s.base + offset : (uint32_t)(s.base + offset);
    if (wide ? linear_canonical(*linear, p) && linear_canonical(*linear + size - 1, p)
             : has_right(&s, p, access) && in_segment(&s, offset, size)) {
        return true;
    }
    segment_fault(v, seg);
    return false;
}

uint64_t operand_offset(const struct vcpu *v, const struct insn_operand *o, unsigned len)
{
    uint64_t offset = (uint64_t)(int64_t)o->disp;

    offset += o->base != INSN_NO_REG ? v->regs.gpr[o->base] : 0;
    offset += o->index != INSN_NO_REG ? v->regs.gpr[o->index] * o->scale : 0;
    offset += o->rip ? v->regs.rip + len : 0;
    return offset & (o->address_bits == 64 ? ~0ULL : o->address_bits == 32 ? 0xffffffff : 0xffff);
}

bool operand_address(struct vcpu *v, const struct guest_paging *p, const struct insn_operand *o,
                     unsigned len, unsigned size, unsigned access, uint64_t *linear)
{
    return linear_address(v, p, segment_of(o->segment, o->stack ? SEG_SS : SEG_DS),
                          operand_offset(v, o, len), size, access, linear);
}

/* The byte at `at` and how many follow in its page. NULL: a fault is queued. */
static uint8_t *reach(struct vcpu *v, const struct guest_paging *p, uint64_t at, unsigned access,
                      size_t *room)
{
    struct walk w;
    enum walk_result r = guest_walk(&guest_phys_ops, p, gva(at), access, &w);
    const struct gm_fault f = { gva(at), w.error, w.canonical };
    uint8_t *byte = NULL;

    *room = (size_t)(PAGE_SIZE - (at & PAGE_MASK));
    if (r == WALK_FAULT) {
        hyp_inject_fault(v, &f);
        return NULL;
    }
    if (r == WALK_OK) {
        byte = w.ptr;
    } else if (access == ACCESS_READ) {
        byte = guest_phys_firmware(&w, ACCESS_READ);
    }
    if (!byte) {
        hyp_inject_gp(v); /* tables and buffers in device memory: not supported */
    }
    return byte;
}

bool linear_read(struct vcpu *v, const struct guest_paging *p, uint64_t at, void *to, size_t len)
{
    uint8_t *dst = to;

    for (size_t n, room; len > 0; at += n, dst += n, len -= n) {
        const uint8_t *src = reach(v, p, at, ACCESS_READ, &room);
        if (!src) {
            return false;
        }
        n = len < room ? len : room;
        memcpy(dst, src, n);
    }
    return true;
}

/* Where the `len` bytes lie, in at most two pages; `*first` are in the first one. */
static bool reach_all(struct vcpu *v, const struct guest_paging *p, uint64_t at, size_t len,
                      unsigned access, uint8_t *part[2], size_t *first)
{
    size_t room;

    part[0] = reach(v, p, at, access, &room);
    *first = room < len ? room : len;
    part[1] = part[0] && *first < len ? reach(v, p, at + *first, access, &room) : NULL;
    return part[0] && (*first == len || part[1]);
}

bool linear_reach(struct vcpu *v, const struct guest_paging *p, uint64_t at, size_t len,
                  unsigned access)
{
    uint8_t *part[2];
    size_t first;

    return reach_all(v, p, at, len, access, part, &first);
}

bool linear_write(struct vcpu *v, const struct guest_paging *p, uint64_t at, const void *from,
                  size_t len)
{
    uint8_t *part[2];
    size_t first;

    if (!reach_all(v, p, at, len, ACCESS_WRITE, part, &first)) {
        return false;
    }
    memcpy(part[0], from, first);
    if (first < len) {
        memcpy(part[1], (const uint8_t *)from + first, len - first);
    }
    return true;
}

bool linear_set_bits(struct vcpu *v, const struct guest_paging *p, uint64_t at, uint8_t bits)
{
    size_t room;
    uint8_t *byte = reach(v, p, at, ACCESS_WRITE, &room);

    if (byte) {
        atomic_fetch_or((_Atomic uint8_t *)byte, bits);
    }
    return byte;
}
