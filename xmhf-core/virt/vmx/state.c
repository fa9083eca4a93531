/* SPDX-License-Identifier: MIT */
/* Guest state in the VMCS: whole states, paging state, segments, MSRs that live there. */
#include <cpu/width.h>
#include <guest/phys.h>
#include <guest/state.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <virt/try_msr.h>
#include <virt/vmx/check.h>
#include <x86/cpu.h>

#define PDPTES 4
#define DEBUGCTL_STORE 0x1c0u /* TR, BTS, BTINT */

/* The fields of each segment are 2 apart, in the order of the encodings. */
static const struct { enum vmcs_field sel, limit, ar, base; } seg_field[SEG_COUNT] = {
#define SEGMENT(s) { VMCS_GUEST_##s##_SEL, VMCS_GUEST_##s##_LIMIT, VMCS_GUEST_##s##_AR, \
                     VMCS_GUEST_##s##_BASE }
    [SEG_ES] = SEGMENT(ES), [SEG_CS] = SEGMENT(CS), [SEG_SS] = SEGMENT(SS), [SEG_DS] = SEGMENT(DS),
    [SEG_FS] = SEGMENT(FS), [SEG_GS] = SEGMENT(GS), [SEG_LDTR] = SEGMENT(LDTR),
    [SEG_TR] = SEGMENT(TR),
#undef SEGMENT
};

/* Attributes in AMD form to access rights and back: bits 11:8 are 15:12 here. */
static uint32_t ar_of(uint16_t attr)
{
    return attr & SEG_ATTR_P ? (attr & 0xffu) | (attr & 0xf00u) << 4 : AR_UNUSABLE;
}

static uint16_t attr_of(uint32_t ar)
{
    return ar & AR_UNUSABLE ? 0 : (uint16_t)((ar & 0xff) | (ar >> 4 & 0xf00));
}

void vmx_write_segment(enum segment_index i, const struct segment *s)
{
    vmcs_write(seg_field[i].sel, s->selector);
    vmcs_write(seg_field[i].limit, s->limit);
    vmcs_write(seg_field[i].ar, ar_of(s->attr));
    vmcs_write(seg_field[i].base, s->base);
}

void vmx_get_segment(struct vcpu *v, enum segment_index i, struct segment *s)
{
    (void)v;
    *s = (struct segment){
        (uint16_t)vmcs_read(seg_field[i].sel), attr_of((uint32_t)vmcs_read(seg_field[i].ar)),
        (uint32_t)vmcs_read(seg_field[i].limit), vmcs_read(seg_field[i].base),
    };
}

/* CR0 as the CPU shall have it: VMX wants NE. CD and NW stay 0 whatever the guest asks: an exit
 * leaves them as they are (SDM vol. 3, 28.5.1), so the core would run without caches too. */
static void write_cr0(uint64_t value)
{
    vmcs_write(VMCS_CR0_SHADOW, value);
    vmcs_write(VMCS_GUEST_CR0, (value & ~(CR0_CD | CR0_NW)) | CR0_NE);
}

static void write_cr4(uint64_t value)
{
    vmcs_write(VMCS_CR4_SHADOW, value);
    vmcs_write(VMCS_GUEST_CR4, vmx_fixed_cr(&vmx_common.caps, 4, value));
}

/* LMA, and with it the entry control, follows LME and PG (27.3.1.1). */
static void write_efer(uint64_t value, uint64_t cr0)
{
    bool lma = (value & EFER_LME) && (cr0 & CR0_PG);
    uint64_t ctl = vmcs_read(VMCS_ENTRY_CONTROLS) & ~BIT(ENTRY_GUEST_64);

    vmcs_write(VMCS_GUEST_EFER, (value & ~EFER_LMA) | (lma ? EFER_LMA : 0));
    vmcs_write(VMCS_ENTRY_CONTROLS, ctl | (lma ? BIT(ENTRY_GUEST_64) : 0));
}

/*
 * With EPT a PAE guest's four PDPTEs are in the VMCS, and only the CPU's own MOV to CR
 * loads them (27.3.2.4). For a change by software we do. An entry that can't be read is
 * as good as not present. False: one has reserved bits, and none was loaded.
 */
