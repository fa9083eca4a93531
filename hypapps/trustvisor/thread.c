/* SPDX-License-Identifier: MIT */
/* The OS's thread that calls a PAL: which it is, and its registers when it is seen again. */
#include "thread.h"

struct thread thread_of(struct vcpu *v)
{
    struct segment fs, gs;

    hyp_get_segment(v, SEG_FS, &fs);
    hyp_get_segment(v, SEG_GS, &gs);
    return (struct thread){ fs.base, gs.base };
}

void thread_waits(struct vcpu *v, const struct tv_pal *pal,
                  const struct tv_activation *act, const uint64_t token[2])
{
    const struct vcpu_regs *old = &act->caller.regs;
    uint64_t *gpr = v->regs.gpr;

    v->regs = (struct vcpu_regs){ .rip = pal->resume, .rflags = old->rflags };
    gpr[GPR_RSP] = old->gpr[GPR_RSP];
    gpr[GPR_RAX] = token[0];
    gpr[GPR_RDX] = token[1];
    if (!pal->image.caller_64) {
        gpr[GPR_RAX] = (uint32_t)token[0];
        gpr[GPR_RDX] = token[0] >> 32;
        gpr[GPR_RCX] = (uint32_t)token[1];
        gpr[GPR_RBX] = token[1] >> 32;
        for (unsigned i = GPR_R8; i <= GPR_R15; i++) {
            gpr[i] = old->gpr[i];
        }
    }
    hyp_clear_shadow(v);
}

void thread_token(const struct vcpu *v, bool is_64, uint64_t token[2])
{
    const uint64_t *gpr = v->regs.gpr;

    token[0] = gpr[GPR_RAX];
    token[1] = gpr[GPR_RDX];
    if (!is_64) {
        token[0] = (uint32_t)gpr[GPR_RAX] | gpr[GPR_RDX] << 32;
        token[1] = (uint32_t)gpr[GPR_RCX] | gpr[GPR_RBX] << 32;
    }
}

/* Registers that cdecl preserves as at the call, and those that 32-bit code can't reach; EDX:EAX;
 * ECX zero. */
static void goes_on_32(struct vcpu *v, const struct tv_caller *k, uint64_t rip, uint64_t rsp,
                           uint64_t rax)
{
    uint64_t *gpr = v->regs.gpr;

    v->regs = k->regs;
    gpr[GPR_RCX] = 0;
    gpr[GPR_RDX] = rax >> 32;
    gpr[GPR_RAX] = (uint32_t)rax;
    gpr[GPR_RSP] = (uint32_t)rsp;
    v->regs.rip = (uint32_t)rip;
}

/* Those that the convention preserves as at the call, RAX, all others zero. One by one, since
 * every call comes here. RSI and RDI were kept for Microsoft's convention only: with System V's
 * they have been zero all the time. */
static inline void goes_on_64(struct vcpu *v, const struct tv_caller *k, uint64_t rip, uint64_t rsp,
                         uint64_t rax)
{
    const uint64_t *old = k->regs.gpr;
    uint64_t *gpr = v->regs.gpr;

    gpr[GPR_RCX] = gpr[GPR_RDX] = 0;
    gpr[GPR_RSI] = old[GPR_RSI];
    gpr[GPR_RDI] = old[GPR_RDI];
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
static inline void thread_goes_on(struct vcpu *v, const struct tv_pal *pal,
                                  const struct tv_activation *act, uint64_t rip, uint64_t rsp,
                                  uint64_t rax)
{
    if (pal->image.caller_64) {
        goes_on_64(v, &act->caller, rip, rsp, rax);
    } else {
        goes_on_32(v, &act->caller, rip, rsp, pal->image.converts ? rax : (uint32_t)rax);
    }
    hyp_clear_shadow(v);
}

void thread_at_call(struct vcpu *v, const struct tv_pal *pal, const struct tv_activation *act)
{
    thread_goes_on(v, pal, act, tv_stub_va(&pal->image, act->entry),
                   act->caller.regs.gpr[GPR_RSP], 0);
}

void thread_returns(struct vcpu *v, const struct tv_pal *pal, const struct tv_activation *act,
                    uint64_t rax)
{
    thread_goes_on(v, pal, act, act->caller.rip,
                   act->caller.regs.gpr[GPR_RSP] + pal->image.caller_word, rax);
}

void thread_keeps_rights(const struct vcpu *v, struct tv_activation *act)
{
    const uint64_t computing = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_DF
        | RFLAGS_OF;
    uint64_t *flags = &act->caller.regs.rflags;

    *flags = (*flags & computing) | (v->regs.rflags & ~(computing | RFLAGS_RF));
}
