/* SPDX-License-Identifier: MIT */
/*
 * The SDM's rules for guest state (vol. 3, 27.3.1), asked one by one: names the first that is
 * broken, since a failed VM entry says only "invalid guest state".
 */
#include <cpu/width.h>
#include <virt/vmx/check.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

struct state {
    const struct vmx_caps *caps;
    vmx_field_reader read;
    uint64_t cr0, cr4, efer, rflags;
    uint32_t entry, intr;      /* controls, and the event to be injected */
    bool unrestricted, ia32e;   /* ia32e: "IA-32e mode guest" */
};

bool check_canonical(uint64_t a)
{
    return is_canonical(a, 48); /* LA57 is hidden */
}

static const char *check_control_registers(const struct state *s)
{
    uint64_t cr3 = s->read(VMCS_GUEST_CR3);
    uint64_t free0 = s->unrestricted ? CR0_PE | CR0_PG : 0;
    uint64_t fixed0 = vmx_fixed_cr(s->caps, 0, s->cr0);

    if ((s->cr0 ^ fixed0) & ~free0 & ~(CR0_CD | CR0_NW)) {
        return "CR0 lacks a bit that VMX fixes";
    }
    if ((s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE)) {
        return "CR0.PG without CR0.PE";
    }
    if (s->cr4 != vmx_fixed_cr(s->caps, 4, s->cr4)) {
        return "CR4 lacks a bit that VMX fixes";
    }
    if (s->ia32e && (!(s->cr0 & CR0_PG) || !(s->cr4 & CR4_PAE))) {
        return "IA-32e mode guest without CR0.PG and CR4.PAE";
    }
    if (!s->ia32e && (s->cr4 & CR4_PCIDE)) {
        return "CR4.PCIDE outside long mode";
    }
    return cr3 & phys_beyond() ? "CR3 has reserved bits" : NULL;
}

static const char *check_msrs(const struct state *s)
{
    bool lma = s->efer & EFER_LMA;

    if ((s->entry >> ENTRY_LOAD_DEBUG & 1) && s->read(VMCS_GUEST_DR7) >> 32) {
        return "DR7 has bits above 31";
    }
    if ((s->entry >> ENTRY_LOAD_DEBUG & 1) && (s->read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_RESERVED)) {
        return "IA32_DEBUGCTL has reserved bits";
    }
    if (!check_canonical(s->read(VMCS_GUEST_SYSENTER_ESP))
        || !check_canonical(s->read(VMCS_GUEST_SYSENTER_EIP))) {
        return "a SYSENTER address isn't canonical";
    }
    if ((s->entry >> ENTRY_LOAD_PAT & 1) && !pat_valid(s->read(VMCS_GUEST_PAT))) {
        return "IA32_PAT has a reserved type";
    }
    if (s->entry >> ENTRY_LOAD_EFER & 1) {
        if (s->efer & EFER_RESERVED) {
            return "EFER has reserved bits";
        }
        if (lma != s->ia32e) {
            return "EFER.LMA differs from the IA-32e mode guest control";
        }
        if ((s->cr0 & CR0_PG) && lma != !!(s->efer & EFER_LME)) {
            return "EFER.LMA differs from EFER.LME with paging on";
        }
    }
    return NULL;
}

/* The bits of an access-rights field that a present segment has in common. */
static const char *check_usable(uint32_t ar, uint32_t limit, const char *what)
{
    if (!(ar & AR_P) || (ar & 0xf00) || ar >> 17) {
        return what;
    }
    if (((limit & 0xfff) != 0xfff && (ar & AR_G)) || (limit >> 20 && !(ar & AR_G))) {
        return what;
    }
    return NULL;
}

