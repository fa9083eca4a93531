/* SPDX-License-Identifier: MIT */
/*
 * Arguments of a call, from the caller to the PAL and back, by the public ABI and by the module
 * interface and of images. Where the data goes is fixed by the registration, and how much of it
 * there is by that and by the caller's counts; what the PAL writes into its PARAM
 * section is data to us, never addresses or sizes. With the public ABI the PARAM section has a
 * header for each parameter; with the module interface it has the POINTERs' data only, and what is
 * out only begins as zeros.
 */
#include "marshal.h"
#include "caller.h"
#include "slots.h"
#include <util/string.h>

#define MS_REG_ARGS 4u   /* Microsoft: also so many words of stack that belong to the callee */

static const enum gpr sysv_gpr[TV_REG_ARGS] = {
    GPR_RDI, GPR_RSI, GPR_RDX, GPR_RCX, GPR_R8, GPR_R9,
};
static const enum gpr ms_gpr[MS_REG_ARGS] = { GPR_RCX, GPR_RDX, GPR_R8, GPR_R9 };

/* The parameters of this call. */
static const struct tv_param *params_of(const struct tv_pal *pal, const struct tv_activation *act)
{
    return &pal->image.params[act->entry->first];
}

/* Core pointer to a byte of the PARAM section. */
static void *area_at(const struct tv_pal *pal, const struct tv_activation *act, uint32_t offset)
{
    if (offset < PAGE_SIZE) {
        return act->param_page + offset;
    }
    return (uint8_t *)space_frame(&pal->space, act->param_first + offset / (uint32_t)PAGE_SIZE)
        + (offset & PAGE_MASK);
}

/* --- counts ------------------------------------------------------------------------ */

/* Bytes of this call's data of parameter `p`. The count is the argument as we keep it, which the
 * PAL can't change, and good. */
static uint32_t bytes_of(const struct tv_pal *pal, const struct tv_activation *act,
                         const struct tv_param *p)
{
    return !pal->image.has_counts || p->counted_by == 0
               ? p->bytes : (uint32_t)act->args[p->counted_by - 1] * p->unit;
}

/* The whole machine word counts. */
static bool counts_good(const struct tv_pal *pal, const struct tv_activation *act)
{
    const struct tv_param *p = params_of(pal, act);

    for (unsigned i = 0; i < act->entry->params; i++) {
        uint64_t n = p[i].counted_by == 0 ? 0 : act->args[p[i].counted_by - 1];
        if (n > UINT32_MAX || n * p[i].unit > p[i].bytes) {
            return false;
        }
    }
    return true;
}

/* --- data of POINTERs -------------------------------------------------------------- */

/* Offset of a POINTER's data in the PARAM section. */
static uint32_t data_offset(const struct tv_pal *pal, const struct tv_param *p)
{
    return pal->image.module ? p->offset : p->offset + TV_HEADER;
}

/* The caller's pages that hold what goes in, in the order of the parameters. They are found before
 * anything is written, and read in the same exit: another CPU that remaps one meanwhile sees what a
 * CPU with the old translation would do. */
struct given {
    unsigned pages;
    const uint8_t *page[TV_AREA_MAX / PAGE_SIZE + 2 * XMHF_MODULE_PARAMS]; /* each may begin and end
                                                                             within one */
};

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Bytes from `at` to the end of its page, at most `n`. */
static uint32_t in_page(uint64_t at, uint32_t n)
{
    return least(n, (uint32_t)(PAGE_SIZE - (at & PAGE_MASK)));
}

/* Zeros from one offset in the PARAM section to another. */
static void clear_area(const struct tv_pal *pal, const struct tv_activation *act, uint32_t from,
                       uint32_t to)
{
    while (from < to) {
        const uint32_t n = in_page(from, to - from);
        uint8_t *at = area_at(pal, act, from);

        hw_fill64(at, 0, n / 8); /* 512 KiB take half as long as an exit may */
        if (n % 8 != 0) {
            memset(at + n / 8 * 8, 0, n % 8);
        }
        from += n;
    }
}

/* `n` bytes that the caller has at `user`, of which the first is in *page, to `at` in the PARAM
 * section. */
static void copy_in(const struct tv_pal *pal, const struct tv_activation *act, uint32_t at,
                    uint64_t user, uint32_t n, const uint8_t *const *page)
{
    while (n > 0) {
        const uint32_t part = in_page(user, in_page(at, n));

        tv_copy(area_at(pal, act, at), *page + (user & PAGE_MASK), part);
        at += part;
        user += part;
        n -= part;
        page += (user & PAGE_MASK) == 0;
    }
}

