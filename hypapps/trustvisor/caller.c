/* SPDX-License-Identifier: MIT */
/* Judges who makes a hypercall, and how it ends. */
#include "caller.h"
#include "image.h"

bool tv_is_public(uint32_t cmd)
{
    return (cmd >= TV_HC_REG && cmd <= 13) || (cmd >= 21 && cmd <= 23) || cmd == TV_HC_TEST;
}

/* Addresses in this segment are linear ones. */
static bool flat(struct vcpu *v, enum segment_index i)
{
    struct segment s;

    hyp_get_segment(v, i, &s);
    return s.base == 0 && s.limit == 0xffffffff;
}

enum tv_error tv_caller_check_32(struct vcpu *v, const struct hyp_caller *c)
{
    return c->paging.cpl == 3 && c->paging.mode == MODE_PROT32 && (c->paging.cr0 & CR0_PG)
        && flat(v, SEG_CS) && flat(v, SEG_SS) && flat(v, SEG_DS) ? TV_OK : TV_BAD_CALLER;
}

bool tv_reaches(const struct hyp_caller *c, uint64_t va, uint64_t len, struct gm_fault *f)
{
    if (tv_is_64(c) || va + len <= TV_USER_END_32) {
        return true;
    }
    *f = (struct gm_fault){ .addr = gva(va), .canonical = false };
    return false;
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