static const char *check_tr_ldtr(const struct state *s)
{
    uint32_t tr = (uint32_t)s->read(VMCS_GUEST_TR_AR);
    uint32_t ldtr = (uint32_t)s->read(VMCS_GUEST_LDTR_AR);
    uint32_t type = tr & AR_TYPE;

    if ((tr & (AR_UNUSABLE | AR_S)) || (s->read(VMCS_GUEST_TR_SEL) & 4)
        || (type != 11 && (type != 3 || s->ia32e)) || !check_canonical(s->read(VMCS_GUEST_TR_BASE))
        || check_usable(tr, (uint32_t)s->read(VMCS_GUEST_TR_LIMIT), "")) {
        return "TR isn't a busy TSS of the right kind";
    }
    if (!(ldtr & AR_UNUSABLE)
        && ((ldtr & (AR_TYPE | AR_S)) != 2 || (s->read(VMCS_GUEST_LDTR_SEL) & 4)
            || !check_canonical(s->read(VMCS_GUEST_LDTR_BASE))
            || check_usable(ldtr, (uint32_t)s->read(VMCS_GUEST_LDTR_LIMIT), ""))) {
        return "LDTR isn't an LDT";
    }
    return NULL;
}

static const char *check_code(const struct state *s)
{
    uint32_t cs = (uint32_t)s->read(VMCS_GUEST_CS_AR);
    uint32_t ss = (uint32_t)s->read(VMCS_GUEST_SS_AR);
    uint32_t type = cs & AR_TYPE, dpl = cs >> AR_DPL_SHIFT & 3, ssdpl = ss >> AR_DPL_SHIFT & 3;

    if (!(cs & AR_S) || s->read(VMCS_GUEST_CS_BASE) >> 32
        || check_usable(cs, (uint32_t)s->read(VMCS_GUEST_CS_LIMIT), "")) {
        return "CS isn't a present segment below 4 GiB";
    }
    if (type == 3 ? !s->unrestricted || dpl != 0 : type < 9 || !(type & 1)) {
        return "CS has a type that code can't have";
    }
    if ((type == 9 || type == 11) ? dpl != ssdpl : type >= 13 && dpl > ssdpl) {
        return "CS.DPL doesn't suit SS.DPL";
    }
    if (s->ia32e && (cs & AR_L) && (cs & AR_DB)) {
        return "CS.L and CS.D are both set";
    }
    return NULL;
}

static const char *check_stack(const struct state *s)
{
    uint32_t ss = (uint32_t)s->read(VMCS_GUEST_SS_AR);
    uint32_t type = ss & AR_TYPE, dpl = ss >> AR_DPL_SHIFT & 3;
    uint32_t cs_type = (uint32_t)s->read(VMCS_GUEST_CS_AR) & AR_TYPE;

    if (!s->unrestricted && (s->read(VMCS_GUEST_SS_SEL) & 3) != dpl) {
        return "SS.DPL differs from SS.RPL";
    }
    if ((!(s->cr0 & CR0_PE) || cs_type == 3) && dpl != 0) {
        return "SS.DPL isn't 0 in real mode";
    }
    if (!(ss & AR_UNUSABLE)
        && ((type != 3 && type != 7) || !(ss & AR_S) || s->read(VMCS_GUEST_SS_BASE) >> 32
            || check_usable(ss, (uint32_t)s->read(VMCS_GUEST_SS_LIMIT), ""))) {
        return "SS isn't a stack segment";
    }
    return NULL;
}

