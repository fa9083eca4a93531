/* SPDX-License-Identifier: MIT */
/* What a process may ask about PALs: limits, and statistics of its own. */
#include "query.h"
#include "caller.h"
#include "death.h"
#include "registry.h"
#include "stubs.h"

/* Give the caller a structure at RCX that it expects to have RSI bytes. */
static enum hc_result give(struct vcpu *v, const struct hyp_caller *c, const void *what,
                           uint64_t size)
{
    const uint64_t to = tv_arg(v, c, GPR_RCX);
    struct gm_fault f;
    enum gm_result r = tv_reaches(c, to, size, &f) ? gm_write(c, gva(to), what, size, &f)
                                                   : GM_FAULT;

    return r == GM_FAULT ? tv_fault(v, &f) : tv_done(v, r == GM_OK ? TV_OK : TV_NOT_RAM);
}

enum hc_result tv_limits(struct vcpu *v, const struct hyp_caller *c)
{
    struct xmhf_pal_limits l = {
        .version = XMHF_MODULE_VERSION,
        .features = XMHF_FEATURE_CDECL | XMHF_FEATURE_SYSV | XMHF_FEATURE_MICROSOFT
            | XMHF_FEATURE_BUDGET | XMHF_FEATURE_STACKS | XMHF_FEATURE_IMAGE | TV_MODES,
        .sections = XMHF_MODULE_SECTIONS,
        .params = XMHF_MODULE_PARAMS,
        .entries = XMHF_MODULE_ENTRIES,
        .stacks = XMHF_MODULE_STACKS,
        .pages = TV_PAGES_MAX,
        .area = TV_AREA_MAX,
        .pals_max = TV_SLOTS,
        .pages_max = pool_total(),
        .pages_free = pool_free_count(),
        .own_pals_max = TV_PALS_PER_PROCESS,
        .own_pages_max = tv_pages_per_process(pool_total()),
        .image_area = XMHF_IMAGE_AREA,
    };
    const uint64_t size = tv_arg(v, c, GPR_RSI);

    if (size != sizeof(l) && size != XMHF_PAL_LIMITS_SHORT) {
        return tv_done(v, TV_BAD_STRUCT);
    }
    l.own_pals = registry_charge(tv_owner(&c->paging), &l.own_pages);
    return give(v, c, &l, size);
}

enum hc_result tv_stats(struct vcpu *v, const struct hyp_caller *c)
{
    const uint64_t owner = tv_owner(&c->paging), entry = tv_arg(v, c, GPR_RDI);
    struct tv_slot *s = registry_get(owner, entry, TV_IN(TV_LIVE) | TV_IN(TV_LEAVING), NULL);
    uint64_t size = tv_arg(v, c, GPR_RSI);
    struct xmhf_pal_stats st;
    bool found = s && s->pal->image.entry == entry;
    struct gm_fault f;
    enum stubs_answer stubs = STUBS_THERE;

    if (found && slot_state(atomic_load(&s->life)) == TV_LIVE) {
        stubs = stubs_check(s->pal, c, &f);
        found = stubs == STUBS_THERE; /* else another process may have the owner's CR3 */
    }
    if (found) {
        death_stats(s->pal, &st);
    }
    if (s) {
        registry_put(s);
    }
    if (stubs == STUBS_FAULT) {
        return tv_fault(v, &f);
    }
    if (size != sizeof(st) && size != XMHF_PAL_STATS_IDENTITY && size != XMHF_PAL_STATS_SHORT) {
        return tv_done(v, TV_BAD_STRUCT);
    }
    if (stubs == STUBS_GONE || (!found && !death_last_stats(owner, entry, &st))) {
        return tv_done(v, TV_NOT_FOUND);
    }
    return give(v, c, &st, size);
}
