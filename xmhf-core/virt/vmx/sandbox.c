/* SPDX-License-Identifier: MIT */
/*
 * The sandbox's VMCS: nothing live in it comes from the OS. Filled once per CPU from
 * constants; an entry sets only the address space, the mode and the registers.
 */
#include <hw/insn.h>
#include <hw/vmx.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>

#define SANDBOX_CODE64 (SEG_ATTR_CODE64 | SEG_ATTR_DPL)
#define SANDBOX_CODE32 (SEG_ATTR_CODE32 | SEG_ATTR_DPL)
#define SANDBOX_DATA   (SEG_ATTR_DATA32 | SEG_ATTR_DPL)

static const struct segment sandbox_data = { 0x2b, SANDBOX_DATA, 0xffffffff, 0 };

static void write_segments(void)
{
    const struct segment ldt = { 0, 0, 0, 0 };
    const struct segment tss = { 0, SEG_ATTR_TSS_BUSY, 0, 0 };

    vmx_write_segment(SEG_ES, &sandbox_data);
    vmx_write_segment(SEG_SS, &sandbox_data);
    vmx_write_segment(SEG_DS, &sandbox_data);
    vmx_write_segment(SEG_FS, &sandbox_data);
    vmx_write_segment(SEG_GS, &sandbox_data);
    vmx_write_segment(SEG_LDTR, &ldt);
    vmx_write_segment(SEG_TR, &tss);
    vmcs_write(VMCS_GUEST_GDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, 0);
    vmcs_write(VMCS_GUEST_IDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
}

void vmx_sandbox_init(struct vcpu *v)
{
    /* MSR bitmaps stay off: every access exits. I/O always exits, without bitmaps. */
    vmx_write_controls(&vmx_common.sandbox);
    vmx_write_zero_fields();
    vmx_write_host_state(v);
    write_segments();
    vmcs_write(VMCS_EXCEPTION_BITMAP, 0xffffffff);
    uint64_t cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    vmcs_write(VMCS_GUEST_CR0, vmx_fixed_cr(&vmx_common.caps, 0, cr0));
    vmcs_write(VMCS_CR0_SHADOW, cr0); /* what SMSW shows */
    vmcs_write(VMCS_CR0_MASK, ~0ULL);
    /* Without MCE a machine check would shut the machine down, and not exit (6.15, 27.9). */
    uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT
        | (hw_read_cr4() & CR4_OSXSAVE);
    vmcs_write(VMCS_GUEST_CR4, vmx_fixed_cr(&vmx_common.caps, 4, cr4));
    vmcs_write(VMCS_CR4_SHADOW, cr4);
    vmcs_write(VMCS_CR4_MASK, ~0ULL);
    vmcs_write(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE); /* SCE = 0: SYSCALL is #UD */
    vmcs_write(VMCS_GUEST_PAT, 0x0606060606060606ULL);           /* everything write-back */
    vmcs_write(VMCS_GUEST_DR7, DR7_AT_INIT);
}

/* This CPU's VPID for `tag`. A tag that isn't in its slot takes it; the root's page may have
 * been another tag's, so what the CPU remembers of that goes too. */
static void choose_vpid(struct vmx_cpu *s, uint64_t tag, uint64_t eptp)
{
    unsigned slot = (unsigned)(tag % VMX_SLOTS);
    uint16_t vpid = (uint16_t)(VMX_VPID_OS + 1 + slot);

    if (vmx_common.sandbox.word[VMX_PROC2] >> PROC2_VPID & 1) {
        vmcs_write(VMCS_VPID, vpid);
    }
    if (s->tag[slot] != tag) {
        s->tag[slot] = tag;
        vmx_flush_ept(eptp);
        vmx_flush_vpid(vpid);
    }
}

/* CS for 64-bit or 32-bit code, where the last sandbox was of the other kind. */
static void choose_code(struct vmx_cpu *s, bool wide)
{
    const struct segment code = {
        wide ? 0x33 : 0x23, wide ? SANDBOX_CODE64 : SANDBOX_CODE32, 0xffffffff, 0,
    };

    if (s->code != (wide ? CODE_WIDE : CODE_NARROW)) {
        s->code = wide ? CODE_WIDE : CODE_NARROW;
        vmx_write_segment(SEG_CS, &code);
    }
}

static bool is_null(enum vmcs_field selector)
{
    return vmcs_read(selector) != sandbox_data.selector;
}

/* The last run, even of the same sandbox, may have loaded null selectors, which need no table. */
static void mend_selectors(void)
{
    if (is_null(VMCS_GUEST_ES_SEL) || is_null(VMCS_GUEST_DS_SEL) || is_null(VMCS_GUEST_FS_SEL)
        || is_null(VMCS_GUEST_GS_SEL)) {
        vmx_write_segment(SEG_ES, &sandbox_data);
        vmx_write_segment(SEG_DS, &sandbox_data);
        vmx_write_segment(SEG_FS, &sandbox_data);
        vmx_write_segment(SEG_GS, &sandbox_data);
    }
}

/* Another sandbox than the last one on this CPU. */
static void change_sandbox(struct vmx_cpu *s, const struct sandbox *sb)
{
    uint64_t eptp = vmx_eptp(sb->nested_root);

    vmcs_write(VMCS_EPTP, eptp);
    vmcs_write(VMCS_GUEST_CR3, sb->cr3.a);
    choose_code(s, sb->wide);
    choose_vpid(s, sb->tag, eptp);
    s->last_tag = sb->tag;
}

void vmx_sandbox_enter(struct vcpu *v, const struct sandbox *sb)
{
    struct vmx_cpu *s = vmx(v);

    if (!hw_vmptrld(s->sandbox)) {
        panic("VMPTRLD failed");
    }
    s->in_sandbox = true;
    if (s->last_tag != sb->tag) {
        change_sandbox(s, sb);
    }
    mend_selectors();
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    /* Counters that ring 0 set up must not count, or store, while the PAL runs. */
    if (vmx_common.perf_global) {
        s->saved_perf_global = hw_rdmsr(MSR_IA32_PERF_GLOBAL_CTRL);
        if (s->saved_perf_global) {
            hw_wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, 0);
        }
    }
}

void vmx_sandbox_leave(struct vcpu *v)
{
    struct vmx_cpu *s = vmx(v);

    if (!hw_vmptrld(s->os)) {
        panic("VMPTRLD failed");
    }
    s->in_sandbox = false;
    if (vmx_common.perf_global && s->saved_perf_global) {
        hw_wrmsr(MSR_IA32_PERF_GLOBAL_CTRL, s->saved_perf_global);
    }
}

void vmx_sandbox_forget(struct vcpu *v, uint64_t tag)
{
    struct vmx_cpu *s = vmx(v);

    /* Tags are never used twice, so a stale slot is harmless; this frees it early. */
    if (s->last_tag == tag) {
        s->last_tag = 0;
    }
    if (s->tag[tag % VMX_SLOTS] == tag) {
        s->tag[tag % VMX_SLOTS] = 0;
    }
}
