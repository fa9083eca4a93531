/* SPDX-License-Identifier: MIT */
/* XMHF_HC_PAL_READ: of a debug PAL, and of no other, what its process asks for. */
#include "read.h"
#include "caller.h"
#include "own.h"
#include "registry.h"
#include "stubs.h"
#include <util/string.h>
#include <xmhf/image.h>

static enum hc_result end(struct vcpu *v, enum gm_result r, const struct gm_fault *f)
{
    return r == GM_FAULT ? tv_fault(v, f) : tv_done(v, r == GM_OK ? TV_OK : TV_NOT_RAM);
}

/* Has the PAL a section at each of these bytes? */
static bool all_there(const struct tv_pal *pal, uint64_t va, uint32_t n)
{
    while (n > 0) {
        uint32_t part = n;
        if (!own_at(pal, va, &part)) {
            return false;
        }
        va += part;
        n -= part;
    }
    return true;
}

static enum hc_result memory(struct vcpu *v, const struct hyp_caller *c, const struct tv_pal *pal,
                             const struct xmhf_pal_read *q)
{
    struct gm_fault f;
    enum gm_result r = tv_reaches(c, q->to, q->bytes, &f) ? GM_OK : GM_FAULT;

    if (q->bytes > XMHF_READ_MAX) {
        return tv_done(v, TV_TOO_LONG);
    }
    if (!all_there(pal, q->address, q->bytes)) {
        return tv_done(v, TV_BAD_ADDRESS);
    }
    for (uint32_t done = 0; r == GM_OK && done < q->bytes;) {
        uint32_t part = q->bytes - done;
        const void *from = own_at(pal, q->address + done, &part);
        r = gm_write(c, gva(q->to + done), from, part, &f);
        done += part;
    }
    return end(v, r, &f);
}

static uint32_t told(uint32_t state)
{
    switch (state) {
    case ACT_FREE: return XMHF_CALL_NONE;
    case ACT_INTERRUPTED: return XMHF_CALL_INTERRUPTED;
    case ACT_TELLING:
    case ACT_OCALL: return XMHF_CALL_OCALL;
    case ACT_RETURNING: return XMHF_CALL_DONE;
    default: return XMHF_CALL_RUNNING;
    }
}

/* The registers of a call that waits. It is closed meanwhile, as by who wants to unregister: who
 * comes with its token tries again. */
static void look(struct tv_activation *act, struct xmhf_pal_registers *to)
{
    uint32_t state = atomic_load(&act->state);

    *to = (struct xmhf_pal_registers){ .state = told(state) };
    if (to->state != XMHF_CALL_INTERRUPTED && to->state != XMHF_CALL_OCALL) {
        return;
    }
    if (!atomic_compare_exchange_strong(&act->state, &state, ACT_CLAIMED)) {
        to->state = XMHF_CALL_RUNNING;
        return;
    }
    memcpy(to->gpr, act->regs.gpr, sizeof(to->gpr));
    to->rip = act->code_base + act->regs.rip;
    to->rflags = act->regs.rflags;
    atomic_store(&act->state, state);
}

static enum hc_result registers(struct vcpu *v, const struct hyp_caller *c, struct tv_pal *pal,
                                const struct xmhf_pal_read *q)
{
    struct xmhf_pal_registers r;
    struct gm_fault f;

    if (q->bytes != sizeof(r)) {
        return tv_done(v, TV_BAD_STRUCT);
    }
    if (q->address >= pal->image.stacks) {
        return tv_done(v, TV_BAD_STACKS);
    }
    look(tv_act(pal, (uint32_t)q->address), &r);
    return end(v, tv_reaches(c, q->to, sizeof(r), &f) ? gm_write(c, gva(q->to), &r, sizeof(r), &f)
                                                      : GM_FAULT, &f);
}

/* Of a PAL whose nonce isn't there any more nobody is told anything: the caller may be another
 * process with the owner's CR3. */
static enum hc_result answer(struct vcpu *v, const struct hyp_caller *c, struct tv_pal *pal,
                             const struct xmhf_pal_read *q)
{
    struct gm_fault f;

    switch (stubs_check(pal, c, &f)) {
    case STUBS_FAULT: return tv_fault(v, &f);
    case STUBS_GONE: return tv_done(v, TV_NOT_FOUND);
    default: break;
    }
    if (!pal->image.image || !(pal->image.flags & XMHF_IMAGE_DEBUG)) {
        return tv_done(v, TV_NOT_DEBUG);
    }
    switch (q->what) {
    case XMHF_READ_MEMORY: return memory(v, c, pal, q);
    case XMHF_READ_REGISTERS: return registers(v, c, pal, q);
    default: return tv_done(v, TV_BAD_STRUCT);
    }
}

enum hc_result tv_read(struct vcpu *v, const struct hyp_caller *c)
{
    const uint64_t from = tv_arg(v, c, GPR_RCX);
    struct xmhf_pal_read q;
    struct gm_fault f;
    enum gm_result r = tv_reaches(c, from, sizeof(q), &f)
        ? gm_read(c, gva(from), &q, sizeof(q), &f) : GM_FAULT;
    enum hc_result done;
    struct tv_slot *s;

    if (r != GM_OK) {
        return end(v, r, &f);
    }
    if (q.size != sizeof(q) || q.reserved != 0) {
        return tv_done(v, TV_BAD_STRUCT);
    }
    s = registry_get(tv_owner(&c->paging), q.stubs, TV_IN(TV_LIVE), NULL);
    if (!s) {
        return tv_done(v, TV_NOT_FOUND);
    }
    done = s->pal->image.entry == q.stubs ? answer(v, c, s->pal, &q) : tv_done(v, TV_NOT_FOUND);
    registry_put(s);
    return done;
}
