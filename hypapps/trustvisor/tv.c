/* SPDX-License-Identifier: MIT */
/* TrustVisor's callbacks: who calls, a stub or a command, and what CPUID tells. */
#include "tv.h"

bool tv_is_public(uint32_t cmd)
{
    return (cmd >= TV_HC_REG && cmd <= 13) || (cmd >= 21 && cmd <= 23) || cmd == TV_HC_TEST;
}

enum tv_error tv_caller_check(const struct hyp_caller *c)
{
    if (c->paging.cpl != 3) {
        return TV_BAD_CALLER;
    }
    return c->paging.mode == MODE_LONG64 ? TV_OK : TV_NOT_SUPPORTED;
}

enum hc_result tv_done(struct vcpu *v, enum tv_error e)
{
    v->regs.gpr[GPR_RAX] = e;
    return HC_DONE;
}

enum hc_result tv_fault(struct vcpu *v, const struct gm_fault *f)
{
    hyp_inject_fault(v, f);
    return HC_AGAIN;
}

static enum hc_result command(struct vcpu *v, const struct hyp_caller *c, uint32_t cmd)
{
    switch (cmd) {
    case TV_HC_REG:
        return tv_register(v, c);
    case TV_HC_UNREG:
        return tv_unregister(v, c);
    case TV_HC_TEST:
        return tv_done(v, TV_OK);
    case XMHF_HC_INFO:
        return HC_UNKNOWN; /* the core's, which asks us for our items */
    default:
        return tv_done(v, tv_is_public(cmd) ? TV_NOT_SUPPORTED : TV_UNKNOWN_COMMAND);
    }
}

/* No live PAL has a stub at RIP. HC_UNKNOWN: then it is a command. Otherwise a CPU may be
 * about to make that PAL live, or have just given its code back: the guest looks again. */
static enum hc_result no_live_stub(struct vcpu *v, const struct hyp_caller *c)
{
    enum stubs_found found = stubs_look(c, v->regs.rip);
    struct tv_slot *s;
    bool busy;

    if (found != STUBS_DEAD) {
        return found == STUBS_CHANGED ? HC_AGAIN : HC_UNKNOWN;
    }
    s = registry_get_idle(c->paging.cr3 & TV_CR3_ADDRESS, v->regs.rip, &busy);
    if (s != NULL) {
        registry_put(s);
    }
    if (busy) {
        return HC_AGAIN;
    }
    hyp_inject_ud(v);
    return HC_SWITCHED;
}

static enum hc_result tv_hypercall(struct vcpu *v, uint32_t cmd)
{
    struct hyp_caller c;
    struct tv_slot *s;

    hyp_caller(v, &c);
    s = registry_get(c.paging.cr3 & TV_CR3_ADDRESS, v->regs.rip, TV_IN(TV_LIVE),
                     call_hint(v));
    if (s != NULL) {
        enum hc_result r = call_stub(v, &c, s);
        if (r != HC_UNKNOWN) {
            return r;
        }
    }
    if (cmd == TV_HC_REG) {
        enum hc_result r = tv_register_step(v, &c);
        if (r != HC_UNKNOWN) {
            return r;
        }
    }
    /* Elsewhere RIP isn't a linear address, and there are no PALs. */
    if (c.paging.cpl == 3 && c.paging.mode == MODE_LONG64) {
        enum hc_result r = no_live_stub(v, &c);
        if (r != HC_UNKNOWN) {
            return r;
        }
    }
    return command(v, &c, cmd);
}

static void tv_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid_regs *r)
{
    struct hyp_caller c;

    if (leaf != TV_CPUID_LEAF || sub != 0) {
        return;
    }
    r->eax = TV_CPUID_REPLY_EAX;
    r->edx = 0;
    if (v->in_sandbox) {
        r->ebx = call_running_index(v);
        r->ecx = 1; /* CS.L: PALs are 64-bit so far */
    } else {
        hyp_caller(v, &c);
        r->ebx = TV_CPUID_NOT_IN_PAL;
        r->ecx = c.paging.mode == MODE_LONG64;
    }
}

/* A process learns about its own PALs only; the kernel counts all. */
static bool tv_info(struct vcpu *v, uint32_t which, uint64_t *value)
{
    struct hyp_caller c;

    hyp_caller(v, &c);
    switch (which) {
    case XMHF_INFO_PALS:
        *value = registry_count(c.paging.cpl == 3 ? c.paging.cr3 & TV_CR3_ADDRESS : REGISTRY_ALL);
        return true;
    case XMHF_INFO_LAST_DEATH:
        *value = death_last(c.paging.cr3 & TV_CR3_ADDRESS);
        return true;
    case XMHF_INFO_HASH_TICKS:
        *value = register_hash_ticks();
        return true;
    default:
        return false;
    }
}

static int tv_init(void)
{
    registry_init();
    if (!space_global_init() || !call_init()) {
        log_line("trustvisor: no memory for the gate and the initial FPU state");
        return -1;
    }
    log_line("trustvisor: %u PALs at most, %zu pages for them", TV_SLOTS, pool_free_count());
    return 0;
}

const struct hypapp hypapp = {
    .name = "trustvisor",
    .init = tv_init,
    .cpuid = tv_cpuid,
    .hypercall = tv_hypercall,
    .sandbox_exit = call_exit,
    .info = tv_info,
};