/* Copy the data of one parameter to the caller, page by page of the PARAM section. */
static enum gm_result copy_out(const struct tv_pal *pal, const struct tv_activation *act,
                               const struct hyp_caller *c, unsigned i, struct gm_fault *f)
{
    const struct tv_param *p = &params_of(pal, act)[i];
    uint32_t at = data_offset(pal, p);
    struct tv_stream user = { .user = act->args[i] };
    uint32_t left = bytes_of(pal, act, p);

    while (left > 0) {
        uint32_t n = in_page(at, left);
        enum gm_result r = tv_stream_write(c, &user, area_at(pal, act, at), n, f);
        if (r != GM_OK) {
            return r;
        }
        at += n;
        left -= n;
    }
    return GM_OK;
}

/* Can the caller reach `bytes` at `user`, and may it access them so? Asked before anything is
 * copied. With `given` the pages are put there. */
static enum gm_result check_range(const struct hyp_caller *c, uint64_t user, uint32_t bytes,
                                  unsigned access, struct given *given, struct gm_fault *f)
{
    uint64_t first = align_down(user, PAGE_SIZE);
    uint64_t span = user - first + bytes;

    if (!tv_reaches(c, user, bytes, f)) {
        return GM_FAULT;
    }
    for (uint64_t at = 0; at < span; at += PAGE_SIZE) {
        void *page;
        gpa_t g;
        enum gm_result r = gm_page(c, gva(first + at), access, &page, &g, f);
        if (r != GM_OK) {
            if (f->addr.a < user) {
                f->addr = gva(user);
            }
            return r;
        }
        if (given) {
            given->page[given->pages++] = page;
        }
    }
    return GM_OK;
}

/* What of the caller's memory parameter `p` stands for. */
static uint32_t reach_of(const struct tv_pal *pal, const struct tv_activation *act,
                         const struct tv_param *p)
{
    return p->type == XMHF_PARAM_OCALL ? (uint32_t)sizeof(struct xmhf_ocall) + p->most
                                       : bytes_of(pal, act, p);
}

/* Is it data that goes in? */
static bool goes_in(const struct tv_param *p)
{
    return p->type == TV_PARAM_POINTER && (p->direction & XMHF_IN) != 0;
}

static enum gm_result check_pointers(const struct tv_pal *pal, const struct tv_activation *act,
                                     const struct hyp_caller *c, struct given *given,
                                     struct gm_fault *f)
{
    const struct tv_param *p = params_of(pal, act);

    for (unsigned i = 0; i < act->entry->params; i++) {
        unsigned write = p[i].direction != XMHF_IN ? ACCESS_WRITE : 0;
        uint32_t bytes;
        enum gm_result r;

        if (p[i].type == TV_PARAM_INTEGER || (bytes = reach_of(pal, act, &p[i])) == 0) {
            continue;
        }
        r = check_range(c, act->args[i], bytes, ACCESS_READ | ACCESS_USER | write,
                        goes_in(&p[i]) ? given : NULL, f);
        if (r != GM_OK) {
            return r;
        }
    }
    return GM_OK;
}

/*
 * An image has its POINTERs' data where other entries, and other counts, have theirs. What an
 * earlier call gave or got there isn't this one's business: zeros are behind what is counted, and
 * behind all data. Only what may be other than zero is cleared, since a count is usually much less
 * than the most: of what was in only as much as was given, and of the rest all, for the PAL may
 * have written it. A PAL that writes to what is in only, or beside its parameters, has to clear
 * that itself.
 */
static uint32_t leaves(const struct tv_pal *pal, const struct tv_activation *act,
                       const struct tv_param *p)
{
    return p->direction == XMHF_IN ? bytes_of(pal, act, p)
                                   : (uint32_t)align_up(p->bytes, TV_DATA_ALIGN);
}

static void clear_left(const struct tv_pal *pal, struct tv_activation *act)
{
    const struct tv_entry *e = act->entry, *old = act->left_by;
    const struct tv_param *p = old ? &pal->image.params[old->first] : NULL;

    for (unsigned i = 0; old && i < old->params; i++) {
        if (p[i].type == TV_PARAM_POINTER) {
            const uint32_t keeps = old == e ? bytes_of(pal, act, &p[i]) : 0;
            clear_area(pal, act, p[i].offset + keeps, p[i].offset + act->left[i]);
        }
    }
    p = params_of(pal, act);
    act->left_by = e;
    for (unsigned i = 0; i < e->params; i++) {
        act->left[i] = p[i].type == TV_PARAM_POINTER ? leaves(pal, act, &p[i]) : 0;
    }
}

