/* SPDX-License-Identifier: MIT */
/*
 * Arguments of a call, from the caller to the PAL and back (public ABI, sections 2.4 and
 * 2.5). Where the data goes is fixed by the registration; what the PAL writes into its
 * PARAM section is data to us, never addresses or sizes.
 */
#include "tv.h"

static const enum gpr arg_gpr[TV_REG_ARGS] = {
    GPR_RDI, GPR_RSI, GPR_RDX, GPR_RCX, GPR_R8, GPR_R9,
};

/* Core pointer to a byte of the PARAM section. */
static void *area_at(struct tv_pal *pal, uint32_t offset)
{
    uint32_t first = pal->image.sections[pal->image.param].first;

    if (offset < PAGE_SIZE) {
        return pal->param_page + offset;
    }
    return (uint8_t *)space_frame(&pal->space, first + offset / (uint32_t)PAGE_SIZE) +
           (offset & PAGE_MASK);
}

static enum marshal_answer answer_of(enum gm_result r)
{
    return r == GM_OK ? MARSHAL_OK : r == GM_FAULT ? MARSHAL_FAULT : MARSHAL_NOT_RAM;
}

/* Copy the data of one parameter, page by page of the PARAM section. */
static enum gm_result copy_data(struct tv_pal *pal, const struct hyp_caller *c,
                                unsigned i, bool in, struct gm_fault *f)
{
    const struct tv_param *p = &pal->image.params[i];
    uint32_t at = p->offset + 3 * (uint32_t)sizeof(uint64_t);
    uint64_t user = pal->act.args[i];
    uint32_t left = p->bytes;

    while (left > 0) {
        uint32_t room = (uint32_t)(PAGE_SIZE - (at & PAGE_MASK));
        uint32_t n = left < room ? left : room;
        enum gm_result r = in ? gm_read(c, gva(user), area_at(pal, at), n, f)
                              : gm_write(c, gva(user), area_at(pal, at), n, f);
        if (r != GM_OK) {
            return r;
        }
        at += n;
        user += n;
        left -= n;
    }
    return GM_OK;
}

/* The copy back must not fail for a reason that is known now. */
static enum gm_result check_writable(const struct hyp_caller *c, uint64_t user, uint32_t bytes,
                                     struct gm_fault *f)
{
    uint64_t first = align_down(user, PAGE_SIZE);
    uint64_t span = user - first + bytes;

    for (uint64_t at = 0; at < span; at += PAGE_SIZE) {
        void *page;
        gpa_t g;
        enum gm_result r = gm_page(c, gva(first + at), ACCESS_READ | ACCESS_WRITE | ACCESS_USER,
                                   &page, &g, f);
        if (r != GM_OK) {
            if (f->addr.a < user) {
                f->addr = gva(user);
            }
            return r;
        }
    }
    return GM_OK;
}

static enum gm_result check_pointers(const struct tv_pal *pal, const struct hyp_caller *c,
                                     struct gm_fault *f)
{
    for (unsigned i = 0; i < pal->image.param_count; i++) {
        if (pal->image.params[i].bytes != 0) {
            enum gm_result r =
                check_writable(c, pal->act.args[i], pal->image.params[i].bytes, f);
            if (r != GM_OK) {
                return r;
            }
        }
    }
    return GM_OK;
}

/* The three words before a parameter's data; they may lie on two pages. */
static void put_words(struct tv_pal *pal, const struct tv_param *p, uint64_t value)
{
    uint64_t *w = area_at(pal, p->offset);

    w[0] = p->type;
    if ((p->offset & PAGE_MASK) <= PAGE_SIZE - 3 * sizeof(*w)) {
        w[1] = p->words * TV_WORD;
        w[2] = value;
    } else {
        *(uint64_t *)area_at(pal, p->offset + 8) = p->words * TV_WORD;
        *(uint64_t *)area_at(pal, p->offset + 16) = value;
    }
}

