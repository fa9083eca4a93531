/* SPDX-License-Identifier: MIT */
/* Exits for XSETBV and for writes of control registers: of CR4 where a hidden feature's bit exists,
 * of CR0 and CR3 as far as the hypapp asked, and CR0's bits that VMX fixes. */
#include <cpu/width.h>
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <exit/operand.h>
#include <guest/inject.h>
#include <hw/insn.h>
#include <hypapp/hypapp.h>
#include <insn/operand.h>
#include <policy/asked.h>
#include <policy/cr.h>
#include <virt/fast_path.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

/* A write of CR0, CR3 or CR4. */
struct cr_write {
    unsigned cr, len;
    uint64_t old, value;       /* all of the register */
    struct guest_paging p;
};

/* What CLTS and LMSW make of CR0: LMSW can't clear PE (SDM vol. 2; APM vol. 3). */
static uint64_t clts(uint64_t cr0) { return cr0 & ~CR0_TS; }
static uint64_t lmsw(uint64_t cr0, uint64_t source)
{
    const uint64_t bits = CR0_PE | CR0_MP | CR0_EM | CR0_TS;

    return (cr0 & ~bits) | (source & bits) | (cr0 & CR0_PE);
}

/* By the instruction at RIP. False: a fault is queued, or it is another one by now: #GP. */
static bool decode_write(struct vcpu *v, struct cr_write *w)
{
    uint8_t buf[INSN_MAX];
    struct insn_system i;
    uint64_t at;
    uint16_t source;
    unsigned n = exit_fetch(v, buf, &w->p);

    if (n == 0) {
        return false;
    }
    bool ok = insn_decode_system(buf, n, code_bits(w->p.mode), &i);
    w->len = i.len;
    if (ok && i.opcode == 0x22 && i.field == w->cr) {
        w->value = v->regs.gpr[i.rm.reg];
    } else if (ok && i.opcode == 0x06 && w->cr == 0) {
        w->value = clts(w->old);
    } else if (ok && i.opcode == 0x01 && (i.field & 7) == 6 && w->cr == 0) {
        if (i.rm.is_reg) {
            source = (uint16_t)v->regs.gpr[i.rm.reg];
        } else if (!operand_address(v, &w->p, &i.rm, i.len, 2, ACCESS_READ, &at)
                   || !linear_read(v, &w->p, at, &source, sizeof(source))) {
            return false;
        }
        w->value = lmsw(w->old, source);
    } else {
        hyp_inject_gp(v);
        return false;
    }
    return true;
}

/* By the hardware's word, else decoded. False: a fault is queued. */
static bool find_write(struct vcpu *v, const struct exit *e, struct cr_write *w)
{
    *w = (struct cr_write){ .cr = e->cr.cr, .len = e->insn_len, .old = virt->get_cr(v, e->cr.cr) };
    if (!e->cr.decoded || !e->insn_len) {
        if (!decode_write(v, w)) {
            return false;
        }
    } else {
        virt->get_paging(v, &w->p);
        w->value = e->cr.how == CR_MOV ? v->regs.gpr[e->cr.gpr]
            : e->cr.how == CR_CLTS ? clts(w->old) : lmsw(w->old, e->cr.source);
    }
    if (w->p.mode != MODE_LONG64) {
        w->value = (uint32_t)w->value;
    }
    return true;
}

/* An AMD CPU looks first (APM vol. 2, table 15-7), emulators exit first; with a bit that it doesn't
 * have the next VMRUN would fail (15.5.1). */
static bool valid(struct vcpu *v, const struct cr_write *w)
{
    struct segment cs;

    switch (w->cr) {
    case 0:
        virt->get_segment(v, SEG_CS, &cs);
        return cr0_valid(w->value, &w->p, cs.attr & SEG_ATTR_L);
    case 3: return cr3_valid(w->value, &w->p, phys_beyond());
    default: return cr4_valid(w->value, &w->p, cr4_visible(hw_cpuid));
    }
}

/* False: the PAE page-directory pointers that it would load have reserved bits, and nothing has
 * changed. */
static bool load(struct vcpu *v, const struct cr_write *w)
{
    return w->cr == 3 ? virt->set_cr3(v, w->value)
        : virt->set_cr(v, w->cr, w->cr == 0 ? cr0_taken(w->value) : w->value);
}

static enum hyp_answer ask(struct vcpu *v, struct cr_write *w)
{
    uint64_t asked = asked_cr(w->cr);

    if (w->cr == 3) {
        w->value &= ~(w->p.cr4 & CR4_PCIDE ? CR3_NO_FLUSH : 0); /* no bit of the register */
    } else {
        asked &= w->old ^ w->value;
    }
    return asked && hypapp.cr_write ? hypapp.cr_write(v, w->cr, &w->value) : HYP_CORE;
}

void exit_cr_write(struct vcpu *v, const struct exit *e)
{
    struct cr_write w;
    enum hyp_answer a;

    if (!find_write(v, e, &w)) {
        return;
    }
    a = valid(v, &w) ? ask(v, &w) : HYP_REFUSE;
    if (a == HYP_CORE) {
        a = valid(v, &w) && load(v, &w) ? HYP_DONE : HYP_REFUSE;
    }
    (void)exit_answered(v, a, w.len);
}

bool exit_task_cr3(struct vcpu *v, uint64_t *value)
{
    return !asked_cr(3) || !hypapp.cr_write || hypapp.cr_write(v, 3, value) != HYP_REFUSE;
}

void exit_xsetbv(struct vcpu *v, const struct exit *e)
{
    static const uint8_t opcode[] = { 0x0f, 0x01, 0xd1 };
    uint64_t value = (uint32_t)v->regs.gpr[GPR_RAX] | v->regs.gpr[GPR_RDX] << 32;
    struct guest_paging p;
    unsigned len = exit_insn_len(v, e, opcode, sizeof(opcode), &p);

    if (len == 0) {
        return;
    }
    if (!(p.cr4 & CR4_OSXSAVE)) {
        hyp_inject_ud(v);
        return;
    }
    const struct cpuid_guest g = { .cr4 = p.cr4, .xcr0 = XCR0_X87 };
    struct cpuid_regs d = cpuid_guest_view(hw_cpuid, CPUID_XSTATE, 0, &g);
    if (p.cpl != 0 || (uint32_t)v->regs.gpr[GPR_RCX] != 0
        || !xcr0_valid(value, d.eax | (uint64_t)d.edx << 32)
        || !hw_xsetbv_safe(value)) { /* the CPU knows rules for components of the future */
        hyp_inject_gp(v);
        return;
    }
    cpuid_forget(v); /* leaf 0xD has sizes for this XCR0 */
    exit_skip(v, len);
}