/* The data of all POINTERs. */
static void give_data(const struct tv_pal *pal, struct tv_activation *act,
                      const struct given *given)
{
    const struct tv_param *p = params_of(pal, act);
    const uint8_t *const *page = given->page;

    if (pal->image.image) {
        clear_left(pal, act);
    }
    for (unsigned i = 0; i < act->entry->params; i++) {
        const uint32_t n = p[i].bytes == 0 ? 0 : bytes_of(pal, act, &p[i]);
        const uint32_t at = data_offset(pal, &p[i]);

        if (n != 0 && goes_in(&p[i])) {
            copy_in(pal, act, at, act->args[i], n, page);
            page += ((act->args[i] & PAGE_MASK) + n + PAGE_MASK) >> PAGE_SHIFT;
        } else if (n != 0) {
            clear_area(pal, act, at, at + n);
        }
    }
}

enum marshal_answer marshal_out(struct tv_pal *pal, const struct tv_activation *act,
                                const struct hyp_caller *c, struct gm_fault *f)
{
    const struct tv_param *p = params_of(pal, act);
    enum gm_result r = GM_OK;

    for (unsigned i = act->entry->params; r == GM_OK && i-- > 0;) {
        if (p[i].direction != XMHF_IN && p[i].bytes != 0) {
            r = copy_out(pal, act, c, i, f);
        }
    }
    return marshal_answer_of(r);
}

/* --- from the caller --------------------------------------------------------------- */

/* Arguments in registers, and slots of the stack behind the return address that `n` arguments
 * take. Microsoft's slots count from the first argument. */
static unsigned in_registers(const struct tv_image *im)
{
    return im->convention == XMHF_SYSV ? TV_REG_ARGS
           : im->convention == XMHF_MICROSOFT ? MS_REG_ARGS : 0;
}

static unsigned on_stack(const struct tv_image *im, unsigned n)
{
    const unsigned registers = in_registers(im);

    return n <= registers ? 0 : im->convention == XMHF_MICROSOFT ? n : n - registers;
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
    to->rflags = caller->rflags & ~RFLAGS_RF; /* the stub's hypercall ends it */
}

/* System V: six arguments in registers, more on the stack behind the return address. */
static inline void take_sysv(struct tv_activation *act, const struct vcpu_regs *caller,
                             uint64_t return_address)
{
    const unsigned n = act->entry->params;

    take_registers(&act->caller.regs, caller);
    act->caller.rip = return_address;
    for (unsigned i = 0; i < n && i < TV_REG_ARGS; i++) {
        act->args[i] = caller->gpr[sysv_gpr[i]];
    }
}

__attribute__((noinline))
static enum gm_result take_sysv_stack(struct tv_activation *act, const struct hyp_caller *c,
                                      const struct vcpu_regs *caller, struct gm_fault *f)
{
    uint64_t stack[1 + XMHF_MODULE_PARAMS - TV_REG_ARGS];
    const unsigned n = act->entry->params;
    enum gm_result r = gm_read_again(c, gva(caller->gpr[GPR_RSP]), stack, 1 + n - TV_REG_ARGS,
                                     &act->stack_memo, f);

    if (r != GM_OK) {
        return r;
    }
    take_sysv(act, caller, stack[0]);
    for (unsigned i = TV_REG_ARGS; i < n; i++) {
        act->args[i] = stack[1 + i - TV_REG_ARGS];
    }
    return GM_OK;
}

/* Most calls: nothing but the return address is on the stack. */
static inline enum gm_result take_sysv_registers(struct tv_activation *act,
                                                 const struct hyp_caller *c,
                                                 const struct vcpu_regs *caller,
                                                 struct gm_fault *f)
{
    uint64_t to;
    enum gm_result r;

    if (act->entry->params > TV_REG_ARGS) {
        return take_sysv_stack(act, c, caller, f);
    }
    r = gm_read_again(c, gva(caller->gpr[GPR_RSP]), &to, 1, &act->stack_memo, f);
    if (r == GM_OK) {
        take_sysv(act, caller, to);
    }
    return r;
}

