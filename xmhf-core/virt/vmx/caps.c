/* SPDX-License-Identifier: MIT */
/* Probing VMX: which capability MSRs exist, what they allow, and which controls we choose. */
#include <hw/insn.h>
#include <virt/vmx/caps.h>
#include <x86/cpuid.h>
#include <x86/vmx.h>

/*
 * When each MSR exists (SDM vol. 3, appendix A). The conditions of vol. 4 are wrong for
 * 0x491: it needs the control "enable VM functions", not IA32_VMX_BASIC[55], and a CPU that
 * has the latter without the former answers with #GP.
 */
enum rule { ALWAYS, TRUE_CONTROLS, IF_MAY };

static const struct cap_rule {
    uint32_t first, last;
    enum rule rule;
    struct { enum vmx_control word; unsigned bit; } any[2]; /* of IF_MAY: one is enough */
} cap_rules[] = {
    { MSR_IA32_VMX_BASIC, MSR_IA32_VMX_VMCS_ENUM, ALWAYS, { { 0 } } },
    { MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2, IF_MAY,
      { { VMX_PROC, PROC_SECONDARY }, { VMX_PROC, PROC_SECONDARY } } },
    { MSR_IA32_VMX_EPT_VPID_CAP, MSR_IA32_VMX_EPT_VPID_CAP, IF_MAY,
      { { VMX_PROC2, PROC2_EPT }, { VMX_PROC2, PROC2_VPID } } },
    { MSR_IA32_VMX_TRUE_PINBASED_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS, TRUE_CONTROLS, { { 0 } } },
    { MSR_IA32_VMX_VMFUNC, MSR_IA32_VMX_VMFUNC, IF_MAY,
      { { VMX_PROC2, PROC2_VMFUNC }, { VMX_PROC2, PROC2_VMFUNC } } },
    { MSR_IA32_VMX_PROCBASED_CTLS3, MSR_IA32_VMX_PROCBASED_CTLS3, IF_MAY,
      { { VMX_PROC, PROC_TERTIARY }, { VMX_PROC, PROC_TERTIARY } } },
    { MSR_IA32_VMX_EXIT_CTLS2, MSR_IA32_VMX_EXIT_CTLS2, IF_MAY,
      { { VMX_EXIT, EXIT_SECONDARY }, { VMX_EXIT, EXIT_SECONDARY } } },
};

/* Which MSR tells about a word; `true_msr` takes its place where it exists. */
static const struct { uint32_t msr, true_msr; bool split; } words[] = {
    [VMX_PIN] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS, true },
    [VMX_PROC] = { MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS, true },
    [VMX_PROC2] = { MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2, true },
    [VMX_EXIT] = { MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS, true },
    [VMX_ENTRY] = { MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS, true },
    /* 64 bits of "may be 1", no halves (A.3.4, A.4.2) */
    [VMX_PROC3] = { MSR_IA32_VMX_PROCBASED_CTLS3, MSR_IA32_VMX_PROCBASED_CTLS3, false },
    [VMX_EXIT2] = { MSR_IA32_VMX_EXIT_CTLS2, MSR_IA32_VMX_EXIT_CTLS2, false },
};

/* SDM vol. 3, 24.6, 24.7 */
const char *vmx_switched_off(void)
{
    uint64_t control;

    if (!(hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_VMX)) {
        return "VMX (CPUID 1:ECX[5])";
    }
    if (!hw_rdmsr_safe(MSR_IA32_FEATURE_CONTROL, &control)
        || ((control & FEATURE_CONTROL_LOCK) && !(control & FEATURE_CONTROL_VMX))) {
        return "VMX: switched off by the firmware (IA32_FEATURE_CONTROL); enable it in the setup";
    }
    return NULL;
}

static bool present(const struct vmx_caps *c, uint32_t msr)
{
    return c->present >> (msr - MSR_IA32_VMX_BASIC) & 1;
}

