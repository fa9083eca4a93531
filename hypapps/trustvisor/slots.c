/* SPDX-License-Identifier: MIT */
/* Arguments and results between code of different widths. */
#include "slots.h"
#include "caller.h"
#include "mode16.h"

static const struct tv_param *params_of(const struct tv_pal *pal, const struct tv_activation *act)
{
    return &pal->image.params[act->entry->first];
}

/* Bytes of an INTEGER that is declared so, or of a result. */
static uint32_t bytes_of(uint32_t declared, uint32_t word)
{
    return declared == XMHF_INTEGER_WORD ? word : XMHF_INTEGER_BYTES(declared);
}

/* The whole of a value of which only its bytes count. */
static uint64_t extended(uint64_t value, uint32_t declared, uint32_t word)
{
    const uint32_t unused = 64 - 8 * bytes_of(declared, word);

    return declared & XMHF_INTEGER_SIGNED ? (uint64_t)((int64_t)(value << unused) >> unused)
                                          : value << unused >> unused;
}

/* Machine words of `word` bytes that a parameter takes on a stack. */
static unsigned slots_of(const struct tv_param *p, uint32_t word)
{
    if (p->type != TV_PARAM_INTEGER) {
        return word == 2 ? 2 : 1; /* offset and selector */
    }
    return bytes_of(p->most, word) > word ? bytes_of(p->most, word) / word : 1;
}

static unsigned slots_on_stack(const struct tv_param *p, unsigned n, uint32_t word)
{
    unsigned slots = 0;

    for (unsigned i = 0; i < n; i++) {
        slots += slots_of(&p[i], word);
    }
    return slots;
}

/* --- from the caller --------------------------------------------------------------- */

void slots_settle(const struct tv_pal *pal, struct tv_activation *act)
{
    const struct tv_param *p = params_of(pal, act);
    const uint32_t word = pal->image.word, theirs = pal->image.caller_word;
    const unsigned n = act->entry->params;
    uint64_t over = 0; /* bits that the PAL's word has no room for */
    unsigned slots = 0;

    for (unsigned i = 0; i < n; i++) {
        slots += slots_of(&p[i], word);
        if (p[i].type != TV_PARAM_INTEGER) {
            continue;
        }
        act->args[i] = extended(act->args[i], p[i].most, theirs);
        if (p[i].most == XMHF_INTEGER_WORD && word < theirs) {
            over |= act->args[i] >> 8 * word;
        }
    }
    act->slots = (uint16_t)slots;
    act->fits = over == 0;
}

void slots_fit(const struct tv_pal *pal, struct tv_activation *act)
{
    const struct tv_param *p = params_of(pal, act);
    uint64_t over = 0;

    for (unsigned i = 0; i < act->entry->params; i++) {
        over |= p[i].type == TV_PARAM_INTEGER ? act->args[i] >> 32 : 0;
    }
    act->fits = over == 0;
}

enum gm_result slots_take(const struct tv_pal *pal, struct tv_activation *act,
                          const struct hyp_caller *c, const struct vcpu_regs *caller,
                          struct gm_fault *f)
{
    uint32_t stack[1 + 2 * XMHF_IMAGE_ENTRY_PARAMS];
    const struct tv_param *p = params_of(pal, act);
    const unsigned n = act->entry->params;
    const uint32_t esp = (uint32_t)caller->gpr[GPR_RSP];
    const uint32_t bytes = (1 + slots_on_stack(p, n, sizeof(stack[0]))) * sizeof(stack[0]);
    enum gm_result r = tv_reaches(c, esp, bytes, f) ? gm_read(c, gva(esp), stack, bytes, f)
                                                    : GM_FAULT;
    const uint32_t *next = stack + 1;

    if (r != GM_OK) {
        return r;
    }
    act->caller.regs = *caller;
    act->caller.regs.rflags &= ~RFLAGS_RF;
    act->caller.rip = stack[0];
    for (unsigned i = 0; i < n; i++) {
        uint64_t value = *next++;
        if (slots_of(&p[i], sizeof(stack[0])) > 1) {
            value |= (uint64_t)*next++ << 32;
        }
        act->args[i] = value;
    }
    return GM_OK;
}

/* --- to the PAL, and back ----------------------------------------------------------- */

/* What the PAL gets for a POINTER. */
static uint64_t pointer(const struct tv_pal *pal, const struct tv_activation *act,
                        const struct tv_param *p)
{
    return pal->image.word == 2 ? mode16_behind((uint32_t)act->param_va, p->offset)
                                : act->param_va + p->offset;
}

/* `n` bytes: 2, 4 or 8. Returns where they end. */
static uint8_t *put(uint8_t *at, uint64_t value, unsigned n)
{
    for (unsigned done = 0; done < n; done += 2, value >>= 16) {
        *(uint16_t *)(void *)(at + done) = (uint16_t)value;
    }
    return at + n;
}

void slots_give(const struct tv_pal *pal, const struct tv_activation *act, void *sp)
{
    const struct tv_param *p = params_of(pal, act);
    const uint32_t word = pal->image.word;
    uint8_t *next = (uint8_t *)sp + word; /* behind the return address */

    for (unsigned k = 0; k < act->entry->params; k++) {
        const unsigned i = pal->image.convention == XMHF_PASCAL16 ? act->entry->params - 1 - k : k;
        const uint64_t value = p[i].type == TV_PARAM_INTEGER ? act->args[i]
                               : p[i].type == TV_PARAM_POINTER ? pointer(pal, act, &p[i]) : 0;
        next = put(next, value, slots_of(&p[i], word) * word);
    }
}

uint64_t slots_result(const struct tv_pal *pal, const struct tv_activation *act,
                      const struct vcpu_regs *regs)
{
    const uint32_t word = pal->image.word, declared = act->entry->result;
    uint64_t value = regs->gpr[GPR_RAX];

    if (word == 2) {
        value = (value & 0xffff) | (regs->gpr[GPR_RDX] & 0xffff) << 16;
    } else if (bytes_of(declared, word) > word) {
        value = (uint32_t)value | regs->gpr[GPR_RDX] << 32;
    }
    return extended(value, declared, word);
}
