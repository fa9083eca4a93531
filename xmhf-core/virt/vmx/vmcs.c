/* SPDX-License-Identifier: MIT */
/* The parts of a VMCS that never change: controls, host state, unused fields. */
#include <cpu/cpu.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>

extern const uint8_t vmx_exit[];

void vmx_write_controls(const struct vmx_controls *c)
{
    vmcs_write(VMCS_PIN_CONTROLS, c->word[VMX_PIN]);
    vmcs_write(VMCS_PROC_CONTROLS, c->word[VMX_PROC]);
    vmcs_write(VMCS_PROC2_CONTROLS, c->word[VMX_PROC2]);
    vmcs_write(VMCS_EXIT_CONTROLS, c->word[VMX_EXIT]);
    vmcs_write(VMCS_ENTRY_CONTROLS, c->word[VMX_ENTRY]);
}

/* Base of the TSS that TR names, from its descriptor (SDM vol. 3, 7.2.3). */
static uint64_t tss_base(const struct hw_table *gdt, uint16_t selector)
{
    const uint64_t *d = (const uint64_t *)(uintptr_t)(gdt->base + selector);

    return (d[0] >> 16 & 0xffffff) | (d[0] >> 56) << 24 | d[1] << 32;
}

void vmx_write_host_state(struct vcpu *v)
{
    struct hw_table gdt;

    hw_sgdt(&gdt);
    vmcs_write(VMCS_HOST_CR0, hw_read_cr0());
    vmcs_write(VMCS_HOST_CR3, host_cr3());
    vmcs_write(VMCS_HOST_CR4, hw_read_cr4());
    vmcs_write(VMCS_HOST_CS_SEL, SEL_CODE);
    vmcs_write(VMCS_HOST_SS_SEL, SEL_DATA);
    vmcs_write(VMCS_HOST_DS_SEL, SEL_DATA);
    vmcs_write(VMCS_HOST_ES_SEL, SEL_DATA);
    vmcs_write(VMCS_HOST_FS_SEL, 0);
    vmcs_write(VMCS_HOST_GS_SEL, 0);
    vmcs_write(VMCS_HOST_TR_SEL, SEL_TSS);
    vmcs_write(VMCS_HOST_FS_BASE, 0);
    vmcs_write(VMCS_HOST_GS_BASE, (uintptr_t)v);
    vmcs_write(VMCS_HOST_TR_BASE, tss_base(&gdt, SEL_TSS));
    vmcs_write(VMCS_HOST_GDTR_BASE, gdt.base);
    vmcs_write(VMCS_HOST_IDTR_BASE, cpu_idt());
    vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
    vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_HOST_EFER, hw_rdmsr(MSR_EFER));
    vmcs_write(VMCS_HOST_PAT, hw_rdmsr(MSR_IA32_PAT));
    vmcs_write(VMCS_HOST_RIP, (uintptr_t)vmx_exit);
}

/* A VMCLEARed region holds garbage: everything that is looked at gets a value. */
void vmx_write_zero_fields(void)
{
    static const enum vmcs_field zero[] = {
        VMCS_PF_ERROR_MASK, VMCS_PF_ERROR_MATCH, VMCS_CR3_TARGET_COUNT,
        VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_COUNT,
        VMCS_ENTRY_INTR_INFO, VMCS_ENTRY_ERROR_CODE, VMCS_ENTRY_INSN_LEN, VMCS_TSC_OFFSET,
        VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_ACTIVITY, VMCS_GUEST_PENDING_DEBUG,
        VMCS_GUEST_DEBUGCTL, VMCS_GUEST_SYSENTER_CS, VMCS_GUEST_SYSENTER_ESP,
        VMCS_GUEST_SYSENTER_EIP, VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE1, VMCS_GUEST_PDPTE2,
        VMCS_GUEST_PDPTE3, VMCS_GUEST_SMBASE,
    };

    for (size_t i = 0; i < ARRAY_SIZE(zero); i++) {
        vmcs_write(zero[i], 0);
    }
    vmcs_write(VMCS_LINK_POINTER, ~0ULL);
    if (vmcs_exists(&vmx_common.caps, VMCS_XSS_EXITING)) {
        vmcs_write(VMCS_XSS_EXITING, 0);
    }
}