uint64_t vmx_cap(const struct vmx_caps *c, uint32_t msr)
{
    return present(c, msr) ? c->value[msr - MSR_IA32_VMX_BASIC] : 0;
}

static uint64_t word_cap(const struct vmx_caps *c, enum vmx_control word)
{
    return vmx_cap(c, present(c, words[word].true_msr) ? words[word].true_msr : words[word].msr);
}

bool vmx_may_set(const struct vmx_caps *c, enum vmx_control word, unsigned bit)
{
    return word_cap(c, word) >> (words[word].split ? bit + 32 : bit) & 1;
}

bool vmx_must_set(const struct vmx_caps *c, enum vmx_control word, unsigned bit)
{
    return words[word].split && (word_cap(c, word) >> bit & 1);
}

static bool exists(const struct vmx_caps *c, const struct cap_rule *r)
{
    switch (r->rule) {
    case ALWAYS:
        return true;
    case TRUE_CONTROLS:
        return vmx_cap(c, MSR_IA32_VMX_BASIC) & BIT(VMX_BASIC_TRUE_CONTROLS);
    case IF_MAY:
        break;
    }
    return vmx_may_set(c, r->any[0].word, r->any[0].bit)
        || vmx_may_set(c, r->any[1].word, r->any[1].bit);
}

void vmx_caps_read(struct vmx_caps *c)
{
    *c = (struct vmx_caps){ .present = 0 };
    for (size_t i = 0; i < ARRAY_SIZE(cap_rules); i++) {
        const struct cap_rule *r = &cap_rules[i];
        bool there = exists(c, r);

        for (uint32_t msr = r->first; there && msr <= r->last; msr++) {
            uint32_t index = msr - MSR_IA32_VMX_BASIC;
            if (hw_rdmsr_safe(msr, &c->value[index])) {
                c->present |= 1u << index;
            } else {
                c->faulted |= 1u << index;
            }
        }
    }
}

/* --- the controls that we use --------------------------------------------------- */

#define OS   VMX_FOR_OS
#define SB   VMX_FOR_SANDBOX
#define BOTH (OS | SB)

static const struct wanted {
    enum vmx_control word;
    unsigned bit;
    unsigned use;       /* 0: switched on at run time only */
    bool mandatory;
    const char *name;
} wanted[] = {
    { VMX_PROC, PROC_SECONDARY, BOTH, true, "secondary VMX controls" },
    { VMX_PROC2, PROC2_EPT, BOTH, true, "EPT" },
    { VMX_PROC2, PROC2_UNRESTRICTED, OS, true, "unrestricted guest" },
    { VMX_PROC2, PROC2_VPID, BOTH, false, "VPID" },
    { VMX_PROC2, PROC2_WBINVD_EXITING, SB, false, "WBINVD exiting" },
    { VMX_PROC2, PROC2_EXEC_BY_MODE, 0, false, "mode-based execute control for EPT" },
    { VMX_PIN, PIN_INTR_EXITING, SB, true, "external-interrupt exiting" },
    { VMX_PIN, PIN_NMI_EXITING, BOTH, true, "NMI exiting" },
    { VMX_PIN, PIN_VIRTUAL_NMIS, BOTH, true, "virtual NMIs" },
    { VMX_PROC, PROC_NMI_WINDOW, 0, true, "NMI-window exiting" },
    { VMX_PROC, PROC_INTR_WINDOW, 0, true, "interrupt-window exiting" },
    { VMX_PROC, PROC_MSR_BITMAPS, OS, true, "MSR bitmaps" },
    { VMX_PROC, PROC_IO_BITMAPS, OS, true, "I/O bitmaps" },
    { VMX_PROC, PROC_IO_EXITING, SB, true, "unconditional I/O exiting" },
    { VMX_PROC, PROC_HLT_EXITING, SB, true, "HLT exiting" },
    { VMX_PROC, PROC_INVLPG_EXITING, SB, true, "INVLPG exiting" },
    { VMX_PROC, PROC_MWAIT_EXITING, SB, true, "MWAIT exiting" },
    { VMX_PROC, PROC_MONITOR_EXITING, SB, true, "MONITOR exiting" },
    { VMX_PROC, PROC_RDPMC_EXITING, SB, true, "RDPMC exiting" },
    { VMX_PROC, PROC_MOV_DR_EXITING, SB, true, "MOV-DR exiting" },
    { VMX_EXIT, EXIT_HOST_64, BOTH, true, "64-bit host" },
    { VMX_EXIT, EXIT_SAVE_DEBUG, OS, true, "saving DR7 and IA32_DEBUGCTL on exits" },
    { VMX_EXIT, EXIT_SAVE_PAT, OS, true, "saving IA32_PAT on exits" },
    { VMX_EXIT, EXIT_LOAD_PAT, BOTH, true, "loading IA32_PAT on exits" },
    { VMX_EXIT, EXIT_SAVE_EFER, OS, true, "saving IA32_EFER on exits" },
    { VMX_EXIT, EXIT_LOAD_EFER, BOTH, true, "loading IA32_EFER on exits" },
    { VMX_ENTRY, ENTRY_GUEST_64, SB, true, "64-bit guests" },
    { VMX_ENTRY, ENTRY_LOAD_DEBUG, BOTH, true, "loading DR7 and IA32_DEBUGCTL on entries" },
    { VMX_ENTRY, ENTRY_LOAD_PAT, BOTH, true, "loading IA32_PAT on entries" },
    { VMX_ENTRY, ENTRY_LOAD_EFER, BOTH, true, "loading IA32_EFER on entries" },
};

