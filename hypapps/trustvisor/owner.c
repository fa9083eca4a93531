/* SPDX-License-Identifier: MIT */
/*
 * Is the owner of a PAL still there? The core doesn't see a process end, so its page tables are looked
 * at, by the CR3 of the registration. A page that is away is no sign of an end: an OS takes pages away
 * to swap and move them, and to see who uses them. What proves that the owner has gone:
 *
 *   - other memory is where its stubs were, or nothing that ring 3 could have there;
 *   - its top table isn't one of this kernel's: a CPU in ring 3 finds its TSS by the process's own page
 *     tables whenever an interrupt comes, whatever the OS hides from it (KPTI, KVA shadow), so each
 *     process's lead to it. A frame that has become something else doesn't;
 *   - its tables are gone: an entry that covers 1 GiB or more is zero (512 GiB and 1 GiB in long mode, 1 GiB
 *     with PAE). Linux clears those when nothing is mapped there any more, at the end of the process in any
 *     case, and at no other time; Windows when it has no page table below. With 32-bit paging such an
 *     entry covers 4 MiB, and is zero for a moment when Linux makes a huge page: there no entry at all
 *     may be left for ring 3;
 *   - an entry below is zero, and those above are other tables than they were: they were torn down.
 *
 * Everything else may come back: an absent entry that isn't zero (swap, migration, NUMA balancing;
 * Windows' transition and prototype entries, also of whole tables), and a zero entry below 1 GiB (a file's
 * page, or khugepaged at work).
 */
#include "tv.h"
#include <util/string.h>

static unsigned levels(const struct guest_paging *p)
{
    return p->efer & EFER_LMA ? 4 : p->cr4 & CR4_PAE ? 3 : 2;
}

/* Entries from the top that cover 1 GiB or more. */
static unsigned upper(const struct guest_paging *p)
{
    return levels(p) - 2;
}

void owner_remember(struct tv_pal *pal)
{
    struct trace t;

    gm_trace(&pal->owner, gva(pal->nonce_va), &t);
    for (unsigned i = 0; i < ARRAY_SIZE(pal->upper); i++) {
        pal->upper[i] = t.entry[i] & PTE_ADDR;
    }
}

/* Are the upper tables others than when the PAL was registered? */
static bool torn_down(const struct tv_pal *pal, const struct trace *t)
{
    for (unsigned i = 0; i < upper(&pal->owner); i++) {
        if ((t->entry[i] & PTE_ADDR) != pal->upper[i]) {
            return true;
        }
    }
    return false;
}

/* The way ends at an absent entry. */
static bool gone_for_good(struct vcpu *v, const struct tv_pal *pal, const struct trace *t)
{
    if (!gm_same_kernel(v, &pal->owner)) {
        return true;
    }
    if (t->entry[t->depth - 1] != 0) {
        return false;
    }
    if (levels(&pal->owner) == 2) {
        return t->depth == 1 && gm_no_user(&pal->owner);
    }
    return t->depth <= upper(&pal->owner) || torn_down(pal, t);
}

unsigned owner_cost(const struct tv_pal *pal)
{
    return levels(&pal->owner) == 2 ? 4 : 1;
}

enum owner_answer owner_look(struct vcpu *v, const struct tv_pal *pal, uint64_t va,
                             const void *expected, size_t n)
{
    struct hyp_caller owner = { .paging = pal->owner, .peek = true };
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