static const char *check_data(const struct state *s)
{
    static const struct { enum vmcs_field ar, limit, base; bool far; } segments[] = {
        { VMCS_GUEST_DS_AR, VMCS_GUEST_DS_LIMIT, VMCS_GUEST_DS_BASE, false },
        { VMCS_GUEST_ES_AR, VMCS_GUEST_ES_LIMIT, VMCS_GUEST_ES_BASE, false },
        { VMCS_GUEST_FS_AR, VMCS_GUEST_FS_LIMIT, VMCS_GUEST_FS_BASE, true },
        { VMCS_GUEST_GS_AR, VMCS_GUEST_GS_LIMIT, VMCS_GUEST_GS_BASE, true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
        uint32_t ar = (uint32_t)s->read(segments[i].ar);
        uint64_t base = s->read(segments[i].base);

        if (segments[i].far && !check_canonical(base)) {
            return "the base of FS or GS isn't canonical";
        }
        if (ar & AR_UNUSABLE) {
            continue;
        }
        if (!(ar & AR_S) || !(ar & 1) || ((ar & 8) && !(ar & 2)) || (!segments[i].far && base >> 32)
            || check_usable(ar, (uint32_t)s->read(segments[i].limit), "")) {
            return "DS, ES, FS or GS isn't a data segment";
        }
    }
    return NULL;
}

static const char *check_v86(const struct state *s)
{
    static const struct { enum vmcs_field sel, base, limit, ar; } segments[] = {
        { VMCS_GUEST_CS_SEL, VMCS_GUEST_CS_BASE, VMCS_GUEST_CS_LIMIT, VMCS_GUEST_CS_AR },
        { VMCS_GUEST_SS_SEL, VMCS_GUEST_SS_BASE, VMCS_GUEST_SS_LIMIT, VMCS_GUEST_SS_AR },
        { VMCS_GUEST_DS_SEL, VMCS_GUEST_DS_BASE, VMCS_GUEST_DS_LIMIT, VMCS_GUEST_DS_AR },
        { VMCS_GUEST_ES_SEL, VMCS_GUEST_ES_BASE, VMCS_GUEST_ES_LIMIT, VMCS_GUEST_ES_AR },
        { VMCS_GUEST_FS_SEL, VMCS_GUEST_FS_BASE, VMCS_GUEST_FS_LIMIT, VMCS_GUEST_FS_AR },
        { VMCS_GUEST_GS_SEL, VMCS_GUEST_GS_BASE, VMCS_GUEST_GS_LIMIT, VMCS_GUEST_GS_AR },
    };

    for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
        if (s->read(segments[i].base) != s->read(segments[i].sel) << 4
            || s->read(segments[i].limit) != 0xffff || s->read(segments[i].ar) != 0xf3) {
            return "a segment isn't as virtual-8086 mode demands";
        }
    }
    return NULL;
}

static const char *check_segments(const struct state *s)
{
    const char *rule = check_tr_ldtr(s);

    if (!rule && (s->rflags & RFLAGS_VM)) {
        return check_v86(s);
    }
    if (!rule && !(rule = check_code(s)) && !(rule = check_stack(s))) {
        rule = check_data(s);
    }
    return rule;
}

static const char *check_tables_and_rip(const struct state *s)
{
    bool code64 = s->ia32e && (s->read(VMCS_GUEST_CS_AR) & AR_L);

    if (!check_canonical(s->read(VMCS_GUEST_GDTR_BASE))
        || !check_canonical(s->read(VMCS_GUEST_IDTR_BASE))
        || s->read(VMCS_GUEST_GDTR_LIMIT) > 0xffff || s->read(VMCS_GUEST_IDTR_LIMIT) > 0xffff) {
        return "GDTR or IDTR";
    }
    if (code64 ? !check_canonical(s->read(VMCS_GUEST_RIP)) : s->read(VMCS_GUEST_RIP) >> 32) {
        return "RIP doesn't suit the mode";
    }
    if (s->rflags >> 22 || (s->rflags & 0x8028) || !(s->rflags & RFLAGS_ONE)) {
        return "RFLAGS has reserved bits";
    }
    if ((s->rflags & RFLAGS_VM) && (s->ia32e || !(s->cr0 & CR0_PE))) {
        return "RFLAGS.VM in long or real mode";
    }
    return s->read(VMCS_LINK_POINTER) != ~0ULL ? "the VMCS link pointer isn't all ones" : NULL;
}

static const char *check_interruptibility(const struct state *s)
{
    uint32_t blocked = (uint32_t)s->read(VMCS_GUEST_INTERRUPTIBILITY);
    uint32_t shadow = blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);
    bool injects = s->intr & INTR_INFO_VALID;
    uint32_t type = s->intr >> INTR_INFO_TYPE_SHIFT & 7;

    if (blocked >> 5 || shadow == (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)
        || ((blocked & BLOCKED_BY_STI) && !(s->rflags & RFLAGS_IF))) {
        return "interruptibility contradicts itself";
    }
    if (blocked & BLOCKED_BY_SMI) {
        return "SMIs are blocked outside SMM";
    }
    if (injects && type == INTR_TYPE_EXTERNAL && (shadow || !(s->rflags & RFLAGS_IF))) {
        return "an interrupt is injected while interrupts are blocked";
    }
    if (injects && type == INTR_TYPE_NMI && (blocked & (BLOCKED_BY_NMI | BLOCKED_BY_MOV_SS))) {
        return "an NMI is injected while NMIs are blocked";
    }
    return NULL;
}

