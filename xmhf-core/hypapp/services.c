/* SPDX-License-Identifier: MIT */
/* What the core does for hypapps besides memory and sandboxes: callers, random. */
#include <hw/insn.h>
#include <hw/sha256.h>
#include <hypapp/memory.h>
#include <hypapp/services.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

void hyp_caller(struct vcpu *v, struct hyp_caller *c)
{
    virt->get_paging(v, &c->paging);
    c->interrupts_on = v->regs.rflags & RFLAGS_IF;
    c->event_queued = virt->event_queued(v);
    c->no_ad = false;
}

bool hyp_msr_value(struct vcpu *v, uint32_t index, uint64_t *value)
{
    return virt->state_msr_read(v, index, value) || hw_rdmsr_safe(index, value);
}

struct hyp_sha256 hyp_sha256(void)
{
    /* The extensions are used with SSSE3 and SSE2, which every CPU with them has (SDM vol. 1,
     * 12.5). */
    if (hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES
        && (hw_cpuid(CPUID_EXT_FEATURES, 0).ebx & CPUID_7_0_EBX_SHA)) {
        return (struct hyp_sha256){ hw_sha256_blocks, 180 };
    }
    return (struct hyp_sha256){ sha256_blocks, HYP_SHA256_COST_MAX };
}
