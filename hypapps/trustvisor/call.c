/* SPDX-License-Identifier: MIT */
/*
 * Calls: into the sandbox from the entry stub, out of it at the gate, and in between
 * through the resume stub as often as interrupts come. A CPU in the sandbox holds a
 * reference to the PAL and owns its activation (ACT_RUNNING).
 */
#include "tv.h"

static struct tv_cpu cpus[CPU_MAX];
static void *initial_xstate;   /* FPU state at each entry */

bool call_init(void)
{
    if (xstate_size() > PAGE_SIZE) {
        log_line("trustvisor: FPU state of %zu bytes doesn't fit a page", xstate_size());
        return false;
    }
    initial_xstate = pool_alloc();
    if (initial_xstate == NULL) {
        return false;
    }
    xstate_init(initial_xstate);
    return true;
}

static struct tv_cpu *this_cpu(const struct vcpu *v)
{
    return &cpus[v->index];
}

struct tv_slot *call_hint(const struct vcpu *v)
{
    return this_cpu(v)->last;
}

const struct tv_slot *call_running(const struct vcpu *v)
{
    return this_cpu(v)->running;
}

/* --- memory --------------------------------------------------------------------- */

/* The part of the control page that struct tv_pal takes, so that FPU state can follow. */
#define CONTROL_SIZE ((sizeof(struct tv_pal) + 63) & ~(size_t)63)

static bool xstate_inside(void)
{
    return CONTROL_SIZE + xstate_size() <= PAGE_SIZE;
}

bool call_attach(struct tv_pal *pal)
{
    pal->act.xstate = xstate_inside() ? (uint8_t *)pal + CONTROL_SIZE : pool_alloc();
    return pal->act.xstate != NULL;
}

/* Only what was used is wiped, as with tables: it is half of the cost. */
void call_free(struct tv_pal *pal)
{
    size_t used = CONTROL_SIZE;

    if (pal->act.xstate != NULL && !xstate_inside()) {
        pool_free_dirty(pal->act.xstate);
    } else if (pal->act.xstate_used) {
        used += align_up(xstate_size(), 8);
    }
    hw_fill64(pal, 0, used / 8);
    pool_free(pal);
}

/* --- the OS's thread, seen again after the sandbox ------------------------------ */

/* Set all registers: RSP and RFLAGS as at the call, the token, all others zero. */
static void thread_waits(struct vcpu *v, const struct tv_pal *pal, const uint64_t token[2])
{
    const struct vcpu_regs *old = &pal->act.caller.regs;
    uint64_t *gpr = v->regs.gpr;

    v->regs = (struct vcpu_regs){ .rip = pal->resume, .rflags = old->rflags };
    gpr[GPR_RSP] = old->gpr[GPR_RSP];
    gpr[GPR_RAX] = token[0];
    gpr[GPR_RDX] = token[1];
    if (!pal->image.wide) {
        gpr[GPR_RAX] = (uint32_t)token[0];
        gpr[GPR_RDX] = token[0] >> 32;
        gpr[GPR_RCX] = (uint32_t)token[1];
        gpr[GPR_RBX] = token[1] >> 32;
        for (unsigned i = GPR_R8; i <= GPR_R15; i++) {
            gpr[i] = old->gpr[i];
        }
    }
    virt->clear_shadow(v);
}

/* The token in the registers of a thread at the resume stub. */
static void token_of(const struct vcpu *v, const struct tv_pal *pal, uint64_t token[2])
{
    const uint64_t *gpr = v->regs.gpr;

    token[0] = gpr[GPR_RAX];
    token[1] = gpr[GPR_RDX];
    if (!pal->image.wide) {
        token[0] = (uint32_t)gpr[GPR_RAX] | gpr[GPR_RDX] << 32;
        token[1] = (uint32_t)gpr[GPR_RCX] | gpr[GPR_RBX] << 32;
    }
}

/* Registers that cdecl preserves as at the call, and those that 32-bit code can't reach; EAX;
 * ECX and EDX zero. */
static void narrow_goes_on(struct vcpu *v, const struct tv_caller *k, uint64_t rip, uint64_t rsp,
                           uint64_t rax)
{
    uint64_t *gpr = v->regs.gpr;

    v->regs = k->regs;
    gpr[GPR_RCX] = gpr[GPR_RDX] = 0;
    gpr[GPR_RAX] = (uint32_t)rax;
    gpr[GPR_RSP] = (uint32_t)rsp;
    v->regs.rip = (uint32_t)rip;
}

/* Those that the System V convention preserves as at the call, RAX, all others zero. One by
 * one, since every call comes here. */
