/* SPDX-License-Identifier: MIT */
/*
 * The sandbox's VMCS: nothing live in it comes from the OS. Filled once per CPU from
 * virt/sandbox.c's template; an entry sets only the address space, the mode and the registers.
 */
#include <hw/insn.h>
#include <hw/vmx.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>

static void write_segments(const struct segment *seg)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        vmx_write_segment((enum segment_index)i, &seg[i]);
    }
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
    const struct vcpu_state *st = &sandbox_template[SANDBOX_64];
    write_segments(st->seg);
    vmx(v)->mode = SANDBOX_64;
    vmcs_write(VMCS_EXCEPTION_BITMAP, 0xffffffff);
    vmcs_write(VMCS_GUEST_CR0, vmx_fixed_cr(&vmx_common.caps, 0, st->cr0));
    vmcs_write(VMCS_CR0_SHADOW, st->cr0); /* what SMSW shows */
    vmcs_write(VMCS_CR0_MASK, ~0ULL);
    uint64_t cr4 = st->cr4 | (hw_read_cr4() & CR4_OSXSAVE);
    vmcs_write(VMCS_GUEST_CR4, vmx_fixed_cr(&vmx_common.caps, 4, cr4));
    vmcs_write(VMCS_CR4_SHADOW, cr4);
    vmcs_write(VMCS_CR4_MASK, ~0ULL);
    vmcs_write(VMCS_GUEST_EFER, st->efer);
    vmcs_write(VMCS_GUEST_PAT, st->pat);
    vmcs_write(VMCS_GUEST_DR7, st->dr7); /* neither entries nor exits change DR6 */
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

/* All that 16-bit code has of its own. In IA-32e mode, too, an entry takes a CS whose L and D are
 * 0, and bases of 32 bits (SDM vol. 3, 27.3.1.2). */
static void own_segments(const struct segment *seg)
{
    for (unsigned i = 0; i < SANDBOX_OWN_SEGMENTS; i++) {
        vmx_write_segment((enum segment_index)i, &seg[i]);
    }
}

/* The same after a run of the same code, whose LDT is the same: what a selector means, too. */
static void own_changed(const struct segment *seg)
{
    for (unsigned i = 0; i < SEG_LDTR; i++) {
        if (vmcs_read((enum vmcs_field)(VMCS_GUEST_ES_SEL + 2 * i)) != seg[i].selector) {
            vmx_write_segment((enum segment_index)i, &seg[i]);
        }
    }
}

/* The last run, even of the same sandbox, may have loaded null selectors. */
__attribute__((noinline))
static void mend_segments(const struct sandbox *sb)
{
    static const enum segment_index loadable[] = SANDBOX_LOADABLE;

    if (sb->segments) {
        own_changed(sb->segments);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(loadable); i++) {
        vmx_write_segment(loadable[i], &sandbox_template[sb->mode].seg[loadable[i]]);
    }
}

static inline bool selectors_changed(void)
{
    const uint64_t is = SANDBOX_DATA_SELECTOR;

    return (vmcs_read(VMCS_GUEST_ES_SEL) ^ is) | (vmcs_read(VMCS_GUEST_DS_SEL) ^ is)
        | (vmcs_read(VMCS_GUEST_FS_SEL) ^ is) | (vmcs_read(VMCS_GUEST_GS_SEL) ^ is);
}

/* Another sandbox than the last one on this CPU. */
__attribute__((noinline))
static void change_sandbox(struct vmx_cpu *s, const struct sandbox *sb)
{
    uint64_t eptp = vmx_eptp(sb->nested_root);

    vmcs_write(VMCS_EPTP, eptp);
    vmcs_write(VMCS_GUEST_CR3, sb->cr3.a);
    if (sb->mode == SANDBOX_16) {
        own_segments(sb->segments);
    } else if (s->mode == SANDBOX_16) {
        own_segments(sandbox_template[sb->mode].seg);
    } else if (s->mode != sb->mode) {
        vmx_write_segment(SEG_CS, &sandbox_template[sb->mode].seg[SEG_CS]);
    }
    s->mode = sb->mode;
    choose_vpid(s, sb->tag, eptp);
    s->last_tag = sb->tag;
}

void vmx_sandbox_enter(struct vcpu *v, const struct sandbox *sb)
{
    struct vmx_cpu *s = vmx(v);

    if (!hw_vmptrld(s->sandbox)) {
        panic("VMPTRLD failed");
    }
    if (s->last_tag != sb->tag) {
        change_sandbox(s, sb);
    }
    if (selectors_changed()) {
        mend_segments(sb);
    }
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
    const struct vmx_cpu *s = vmx(v);

    if (!hw_vmptrld(s->os)) {
        panic("VMPTRLD failed");
    }
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
