/* SPDX-License-Identifier: MIT */
/*
 * Arguments of a call, from the caller to the PAL and back (public ABI, sections 2.4 and
 * 2.5). Where the data goes is fixed by the registration; what the PAL writes into its
 * PARAM section is data to us, never addresses or sizes.
 */
#include "tv.h"
#include <util/string.h>

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
    uint32_t at = p->offset + TV_HEADER;
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

    if (!tv_reaches(c, user, bytes, f)) {
        return GM_FAULT;
    }
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

/* What lies before a parameter's data; with words of 32 bits only half aligned. */
struct header { uint64_t type, size, value; } __attribute__((packed));
_Static_assert(sizeof(struct header) == TV_HEADER, "public ABI");

static void put_header(struct tv_pal *pal, const struct tv_param *p, uint64_t value)
{
    const struct header h = { p->type, p->words * pal->image.word, value };

    if ((p->offset & PAGE_MASK) <= PAGE_SIZE - TV_HEADER) {
        *(struct header *)area_at(pal, p->offset) = h;
        return;
    }
    for (unsigned i = 0; i < TV_HEADER; i += 4) { /* on two pages */
        memcpy(area_at(pal, p->offset + i), (const uint8_t *)&h + i, 4);
    }
}

/* Number of arguments on the stack. */
static unsigned on_stack(const struct tv_image *im)
{
    const unsigned in_registers = im->wide ? TV_REG_ARGS : 0;

    return im->param_count > in_registers ? im->param_count - in_registers : 0;
}

static void take_registers(struct vcpu_regs *to, const struct vcpu_regs *caller)
{
    to->gpr[GPR_RBX] = caller->gpr[GPR_RBX];
    to->gpr[GPR_RBP] = caller->gpr[GPR_RBP];
    to->gpr[GPR_R12] = caller->gpr[GPR_R12];
    to->gpr[GPR_R13] = caller->gpr[GPR_R13];
    to->gpr[GPR_R14] = caller->gpr[GPR_R14];
    to->gpr[GPR_R15] = caller->gpr[GPR_R15];
    to->gpr[GPR_RSP] = caller->gpr[GPR_RSP];
    to->rflags = caller->rflags;
}

/* System V: six arguments in registers, more on the stack behind the return address. */
static enum gm_result take_wide(struct tv_pal *pal, const struct hyp_caller *c,
                                const struct vcpu_regs *caller, struct gm_fault *f)
{
    uint64_t stack[1 + TV_MAX_PARAMS - TV_REG_ARGS];
    unsigned n = pal->image.param_count;
    enum gm_result r = gm_read_again(c, gva(caller->gpr[GPR_RSP]), stack,
                                     1 + on_stack(&pal->image), &pal->stack_memo, f);

    if (r != GM_OK) {
        return r;
    }
    take_registers(&pal->act.caller.regs, caller);
    pal->act.caller.rip = stack[0];
    for (unsigned i = 0; i < n && i < TV_REG_ARGS; i++) {
        pal->act.args[i] = caller->gpr[arg_gpr[i]];
    }
    for (unsigned i = TV_REG_ARGS; i < n; i++) {
        pal->act.args[i] = stack[1 + i - TV_REG_ARGS];
    }
    return GM_OK;
}

/* cdecl: everything on the stack, in words of 32 bits. */
static enum gm_result take_narrow(struct tv_pal *pal, const struct hyp_caller *c,
                                  const struct vcpu_regs *caller, struct gm_fault *f)
{
    uint32_t stack[1 + TV_MAX_PARAMS];
    unsigned n = pal->image.param_count;
    uint32_t esp = (uint32_t)caller->gpr[GPR_RSP];
    enum gm_result r = !tv_reaches(c, esp, (1 + n) * sizeof(stack[0]), f) ? GM_FAULT
                       : gm_read(c, gva(esp), stack, (1 + n) * sizeof(stack[0]), f);

    if (r != GM_OK) {
        return r;
    }
    pal->act.caller.regs = *caller;
    pal->act.caller.rip = stack[0];
    for (unsigned i = 0; i < n; i++) {
        pal->act.args[i] = stack[1 + i];
    }
    return GM_OK;
}

/* Where the PAL expects argument `i`. `sp`: its stack pointer, for us. */
static void deliver(const struct tv_image *im, struct vcpu_regs *regs, void *sp, unsigned i,
                    uint64_t value)
{
    if (!im->wide) {
        ((uint32_t *)sp)[1 + i] = (uint32_t)value;
    } else if (i < TV_REG_ARGS) {
        regs->gpr[arg_gpr[i]] = value;
    } else {
        ((uint64_t *)sp)[1 + i - TV_REG_ARGS] = value;
    }
}

/* The stack pointer for the PAL's first instruction, with the gate as return address. */
static void *put_return(const struct tv_pal *pal, struct vcpu_regs *regs)
{
    const struct tv_image *im = &pal->image;
    const unsigned size = (on_stack(im) + 1) * im->word;
    void *sp = pal->stack_top - size;

    regs->gpr[GPR_RSP] = tv_section_end(&im->sections[im->stack]) - TV_STACK_SLACK - size;
    if (im->wide) {
        *(uint64_t *)sp = pal->space.gate;
    } else {
        *(uint32_t *)sp = (uint32_t)pal->space.gate;
    }
    return sp;
}

/* The data of all POINTERs. The only thing that may fail once the PAL's memory is written. */
static enum gm_result give_data(struct tv_pal *pal, const struct hyp_caller *c, struct gm_fault *f)
{
    enum gm_result r = GM_OK;

    for (unsigned i = 0; r == GM_OK && i < pal->image.param_count; i++) {
        r = copy_data(pal, c, i, true, f);
    }
    return r;
}

/* Write headers and stack, and set the registers, in one pass over the arguments. */
static void give_args(struct tv_pal *pal, struct vcpu_regs *regs)
{
    const struct tv_image *im = &pal->image;
    void *sp;

    *regs = (struct vcpu_regs){ .rip = im->entry };
    sp = put_return(pal, regs);
    *(uint64_t *)area_at(pal, TV_AREA_OFFSET) = im->param_count;
    for (unsigned i = im->param_count; i-- > 0;) {
        const struct tv_param *p = &im->params[i];
        uint64_t value = pal->act.args[i];
        put_header(pal, p, value);
        if (p->type == TV_PARAM_POINTER) {
            value = im->sections[im->param].start + p->offset + TV_HEADER;
        }
        deliver(im, regs, sp, i, value);
    }
}

/* A return address that RET would accept (48-bit addresses: LA57 is hidden). 32-bit code has
 * no others. */
static bool canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

enum marshal_answer marshal_in(struct tv_pal *pal, const struct hyp_caller *c,
                               struct vcpu_regs *regs, struct gm_fault *f)
{
    enum gm_result r = (pal->image.wide ? take_wide : take_narrow)(pal, c, regs, f);

    if (r == GM_OK && pal->image.has_data) {
        r = check_pointers(pal, c, f);
        if (r == GM_OK) {
            r = give_data(pal, c, f);
        }
    }
    if (r != GM_OK) {
        return answer_of(r);
    }
    if (!canonical(pal->act.caller.rip)) {
        return MARSHAL_BAD_RETURN;
    }
    give_args(pal, regs);
    return MARSHAL_OK;
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
