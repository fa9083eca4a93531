/* SPDX-License-Identifier: MIT */
/*
 * Judges whether a PAL's owner is still there. The core doesn't see a process end, so its page
 * tables are looked at, by the CR3 of the registration. A page that is away is no sign of an end:
 * an OS takes pages away to swap and move them, and to see who uses them. What proves that the
 * owner has gone:
 *
 *   - other memory is where its stubs were, or nothing that ring 3 could have there;
 *   - its top table isn't one of this kernel's: a CPU in ring 3 finds its TSS by the process's own
 *     page tables whenever an interrupt comes, whatever the OS hides from it (KPTI, KVA shadow), so
 *     each process's lead to it. A frame that has become something else doesn't;
 *   - its tables are gone: in long mode an entry that covers 1 GiB or 512 GiB is zero. Linux clears
 *     those when nothing is mapped there any more, at the end of the process in any case, and at no
 *     other time; Windows when it has no page table below;
 *   - an entry below is zero, and those above are other tables than they were: they were torn down;
 *   - with PAE and 32-bit paging, any entry that is zero, or another page table than there was.
 *     Linux leaves PAE's directories linked when a process has gone, and what their frames become
 *     may look like pages that are away.
 *
 * Everything else may come back: an absent entry that isn't zero (swap, migration, NUMA balancing;
 * Windows' transition and prototype entries, also of whole tables), and in long mode a zero entry
 * below 1 GiB (a file's page, or khugepaged at work). Under a 32-bit kernel those, and a page table
 * that comes back elsewhere, may cost a live owner its PAL.
 */
#include "owner.h"
#include <util/string.h>

#define UPPER ARRAY_SIZE(((struct tv_pal *)NULL)->upper)

void owner_remember(struct tv_pal *pal)
{
    struct trace t;

    gm_trace(&pal->owner, gva(pal->nonce_va), &t);
    for (unsigned i = 0; i < UPPER; i++) {
        pal->upper[i] = i + 1 < t.depth ? t.entry[i] & PTE_ADDR : 0; /* 0: that was no table */
    }
}

/* Are the upper tables others than when the PAL was registered? */
static bool torn_down(const struct tv_pal *pal, const struct trace *t)
{
    for (unsigned i = 0; i < UPPER; i++) {
        if (pal->upper[i] != 0 && (t->entry[i] & PTE_ADDR) != pal->upper[i]) {
            return true;
        }
    }
    return false;
}

/* The way ends at an absent entry. */
static bool gone_for_good(struct vcpu *v, const struct tv_pal *pal, const struct trace *t)
{
    const bool zero = t->entry[t->depth - 1] == 0;

    if (!gm_same_kernel(v, &pal->owner)) {
        return true;
    }
    if (!(pal->owner.efer & EFER_LMA)) {
        return zero || torn_down(pal, t);
    }
    return zero && (t->depth <= UPPER || torn_down(pal, t));
}

enum owner_answer owner_look(struct vcpu *v, const struct tv_pal *pal, uint64_t va,
                             const void *expected, size_t n)
{
    struct hyp_caller owner = { .paging = pal->owner, .no_ad = true };
    uint8_t seen[OWNER_LOOK_MAX];
    struct gm_fault f;
    struct trace t;

    switch (gm_read(&owner, gva(va), seen, n, &f)) {
    case GM_OK:
        return memcmp(seen, expected, n) == 0 ? OWNER_THERE : OWNER_GONE;
    case GM_FAULT:
        break;
    default:
        return OWNER_GONE;
    }
    if (f.error & PF_PRESENT) {
        return OWNER_GONE; /* forbidden for ring 3, or reserved bits */
    }
    gm_trace(&pal->owner, gva(va), &t);
    if (t.end != TRACE_ABSENT) {
        return OWNER_AWAY; /* it changes just now */
    }
    return gone_for_good(v, pal, &t) ? OWNER_GONE : OWNER_AWAY;
}
