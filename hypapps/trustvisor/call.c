/* SPDX-License-Identifier: MIT */
/*
 * Calls: into the sandbox from the entry stub, out of it at the return page, and in between
 * through the resume stub as often as interrupts come. A CPU in the sandbox holds a
 * reference to the PAL and owns one of its activations (ACT_RUNNING).
 */
#include "call.h"
#include "caller.h"
#include "collect.h"
#include "death.h"
#include "marshal.h"
#include "ocall.h"
#include "own.h"
#include "registry.h"
#include "segments.h"
#include "slots.h"
#include "stubs.h"
#include "thread.h"

/* What one CPU has to do with PALs. */
struct tv_cpu {
    struct tv_slot *running;          /* PAL in the sandbox of this CPU, or NULL */
    struct tv_activation *act;        /* and its activation */
    struct tv_slot *last;             /* slot of the last one; it may mean another PAL by now */
};

#define TV_SHORT_OCALL 16384u /* bytes: beside a longer request the random key isn't renewed */

static struct tv_cpu cpus[CPU_MAX];
static void *initial_xstate;   /* FPU state at each entry */

bool call_init(void)
{
    if (xstate_size() > PAGE_SIZE) {
        log_line("trustvisor: FPU state of %zu bytes doesn't fit a page", xstate_size());
        return false;
    }
    initial_xstate = pool_alloc();
    if (!initial_xstate) {
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

/* --- whose call ------------------------------------------------------------------ */

static bool is_of(const struct tv_activation *act, const struct thread *t)
{
    return atomic_load_explicit(&act->fs_base, memory_order_relaxed) == t->fs
        && atomic_load_explicit(&act->gs_base, memory_order_relaxed) == t->gs;
}

/* Does this thread itself own one of the calls in these states (bits)? */
static bool owns_one(struct vcpu *v, struct tv_pal *pal, unsigned states)
{
    const struct thread me = thread_of(v);

    for (uint32_t k = 0; k < pal->image.stacks; k++) {
        struct tv_activation *act = tv_act(pal, k);
        uint32_t state = atomic_load_explicit(&act->state, memory_order_acquire);
        if ((states & 1u << state) && is_of(act, &me)) {
            return true;
        }
    }
    return false;
}

#define ASKING (1u << ACT_TELLING | 1u << ACT_OCALL)

/* Is it asked something by this PAL just now? Threads that can't be told from each other count as
 * one. */
static bool is_asked(struct vcpu *v, struct tv_pal *pal)
{
    return pal->image.has_ocall && owns_one(v, pal, ASKING);
}

/* Perhaps: another CPU has one of its calls closed for a moment, to read its registers, say. One
 * look at each, so that none changes its state unseen. */
static bool may_be_asked(struct vcpu *v, struct tv_pal *pal)
{
    return pal->image.has_ocall && owns_one(v, pal, ASKING | 1u << ACT_CLAIMED);
}

/* Or does it own one that is interrupted? It does if a signal handler calls, or if it has jumped
 * out of one. To wait for a free activation would then be to wait for itself. */
static bool waits_for_itself(struct vcpu *v, struct tv_pal *pal)
{
    const struct thread me = thread_of(v);
    const bool known = (me.fs | me.gs) != 0;

    return is_asked(v, pal)
        || (known && owns_one(v, pal, 1u << ACT_INTERRUPTED | 1u << ACT_RETURNING));
}

/* The call is over: nobody owns the activation. */
static void release(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    this_cpu(v)->running = NULL;
    atomic_store_explicit(&act->state, ACT_FREE, memory_order_release);
    registry_put(s);
}

/* The lowest bit says what it is for: whether the thread has called the resume stub, with an
 * answer, or was left there. */
static void new_token(uint64_t token[2], bool is_ocall)
{
    ASSERT(hyp_random(token, 2 * sizeof(token[0]))); /* no PAL is registered without entropy */
    token[0] = (token[0] & ~1ULL) | is_ocall;
    token[0] += token[0] == 0 ? 2 : 0;               /* 0 means that no token is out */
}

/* The call goes on when a thread comes with the token, which is published last. */
static void wait_with(struct vcpu *v, struct tv_slot *s, struct tv_activation *act,
                      enum tv_act_state state, const uint64_t token[2])
{
    const struct thread me = thread_of(v);

    act->token_high = token[1];
    atomic_store_explicit(&act->fs_base, me.fs, memory_order_relaxed);
    atomic_store_explicit(&act->gs_base, me.gs, memory_order_relaxed);
    this_cpu(v)->running = NULL;
    atomic_store_explicit(&act->state, state, memory_order_release);
    atomic_store_explicit(&act->token_low, token[0], memory_order_release);
    registry_put(s);
}

/* The call goes on when the thread comes back with a new token: leave it at the resume stub. */
static void wait_for_token(struct vcpu *v, struct tv_slot *s, struct tv_activation *act,
                           enum tv_act_state state)
{
    uint64_t token[2];

    new_token(token, false);
    thread_waits(v, s->pal, act, token);
    wait_with(v, s, act, state, token);
}

/* --- calls of PALs that died ----------------------------------------------------- */

/* Has another call of this PAL, on another CPU, ended it? */
static bool died_meanwhile(const struct tv_slot *s)
{
    return s->pal->image.stacks > 1 && slot_state(atomic_load(&s->life)) == TV_DYING;
}

/* The PAL is dead and the OS's context loaded: with the module interface the call returns and tells
 * why, with the public ABI it is #GP. */
static void end_dead(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    struct tv_pal *pal = s->pal;

    if (pal->image.module) {
        thread_returns(v, pal, act, 0);
        death_status(pal, v->regs.gpr);
        v->regs.gpr[GPR_RAX] = tv_visible(&pal->image, v->regs.gpr[GPR_RAX]);
    } else {
        thread_at_call(v, pal, act);
        hyp_inject_gp(v);
    }
    this_cpu(v)->running = NULL; /* the activation stays RUNNING: no more calls */
    registry_put(s);
    death_reap(v, TV_ATOMIC_PAGES);
}

/* `address`: that a page fault touched; else 0. */
static void die_at(struct vcpu *v, struct tv_slot *s, struct tv_activation *act, enum tv_death why,
                   unsigned vector, uint64_t address)
{
    const struct death_cause cause = { why, vector, segments_rip(v, s->pal), address };

    sandbox_leave(v, NULL, NULL);
    death_of(s, &cause);
    end_dead(v, s, act);
}

static void die(struct vcpu *v, struct tv_slot *s, struct tv_activation *act, enum tv_death why)
{
    die_at(v, s, act, why, 0, 0);
}

static enum marshal_answer copy_out(struct vcpu *v, struct tv_slot *s,
                                    const struct tv_activation *act, struct gm_fault *f)
{
    struct hyp_caller c;

    hyp_caller(v, &c);
    return marshal_out(s->pal, act, &c, f);
}

/* The PAL is done and the OS's context loaded: copy out and return. No register in v->regs means
 * anything yet: every way from here sets all of them. */
__attribute__((noinline))
static void copy_out_and_finish(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    struct tv_pal *pal = s->pal;
    enum marshal_answer m = MARSHAL_OK;
    struct gm_fault f;

    if (died_meanwhile(s)) {
        end_dead(v, s, act);
        return;
    }
    if (pal->image.has_data) {
        m = copy_out(v, s, act, &f);
    }
    if (m == MARSHAL_FAULT) {
        wait_for_token(v, s, act, ACT_RETURNING);
        hyp_inject_fault(v, &f);
        return;
    }
    if (m == MARSHAL_NOT_RAM) {
        /* The caller put a device where its buffer was: the result is lost. */
        thread_at_call(v, pal, act);
        hyp_inject_gp(v);
    } else {
        thread_returns(v, pal, act, act->result);
    }
    release(v, s, act);
}

/* The PAL is in the sandbox of this CPU still, its result in its registers. */
__attribute__((noinline))
static void leave_and_finish(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    act->result = s->pal->image.converts ? slots_result(s->pal, act, &v->regs)
                                              : v->regs.gpr[GPR_RAX];
    sandbox_leave_registers(v, NULL);
    if (s->pal->image.has_data || s->pal->image.stacks > 1) {
        copy_out_and_finish(v, s, act);
        return;
    }
    thread_returns(v, s->pal, act, act->result);
    release(v, s, act);
}

/* --- ocalls ---------------------------------------------------------------------- */

/* The PAL's registers are put aside, the OS's context is loaded, and no register in v->regs means
 * anything yet: the caller's call returns, and its buffer has the request. Where that can't be
 * written the thread waits at the resume stub, to try again. */
static void tell(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    struct hyp_caller c;
    uint64_t token[2];
    struct gm_fault f;
    enum marshal_answer m;

    if (died_meanwhile(s)) {
        end_dead(v, s, act);
        return;
    }
    hyp_caller(v, &c);
    if (act->ocall.bytes <= TV_SHORT_OCALL) {
        hyp_random_refresh();
    }
    new_token(token, true);
    m = ocall_tell(s->pal, act, &c, token, &f);
    if (m == MARSHAL_OK) {
        thread_returns(v, s->pal, act, 0);
        v->regs.gpr[GPR_RCX] = XMHF_STATUS_OCALL;
        wait_with(v, s, act, ACT_OCALL, token);
        return;
    }
    wait_for_token(v, s, act, ACT_TELLING);
    if (m == MARSHAL_FAULT) {
        hyp_inject_fault(v, &f);
    } else { /* the caller put a device there */
        hyp_inject_gp(v);
    }
}

/* --- in ------------------------------------------------------------------------- */

/* Only its owner writes it. */
static void count(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void into_sandbox(struct vcpu *v, struct tv_slot *s, struct tv_activation *act,
                         const struct vcpu_regs *regs, const void *xstate)
{
    struct tv_cpu *cpu = this_cpu(v);

    cpu->running = s;
    cpu->act = act;
    cpu->last = s;
    if (s->pal->budget != 0) {
        act->since = clock_now();
    }
    if (segments_own(s->pal)) {
        segments_enter(v, s->pal, act, regs, xstate);
        return;
    }
    sandbox_enter(v, &s->pal->sandbox, regs, xstate);
}

/* The nonce isn't there any more: another process got this CR3, or the owner took the pages
 * away. */
__attribute__((noinline))
static enum hc_result owner_gone(struct vcpu *v, struct tv_slot *s)
{
    death_of(s, &(struct death_cause){ .why = TV_DEATH_OWNER_GONE });
    registry_put(s);
    death_reap(v, TV_ATOMIC_PAGES);
    hyp_inject_ud(v);
    return HC_SWITCHED;
}

/* Return at once: something is wrong with an argument. */
static enum hc_result return_bad(struct vcpu *v, struct tv_slot *s, struct tv_activation *act,
                                 uint32_t status)
{
    thread_returns(v, s->pal, act, 0);
    v->regs.gpr[GPR_RCX] = status;
    release(v, s, act);
    return HC_SWITCHED;
}

/* Its arguments, or its memory, don't let the call begin. */
__attribute__((noinline))
static enum hc_result not_entered(struct vcpu *v, struct tv_slot *s, struct tv_activation *act,
                                  enum marshal_answer why, const struct gm_fault *f)
{
    if (why == MARSHAL_BAD_COUNT || why == MARSHAL_BAD_VALUE) {
        return return_bad(v, s, act, why == MARSHAL_BAD_COUNT ? XMHF_STATUS_BAD_COUNT
                                                              : XMHF_STATUS_BAD_VALUE);
    }
    release(v, s, act);
    if (why == MARSHAL_FAULT) {
        return tv_fault(v, f);
    }
    hyp_inject_gp(v);
    return HC_SWITCHED;
}

/* The activation is ours: check the caller, take its arguments, enter. */
__attribute__((noinline))
static enum hc_result enter(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s,
                            struct tv_activation *act)
{
    struct tv_pal *pal = s->pal;
    struct gm_fault f;
    enum stubs_answer stubs = stubs_check_again(pal, act, c, &f);
    enum marshal_answer m;

    if (stubs == STUBS_GONE) {
        return owner_gone(v, s);
    }
    if (segments_own(pal)) {
        segments_begin(pal, act);
    }
    m = stubs == STUBS_FAULT ? MARSHAL_FAULT : marshal_in(pal, act, c, &v->regs, &f);
    if (m != MARSHAL_OK) {
        return not_entered(v, s, act, m, &f);
    }
    act->interruptions = act->ticks = 0;
    count(&act->calls);
    into_sandbox(v, s, act, &v->regs, initial_xstate);
    return HC_SWITCHED;
}

static bool take_free(struct tv_activation *act)
{
    uint32_t expected = ACT_FREE;

    return atomic_compare_exchange_strong_explicit(&act->state, &expected, ACT_RUNNING,
                                                   memory_order_acquire, memory_order_relaxed);
}

/* Return at once from a stub that was called: what `told` has in RAX, RCX and RDX. */
static enum hc_result return_at_once(struct vcpu *v, const struct hyp_caller *c,
                                     const uint64_t told[16])
{
    uint64_t *gpr = v->regs.gpr;
    uint64_t to = 0;
    struct gm_fault f;
    enum marshal_answer m = marshal_return_address(c, &v->regs, &to, &f);

    if (m == MARSHAL_FAULT) {
        return tv_fault(v, &f);
    }
    if (m != MARSHAL_OK) {
        hyp_inject_gp(v);
        return HC_SWITCHED;
    }
    gpr[GPR_RAX] = tv_is_64(c) ? told[GPR_RAX] : (uint32_t)told[GPR_RAX];
    gpr[GPR_RCX] = told[GPR_RCX];
    gpr[GPR_RDX] = told[GPR_RDX];
    gpr[GPR_RSP] = tv_arg(v, c, GPR_RSP) + tv_word(c);
    v->regs.rip = to;
    v->regs.rflags &= ~RFLAGS_RF;
    hyp_clear_shadow(v);
    return HC_SWITCHED;
}

/* As the module interface tells that a call can't be made: the PAL lives on. */
static enum hc_result return_busy(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    static const uint64_t busy[16] = { [GPR_RCX] = XMHF_STATUS_BUSY };

    registry_put(s);
    return return_at_once(v, c, busy);
}

/* No activation is free: the process waits, with interrupts open, unless nothing will come of
 * it. */
static enum hc_result all_taken(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    struct gm_fault f;

    switch (stubs_check(s->pal, c, &f)) {
    case STUBS_FAULT:
        registry_put(s);
        return tv_fault(v, &f);
    case STUBS_GONE: /* who has the calls is no more */
        collect_if_gone(v, s);
        registry_put(s);
        death_reap(v, TV_ATOMIC_PAGES);
        return HC_AGAIN;
    default:
        break;
    }
    if (!waits_for_itself(v, s->pal)) {
        registry_put(s);
        return HC_AGAIN;
    }
    if (s->pal->image.module) {
        return return_busy(v, c, s);
    }
    registry_put(s);
    hyp_inject_gp(v);
    return HC_SWITCHED;
}

/* The first activation isn't free, as call_stub saw, or the PAL may be asking this very thread
 * something: look for one. */
__attribute__((noinline))
static enum hc_result enter_another(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s,
                                    const struct tv_entry *entry)
{
    const bool asked = may_be_asked(v, s->pal);

    if (asked && !is_asked(v, s->pal)) {
        registry_put(s);
        return HC_AGAIN;
    }
    for (uint32_t k = 0; !asked && k < s->pal->image.stacks; k++) {
        struct tv_activation *act = tv_act(s->pal, k);

        if (take_free(act)) {
            act->entry = entry;
            return enter(v, c, s, act);
        }
    }
    return all_taken(v, c, s);
}

/* The activation that waits for this token just now, or NULL. */
static struct tv_activation *act_of(struct tv_pal *pal, const uint64_t token[2])
{
    for (uint32_t k = 0; k < pal->image.stacks && token[0] != 0; k++) {
        struct tv_activation *act = tv_act(pal, k);
        if (atomic_load(&act->token_low) == token[0] && act->token_high == token[1]) {
            return act;
        }
    }
    return NULL;
}

enum resumed {
    RESUME_WRONG, RESUME_AGAIN, RESUME_RUN, RESUME_RETURN, RESUME_TELL, RESUME_ANSWER,
};

/* What a token is good for in this state. */
static enum resumed resumes(uint32_t state)
{
    switch (state) {
    case ACT_INTERRUPTED: return RESUME_RUN;
    case ACT_RETURNING: return RESUME_RETURN;
    case ACT_TELLING: return RESUME_TELL;
    case ACT_OCALL: return RESUME_ANSWER;
    case ACT_CLAIMED: return RESUME_AGAIN; /* the PAL goes, or another call of it runs and it
                                              stays */
    default: return RESUME_WRONG;
    }
}

/* Use the token up and take the activation. */
static enum resumed take_token(struct tv_activation *act, const uint64_t token[2])
{
    uint64_t low = token[0];
    uint32_t state = atomic_load(&act->state);
    const enum resumed how = resumes(state);

    if (how == RESUME_WRONG || how == RESUME_AGAIN) {
        return how;
    }
    if (!atomic_compare_exchange_strong(&act->token_low, &low, 0)) {
        return RESUME_WRONG;
    }
    if (!atomic_compare_exchange_strong(&act->state, &state, ACT_RUNNING)) {
        atomic_store(&act->token_low, token[0]); /* just claimed */
        return RESUME_AGAIN;
    }
    return how;
}

/* The answer to an ocall, from whatever thread has called the resume stub: the call is that
 * thread's now. What can't be read leaves everything as it was, the token too. */
static enum hc_result answered(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s,
                               struct tv_activation *act, const uint64_t token[2])
{
    struct gm_fault f;
    const enum stubs_answer stubs = stubs_check(s->pal, c, &f);
    enum marshal_answer m;

    if (stubs == STUBS_GONE) {
        return owner_gone(v, s);
    }
    m = stubs == STUBS_FAULT ? MARSHAL_FAULT : marshal_caller(s->pal, act, c, &v->regs, &f);
    if (m == MARSHAL_OK) {
        m = ocall_answer(s->pal, act, c, &act->regs.gpr[GPR_RAX], &f);
    }
    if (m == MARSHAL_OK) {
        into_sandbox(v, s, act, &act->regs, act->xstate);
        return HC_SWITCHED;
    }
    wait_with(v, s, act, ACT_OCALL, token);
    if (m == MARSHAL_FAULT) {
        return tv_fault(v, &f);
    }
    hyp_inject_gp(v);
    return HC_SWITCHED;
}

static enum hc_result stub_resume(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    struct tv_activation *act;
    uint64_t token[2];

    thread_token(v, s->pal->image.caller_64, token);
    act = act_of(s->pal, token);
    switch (act ? take_token(act, token) : RESUME_WRONG) {
    case RESUME_RUN:
        thread_keeps_rights(v, act);
        into_sandbox(v, s, act, &act->regs, act->xstate);
        return HC_SWITCHED;
    case RESUME_RETURN:
        thread_keeps_rights(v, act);
        copy_out_and_finish(v, s, act);
        return HC_SWITCHED;
    case RESUME_TELL:
        thread_keeps_rights(v, act);
        tell(v, s, act);
        return HC_SWITCHED;
    case RESUME_ANSWER:
        return answered(v, c, s, act, token);
    case RESUME_AGAIN:
        registry_put(s);
        return HC_AGAIN;
    default:
        registry_put(s);
        hyp_inject_gp(v);
        return HC_SWITCHED;
    }
}

/* The entry whose stub is at `rip`, in the page of the stubs, or NULL; not of an image ... */
static inline const struct tv_entry *entry_at(const struct tv_image *im, uint64_t rip)
{
    uint32_t i = 0;

    do {
        if (im->entries[i].va == rip) {
            return &im->entries[i];
        }
    } while (++i < im->entry_count);
    return NULL;
}

/* ... and of any. */
static const struct tv_entry *any_entry_at(const struct tv_image *im, uint64_t rip)
{
    const uint32_t at = (uint32_t)(rip & PAGE_MASK), i = at / XMHF_IMAGE_STUB_SIZE;

    if (!im->image) {
        return entry_at(im, rip);
    }
    return at % XMHF_IMAGE_STUB_SIZE == 0 && i < im->entry_count ? &im->entries[i] : NULL;
}

/* call_stub for what is not the usual case: an image, no entry, or one that can't be called now, or
 * whose first activation is taken. */
__attribute__((noinline))
static enum hc_result stub_otherwise(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    const struct tv_entry *entry = any_entry_at(&s->pal->image, v->regs.rip);

    if ((!entry && v->regs.rip != s->pal->resume) || s->pal->image.caller_64 != tv_is_64(c)) {
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
    return entry ? enter_another(v, c, s, entry) : stub_resume(v, c, s);
}

enum hc_result call_stub(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s)
{
    struct tv_activation *act = &s->pal->act;
    const struct tv_entry *entry;

    if (s->pal->image.quick != tv_is_64(c) || c->event_queued || !c->interrupts_on) {
        return stub_otherwise(v, c, s);
    }
    entry = entry_at(&s->pal->image, v->regs.rip);
    if (!entry || !take_free(act)) {
        return stub_otherwise(v, c, s);
    }
    act->entry = entry;
    return enter(v, c, s, act);
}

enum hc_result call_dead_stub(struct vcpu *v, const struct hyp_caller *c)
{
    const uint64_t rip = v->regs.rip, page = align_down(rip, PAGE_SIZE);
    const bool resumes = rip - page == PAGE_SIZE - TV_STUB_BLOCK;
    uint64_t told[16], token[2], nonce[2];

    thread_token(v, tv_is_64(c), token);
    if ((resumes && !(token[0] & 1)) || !stubs_nonce(c, page, nonce)
        || !death_tells(tv_owner(&c->paging), page, nonce, told)) {
        hyp_inject_ud(v);
        return HC_SWITCHED;
    }
    return c->event_queued ? HC_AGAIN : return_at_once(v, c, told);
}

/* --- out ------------------------------------------------------------------------ */

static void returned(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    if (s->pal->image.ends_otherwise) {
        leave_and_finish(v, s, act);
        return;
    }
    act->result = v->regs.gpr[GPR_RAX];
    sandbox_leave_registers(v, NULL);
    thread_returns(v, s->pal, act, act->result);
    release(v, s, act);
}

/* Has this call run longer than it may? */
static bool spent(const struct tv_pal *pal, struct tv_activation *act)
{
    if (pal->budget == 0) {
        return false;
    }
    act->ticks += clock_since(act->since);
    return act->ticks > pal->budget;
}

/* The OS's context is loaded, and all that the call has is kept. */
static void keep(struct vcpu *v, const struct tv_pal *pal, struct tv_activation *act)
{
    segments_keep(v, pal, act);
    act->xstate_used = true;
    sandbox_leave(v, &act->regs, act->xstate);
}

/* Back to the OS; the call goes on later. */
static void set_aside(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    keep(v, s->pal, act);
    if (died_meanwhile(s)) {
        end_dead(v, s, act);
    } else {
        hyp_random_refresh(); /* not where much was copied: it takes half as long as an exit may */
        wait_for_token(v, s, act, ACT_INTERRUPTED);
    }
}

static void interrupted(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    act->interruptions++;
    count(&act->interrupted);
    if (spent(s->pal, act)) {
        die(v, s, act, TV_DEATH_BUDGET);
    } else {
        set_aside(v, s, act);
    }
}

/* The machine's error and no fault of the PAL: the OS decides what becomes of the thread. */
static void machine_check(struct vcpu *v, struct tv_slot *s, struct tv_activation *act)
{
    act->interruptions++;
    count(&act->interrupted);
    set_aside(v, s, act);
    hyp_post_mc(v);
}

static unsigned hypercall_len(const struct exit *e)
{
    return e->insn_len != 0 ? e->insn_len : TV_STUB_LEN;
}

/* A hypercall of the PAL itself. */
static void inside(struct vcpu *v, const struct tv_pal *pal, const struct tv_activation *act,
                   const struct exit *e)
{
    uint32_t cmd = (uint32_t)v->regs.gpr[GPR_RAX];
    uint64_t answer = tv_is_public(cmd) ? TV_NOT_SUPPORTED : TV_UNKNOWN_COMMAND;

    if (cmd == TV_HC_TEST) {
        answer = TV_OK;
    } else if (cmd == TV_HC_REG || cmd == TV_HC_UNREG
        || (cmd >= XMHF_HC_MODULE_REGISTER && cmd <= XMHF_HC_PAL_STATS)
        || cmd == XMHF_HC_IMAGE_REGISTER || cmd == XMHF_HC_IMAGE_UNREGISTER
        || cmd == XMHF_HC_PAL_READ) {
        answer = TV_IN_PAL;
    } else if (cmd == XMHF_HC_PAL_INTERRUPTED) {
        answer = act->interruptions;
    } else if (cmd == XMHF_HC_RANDOM) {
        answer = own_random(pal, &v->regs);
    }
    v->regs.gpr[GPR_RAX] = answer;
    v->regs.rip += hypercall_len(e);
}

/* The PAL asks its program: the call goes on when the answer comes. What is spent outside isn't its
 * own. */
static void ocall(struct vcpu *v, struct tv_slot *s, struct tv_activation *act,
                  const struct exit *e)
{
    const enum tv_error error = ocall_begin(s->pal, act, &v->regs);

    v->regs.rip += hypercall_len(e);
    if (error != TV_OK) {
        v->regs.gpr[GPR_RAX] = ocall_error(error);
        return;
    }
    if (spent(s->pal, act)) {
        die(v, s, act, TV_DEATH_BUDGET);
        return;
    }
    keep(v, s->pal, act);
    tell(v, s, act);
}

/* Any exit but a return. */
__attribute__((noinline))
static void other_exit(struct vcpu *v, struct tv_slot *s, struct tv_activation *act,
                       const struct exit *e)
{
    count(&act->others);
    switch (e->kind) {
    case EXIT_HYPERCALL:
        if ((uint32_t)v->regs.gpr[GPR_RAX] == XMHF_HC_OCALL) {
            ocall(v, s, act, e);
        } else {
            inside(v, s->pal, act, e);
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
        interrupted(v, s, act);
        break;
    case EXIT_EXCEPTION:
        if (e->exception.vector == EXC_MC) {
            machine_check(v, s, act);
        } else {
            die_at(v, s, act, TV_DEATH_EXCEPTION, e->exception.vector,
                   e->exception.vector == EXC_PF ? e->exception.addr : 0);
        }
        break;
    case EXIT_NESTED_FAULT:
    case EXIT_SHUTDOWN:
    case EXIT_ENTRY_FAILED:
        die(v, s, act, TV_DEATH_ESCAPE);
        break;
    default: /* some instruction is intercepted in the sandbox only: INT n, IRET ... */
        die(v, s, act, TV_DEATH_FORBIDDEN);
        break;
    }
}

void call_exit(struct vcpu *v, const struct exit *e)
{
    const struct tv_cpu *cpu = this_cpu(v);
    struct tv_slot *s = cpu->running;

    if (e->kind == EXIT_HYPERCALL && v->regs.rip == s->pal->space.return_page) {
        returned(v, s, cpu->act);
    } else {
        other_exit(v, s, cpu->act, e);
    }
}
