/* SPDX-License-Identifier: MIT */
/* CPUID exits. */
#include <exit/cpuid_policy.h>
#include <exit/dispatch.h>
#include <hw/insn.h>
#include <hypapp/hypapp.h>
#include <virt/virt.h>
#include <x86/cpu.h>

void exit_cpuid(struct vcpu *v, const struct exit *e)
{
    static const uint8_t opcode[] = { 0x0f, 0xa2 };
    uint64_t *gpr = v->regs.gpr;
    struct guest_paging p;
    unsigned len = sizeof(opcode);

    if (v->in_sandbox) {
        virt->get_paging(v, &p);
    } else {
        len = exit_insn_len(v, e, opcode, sizeof(opcode), &p);
    }
    if (len == 0) {
        return;
    }
    const struct cpuid_guest g = {
        .cr4 = p.cr4,
        .xcr0 = hw_read_cr4() & CR4_OSXSAVE ? hw_xgetbv() : XCR0_X87,
        .apic_id = v->apic_id,
        .apic_enabled = true,
    };
    uint32_t leaf = (uint32_t)gpr[GPR_RAX], sub = (uint32_t)gpr[GPR_RCX];
    struct cpuid_regs r = cpuid_guest_view(hw_cpuid, leaf, sub, &g);
    if (hypapp.cpuid) {
        hypapp.cpuid(v, leaf, sub, &r);
    }
    gpr[GPR_RAX] = r.eax;
    gpr[GPR_RBX] = r.ebx;
    gpr[GPR_RCX] = r.ecx;
    gpr[GPR_RDX] = r.edx;
    exit_skip(v, len);
}
