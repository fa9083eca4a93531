/* SPDX-License-Identifier: MIT */
/* Exits for CR4 writes (only where a hidden feature's bit exists) and XSETBV. */
#include <exit/dispatch.h>
#include <hw/insn.h>
#include <hypapp/hypapp.h>
#include <insn/insn.h>
#include <policy/cr.h>
#include <virt/fast_path.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

/* The MOV to a control register: from the hardware, else decoded. False: a fault is queued. */
static bool find_move(struct vcpu *v, const struct exit *e, struct insn_mov_cr *m,
                      struct guest_paging *p)
{
    uint8_t buf[INSN_MAX];

    if (e->cr.decoded && e->insn_len) {
        virt->get_paging(v, p);
        *m = (struct insn_mov_cr){ .len = e->insn_len, .cr = e->cr.cr, .gpr = e->cr.gpr,
                                   .to_cr = true };
        return true;
    }
    unsigned n = exit_fetch(v, buf, p);
    if (n == 0) {
        return false;
    }
    unsigned bits = p->mode == MODE_LONG64 ? 64 : p->mode == MODE_PROT32 ? 32 : 16;
    if (!insn_decode_mov_cr(buf, n, bits, m) || !m->to_cr || m->cr != e->cr.cr) {
        hyp_inject_gp(v);
        return false;
    }
    return true;
}

void exit_cr_write(struct vcpu *v, const struct exit *e)
{
    struct guest_paging p;
    struct insn_mov_cr m;

    if (!find_move(v, e, &m, &p)) {
        return;
    }
    uint64_t value = v->regs.gpr[m.gpr];
    if (p.mode != MODE_LONG64) {
        value = (uint32_t)value;
    }
    /* An AMD CPU looks first (APM vol. 2, table 15-7), emulators exit first; with a bit that it
     * doesn't have the next VMRUN would fail (15.5.1). */
    if (!cr4_valid(value, &p, cr4_visible(hw_cpuid))) {
        hyp_inject_gp(v);
        return;
    }
    if (!virt->set_cr(v, m.cr, value)) {
        hyp_inject_gp(v);
        return;
    }
    exit_skip(v, m.len);
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