/* Microsoft: four in registers, which have their slots on the stack all the same. */
__attribute__((noinline))
static enum gm_result take_ms(struct tv_activation *act, const struct hyp_caller *c,
                              const struct vcpu_regs *caller, struct gm_fault *f)
{
    uint64_t stack[1 + XMHF_MODULE_PARAMS];
    const unsigned n = act->entry->params;
    enum gm_result r = gm_read_again(c, gva(caller->gpr[GPR_RSP]), stack,
                                     n > MS_REG_ARGS ? 1 + n : 1, &act->stack_memo, f);

    if (r != GM_OK) {
        return r;
    }
    take_registers(&act->caller.regs, caller);
    act->caller.regs.gpr[GPR_RSI] = caller->gpr[GPR_RSI];
    act->caller.regs.gpr[GPR_RDI] = caller->gpr[GPR_RDI];
    act->caller.rip = stack[0];
    for (unsigned i = 0; i < n; i++) {
        act->args[i] = i < MS_REG_ARGS ? caller->gpr[ms_gpr[i]] : stack[1 + i];
    }
    return GM_OK;
}

/* cdecl: everything on the stack, in words of 32 bits. */
__attribute__((noinline))
static enum gm_result take_cdecl(struct tv_activation *act, const struct hyp_caller *c,
                                  const struct vcpu_regs *caller, struct gm_fault *f)
{
    uint32_t stack[1 + XMHF_MODULE_PARAMS];
    unsigned n = act->entry->params;
    uint32_t esp = (uint32_t)caller->gpr[GPR_RSP];
    enum gm_result r = !tv_reaches(c, esp, (1 + n) * sizeof(stack[0]), f) ? GM_FAULT
                       : gm_read(c, gva(esp), stack, (1 + n) * sizeof(stack[0]), f);

    if (r != GM_OK) {
        return r;
    }
    act->caller.regs = *caller;
    act->caller.regs.rflags &= ~RFLAGS_RF;
    act->caller.rip = stack[0];
    for (unsigned i = 0; i < n; i++) {
        act->args[i] = stack[1 + i];
    }
    return GM_OK;
}

/* By the widths that are declared, or to a narrower PAL. */
__attribute__((noinline))
static enum gm_result take_declared(const struct tv_pal *pal, struct tv_activation *act,
                                    const struct hyp_caller *c, const struct vcpu_regs *caller,
                                    struct gm_fault *f)
{
    enum gm_result r;

    r = pal->image.caller == XMHF_CDECL  ? slots_take(pal, act, c, caller, f)
        : pal->image.caller == XMHF_SYSV ? take_sysv_registers(act, c, caller, f)
                                         : take_ms(act, c, caller, f);
    if (r != GM_OK) {
        return r;
    }
    if (pal->image.takes == TV_WAY_SLOTS) {
        slots_settle(pal, act);
    } else {
        slots_fit(pal, act);
    }
    return GM_OK;
}

/* --- to the PAL -------------------------------------------------------------------- */

/* What lies before a parameter's data; with words of 32 bits only half aligned. */
struct header { uint64_t type, size, value; } __attribute__((packed));
_Static_assert(sizeof(struct header) == TV_HEADER, "public ABI");

/* A header that lies on two pages, or not on the first one. */
__attribute__((noinline))
static void put_header_at(const struct tv_pal *pal, const struct tv_activation *act,
                          uint32_t offset, const struct header h)
{
    for (unsigned i = 0; i < TV_HEADER; i += 4) {
        memcpy(area_at(pal, act, offset + i), (const uint8_t *)&h + i, 4);
    }
}

static inline void put_header(const struct tv_pal *pal, const struct tv_activation *act,
                              const struct tv_param *p, uint64_t value)
{
    const uint64_t size = p->size * pal->image.word;

    if (p->offset > PAGE_SIZE - TV_HEADER) {
        put_header_at(pal, act, p->offset, (struct header){ p->type, size, value });
        return;
    }
    struct header *h = (struct header *)(act->param_page + p->offset);
    h->type = p->type;
    h->size = size;
    h->value = value;
}

/* Bytes that return address and arguments take at the top of the stack. The arguments begin at a
 * multiple of 16, as every convention here says (System V ABI, AMD64 supplement 3.2.2: RSP + 8
 * at a function's entry; i386 supplement 2.2.2: ESP + 4; Microsoft's x64 convention: as AMD64).
 * Compilers rely on it: MOVAPS to the stack. What is left free to that end is above the last
 * argument. */
