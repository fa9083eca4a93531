/* SPDX-License-Identifier: MIT */
/* What page tables hold now: see trace.h. Formats: SDM vol. 3, 4.3 to 4.5. */
#include <guest/trace.h>
#include <stdatomic.h>
#include <x86/cpu.h>

struct format { unsigned shift, bits, size; uint64_t table; };

static struct format format_of(const struct guest_paging *p)
{
    if (p->efer & EFER_LMA) {
        return (struct format){ 39, 9, 8, p->cr3 & CR3_ADDR };
    }
    return p->cr4 & CR4_PAE ? (struct format){ 30, 2, 8, p->cr3 & 0xffffffe0u }
                            : (struct format){ 22, 10, 4, p->cr3 & 0xfffff000u };
}

static bool read_entry(const struct guest_phys_ops *phys, uint64_t at, unsigned size, uint64_t *e)
{
    void *entry = phys->map(gpa(at), size);

    if (entry) {
        *e = size == 8 ? atomic_load_explicit((_Atomic uint64_t *)entry, memory_order_relaxed)
                       : atomic_load_explicit((_Atomic uint32_t *)entry, memory_order_relaxed);
    }
    return entry != NULL;
}

/* Is an entry whose index is at va[shift] a leaf? PDPTEs of PAE can't be one. */
static bool is_leaf(const struct guest_paging *p, uint64_t e, unsigned shift)
{
    if (shift == PAGE_SHIFT) {
        return true;
    }
    return (e & PTE_PS) && (shift == 21 || (shift == 30 && (p->efer & EFER_LMA))
                            || (shift == 22 && (p->cr4 & CR4_PSE)));
}

void guest_trace(const struct guest_phys_ops *phys, const struct guest_paging *p, gva_t va,
                 struct trace *t)
{
    struct format f = format_of(p);

    *t = (struct trace){ .end = TRACE_NOWHERE };
    for (;;) {
        uint64_t index = va.a >> f.shift & ((1u << f.bits) - 1), e;
        if (!read_entry(phys, f.table + index * f.size, f.size, &e)) {
            return;
        }
        t->entry[t->depth++] = e;
        if (!(e & PTE_P)) {
            t->end = TRACE_ABSENT;
            return;
        }
        if (is_leaf(p, e, f.shift)) {
            t->end = TRACE_PAGE;
            return;
        }
        f.table = e & PTE_ADDR;
        f.bits = f.size == 8 ? 9 : 10;
        f.shift -= f.bits;
    }
}

bool trace_same(const struct guest_phys_ops *phys, const struct guest_paging *p,
                const struct guest_paging *q, gva_t va)
{
    struct guest_paging kernel[2] = { *p, *q };
    gpa_t at[2];

    for (unsigned i = 0; i < 2; i++) {
        struct walk w;
        kernel[i].cpl = 0;
        if (guest_walk(phys, &kernel[i], va, ACCESS_READ | ACCESS_NO_AD, &w) != WALK_OK) {
            return false;
        }
        at[i] = w.gpa;
    }
    return at[0].a == at[1].a;
}