static bool load_pdptes(uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
    static const enum vmcs_field fields[PDPTES] = {
        VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE1, VMCS_GUEST_PDPTE2, VMCS_GUEST_PDPTE3,
    };
    uint64_t pdpte[PDPTES] = { 0 };

    if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (efer & EFER_LME)) {
        return true;
    }
    const _Atomic uint64_t *table = guest_phys_ops.map(gpa(cr3 & 0xffffffe0), sizeof(pdpte));
    for (unsigned i = 0; i < PDPTES; i++) { /* read once: other CPUs may write them */
        pdpte[i] = table ? atomic_load_explicit(&table[i], memory_order_relaxed) : 0;
        if ((pdpte[i] & PTE_P) && (pdpte[i] & (PDPTE_RESERVED | phys_beyond()))) {
            return false;
        }
    }
    for (unsigned i = 0; i < PDPTES; i++) {
        vmcs_write(fields[i], pdpte[i]);
    }
    return true;
}

void vmx_set_state(struct vcpu *v, const struct vcpu_state *st)
{
    struct vmx_cpu *s = vmx(v);

    v->regs = st->regs;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        vmx_write_segment((enum segment_index)i, &st->seg[i]);
    }
    vmcs_write(VMCS_GUEST_GDTR_BASE, st->gdt_base);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, st->gdt_limit);
    vmcs_write(VMCS_GUEST_IDTR_BASE, st->idt_base);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, st->idt_limit);
    write_cr0(state_cr0(st, vmcs_read(VMCS_CR0_SHADOW)));
    write_cr4(st->cr4);
    write_efer(st->efer, st->cr0);
    vmcs_write(VMCS_GUEST_CR3, st->cr3);
    vmcs_write(VMCS_GUEST_DR7, st->dr7);
    vmcs_write(VMCS_GUEST_DEBUGCTL, st->debugctl & ~DEBUGCTL_STORE);
    if (!st->by_init) { /* the MSRs of SYSCALL are the CPU's own, and still have the live values */
        vmcs_write(VMCS_GUEST_PAT, st->pat);
        vmcs_write(VMCS_GUEST_SYSENTER_CS, st->msrs.sysenter_cs);
        vmcs_write(VMCS_GUEST_SYSENTER_ESP, st->msrs.sysenter_esp);
        vmcs_write(VMCS_GUEST_SYSENTER_EIP, st->msrs.sysenter_eip);
    }
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    hw_write_cr2(st->cr2); /* neither entries nor exits change CR2 and DR6 */
    hw_write_dr6(st->dr6);
    load_pdptes(st->cr0, st->cr3, st->cr4, st->efer); /* no state that we make has them */
    s->queued.full = false;
    vmx_set_window(s, 0);
    s->flush_linear = true;
}

static enum cpu_mode mode_of(uint64_t cr0, uint64_t efer, uint64_t rflags)
{
    if (!(cr0 & CR0_PE) || (rflags & RFLAGS_VM)) {
        return MODE_REAL;
    }
    uint32_t ar = (uint32_t)vmcs_read(VMCS_GUEST_CS_AR);
    if ((efer & EFER_LMA) && (ar & AR_L)) {
        return MODE_LONG64;
    }
    return ar & AR_DB ? MODE_PROT32 : MODE_PROT16;
}

/*
 * What the guest sees (26.3), without reading the shadows, for this is on the path of most
 * exits: of CR4's hidden bits a guest can set none, and of CR0's nobody looks at NE, CD, NW.
 */
void vmx_get_paging(struct vcpu *v, struct guest_paging *p)
{
    uint64_t rflags = v->regs.rflags;

    p->cr0 = vmcs_read(VMCS_GUEST_CR0);
    p->cr3 = vmcs_read(VMCS_GUEST_CR3);
    p->cr4 = vmcs_read(VMCS_GUEST_CR4) & ~vmx_common.cr4_hidden;
    p->efer = vmcs_read(VMCS_GUEST_EFER);
    p->cpl = rflags & RFLAGS_VM
        ? 3 : (uint8_t)(vmcs_read(VMCS_GUEST_SS_AR) >> AR_DPL_SHIFT & 3);
    p->ac = rflags & RFLAGS_AC;
    p->mode = mode_of(p->cr0, p->efer, rflags);
    p->pkru = p->cr4 & CR4_PKE ? hw_rdpkru() : 0;
}