static unsigned frame_size(const struct tv_image *im, const struct tv_activation *act)
{
    const unsigned n = act->entry->params;
    unsigned slots;

    if (im->convention == XMHF_SYSV && n <= TV_REG_ARGS) {
        return sizeof(uint64_t); /* most calls */
    }
    slots = im->gives == TV_WAY_SLOTS ? act->slots : on_stack(im, n);
    if (im->convention == XMHF_MICROSOFT && slots < MS_REG_ARGS) {
        slots = MS_REG_ARGS;
    }
    return (unsigned)align_up(slots * im->word, 16) + im->word;
}

/* The stack pointer for the PAL's first instruction, with the return page as return address. */
static void *put_return(const struct tv_pal *pal, const struct tv_activation *act,
                        struct vcpu_regs *regs)
{
    const struct tv_image *im = &pal->image;
    const unsigned size = frame_size(im, act);
    void *sp = act->stack_top - size;

    regs->gpr[GPR_RSP] = act->stack_va - size;
    if (im->word == 8) {
        *(uint64_t *)sp = pal->space.return_page;
    } else if (im->word == 4) {
        *(uint32_t *)sp = (uint32_t)pal->space.return_page;
    } else {
        *(uint16_t *)sp = (uint16_t)pal->space.return_page;
    }
    return sp;
}

/* All but RSP and RIP, one by one, since every call comes here. */
static inline void clear_registers(struct vcpu_regs *regs)
{
    uint64_t *gpr = regs->gpr;

    gpr[GPR_RAX] = gpr[GPR_RCX] = gpr[GPR_RDX] = gpr[GPR_RBX] = 0;
    gpr[GPR_RBP] = gpr[GPR_RSI] = gpr[GPR_RDI] = 0;
    gpr[GPR_R8] = gpr[GPR_R9] = gpr[GPR_R10] = gpr[GPR_R11] = 0;
    gpr[GPR_R12] = gpr[GPR_R13] = gpr[GPR_R14] = gpr[GPR_R15] = 0;
    regs->rflags = 0;
}

/* One argument: its header, and what the PAL gets for it. */
static inline uint64_t give(const struct tv_pal *pal, const struct tv_activation *act,
                            const struct tv_param *p, unsigned i)
{
    const uint64_t value = act->args[i];

    if (!pal->image.module) {
        put_header(pal, act, p, value);
    }
    if (p->type == TV_PARAM_INTEGER) {
        return value;
    }
    return p->type == TV_PARAM_POINTER ? act->param_va + data_offset(pal, p) : 0;
}

/* Where the PAL expects arguments in each convention. `sp`: its stack pointer, for us. */
static void give_sysv(const struct tv_pal *pal, const struct tv_activation *act, uint64_t *gpr,
                      uint64_t *sp)
{
    const struct tv_param *p = params_of(pal, act);
    const unsigned n = act->entry->params;

    for (unsigned i = 0; i < n && i < TV_REG_ARGS; i++) {
        gpr[sysv_gpr[i]] = give(pal, act, &p[i], i);
    }
    for (unsigned i = TV_REG_ARGS; i < n; i++) {
        sp[1 + i - TV_REG_ARGS] = give(pal, act, &p[i], i);
    }
}

static void give_ms(const struct tv_pal *pal, const struct tv_activation *act, uint64_t *gpr,
                    uint64_t *sp)
{
    const struct tv_param *p = params_of(pal, act);

    for (unsigned i = 0; i < act->entry->params; i++) {
        *(i < MS_REG_ARGS ? &gpr[ms_gpr[i]] : &sp[1 + i]) = give(pal, act, &p[i], i);
    }
}

static void give_cdecl(const struct tv_pal *pal, const struct tv_activation *act, uint32_t *sp)
{
    const struct tv_param *p = params_of(pal, act);

    for (unsigned i = 0; i < act->entry->params; i++) {
        sp[1 + i] = (uint32_t)give(pal, act, &p[i], i);
    }
}

/* Write headers and stack, and set the registers. */
static inline void give_args(const struct tv_pal *pal, const struct tv_activation *act,
                             struct vcpu_regs *regs)
{
    const struct tv_image *im = &pal->image;
    void *sp;

