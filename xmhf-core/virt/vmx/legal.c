/* SPDX-License-Identifier: MIT */
/*
 * A guest state that an entry refused is made one that the SDM's rules (vol. 3, 27.3.1) allow:
 * each field that breaks one gets the nearest legal value. check.c names the rule that was broken.
 */
#include <cpu/width.h>
#include <virt/vmx/check.h>
#include <x86/cpu.h>

static uint64_t read_field(enum vmcs_field field)
{
    return vmcs_exists(&vmx_common.caps, field) ? vmcs_read(field) : 0;
}

static void change(enum vmcs_field field, uint64_t clear, uint64_t set)
{
    uint64_t now = vmcs_read(field), value = (now & ~clear) | set;

    if (value != now) {
        vmcs_write(field, value);
    }
}

static bool is_ia32e(void)
{
    return vmcs_read(VMCS_ENTRY_CONTROLS) >> ENTRY_GUEST_64 & 1;
}

/* CR0 and CR4 first, EFER.LMA and the entry control follow them (27.3.1.1). */
static void mend_control_registers(void)
{
    const struct vmx_caps *caps = &vmx_common.caps;
    uint64_t cr0 = vmcs_read(VMCS_GUEST_CR0), cr4 = vmcs_read(VMCS_GUEST_CR4);
    uint64_t efer = vmcs_read(VMCS_GUEST_EFER) & (EFER_SCE | EFER_LME | EFER_NXE);
    uint64_t free = vmcs_read(VMCS_PROC2_CONTROLS) >> PROC2_UNRESTRICTED & 1 ? CR0_PE | CR0_PG : 0;

    cr0 &= cr0 & CR0_PE ? ~0ULL : ~CR0_PG;
    cr0 = (vmx_fixed_cr(caps, 0, cr0) & ~free) | (cr0 & free);
    bool ia32e = (cr0 & CR0_PG) && (efer & EFER_LME);
    cr4 = vmx_fixed_cr(caps, 4, ia32e ? cr4 | CR4_PAE : cr4 & ~CR4_PCIDE);
    vmcs_write(VMCS_GUEST_CR0, cr0);
    vmcs_write(VMCS_GUEST_CR4, cr4);
    vmcs_write(VMCS_GUEST_EFER, efer | (ia32e ? EFER_LMA : 0));
    change(VMCS_ENTRY_CONTROLS, BIT(ENTRY_GUEST_64), ia32e ? BIT(ENTRY_GUEST_64) : 0);
    change(VMCS_GUEST_CR3, phys_beyond(), 0);
}

static void mend_msrs(void)
{
    static const enum vmcs_field addresses[] = {
        VMCS_GUEST_SYSENTER_ESP, VMCS_GUEST_SYSENTER_EIP, VMCS_GUEST_FS_BASE, VMCS_GUEST_GS_BASE,
        VMCS_GUEST_GDTR_BASE, VMCS_GUEST_IDTR_BASE, VMCS_GUEST_TR_BASE, VMCS_GUEST_LDTR_BASE,
    };

    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        if (!check_canonical(vmcs_read(addresses[i]))) {
            vmcs_write(addresses[i], 0);
        }
    }
    change(VMCS_GUEST_DR7, ~0xffffffffULL, 0);
    change(VMCS_GUEST_DEBUGCTL, DEBUGCTL_RESERVED, 0);
    change(VMCS_GUEST_GDTR_LIMIT, ~0xffffULL, 0);
    change(VMCS_GUEST_IDTR_LIMIT, ~0xffffULL, 0);
    if (!pat_valid(vmcs_read(VMCS_GUEST_PAT))) {
        vmcs_write(VMCS_GUEST_PAT, PAT_AT_RESET);
    }
}

/* Reserved bits go, and the granularity is one that the limit allows (27.3.1.2). */
static void mend_rights(enum vmcs_field ar, enum vmcs_field limit, uint64_t clear, uint64_t set)
{
    uint32_t l = (uint32_t)vmcs_read(limit);

    change(ar, AR_UNUSABLE | ~0x1ffffULL | 0xf00 | clear | ((l & 0xfff) != 0xfff ? AR_G : 0),
           AR_P | set);
    if (l >> 20) {
        change(ar, 0, AR_G);
        change(limit, 0, 0xfff);
    }
}

