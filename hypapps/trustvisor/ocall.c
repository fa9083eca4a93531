/* SPDX-License-Identifier: MIT */
/* Ocalls: the request from a PAL to its caller's buffer, and the answer back. */
#include "ocall.h"
#include "caller.h"
#include "own.h"
#include <xmhf/image.h>

/* Number of this call's OCALL parameter; `*most`: bytes behind the structure. Negative: none. */
static int ocall_param(const struct tv_pal *pal, const struct tv_activation *act, uint32_t *most)
{
    const struct tv_param *p = &pal->image.params[act->entry->first];

    for (uint32_t i = 0; pal->image.has_ocall && i < act->entry->params; i++) {
        if (p[i].type == XMHF_PARAM_OCALL) {
            *most = p[i].most;
            return (int)i;
        }
    }
    return -1;
}

enum tv_error ocall_begin(const struct tv_pal *pal, struct tv_activation *act,
                          const struct vcpu_regs *regs)
{
    const uint64_t buffer = own_address(pal, regs, GPR_RDX), bytes = own_arg(pal, regs, GPR_RSI);
    const uint64_t room = own_arg(pal, regs, GPR_RDI);
    uint32_t most;
    const int param = ocall_param(pal, act, &most);

    if (param < 0) {
        return TV_NO_OCALL;
    }
    if (bytes > most) {
        return TV_TOO_LONG;
    }
    if (!own_writable(pal, buffer, bytes > room ? bytes : room)) {
        return TV_BAD_ADDRESS;
    }
    act->ocall = (struct tv_ocall){
        .caller = act->args[param], .buffer = buffer,
        .function = (uint32_t)regs->gpr[GPR_RCX], .bytes = (uint32_t)bytes,
        .room = (uint32_t)(room < most ? room : most),
    };
    return TV_OK;
}

/* Copy `n` bytes between the PAL's buffer and what lies behind the caller's structure. */
static enum gm_result copy(const struct tv_pal *pal, const struct tv_activation *act,
                           const struct hyp_caller *c, uint32_t n, bool in, struct gm_fault *f)
{
    struct tv_stream user = { .user = act->ocall.caller + sizeof(struct xmhf_ocall) };
    uint64_t ours = act->ocall.buffer;
    enum gm_result r = GM_OK;

    while (n > 0 && r == GM_OK) {
        uint32_t part = n;
        void *at = own_at(pal, ours, &part);
        r = in ? tv_stream_read(c, &user, at, part, f) : tv_stream_write(c, &user, at, part, f);
        ours += part;
        n -= part;
    }
    return r;
}

enum marshal_answer ocall_tell(const struct tv_pal *pal, const struct tv_activation *act,
                               const struct hyp_caller *c, const uint64_t token[2],
                               struct gm_fault *f)
{
    const struct tv_ocall *o = &act->ocall;
    const struct xmhf_ocall head = {
        .token = { token[0], token[1] }, .function = o->function, .bytes = o->bytes,
    };
    enum gm_result r = tv_reaches(c, o->caller, sizeof(head) + o->bytes, f)
        ? copy(pal, act, c, o->bytes, false, f) : GM_FAULT;

    if (r == GM_OK) {
        r = gm_write(c, gva(o->caller), &head, sizeof(head), f);
    }
    return marshal_answer_of(r);
}

enum marshal_answer ocall_answer(const struct tv_pal *pal, const struct tv_activation *act,
                                 const struct hyp_caller *c, uint64_t *rax, struct gm_fault *f)
{
    const struct tv_ocall *o = &act->ocall;
    const uint64_t at = o->caller + offsetof(struct xmhf_ocall, bytes);
    uint32_t n;
    enum gm_result r = tv_reaches(c, o->caller, sizeof(struct xmhf_ocall) + o->room, f)
        ? gm_read(c, gva(at), &n, sizeof(n), f) : GM_FAULT;

    if (r == GM_OK && n > o->room) {
        *rax = ocall_error(TV_TOO_LONG);
        return MARSHAL_OK;
    }
    if (r == GM_OK) {
        r = copy(pal, act, c, n, true, f);
    }
    if (r == GM_OK) {
        *rax = n;
    }
    return marshal_answer_of(r);
}