static void wide_goes_on(struct vcpu *v, const struct tv_caller *k, uint64_t rip, uint64_t rsp,
                         uint64_t rax)
{
    const uint64_t *old = k->regs.gpr;
    uint64_t *gpr = v->regs.gpr;

    gpr[GPR_RCX] = gpr[GPR_RDX] = gpr[GPR_RSI] = gpr[GPR_RDI] = 0;
    gpr[GPR_R8] = gpr[GPR_R9] = gpr[GPR_R10] = gpr[GPR_R11] = 0;
    gpr[GPR_RAX] = rax;
    gpr[GPR_RBX] = old[GPR_RBX];
    gpr[GPR_RBP] = old[GPR_RBP];
    gpr[GPR_R12] = old[GPR_R12];
    gpr[GPR_R13] = old[GPR_R13];
    gpr[GPR_R14] = old[GPR_R14];
    gpr[GPR_R15] = old[GPR_R15];
    gpr[GPR_RSP] = rsp;
    v->regs.rflags = k->regs.rflags;
    v->regs.rip = rip;
}

/* Set all registers. */
static void thread_goes_on(struct vcpu *v, const struct tv_pal *pal, uint64_t rip, uint64_t rsp,
                           uint64_t rax)
{
    (pal->image.wide ? wide_goes_on : narrow_goes_on)(v, &pal->act.caller, rip, rsp, rax);
    virt->clear_shadow(v);
}

/* At the call again, for an exception there. */
static void thread_at_call(struct vcpu *v, const struct tv_pal *pal)
{
    thread_goes_on(v, pal, pal->image.entry, pal->act.caller.regs.gpr[GPR_RSP], 0);
}

/* The call is over: nobody owns the activation. */
static void release(struct vcpu *v, struct tv_slot *s)
{
    this_cpu(v)->running = NULL;
    atomic_store_explicit(&s->pal->act.state, ACT_FREE, memory_order_release);
    registry_put(s);
}

/* The call goes on when the thread comes back with a new token: leave it at the resume
 * stub. The token is published last. */
static void wait_for_token(struct vcpu *v, struct tv_slot *s, enum tv_act_state state)
{
    struct tv_activation *act = &s->pal->act;
    uint64_t token[2];

    hyp_random(token, sizeof(token));
    token[0] += token[0] == 0; /* 0 means that no token is out */
    thread_waits(v, s->pal, token);
    act->token_high = token[1];
    this_cpu(v)->running = NULL;
    atomic_store_explicit(&act->state, state, memory_order_release);
    atomic_store_explicit(&act->token_low, token[0], memory_order_release);
    registry_put(s);
}

/* The PAL is done, the OS's context is loaded: copy out and return. */
static void finish(struct vcpu *v, struct tv_slot *s, const struct hyp_caller *c)
{
    struct tv_pal *pal = s->pal;
    const struct tv_caller *k = &pal->act.caller;
    enum marshal_answer m = MARSHAL_OK;
    struct gm_fault f;

    if (pal->image.has_data) {
        m = marshal_out(pal, c, &f);
    }
    if (m == MARSHAL_FAULT) {
        wait_for_token(v, s, ACT_RETURNING);
        hyp_inject_fault(v, &f);
        return;
    }
    if (m == MARSHAL_NOT_RAM) {
        /* The caller put a device where its buffer was: the result is lost. */
        thread_at_call(v, pal);
        hyp_inject_gp(v);
    } else {
        thread_goes_on(v, pal, k->rip, k->regs.gpr[GPR_RSP] + pal->image.word, pal->act.result);
    }
    release(v, s);
}

/* --- in ------------------------------------------------------------------------- */

static void into_sandbox(struct vcpu *v, struct tv_slot *s, const struct vcpu_regs *regs,
                         const void *xstate)
{
    struct tv_cpu *cpu = this_cpu(v);

    cpu->running = s;
    cpu->last = s;
    sandbox_enter(v, &s->pal->sandbox, regs, xstate);
}

static enum hc_result refuse(struct vcpu *v, struct tv_slot *s, void (*inject)(struct vcpu *))
{
    release(v, s);
    inject(v);
    return HC_SWITCHED;
}

/* The activation is ours: check the caller, take its arguments, enter. */
static enum hc_result enter(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    struct tv_pal *pal = s->pal;
    struct gm_fault f;
    enum stubs_answer stubs = stubs_check_again(pal, c, &f);
    enum marshal_answer m;

    if (stubs == STUBS_GONE) {
        /* Another process got this CR3, or the owner took the pages away. */
        death_of(s, TV_DEATH_OWNER_GONE, 0, 0);
        registry_put(s);
        death_reap(v, TV_ATOMIC_PAGES);
        hyp_inject_ud(v);
        return HC_SWITCHED;
    }
    m = stubs == STUBS_FAULT ? MARSHAL_FAULT : marshal_in(pal, c, &v->regs, &f);
    if (m == MARSHAL_FAULT) {
        release(v, s);
        return tv_fault(v, &f);
    }
    if (m != MARSHAL_OK) {
        return refuse(v, s, hyp_inject_gp);
    }
    into_sandbox(v, s, &v->regs, initial_xstate);
    return HC_SWITCHED;
}

