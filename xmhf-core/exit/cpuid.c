/* SPDX-License-Identifier: MIT */
/* CPUID exits: the CPU's answer through the policy, then the hypapp's word; the answer is kept for
 * the fast path. */
#include <exit/dispatch.h>
#include <hw/insn.h>
#include <hypapp/hypapp.h>
#include <policy/cpuid_policy.h>
#include <util/string.h>
#include <virt/fast_path.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

/* The length of the CPUID that exited and the guest's CR4. False: the guest got a fault. */
static bool look(struct vcpu *v, const struct exit *e, unsigned *len, uint64_t *cr4)
{
    static const uint8_t opcode[] = { 0x0f, 0xa2 };
    struct guest_paging p;

    if (e->insn_len && virt->get_cr4) {
        *len = e->insn_len;
        *cr4 = virt->get_cr4(v);
        return true;
    }
    *len = sizeof(opcode);
    if (v->in_sandbox) {
        virt->get_paging(v, &p);
    } else {
        *len = exit_insn_len(v, e, opcode, sizeof(opcode), &p);
    }
    *cr4 = p.cr4;
    return *len != 0;
}

/* The same answer may be given again as long as the CPU says the same. */
static void remember(struct vcpu *v, uint32_t leaf, uint32_t ecx, uint64_t cr4,
                     const struct cpuid_regs *answer)
{
    const uint32_t sub = cpuid_sub(leaf, ecx);

    if (sub > CPUID_SUB_MAX) {
        return;
    }
    *cpuid_memo(v, leaf, sub) = (struct cpuid_memo){
        .leaf = leaf, .question = cpuid_question(sub, cr4), .raw = hw_cpuid(leaf, sub),
        .answer = *answer,
    };
}

void cpuid_answer(struct vcpu *v, uint64_t cr4)
{
    uint64_t *gpr = v->regs.gpr;
    const uint32_t leaf = (uint32_t)gpr[GPR_RAX], sub = (uint32_t)gpr[GPR_RCX];
    struct cpuid_guest g = {
        .cr4 = cr4, .xcr0 = XCR0_X87, .apic_id = v->apic_id,
        .apic_enabled = !atomic_load(&v->apic_off),
    };

    if (leaf >= CPUID_XSTATE && (hw_read_cr4() & CR4_OSXSAVE)) {
        g.xcr0 = hw_xgetbv();
    }
    struct cpuid_regs r = cpuid_guest_view(hw_cpuid, leaf, sub, &g);
    if (!(hypapp.cpuid && hypapp.cpuid(v, leaf, sub, &r)) && !v->in_sandbox) {
        remember(v, leaf, sub, cr4, &r);
    }
    gpr[GPR_RAX] = r.eax;
    gpr[GPR_RBX] = r.ebx;
    gpr[GPR_RCX] = r.ecx;
    gpr[GPR_RDX] = r.edx;
}

void exit_cpuid(struct vcpu *v, const struct exit *e)
{
    unsigned len;
    uint64_t cr4;

    if (look(v, e, &len, &cr4)) {
        cpuid_answer(v, cr4);
        exit_skip(v, len);
    }
}

void cpuid_forget(struct vcpu *v)
{
    memset(v->cpuid, 0, sizeof(v->cpuid));
}