    clear_registers(regs);
    regs->rip = act->entry->va;
    sp = put_return(pal, act, regs);
    if (!im->module) {
        *(uint64_t *)area_at(pal, act, TV_AREA_OFFSET) = im->param_count;
    }
    if (im->convention == XMHF_SYSV) {
        give_sysv(pal, act, regs->gpr, sp);
    } else if (im->convention == XMHF_MICROSOFT) {
        give_ms(pal, act, regs->gpr, sp);
    } else if (im->gives == TV_WAY_CDECL) {
        give_cdecl(pal, act, sp);
    } else {
        slots_give(pal, act, sp);
        if (im->mode == PAL_ID_MODE_16) { /* with CDECL they are the same */
            regs->rip = act->entry->va - act->begins[SEG_CS].base;
        }
    }
}

/* A return address that RET would accept (48-bit addresses: LA57 is hidden). 32-bit code has
 * no others. */
static bool canonical(uint64_t va)
{
    return is_canonical(va, 48);
}

enum marshal_answer marshal_return_address(const struct hyp_caller *c,
                                           const struct vcpu_regs *regs, uint64_t *to,
                                           struct gm_fault *f)
{
    const uint64_t rsp = regs->gpr[GPR_RSP], sp = tv_is_64(c) ? rsp : (uint32_t)rsp;
    const uint32_t word = tv_word(c);
    enum gm_result r;

    *to = 0;
    r = tv_reaches(c, sp, word, f) ? gm_read(c, gva(sp), to, word, f) : GM_FAULT;
    return r == GM_OK && !canonical(*to) ? MARSHAL_BAD_RETURN : marshal_answer_of(r);
}

enum marshal_answer marshal_caller(const struct tv_pal *pal, struct tv_activation *act,
                                   const struct hyp_caller *c, const struct vcpu_regs *regs,
                                   struct gm_fault *f)
{
    uint64_t to;
    enum marshal_answer m = marshal_return_address(c, regs, &to, f);

    if (m != MARSHAL_OK) {
        return m;
    }
    if (pal->image.caller == XMHF_CDECL) {
        act->caller.regs = *regs;
        act->caller.regs.rflags &= ~RFLAGS_RF;
    } else {
        take_registers(&act->caller.regs, regs);
    }
    if (pal->image.caller == XMHF_MICROSOFT) {
        act->caller.regs.gpr[GPR_RSI] = regs->gpr[GPR_RSI];
        act->caller.regs.gpr[GPR_RDI] = regs->gpr[GPR_RDI];
    }
    act->caller.rip = to;
    return MARSHAL_OK;
}

/* What the arguments lead to, once all of it can be had. */
__attribute__((noinline))
static enum marshal_answer take_data(struct tv_pal *pal, struct tv_activation *act,
                                     const struct hyp_caller *c, struct gm_fault *f)
{
    struct given given;
    enum gm_result r;

    if (pal->image.has_counts && !counts_good(pal, act)) {
        return canonical(act->caller.rip) ? MARSHAL_BAD_COUNT : MARSHAL_BAD_RETURN;
    }
    given.pages = 0;
    r = check_pointers(pal, act, c, &given, f);
    if (r == GM_OK) {
        give_data(pal, act, &given);
    }
    return marshal_answer_of(r);
}

enum marshal_answer marshal_in(struct tv_pal *pal, struct tv_activation *act,
                               const struct hyp_caller *c, struct vcpu_regs *regs,
                               struct gm_fault *f)
{
    const uint8_t way = pal->image.takes;
    enum gm_result r = way == TV_WAY_SYSV        ? take_sysv_registers(act, c, regs, f)
                       : way == TV_WAY_MICROSOFT ? take_ms(act, c, regs, f)
                       : way == TV_WAY_CDECL     ? take_cdecl(act, c, regs, f)
                                                 : take_declared(pal, act, c, regs, f);
    enum marshal_answer m;

    if (r != GM_OK) {
        return marshal_answer_of(r);
    }
    if (way >= TV_WAY_SLOTS && !act->fits) {
        return canonical(act->caller.rip) ? MARSHAL_BAD_VALUE : MARSHAL_BAD_RETURN;
    }
    if (pal->image.has_data) {
        m = take_data(pal, act, c, f);
        if (m != MARSHAL_OK) {
            return m;
        }
    }
    if (!canonical(act->caller.rip)) {
        return MARSHAL_BAD_RETURN;
    }
    give_args(pal, act, regs);
    return MARSHAL_OK;
}