const struct vmx_feature vmx_features[] = {
    { CPUID_EXT_AMD, 0, CPUID_EDX, CPUID_8_1_EDX_RDTSCP, PROC2_RDTSCP, BOTH, "RDTSCP" },
    { CPUID_EXT_FEATURES, 0, CPUID_ECX, CPUID_7_0_ECX_RDPID, PROC2_RDTSCP, BOTH, "RDPID" },
    { CPUID_EXT_FEATURES, 0, CPUID_EBX, CPUID_7_0_EBX_INVPCID, PROC2_INVPCID, OS, "INVPCID" },
    { CPUID_EXT_FEATURES, 0, CPUID_ECX, CPUID_7_0_ECX_WAITPKG, PROC2_USER_WAIT, OS, "WAITPKG" },
    { CPUID_XSTATE, 1, CPUID_EAX, CPUID_D_1_EAX_XSAVES, PROC2_XSAVES, OS, "XSAVES" },
};
const size_t vmx_feature_count = ARRAY_SIZE(vmx_features);

/* What of IA32_VMX_EPT_VPID_CAP we use beside the control bits: A is used, or where the CPU lacks
 * it, B (A.10, 29.4.3). */
#define EITHER(cap, a, b) ((cap) & (a) ? (a) : (cap) & (b))

static uint64_t invept_types(uint64_t cap)
{
    return EITHER(cap, EPT_CAP_INVEPT_SINGLE, EPT_CAP_INVEPT_ALL);
}

static uint64_t invvpid_types(uint64_t cap)
{
    return EITHER(cap, VPID_CAP_SINGLE, VPID_CAP_ALL);
}

/* VPIDs are of no use without an INVVPID that forgets all translations of one. */
static bool usable(uint64_t cap, enum vmx_control word, unsigned bit)
{
    return word != VMX_PROC2 || bit != PROC2_VPID
        || ((cap & VPID_CAP_INVVPID) && invvpid_types(cap));
}

