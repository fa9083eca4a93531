/* SPDX-License-Identifier: MIT */
/* TrustVisor's callbacks: tells a call of a PAL from a command, and answers CPUID and options. */
#include "call.h"
#include "caller.h"
#include "death.h"
#include "query.h"
#include "read.h"
#include "register.h"
#include "register_phases.h"
#include "registry.h"
#include "stubs.h"
#include "unregister.h"

/* `who`: what tv_caller_check says. */
static enum hc_result command(struct vcpu *v, const struct hyp_caller *c, enum tv_error who,
                              uint32_t cmd)
{
    switch (cmd) {
    case TV_HC_REG:
        return who == TV_OK ? tv_register(v, c) : tv_done(v, who);
    case XMHF_HC_MODULE_REGISTER:
        return who == TV_OK ? tv_register_module(v, c) : tv_done(v, who);
    case XMHF_HC_IMAGE_REGISTER:
        return who == TV_OK ? tv_register_image(v, c) : tv_done(v, who);
    case TV_HC_UNREG:
    case XMHF_HC_MODULE_UNREGISTER:
    case XMHF_HC_IMAGE_UNREGISTER:
        return who == TV_OK ? tv_unregister(v, c) : tv_done(v, who);
    case XMHF_HC_PAL_LIMITS:
        return who == TV_OK ? tv_limits(v, c) : tv_done(v, who);
    case XMHF_HC_PAL_STATS:
        return who == TV_OK ? tv_stats(v, c) : tv_done(v, who);
    case XMHF_HC_PAL_READ:
        return who == TV_OK ? tv_read(v, c) : tv_done(v, who);
    case TV_HC_TEST:
        return tv_done(v, TV_OK);
    case XMHF_HC_INFO:
        return HC_UNKNOWN; /* the core's, which asks us for our items */
    default:
        return tv_done(v, tv_is_public(cmd) ? TV_NOT_SUPPORTED : TV_UNKNOWN_COMMAND);
    }
}

/* Is a CPU about to make a PAL with stubs in the page of RIP live, or to give its code back, or
 * has it just become live? */
static bool changes_now(struct vcpu *v, const struct hyp_caller *c)
{
    const uint64_t owner = tv_owner(&c->paging);
    bool busy;
    struct tv_slot *s = registry_get_idle(owner, v->regs.rip, &busy);

    if (!s && !busy) {
        s = registry_get(owner, v->regs.rip, TV_IN(TV_LIVE) | TV_IN(TV_LEAVING), NULL);
        busy = s && (slot_state(atomic_load(&s->life)) == TV_LIVE || unregister_works(s->pal));
    }
    if (s) {
        registry_put(s);
    }
    return busy;
}

/* No live PAL has a stub at RIP; `other`: one has stubs in its page. HC_UNKNOWN: then it is a
 * command. Otherwise a CPU may be making that PAL live or ending it just now, or have just done
 * so: the guest looks again. */
static enum hc_result no_live_stub(struct vcpu *v, const struct hyp_caller *c, bool other)
{
    enum stubs_found found = stubs_look(c, v->regs.rip);

    if (found != STUBS_DEAD) {
        return found == STUBS_CHANGED ? HC_AGAIN : HC_UNKNOWN;
    }
    if (!other && changes_now(v, c)) {
        return HC_AGAIN;
    }
    return call_dead_stub(v, c);
}

/* The next step of a registration, whose caller's registers have its token. */
static enum hc_result next_step(struct vcpu *v, const struct hyp_caller *c, uint32_t cmd)
{
    return cmd == TV_HC_REG || cmd == XMHF_HC_MODULE_REGISTER || cmd == XMHF_HC_IMAGE_REGISTER
               ? tv_register_step(v, c) : HC_UNKNOWN;
}

/* What else than a new command it may be. HC_UNKNOWN: nothing. */
static enum hc_result stub_or_step(struct vcpu *v, const struct hyp_caller *c, uint32_t cmd)
{
    enum hc_result r = next_step(v, c, cmd);

    if (r != HC_UNKNOWN) {
        return r;
    }
    struct tv_slot *s = registry_get(tv_owner(&c->paging), v->regs.rip, TV_IN(TV_LIVE),
                                     call_hint(v));
    const bool found = s;
    if (found) {
        r = call_stub(v, c, s);
    }
    return r == HC_UNKNOWN ? no_live_stub(v, c, found) : r;
}

static enum hc_result tv_hypercall(struct vcpu *v, uint32_t cmd)
{
    enum hc_result r = HC_UNKNOWN;
    struct hyp_caller c;
    enum tv_error who;

    if (registry_reap_waits()) {
        /* Who killed it has wiped as much as one exit may, or somebody else's reference was
         * the last: whoever comes next goes on. */
        death_reap(v, TV_ATOMIC_PAGES);
        return HC_AGAIN;
    }
    hyp_caller(v, &c);
    who = tv_caller_check(v, &c);
    if (who == TV_OK) { /* others have no PALs, and their RIP may be no linear address */
        r = stub_or_step(v, &c, cmd);
    }
    return r == HC_UNKNOWN ? command(v, &c, who, cmd) : r;
}

static bool tv_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid_regs *r)
{
    struct hyp_caller c;

    if (leaf != TV_CPUID_LEAF || sub != 0) {
        return false;
    }
    r->eax = TV_CPUID_REPLY_EAX;
    r->edx = 0;
    if (v->in_sandbox) {
        const struct tv_slot *s = call_running(v);
        r->ebx = registry_index(s);
        r->ecx = s->pal->image.mode == PAL_ID_MODE_64; /* CS.L */
    } else {
        hyp_caller(v, &c);
        r->ebx = TV_CPUID_NOT_IN_PAL;
        r->ecx = tv_is_64(&c);
    }
    return true; /* it depends on the caller */
}

/* A process learns about its own PALs only; the kernel counts all. */
static bool tv_info(struct vcpu *v, uint32_t which, uint64_t *value)
{
    struct hyp_caller c;

    hyp_caller(v, &c);
    switch (which) {
    case XMHF_INFO_PALS:
        *value = registry_count(c.paging.cpl == 3 ? tv_owner(&c.paging) : REGISTRY_ALL);
        return true;
    case XMHF_INFO_LAST_DEATH:
        *value = death_last(tv_owner(&c.paging));
        return true;
    case XMHF_INFO_HASH_TICKS:
        *value = register_hash_ticks();
        return true;
    default:
        return false;
    }
}

/* Hours; and the ticks of several calls can be added up. */
#define PALBUDGET_MAX 100000

static bool set_palbudget(const char *value)
{
    unsigned n;

    if (!options_number(value, 10, 1, PALBUDGET_MAX, &n)) {
        return false;
    }
    tv_budget = n * 1000000000ULL;
    return true;
}

/* README.md's table says what they are for. */
static const struct option_more tv_options[] = {
    { "palbudget", "1 to " OPTIONS_TEXT(PALBUDGET_MAX), set_palbudget },
    { 0 },
};

static int tv_init(void)
{
    registry_init();
    if (!space_global_init() || !call_init()) {
        log_line("trustvisor: no memory for the return page and the initial FPU state");
        return -1;
    }
    log_line("trustvisor: %u PALs at most, %zu pages for them", TV_SLOTS, pool_free_count());
    return 0;
}

const struct hypapp hypapp = {
    .name = "trustvisor",
    .options = tv_options,
    .init = tv_init,
    .cpuid = tv_cpuid,
    .hypercall = tv_hypercall,
    .sandbox_exit = call_exit,
    .info = tv_info,
};
