/* SPDX-License-Identifier: MIT */
/*
 * Software walk of the guest's page tables, with the rights of the caller
 * (SDM vol. 3, 4.3-4.7; APM vol. 2, 5.3-5.6): no paging, 32-bit, PAE, 4-level and
 * 5-level. Every table is fetched through `phys`, which refuses anything that isn't
 * guest RAM. Effective rights are the AND over all levels. Accessed and dirty bits
 * are set as the CPU would, by compare-and-exchange, and each entry is read once.
 */
#ifndef XMHF_GUEST_WALK_H
#define XMHF_GUEST_WALK_H

#include <cpu/vcpu.h>
#include <xmhf/access.h>
#include <xmhf/types.h>

/* #PF error-code bits (SDM vol. 3, 4.7). */
#define PF_PRESENT 0x01u
#define PF_WRITE   0x02u
#define PF_USER    0x04u
#define PF_RSVD    0x08u
#define PF_FETCH   0x10u
#define PF_PK      0x20u

enum walk_result {
    WALK_OK = 0,
    WALK_FAULT,      /* the guest gets #PF: see walk.error; or #GP if !canonical */
    WALK_NOT_RAM,    /* a table or the page itself isn't guest RAM, or a right to it that this
                        access needs is taken away (guest_phys_ops.rights) */
};

struct walk {
    gpa_t gpa;            /* of the byte asked for, on WALK_OK; on WALK_NOT_RAM of what
                             isn't RAM: that byte, or the table entry */
    void *ptr;            /* core pointer to that byte, on WALK_OK; good to the page's end */
    unsigned rights;      /* effective ACCESS_READ|WRITE|EXEC|USER over all levels */
    uint32_t error;       /* #PF error code on WALK_FAULT */
    bool canonical;       /* false: the address isn't canonical: #GP, not #PF */
    bool beside_ram;      /* on WALK_NOT_RAM: `gpa` is the byte asked for, and it isn't RAM */
};

/* How the walker reaches guest RAM; a fake in the unit tests. */
struct guest_phys_ops {
    /* Core pointer to guest-physical [gpa, gpa+len) within one page, or NULL if it
     * isn't ordinary guest RAM. Whole 4 KiB pages are RAM or not. */
    void *(*map)(gpa_t gpa, size_t len);
    /* The largest pieces of RAM, whole pages, and the core address that guest-physical 0
     * would have: what lies there is found without `map`. Size 0: no such piece. */
    struct { uint64_t start, size; } window[3];
    uint64_t base;
    /* NULL: all RAM can be read, written and executed. Else the rights (ACCESS_*) of a page of RAM,
     * less those that the hypapp has taken away: tables need READ, and WRITE where a bit is set in
     * them; the page what the access needs, READ at least (EXEC_USER will do by a user's address).
     * There is no window then. */
    unsigned (*rights)(gpa_t page);
    uint8_t maxphyaddr;   /* of the CPU, 32..52: higher address bits are reserved */
    bool page1g;          /* CPUID 8000_0001:EDX[26] as the guest sees it */
};

/*
 * Translate `va` for an access of the kinds in `access` (ACCESS_READ/WRITE/EXEC;
 * with ACCESS_USER it is checked as a ring-3 access whatever p->cpl says; without, the
 * CPL decides). Supervisor accesses honour CR0.WP, SMEP, SMAP; data accesses to user
 * pages honour PKRU in long mode.
 * A write sets the dirty bit of the leaf. Nothing else changes.
 *
 * `va` is a linear address: outside long mode it must be below 2^32 (the caller wraps
 * segment base + offset), else the result is as for a non-canonical one.
 *
 * Long mode's PDPTEs and PAE's are both read from memory. With VMX the CPU holds PAE's
 * four in the VMCS instead; they differ from memory only between a guest's edit of them
 * and its next CR3 load.
 *
 * A guest CPU that changes an entry again and again while it is used can make the walk
 * end in WALK_FAULT: a spurious #PF, which an OS must survive anyway.
 */
enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out);

/* Remember the walk for ring 3's `access` to `va`, if it is one of 4 levels that sets no bit in
 * any entry and that no protection key has a say in. `access` 0: to code that the CPU has just
 * fetched, so that rights aren't asked for. */
void walk_remember(const struct guest_phys_ops *phys, const struct guest_paging *p, gva_t va,
                   unsigned access, struct walk_memo *m);

/* Would the walk that `m` remembers end at m->bytes again? Reads each entry. The caller puts into
 * `other` whatever else must be 0 for that. Always inlined, for virt/fast_path.h. */
static inline __attribute__((always_inline))
bool walk_same(const struct walk_memo *m, uint64_t cr3, uint64_t cr4, uint64_t efer, uint64_t va,
               uint64_t other)
{
    uint64_t changed = (m->page ^ va >> PAGE_SHIFT) | (m->cr3 ^ cr3) | (m->cr4 ^ cr4) |
                       (m->efer ^ efer) | other;

#define WALK_CHANGED(i) (atomic_load_explicit(m->entry[i], memory_order_relaxed) ^ m->value[i])
    return changed == 0 && m->bytes != NULL
           && (WALK_CHANGED(0) | WALK_CHANGED(1) | WALK_CHANGED(2) | WALK_CHANGED(3)) == 0;
#undef WALK_CHANGED
}

/* walk_same for the paging state `p` and the kind of access that was remembered; false while
 * rights of pages are judged (phys->rights). */
static inline bool walk_again(const struct guest_phys_ops *phys, const struct walk_memo *m,
                              const struct guest_paging *p, gva_t va)
{
    return walk_same(m, p->cr3, p->cr4, p->efer, va.a, p->pkru | (uintptr_t)phys->rights);
}

#endif