uint64_t vmx_ept_use(const struct vmx_caps *c, const struct vmx_controls *ctl)
{
    uint64_t cap = vmx_cap(c, MSR_IA32_VMX_EPT_VPID_CAP);
    bool vpid = ctl->word[VMX_PROC2] >> PROC2_VPID & 1;

    return (cap & EPT_CAP_1G) | EPT_CAP_INVEPT | invept_types(cap)
        | (vpid ? VPID_CAP_INVVPID | invvpid_types(cap) : 0);
}

/* Reserved bits that are 1 on old CPUs ("default1", A.2): harmless, but for the exits at
 * CR3 accesses (bits 15 and 16), which would cost two exits per context switch. */
static const uint32_t harmless[VMX_CONTROL_WORDS] = {
    [VMX_PIN] = 0x00000016, [VMX_PROC] = 0x04006172, [VMX_EXIT] = 0x00036dff,
    [VMX_ENTRY] = 0x000011ff,
};

static uint32_t wanted_bits(enum vmx_control word, unsigned use)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (wanted[i].word == word && (wanted[i].use & use)) {
            bits |= 1u << wanted[i].bit;
        }
    }
    return bits;
}

static uint32_t feature_bits(cpuid_reader read, unsigned use)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(vmx_features); i++) {
        if ((vmx_features[i].use & use) && vmx_feature_shown(&vmx_features[i], read)) {
            bits |= 1u << vmx_features[i].proc2_bit;
        }
    }
    return bits;
}

void vmx_controls_choose(const struct vmx_caps *c, cpuid_reader read, enum vmx_use use,
                         struct vmx_controls *out)
{
    uint64_t cap = vmx_cap(c, MSR_IA32_VMX_EPT_VPID_CAP);

    for (unsigned w = 0; w < VMX_CONTROL_WORDS; w++) {
        uint32_t bits = wanted_bits((enum vmx_control)w, use);

        if (w == VMX_PROC2) {
            bits |= feature_bits(read, use);
        }
        out->word[w] = 0;
        for (unsigned bit = 0; bit < 32; bit++) {
            bool on = (bits >> bit & 1) || vmx_must_set(c, (enum vmx_control)w, bit);
            if (on && vmx_may_set(c, (enum vmx_control)w, bit)
                && usable(cap, (enum vmx_control)w, bit)) {
                out->word[w] |= 1u << bit;
            }
        }
    }
}

static const char *missing_control(const struct vmx_caps *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (wanted[i].mandatory && !vmx_may_set(c, wanted[i].word, wanted[i].bit)) {
            return wanted[i].name;
        }
    }
    for (unsigned w = 0; w < VMX_CONTROL_WORDS; w++) {
        uint32_t fine = harmless[w] | wanted_bits((enum vmx_control)w, OS);

        for (unsigned bit = 0; bit < 32; bit++) {
            if (vmx_must_set(c, (enum vmx_control)w, bit) && !(fine >> bit & 1)) {
                return w == VMX_PROC && (bit == PROC_CR3_LOAD_EXITING
                                         || bit == PROC_CR3_STORE_EXITING)
                    ? "CR3 access without exits" : "a VMX control that can't be switched off";
            }
        }
    }
    return NULL;
}

const char *vmx_missing(const struct vmx_caps *c)
{
    static const struct { uint64_t any; const char *name; } ept[] = {
        { EPT_CAP_WALK_4, "EPT with 4 levels" }, { EPT_CAP_WB, "write-back EPT tables" },
        { EPT_CAP_2M, "EPT pages of 2 MiB" }, { EPT_CAP_INVEPT, "INVEPT" },
        { EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL, "INVEPT of one or of all contexts" },
    };
    const char *name = missing_control(c);
    uint64_t cap = vmx_cap(c, MSR_IA32_VMX_EPT_VPID_CAP);

    for (size_t i = 0; !name && i < ARRAY_SIZE(ept); i++) {
        name = cap & ept[i].any ? NULL : ept[i].name;
    }
    return name;
}

