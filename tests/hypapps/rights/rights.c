/* SPDX-License-Identifier: MIT */
/* A hypapp that does with pages' rights as the guest tells it: for tests/guests/rights.c. */
#include <hypapp/hypapp.h>

#define HC_RIGHTS 0x7e570001u /* RCX address, RDX pages, RSI rights; RAX: enum hyp_rights_answer */
#define HC_FAULTS 0x7e570002u /* RAX: how many faults `fault` was asked about */
#define HC_READ   0x7e570003u /* the word at RCX, as the caller may read it: RAX, or ~0 */

static atomic_uint_fast64_t faults;

static int init(void) { return 0; }

static enum hyp_answer fault(struct vcpu *v, const struct exit *e)
{
    (void)v;
    (void)e;
    atomic_fetch_add(&faults, 1);
    return HYP_REFUSE;
}

static uint64_t read_word(struct vcpu *v, uint64_t at)
{
    struct hyp_caller c;
    struct gm_fault f;
    uint64_t word;

    hyp_caller(v, &c);
    return gm_read(&c, gva(at), &word, sizeof(word), &f) == GM_OK ? word : ~0ULL;
}

static enum hc_result hypercall(struct vcpu *v, uint32_t cmd)
{
    uint64_t *r = v->regs.gpr;
    enum hyp_rights_answer answer;

    switch (cmd) {
    case HC_RIGHTS:
        answer = hyp_rights(v, gpa(r[GPR_RCX]), r[GPR_RDX], (unsigned)r[GPR_RSI]);
        if (answer == HYP_RIGHTS_AGAIN) {
            return HC_AGAIN;
        }
        r[GPR_RAX] = answer;
        return HC_DONE;
    case HC_FAULTS:
        r[GPR_RAX] = atomic_load(&faults);
        return HC_DONE;
    case HC_READ:
        r[GPR_RAX] = read_word(v, r[GPR_RCX]);
        return HC_DONE;
    default:
        return HC_UNKNOWN;
    }
}

const struct hypapp hypapp = { .name = "rights", .init = init, .hypercall = hypercall,
                               .fault = fault };