static void mend_data(void)
{
    static const struct { enum vmcs_field ar, limit, base; } segments[] = {
        { VMCS_GUEST_DS_AR, VMCS_GUEST_DS_LIMIT, VMCS_GUEST_DS_BASE },
        { VMCS_GUEST_ES_AR, VMCS_GUEST_ES_LIMIT, VMCS_GUEST_ES_BASE },
        { VMCS_GUEST_FS_AR, VMCS_GUEST_FS_LIMIT, 0 }, { VMCS_GUEST_GS_AR, VMCS_GUEST_GS_LIMIT, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
        uint64_t ar = vmcs_read(segments[i].ar);

        if (segments[i].base) {
            change(segments[i].base, ~0xffffffffULL, 0);
        }
        if (ar & AR_UNUSABLE) {
            continue;
        }
        mend_rights(segments[i].ar, segments[i].limit, 0, AR_S | 1 | (ar & 8 ? 2 : 0));
    }
}

/* CS as it is or flat code, SS with its rights, TR a busy TSS. Ring: CS's, or 0 in real mode. */
static void mend_code_and_stack(void)
{
    uint32_t cs = (uint32_t)vmcs_read(VMCS_GUEST_CS_AR), type = cs & AR_TYPE;
    bool real = !(vmcs_read(VMCS_GUEST_CR0) & CR0_PE) || (type == 3 && !(cs >> AR_DPL_SHIFT & 3));
    bool conforming = type >= 13;
    uint64_t dpl = real ? 0 : conforming ? vmcs_read(VMCS_GUEST_SS_AR) & 3u << AR_DPL_SHIFT
                                         : cs & 3u << AR_DPL_SHIFT;

    mend_rights(VMCS_GUEST_CS_AR, VMCS_GUEST_CS_LIMIT,
                (real ? 3u << AR_DPL_SHIFT : 0) | (is_ia32e() && (cs & AR_L) ? AR_DB : 0),
                AR_S | 1 | (type & 8 || real ? 0 : 8));
    change(VMCS_GUEST_CS_BASE, ~0xffffffffULL, 0);
    change(VMCS_GUEST_SS_BASE, ~0xffffffffULL, 0);
    change(VMCS_GUEST_SS_SEL, real ? 0 : 3, real ? 0 : dpl >> AR_DPL_SHIFT);
    change(VMCS_GUEST_SS_AR, 3u << AR_DPL_SHIFT, dpl);
    if (!(vmcs_read(VMCS_GUEST_SS_AR) & AR_UNUSABLE)) {
        mend_rights(VMCS_GUEST_SS_AR, VMCS_GUEST_SS_LIMIT, 8, AR_S | 3);
    }
}

static void mend_system_segments(void)
{
    mend_rights(VMCS_GUEST_TR_AR, VMCS_GUEST_TR_LIMIT, AR_TYPE | AR_S, is_ia32e() ? 11 :
                (vmcs_read(VMCS_GUEST_TR_AR) & 8) | 3);
    change(VMCS_GUEST_TR_SEL, 4, 0);
    change(VMCS_GUEST_LDTR_SEL, 4, 0);
    if (!(vmcs_read(VMCS_GUEST_LDTR_AR) & AR_UNUSABLE)) {
        mend_rights(VMCS_GUEST_LDTR_AR, VMCS_GUEST_LDTR_LIMIT, AR_TYPE | AR_S, 2);
    }
}

/* Virtual-8086 mode: all segments follow from their selectors (27.3.1.2). */
static void mend_v86(void)
{
    static const struct { enum vmcs_field sel, base, limit, ar; } segments[] = {
#define SEGMENT(s) { VMCS_GUEST_##s##_SEL, VMCS_GUEST_##s##_BASE, VMCS_GUEST_##s##_LIMIT, \
                     VMCS_GUEST_##s##_AR }
        SEGMENT(CS), SEGMENT(SS), SEGMENT(DS), SEGMENT(ES), SEGMENT(FS), SEGMENT(GS),
#undef SEGMENT
    };

    for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
        vmcs_write(segments[i].base, vmcs_read(segments[i].sel) << 4);
        vmcs_write(segments[i].limit, 0xffff);
        vmcs_write(segments[i].ar, 0xf3);
    }
}

static void mend_rip_and_flags(struct vcpu *v)
{
    bool vm = !is_ia32e() && (vmcs_read(VMCS_GUEST_CR0) & CR0_PE);
    bool code64 = is_ia32e() && (vmcs_read(VMCS_GUEST_CS_AR) & AR_L);

    v->regs.rflags = (v->regs.rflags & 0x3f7fd7 & (vm ? ~0ULL : ~RFLAGS_VM)) | RFLAGS_ONE;
    if (!code64) {
        v->regs.rip = (uint32_t)v->regs.rip;
    } else if (!check_canonical(v->regs.rip)) {
        v->regs.rip = (uint64_t)((int64_t)(v->regs.rip << 16) >> 16);
    }
    vmcs_write(VMCS_GUEST_RFLAGS, v->regs.rflags);
    vmcs_write(VMCS_GUEST_RIP, v->regs.rip);
}

/* No shadow, and a CPU that runs: it can take any event, and no single step must be pending. */
static void mend_activity(void)
{
    change(VMCS_GUEST_INTERRUPTIBILITY, ~(uint64_t)BLOCKED_BY_NMI, 0);
    change(VMCS_GUEST_PENDING_DEBUG, PENDING_RESERVED, 0);
    if (vmcs_read(VMCS_GUEST_ACTIVITY) != ACTIVITY_WAIT_SIPI) {
        vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    }
    vmcs_write(VMCS_LINK_POINTER, ~0ULL);
}

/* A page-directory pointer with reserved bits is replaced by one that isn't present (27.3.1.6). */
static void mend_pdptes(void)
{
    static const enum vmcs_field fields[] = {
        VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE1, VMCS_GUEST_PDPTE2, VMCS_GUEST_PDPTE3,
    };

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (vmcs_read(fields[i]) & (PDPTE_RESERVED | phys_beyond())) {
            vmcs_write(fields[i], 0);
        }
    }
}

const char *vmx_legalise(struct vcpu *v)
{
    const char *rule = vmx_check_guest(&vmx_common.caps, read_field);

    if (!rule) {
        return NULL;
    }
    mend_control_registers();
    mend_msrs();
    mend_rip_and_flags(v);
    mend_system_segments();
    if (v->regs.rflags & RFLAGS_VM) {
        mend_v86();
    } else {
        mend_code_and_stack();
        mend_data();
    }
    mend_activity();
    mend_pdptes();
    vmx(v)->flush_linear = true;
    return rule;
}