bool vmx_feature_shown(const struct vmx_feature *f, cpuid_reader read)
{
    uint32_t base = f->leaf & 0xffff0000u;

    if (read(base, 0).eax < f->leaf) {
        return false;
    }
    struct cpuid_regs r = read(f->leaf, f->sub);
    const uint32_t value[] = { r.eax, r.ebx, r.ecx, r.edx };

    return value[f->reg] & f->mask;
}

uint64_t vmx_fixed_cr(const struct vmx_caps *c, unsigned cr, uint64_t value)
{
    uint32_t fixed0 = cr == 0 ? MSR_IA32_VMX_CR0_FIXED0 : MSR_IA32_VMX_CR4_FIXED0;
    uint32_t fixed1 = cr == 0 ? MSR_IA32_VMX_CR0_FIXED1 : MSR_IA32_VMX_CR4_FIXED1;

    return (value | vmx_cap(c, fixed0)) & vmx_cap(c, fixed1);
}

static const char *control_name(unsigned word, unsigned bit)
{
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (wanted[i].word == word && wanted[i].bit == bit) {
            return wanted[i].name;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(vmx_features); i++) {
        if (word == VMX_PROC2 && vmx_features[i].proc2_bit == bit) {
            return vmx_features[i].name;
        }
    }
    return "a VMX control that the boot CPU has";
}

const char *vmx_controls_unfit(const struct vmx_caps *c, const struct vmx_controls *ctl)
{
    for (unsigned w = 0; w < VMX_CONTROL_WORDS; w++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            bool on = ctl->word[w] >> bit & 1;

            if (on && !vmx_may_set(c, (enum vmx_control)w, bit)) {
                return control_name(w, bit);
            }
            if (!on && vmx_must_set(c, (enum vmx_control)w, bit)) {
                return "a VMX control that can't be switched off";
            }
        }
    }
    return NULL;
}

const char *vmx_unlike(const struct vmx_caps *c, const struct vmx_caps *boot,
                       const struct vmx_controls *os, const struct vmx_controls *sandbox,
                       bool waits)
{
    const struct { uint32_t msr; uint64_t bits; const char *name; } used[] = {
        { MSR_IA32_VMX_EPT_VPID_CAP, EPT_CAP_1G, "EPT pages of 1 GiB" },
        { MSR_IA32_VMX_EPT_VPID_CAP, EPT_CAP_INVEPT_SINGLE, "INVEPT of one context" },
        { MSR_IA32_VMX_EPT_VPID_CAP, EPT_CAP_INVEPT_ALL, "INVEPT of all contexts" },
        { MSR_IA32_VMX_EPT_VPID_CAP, VPID_CAP_INVVPID, "INVVPID" },
        { MSR_IA32_VMX_EPT_VPID_CAP, VPID_CAP_SINGLE, "INVVPID of one context" },
        { MSR_IA32_VMX_EPT_VPID_CAP, VPID_CAP_ALL, "INVVPID of all contexts" },
        { MSR_IA32_VMX_MISC, waits ? VMX_MISC_WAIT_FOR_SIPI : 0,
          "wait-for-SIPI as a guest state" },
    };
    uint64_t ept = vmx_ept_use(boot, os);
    const char *missing = vmx_controls_unfit(c, os);

    for (size_t i = 0; !missing && i < ARRAY_SIZE(used); i++) {
        uint64_t need = used[i].bits & (used[i].msr == MSR_IA32_VMX_EPT_VPID_CAP ? ept : ~0ULL);

        missing = need & ~vmx_cap(c, used[i].msr) ? used[i].name : NULL;
    }
    if (!missing && ((vmx_cap(c, MSR_IA32_VMX_BASIC) ^ vmx_cap(boot, MSR_IA32_VMX_BASIC))
                     & VMX_BASIC_REVISION)) {
        missing = "the boot CPU's VMCS revision";
    }
    return missing ? missing : vmx_controls_unfit(c, sandbox);
}