uint64_t vmx_get_cr4(struct vcpu *v)
{
    (void)v;
    return vmcs_read(VMCS_GUEST_CR4) & ~vmx_common.cr4_hidden;
}

bool vmx_state_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    (void)v;
    switch (msr) {
    case MSR_EFER: *value = vmcs_read(VMCS_GUEST_EFER); return true;
    case MSR_IA32_PAT: *value = vmcs_read(VMCS_GUEST_PAT); return true;
    case MSR_IA32_DEBUGCTL: *value = vmcs_read(VMCS_GUEST_DEBUGCTL); return true;
    case MSR_FS_BASE: *value = vmcs_read(VMCS_GUEST_FS_BASE); return true;
    case MSR_GS_BASE: *value = vmcs_read(VMCS_GUEST_GS_BASE); return true;
    case MSR_IA32_SYSENTER_CS: *value = vmcs_read(VMCS_GUEST_SYSENTER_CS); return true;
    case MSR_IA32_SYSENTER_ESP: *value = vmcs_read(VMCS_GUEST_SYSENTER_ESP); return true;
    case MSR_IA32_SYSENTER_EIP: *value = vmcs_read(VMCS_GUEST_SYSENTER_EIP); return true;
    default: return false;
    }
}

/* Bits that make an entry fail are refused as WRMSR would: by trying. BTS and TR (bits 6 to
 * 8) belong to the debug store, which is hidden. */
static bool debugctl_write(uint64_t value)
{
    /* Without LBR, which would record our own branches for a moment. */
    if ((value & DEBUGCTL_STORE) || !hw_wrmsr_safe(MSR_IA32_DEBUGCTL, value & ~1ULL)) {
        return false;
    }
    hw_wrmsr(MSR_IA32_DEBUGCTL, 0);
    vmcs_write(VMCS_GUEST_DEBUGCTL, value);
    return true;
}

/* What the VMCS has of the MSRs that pass, if the hypapp asked for one. The CPU knows what it can
 * hold: tried on the core's own, or for a base in use on LSTAR, which has to be canonical too. */
static bool field_write(uint32_t msr, uint64_t value)
{
    static const struct { uint32_t msr, tried; enum vmcs_field field; } fields[] = {
        { MSR_FS_BASE, MSR_LSTAR, VMCS_GUEST_FS_BASE },
        { MSR_GS_BASE, MSR_LSTAR, VMCS_GUEST_GS_BASE },
        { MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_CS, VMCS_GUEST_SYSENTER_CS },
        { MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_ESP, VMCS_GUEST_SYSENTER_ESP },
        { MSR_IA32_SYSENTER_EIP, MSR_IA32_SYSENTER_EIP, VMCS_GUEST_SYSENTER_EIP },
    };
    size_t i = 0;

    while (i < ARRAY_SIZE(fields) && fields[i].msr != msr) {
        i++;
    }
    if (i == ARRAY_SIZE(fields) || !try_msr(fields[i].tried, value, &value)) {
        return false;
    }
    vmcs_write(fields[i].field, value);
    return true;
}

/* `value` was checked by exit/msr.c. */
bool vmx_state_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_EFER:
        write_efer(value, vmcs_read(VMCS_GUEST_CR0));
        vmx(v)->flush_linear = true;
        return true;
    case MSR_IA32_PAT:
        vmcs_write(VMCS_GUEST_PAT, value);
        vmx(v)->flush_linear = true;
        return true;
    case MSR_IA32_DEBUGCTL:
        return debugctl_write(value);
    default:
        return field_write(msr, value);
    }
}