/* Number of arguments on the stack. */
static unsigned on_stack(const struct tv_image *im)
{
    return im->param_count > TV_REG_ARGS ? im->param_count - TV_REG_ARGS : 0;
}

static void take_registers(struct tv_caller *k, const struct vcpu_regs *caller)
{
    k->rbx = caller->gpr[GPR_RBX];
    k->rbp = caller->gpr[GPR_RBP];
    k->r12 = caller->gpr[GPR_R12];
    k->r13 = caller->gpr[GPR_R13];
    k->r14 = caller->gpr[GPR_R14];
    k->r15 = caller->gpr[GPR_R15];
    k->rsp = caller->gpr[GPR_RSP];
    k->rflags = caller->rflags;
}

/* Read return address and stack arguments: all arguments are in pal->act afterwards. */
static enum gm_result take_args(struct tv_pal *pal, const struct hyp_caller *c,
                                const struct vcpu_regs *caller, struct gm_fault *f)
{
    uint64_t stack[1 + TV_MAX_PARAMS - TV_REG_ARGS];
    unsigned n = pal->image.param_count;
    enum gm_result r = gm_read(c, gva(caller->gpr[GPR_RSP]), stack,
                               (1 + on_stack(&pal->image)) * sizeof(stack[0]), f);

    if (r != GM_OK) {
        return r;
    }
    take_registers(&pal->act.caller, caller);
    pal->act.caller.rip = stack[0];
    for (unsigned i = 0; i < n && i < TV_REG_ARGS; i++) {
        pal->act.args[i] = caller->gpr[arg_gpr[i]];
    }
    for (unsigned i = TV_REG_ARGS; i < n; i++) {
        pal->act.args[i] = stack[1 + i - TV_REG_ARGS];
    }
    return GM_OK;
}

/* Write PARAM section and stack, and set the registers, in one pass over the arguments. */
static enum gm_result give_args(struct tv_pal *pal, const struct hyp_caller *c,
                                struct vcpu_regs *regs, struct gm_fault *f)
{
    const struct tv_image *im = &pal->image;
    unsigned words = on_stack(im) + 1;
    uint64_t *sp = pal->stack_words - words;

    *regs = (struct vcpu_regs){ .rip = im->entry };
    regs->gpr[GPR_RSP] =
        tv_section_end(&im->sections[im->stack]) - TV_STACK_SLACK - words * TV_WORD;
    sp[0] = pal->space.gate;
    *(uint64_t *)area_at(pal, TV_AREA_OFFSET) = im->param_count;
    for (unsigned i = im->param_count; i-- > 0;) {
        const struct tv_param *p = &im->params[i];
        uint64_t value = pal->act.args[i];
        put_words(pal, p, value);
        if (p->type == TV_PARAM_POINTER) {
            enum gm_result r = copy_data(pal, c, i, true, f);
            if (r != GM_OK) {
                return r;
            }
            value = im->sections[im->param].start + p->offset + 3 * TV_WORD;
        }
        if (i < TV_REG_ARGS) {
            regs->gpr[arg_gpr[i]] = value;
        } else {
            sp[1 + i - TV_REG_ARGS] = value;
        }
    }
    return GM_OK;
}

enum marshal_answer marshal_in(struct tv_pal *pal, const struct hyp_caller *c,
                               const struct vcpu_regs *caller, struct vcpu_regs *regs,
                               struct gm_fault *f)
{
    enum gm_result r = take_args(pal, c, caller, f);

    if (r == GM_OK && pal->image.has_data) {
        r = check_pointers(pal, c, f);
    }
    if (r == GM_OK) {
        r = give_args(pal, c, regs, f);
    }
    return answer_of(r);
}

enum marshal_answer marshal_out(struct tv_pal *pal, const struct hyp_caller *c,
                                struct gm_fault *f)
{
    enum gm_result r = GM_OK;

    for (unsigned i = pal->image.param_count; r == GM_OK && i-- > 0;) {
        r = copy_data(pal, c, i, false, f);
    }
    return answer_of(r);
}