/* Can an event be injected into a CPU in this state? (27.3.1.5) */
static bool can_take(uint64_t activity, uint32_t intr)
{
    uint32_t type = intr >> INTR_INFO_TYPE_SHIFT & 7, vector = intr & INTR_INFO_VECTOR;
    bool mc = type == INTR_TYPE_HARDWARE && vector == EXC_MC;

    switch (activity) {
    case ACTIVITY_ACTIVE: return true;
    case ACTIVITY_HLT:
        return mc || type == INTR_TYPE_EXTERNAL || type == INTR_TYPE_NMI
            || (type == INTR_TYPE_HARDWARE && vector == EXC_DB) || (type == 7 && vector == 0);
    case ACTIVITY_SHUTDOWN: return mc || type == INTR_TYPE_NMI;
    default: return false;
    }
}

static const char *check_activity(const struct state *s)
{
    uint64_t activity = s->read(VMCS_GUEST_ACTIVITY);
    uint64_t states = vmx_cap(s->caps, MSR_IA32_VMX_MISC) >> 6 & 7; /* HLT, shutdown, SIPI (A.6) */
    uint32_t shadow = (uint32_t)s->read(VMCS_GUEST_INTERRUPTIBILITY)
        & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);

    if (activity > ACTIVITY_WAIT_SIPI || (activity != ACTIVITY_ACTIVE && shadow)) {
        return "the activity state";
    }
    if (activity != ACTIVITY_ACTIVE && !(states >> (activity - 1) & 1)) {
        return "an activity state that this CPU doesn't have";
    }
    if (activity == ACTIVITY_HLT && (s->read(VMCS_GUEST_SS_AR) >> AR_DPL_SHIFT & 3)) {
        return "HLT in another ring than 0";
    }
    if ((s->intr & INTR_INFO_VALID) && !can_take(activity, s->intr)) {
        return "an event is injected into a CPU that can't take it";
    }
    if (s->read(VMCS_GUEST_PENDING_DEBUG) & PENDING_RESERVED) {
        return "the pending debug exceptions have reserved bits";
    }
    if ((shadow || activity == ACTIVITY_HLT)
        && !!(s->read(VMCS_GUEST_PENDING_DEBUG) & PENDING_DEBUG_BS)
            != ((s->rflags & RFLAGS_TF) && !(s->read(VMCS_GUEST_DEBUGCTL) & 2))) {
        return "the pending single step contradicts RFLAGS.TF";
    }
    return NULL;
}

static const char *check_pdptes(const struct state *s)
{
    static const enum vmcs_field fields[] = {
        VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE1, VMCS_GUEST_PDPTE2, VMCS_GUEST_PDPTE3,
    };

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint64_t e = s->read(fields[i]);

        if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !s->ia32e && (e & PTE_P)
            && (e & (PDPTE_RESERVED | phys_beyond()))) {
            return "a PDPTE has reserved bits";
        }
    }
    return NULL;
}

const char *vmx_check_guest(const struct vmx_caps *c, vmx_field_reader read)
{
    static const char *(*const groups[])(const struct state *) = {
        check_control_registers, check_msrs, check_segments, check_tables_and_rip,
        check_interruptibility, check_activity, check_pdptes,
    };
    const struct state s = {
        .caps = c, .read = read,
        .cr0 = read(VMCS_GUEST_CR0), .cr4 = read(VMCS_GUEST_CR4), .efer = read(VMCS_GUEST_EFER),
        .rflags = read(VMCS_GUEST_RFLAGS),
        .entry = (uint32_t)read(VMCS_ENTRY_CONTROLS), .intr = (uint32_t)read(VMCS_ENTRY_INTR_INFO),
        .unrestricted = read(VMCS_PROC2_CONTROLS) >> PROC2_UNRESTRICTED & 1,
        .ia32e = read(VMCS_ENTRY_CONTROLS) >> ENTRY_GUEST_64 & 1,
    };
    const char *rule = NULL;

    for (size_t i = 0; !rule && i < ARRAY_SIZE(groups); i++) {
        rule = groups[i](&s);
    }
    return rule;
}