bool vmx_set_cr(struct vcpu *v, unsigned cr, uint64_t value)
{
    struct guest_paging p;

    vmx_get_paging(v, &p);
    if (!load_pdptes(cr == 0 ? value : p.cr0, p.cr3, cr == 4 ? value : p.cr4, p.efer)) {
        return false;
    }
    if (cr == 0) {
        write_cr0(value);
        write_efer(vmcs_read(VMCS_GUEST_EFER), value);
    } else {
        write_cr4(value);
    }
    vmx(v)->flush_linear = true;
    return true;
}

uint64_t vmx_get_cr(struct vcpu *v, unsigned cr)
{
    (void)v;
    if (cr == 3) {
        return vmcs_read(VMCS_GUEST_CR3);
    }
    uint64_t mask = cr == 0 ? vmx_common.cr0_mask : vmx_common.cr4_mask;
    return (vmcs_read(cr == 0 ? VMCS_GUEST_CR0 : VMCS_GUEST_CR4) & ~mask)
        | (vmcs_read(cr == 0 ? VMCS_CR0_SHADOW : VMCS_CR4_SHADOW) & mask);
}

void vmx_get_table(struct vcpu *v, enum table_register which, uint64_t *base, uint32_t *limit)
{
    (void)v;
    const bool gdtr = which == TABLE_GDTR;

    *base = vmcs_read(gdtr ? VMCS_GUEST_GDTR_BASE : VMCS_GUEST_IDTR_BASE);
    *limit = (uint32_t)vmcs_read(gdtr ? VMCS_GUEST_GDTR_LIMIT : VMCS_GUEST_IDTR_LIMIT);
}

void vmx_set_table(struct vcpu *v, enum table_register which, uint64_t base, uint32_t limit)
{
    (void)v;
    vmcs_write(which == TABLE_GDTR ? VMCS_GUEST_GDTR_BASE : VMCS_GUEST_IDTR_BASE, base);
    vmcs_write(which == TABLE_GDTR ? VMCS_GUEST_GDTR_LIMIT : VMCS_GUEST_IDTR_LIMIT, limit);
}

void vmx_set_segment(struct vcpu *v, enum segment_index i, const struct segment *s)
{
    (void)v;
    vmx_write_segment(i, s);
}

bool vmx_set_cr3(struct vcpu *v, uint64_t value)
{
    struct guest_paging p;

    vmx_get_paging(v, &p);
    if (!load_pdptes(p.cr0, value, p.cr4, p.efer)) {
        return false;
    }
    vmcs_write(VMCS_GUEST_CR3, value);
    vmx(v)->flush_linear = true;
    return true;
}

/* Where CS and SS couldn't be loaded the ring stays as it is. The RPL of both is set to that ring:
 * Bochs refuses a CS whose RPL isn't its DPL. */
static void load_task_segments(const struct task_state *t)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        if ((i == SEG_CS || i == SEG_SS) && !(t->seg[i].attr & SEG_ATTR_P)) {
            uint64_t ring = vmcs_read(seg_field[i].ar) >> AR_DPL_SHIFT & 3;

            vmcs_write(seg_field[i].sel, (t->seg[i].selector & ~3u) | ring);
        } else {
            vmx_write_segment((enum segment_index)i, &t->seg[i]);
        }
    }
}

/* NMIs are blocked from the task switch of one to the next IRET (6.7.1). Nothing is pending in the
 * new task, and no shadow: an event or an instruction has ended it. */
void vmx_load_task(struct vcpu *v, const struct task_state *t)
{
    uint64_t blocked = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)BLOCKED_SHADOWS;

    v->regs = t->regs;
    load_task_segments(t);
    vmcs_write(VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) | CR0_TS);
    vmcs_write(VMCS_CR0_SHADOW, vmcs_read(VMCS_CR0_SHADOW) | CR0_TS);
    vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_LOCAL);
    blocked = t->nmi > 0 ? blocked | BLOCKED_BY_NMI : t->nmi < 0
        ? blocked & ~(uint64_t)BLOCKED_BY_NMI : blocked;
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocked);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    if (t->debug) {
        hw_write_dr6(hw_read_dr6() | DR6_BT);
    }
}