static enum hc_result stub_entry(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    uint32_t expected = ACT_FREE;

    if (atomic_compare_exchange_strong_explicit(&s->pal->act.state, &expected, ACT_RUNNING,
                                                memory_order_acquire, memory_order_relaxed)) {
        return enter(v, c, s);
    }
    registry_put(s); /* somebody else's call is under way: wait, interrupts open */
    return HC_AGAIN;
}

static enum hc_result stub_resume(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    struct tv_activation *act = &s->pal->act;
    uint32_t state = atomic_load(&act->state);
    uint64_t token[2];

    token_of(v, s->pal, token);
    if (token[0] == 0 || token[1] != act->token_high ||
        (state != ACT_INTERRUPTED && state != ACT_RETURNING) ||
        !atomic_compare_exchange_strong(&act->token_low, &token[0], 0) ||
        !atomic_compare_exchange_strong(&act->state, &state, ACT_RUNNING)) {
        registry_put(s);
        hyp_inject_gp(v);
        return HC_SWITCHED;
    }
    if (state == ACT_RETURNING) {
        finish(v, s, c);
    } else {
        into_sandbox(v, s, &act->regs, act->xstate);
    }
    return HC_SWITCHED;
}

enum hc_result call_stub(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    uint64_t rip = v->regs.rip;
    bool entry = rip == s->pal->image.entry;

    if ((!entry && rip != s->pal->resume) || s->pal->image.wide != tv_wide(c)) {
        registry_put(s);
        return HC_UNKNOWN;
    }
    if (c->event_queued) {
        registry_put(s);
        return HC_AGAIN;
    }
    if (!c->interrupts_on) { /* a PAL always runs with interrupts open */
        registry_put(s);
        hyp_inject_gp(v);
        return HC_SWITCHED;
    }
    return entry ? stub_entry(v, c, s) : stub_resume(v, c, s);
}

/* --- out ------------------------------------------------------------------------ */

static void at_gate(struct vcpu *v, struct tv_slot *s)
{
    struct hyp_caller c;

    s->pal->act.result = v->regs.gpr[GPR_RAX];
    sandbox_leave(v, NULL, NULL);
    if (s->pal->image.has_data) {
        hyp_caller(v, &c);
    }
    finish(v, s, &c);
}

static void interrupted(struct vcpu *v, struct tv_slot *s)
{
    s->pal->act.xstate_used = true;
    sandbox_leave(v, &s->pal->act.regs, s->pal->act.xstate);
    wait_for_token(v, s, ACT_INTERRUPTED);
}

static void die(struct vcpu *v, struct tv_slot *s, enum tv_death why, unsigned vector)
{
    uint64_t rip = v->regs.rip;

    sandbox_leave(v, NULL, NULL);
    thread_at_call(v, s->pal);
    hyp_inject_gp(v);
    this_cpu(v)->running = NULL;
    death_of(s, why, vector, rip);
    registry_put(s);
    death_reap(v, TV_ATOMIC_PAGES);
}

/* A hypercall of the PAL itself. */
static void inside(struct vcpu *v, const struct exit *e)
{
    uint32_t cmd = (uint32_t)v->regs.gpr[GPR_RAX];
    enum tv_error answer = tv_is_public(cmd) ? TV_NOT_SUPPORTED : TV_UNKNOWN_COMMAND;

    if (cmd == TV_HC_TEST) {
        answer = TV_OK;
    } else if (cmd == TV_HC_REG || cmd == TV_HC_UNREG) {
        answer = TV_IN_PAL;
    }
    v->regs.gpr[GPR_RAX] = answer;
    v->regs.rip += e->insn_len != 0 ? e->insn_len : TV_STUB_LEN;
}

void call_exit(struct vcpu *v, const struct exit *e)
{
    struct tv_slot *s = this_cpu(v)->running;

    switch (e->kind) {
    case EXIT_HYPERCALL:
        if (v->regs.rip == s->pal->space.gate) {
            at_gate(v, s);
        } else {
            inside(v, e);
        }
        break;
    case EXIT_NONE:
        break;
    case EXIT_INTR:
    case EXIT_INIT:
    case EXIT_SIPI:
    case EXIT_SMI:
    case EXIT_NMI:
    case EXIT_NMI_WINDOW:
        interrupted(v, s);
        break;
    case EXIT_EXCEPTION:
        die(v, s, TV_DEATH_EXCEPTION, e->exception.vector);
        break;
    case EXIT_NESTED_FAULT:
    case EXIT_SHUTDOWN:
    case EXIT_ENTRY_FAILED:
        die(v, s, TV_DEATH_ESCAPE, 0);
        break;
    default: /* some instruction is intercepted in the sandbox only: INT n, IRET ... */
        die(v, s, TV_DEATH_FORBIDDEN, 0);
        break;
    }
}
