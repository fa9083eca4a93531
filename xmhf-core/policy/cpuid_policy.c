/* SPDX-License-Identifier: MIT */
/* What the guest sees of CPUID: the table of hidden bits, and the computed ones. */
#include <policy/cpuid_policy.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <xmhf/hypercall.h>

#define ANY_SUB     0xffffffffu
#define SUB(n)      ((n) + 1u)
#define ALL         0xffffffffu
#define XSAVE_LEGACY_SIZE 576u  /* legacy region and header (SDM vol. 1, 13.4) */

#define EAX CPUID_EAX
#define EBX CPUID_EBX
#define ECX CPUID_ECX
#define EDX CPUID_EDX

/* Bits to clear in the answer to one subleaf, or to all. */
struct hide {
    uint32_t subs; /* SUB(n) or ANY_SUB; 0: no rule, nor are there more */
    struct cpuid_regs bits;
};

#define RULES 3 /* for one leaf at most */
#define HIDE_LEAF {{ ANY_SUB, { ALL, ALL, ALL, ALL } }}

/*
 * By number of the leaf; what isn't here stays. A bit is hidden because the feature would
 * need handling that isn't there, because its MSRs are denied, or because the CPU gives it to
 * guests only by a control that stays off.
 */
static const struct hide basic[][RULES] = {
    [0x01] = {{ ANY_SUB, {
        .ecx = CPUID_1_ECX_VMX          /* no nested virtualization */
            | CPUID_1_ECX_SMX           /* GETSEC exits always (SDM vol. 3, 26.1.2) */
            | CPUID_1_ECX_DTES64 | CPUID_1_ECX_DS_CPL /* debug store, as EDX.DS */
            | CPUID_1_ECX_SDBG | CPUID_1_ECX_DCA,     /* their MSRs are denied */
        .edx = CPUID_1_EDX_DS,          /* PEBS and BTS stores can't take an EPT violation */
    } }},
    [0x06] = {{ ANY_SUB, {
        .eax = CPUID_6_EAX_HFI | CPUID_6_EAX_ITD /* the CPU writes a table at the physical
                                                    address in IA32_HW_FEEDBACK_PTR */
            | CPUID_6_EAX_HDC           /* IA32_PKG_HDC_CTL is denied, IA32_XSS takes only 0 */
            | CPUID_6_EAX_THERM_25,     /* HFI's interrupt */
        .ecx = CPUID_6_ECX_ITD_CLASSES, /* as EAX.ITD */
        .edx = ALL,                     /* as EAX.HFI: what the table holds */
    } }},
    [0x07] = {{ SUB(0), {
        .ebx = CPUID_7_0_EBX_SGX        /* enclaves can't be seen into; EPC isn't in the map */
            | CPUID_7_0_EBX_PT,         /* trace output goes to physical addresses */
        .ecx = CPUID_7_0_ECX_CET_SS     /* shadow stacks: state not switched yet */
            | CPUID_7_0_ECX_TME         /* keys in addresses: cpuid_policy_width */
            | CPUID_7_0_ECX_LA57        /* 5-level paging: not tried yet */
            | CPUID_7_0_ECX_ENQCMD      /* needs IA32_XSS.PASID and PASID translation */
            | CPUID_7_0_ECX_SGX_LC      /* SGX */
            | CPUID_7_0_ECX_PKS,        /* IA32_PKRS is not switched yet */
        .edx = CPUID_7_0_EDX_SGX_KEYS   /* SGX */
            | CPUID_7_0_EDX_UINTR       /* UPID addresses, state not switched yet */
            | CPUID_7_0_EDX_PCONFIG     /* memory encryption keys; needs a VMX control */
            | CPUID_7_0_EDX_ARCH_LBR    /* needs IA32_XSS.LBR; its MSRs are denied */
            | CPUID_7_0_EDX_CET_IBT     /* as CET_SS */
            /* 8 KiB of state per PAL switch */
            | CPUID_7_0_EDX_AMX_BF16 | CPUID_7_0_EDX_AMX_TILE | CPUID_7_0_EDX_AMX_INT8,
    } }, { SUB(1), {
        .eax = CPUID_7_1_EAX_FRED       /* event delivery without IDT: not handled yet */
            | CPUID_7_1_EAX_LKGS        /* comes with FRED */
            | CPUID_7_1_EAX_WRMSRNS     /* WRMSR exits are taken for 0F 30 where lengths are
                                           decoded */
            | CPUID_7_1_EAX_AMX_FP16    /* AMX */
            | CPUID_7_1_EAX_HRESET      /* IA32_HRESET_ENABLE is denied */
            | CPUID_7_1_EAX_LAM         /* pointers with tags in bits 62:48 */
            | CPUID_7_1_EAX_MSRLIST     /* needs a VMX control */
            | CPUID_7_1_EAX_PERFMON_EXT, /* as leaf 23h */
        .ebx = CPUID_7_1_EBX_PPIN       /* IA32_PPIN_CTL is denied */
            | CPUID_7_1_EBX_PBNDKB,     /* memory encryption keys; needs a VMX control */
        .ecx = CPUID_7_1_ECX_MSR_IMM,   /* as WRMSRNS: exits by a form that isn't decoded */
        .edx = CPUID_7_1_EDX_AMX_COMPLEX /* AMX */
            | CPUID_7_1_EDX_USER_MSR    /* IA32_USER_MSR_CTL is denied */
            | CPUID_7_1_EDX_UIRET_UIF   /* UINTR */
            | CPUID_7_1_EDX_CET_SSS     /* as CET_SS */
            | CPUID_7_1_EDX_APX,        /* R16 to R31 aren't kept apart, their forms not decoded */
    } }, { SUB(2), {
        .edx = CPUID_7_2_EDX_UC_LOCK,   /* its bit of TEST_CTRL is refused */
    } }},
    [0x0d] = {{ SUB(1), {
        .eax = CPUID_D_1_EAX_XFD,       /* only AMX uses it */
        .ecx = ALL, .edx = ALL,         /* IA32_XSS takes only 0 */
    } }},
    [0x10] = {{ SUB(0), {
        .ebx = ~(BIT(3) | BIT(2) | BIT(1)) & ALL, /* only L3, L2, MBA have MSRs in the table */
    } }},
    [0x12] = HIDE_LEAF,                 /* SGX */
    [0x14] = HIDE_LEAF,                 /* Intel PT */
    [0x19] = {{ ANY_SUB, {
        .ebx = CPUID_19_EBX_BACKUP,     /* IA32_COPY_LOCAL_TO_PLATFORM is denied */
    } }},
    [0x1b] = HIDE_LEAF,                 /* PCONFIG */
    [0x1c] = HIDE_LEAF,                 /* architectural LBR */
    [0x1d] = HIDE_LEAF,                 /* AMX tiles */
    [0x1e] = HIDE_LEAF,                 /* AMX */
    [0x20] = HIDE_LEAF,                 /* HRESET */
    [0x23] = HIDE_LEAF,                 /* counters by the MSRs from 1900h on, PEBS' among them */
    [0x29] = HIDE_LEAF,                 /* APX */
};

/* The same from CPUID_EXTENDED on. */
#define EXTENDED(leaf) [(leaf) - CPUID_EXTENDED]
static const struct hide extended[][RULES] = {
    EXTENDED(CPUID_EXT_AMD) = {{ ANY_SUB, {
        .ecx = CPUID_8_1_ECX_SVM        /* no nested virtualization */
            | CPUID_8_1_ECX_IBS         /* state not switched for PALs */
            | CPUID_8_1_ECX_SKINIT      /* would replace the hypervisor */
            | CPUID_8_1_ECX_LWP         /* writes profiles while a PAL runs */
            | CPUID_8_1_ECX_WDT,        /* its MSR is denied */
    } }},
    EXTENDED(CPUID_POWER) = {{ ANY_SUB, {
        .ebx = CPUID_8_7_EBX_HWA,       /* its MSRs are denied */
        .edx = CPUID_8_7_EDX_FID | CPUID_8_7_EDX_VID, /* FIDVID_CTL: a voltage */
    } }},
    EXTENDED(CPUID_ADDRESS_SIZES) = {{ ANY_SUB, {
        /* #UD in guests unless the VMCB allows it (APM vol. 3, INVLPGB) */
        .ebx = CPUID_8_8_EBX_INVLPGB | CPUID_8_8_EBX_INVLPGB_NESTED
            | CPUID_8_8_EBX_IRPERF      /* its MSR is denied */
            | CPUID_8_8_EBX_MCOMMIT | CPUID_8_8_EBX_INT_WBINVD /* their bits of EFER are refused */
            | CPUID_8_8_EBX_VIRT_SSBD,  /* a hypervisor's; its MSR is denied */
        .edx = 0xffff,                  /* INVLPGB's maximum count */
    } }},
    EXTENDED(CPUID_SVM) = HIDE_LEAF,
    EXTENDED(CPUID_IBS) = HIDE_LEAF,
    EXTENDED(CPUID_LWP) = HIDE_LEAF,
    /* SME and SEV: cpuid_policy_width; SYSCFG can't be written */
    EXTENDED(CPUID_SEV) = HIDE_LEAF,
    EXTENDED(CPUID_QOS_AMD) = {{ SUB(0), {
        .ebx = ~BIT(1) & ALL,           /* only the bandwidth's MSRs are in the table */
    } }},
    EXTENDED(CPUID_FEATURES_2_AMD) = {{ ANY_SUB, {
        .eax = CPUID_8_21_EAX_UAI       /* its bit of EFER is refused */
            | CPUID_8_21_EAX_SRSO_MSR_FIX, /* its MSR is denied */
    } }},
    EXTENDED(CPUID_PERFMON_AMD) = {{ ANY_SUB, {
        /* would show a PAL's branches; its MSRs are denied */
        .eax = CPUID_8_22_EAX_LBR_V2 | CPUID_8_22_EAX_LBR_FREEZE,
        .ecx = ALL,                     /* memory controllers' counters: their MSRs are denied */
    } }},
};

/* What cpuid_policy_hide has added: at most one entry for each feature that has a VMX control. */
static struct { uint32_t leaf, sub, mask; enum cpuid_reg reg; } hidden_here[8];
static unsigned hidden_here_count;

void cpuid_policy_hide(uint32_t leaf, uint32_t sub, enum cpuid_reg reg, uint32_t mask)
{
    if (hidden_here_count < ARRAY_SIZE(hidden_here)) {
        hidden_here[hidden_here_count].leaf = leaf;
        hidden_here[hidden_here_count].sub = sub;
        hidden_here[hidden_here_count].reg = reg;
        hidden_here[hidden_here_count++].mask = mask;
    }
}

static unsigned phys_bits; /* 0: as the CPU says. notes/decisions/one-name-for-memory.md */

void cpuid_policy_width(unsigned bits)
{
    phys_bits = bits;
}

/* XCR0 components that the guest doesn't get. */
#define XCR0_HIDDEN (XCR0_APX | XCR0_TILECFG | XCR0_TILEDATA | XCR0_LWP | XSS_CET_U | XSS_CET_S)

uint64_t cr4_hidden_bits(void)
{
    return CR4_LA57 | CR4_VMXE | CR4_SMXE | CR4_CET | CR4_PKS | CR4_UINTR | CR4_LAM_SUP |
           CR4_FRED;
}

static void set_bit(uint32_t *reg, uint32_t bit, bool on)
{
    *reg = on ? *reg | bit : *reg & ~bit;
}

static uint32_t *reg_of(struct cpuid_regs *r, enum cpuid_reg reg)
{
    switch (reg) {
    case EAX: return &r->eax;
    case EBX: return &r->ebx;
    case ECX: return &r->ecx;
    default: return &r->edx;
    }
}

/* The rules of a leaf, or NULL. */
static const struct hide *rules_of(uint32_t leaf)
{
    if (leaf < ARRAY_SIZE(basic)) {
        return basic[leaf];
    }
    leaf -= CPUID_EXTENDED;
    return leaf < ARRAY_SIZE(extended) ? extended[leaf] : NULL;
}

static struct cpuid_regs hide(struct cpuid_regs r, uint32_t leaf, uint32_t sub)
{
    const struct hide *h = rules_of(leaf);

    for (unsigned i = 0; h && i < RULES && h->subs != 0; i++, h++) {
        if (h->subs == ANY_SUB || h->subs == SUB(sub)) {
            r.eax &= ~h->bits.eax;
            r.ebx &= ~h->bits.ebx;
            r.ecx &= ~h->bits.ecx;
            r.edx &= ~h->bits.edx;
        }
    }
    for (unsigned i = 0; i < hidden_here_count; i++) {
        if (hidden_here[i].leaf == leaf && hidden_here[i].sub == sub) {
            *reg_of(&r, hidden_here[i].reg) &= ~hidden_here[i].mask;
        }
    }
    return r;
}

/* Leaves 0x40000000-0x400000ff are ours; the rest up to 0x4fffffff would be a hypervisor's
 * below us, which isn't the guest's business. */
static struct cpuid_regs our_leaf(uint32_t leaf)
{
    switch (leaf) {
    case XMHF_CPUID_BASE: /* "XMHF" in each register, first letter lowest */
        return (struct cpuid_regs){ XMHF_CPUID_BASE + 1, 0x46484d58, 0x46484d58, 0x46484d58 };
    case XMHF_CPUID_BASE + 1:
        return (struct cpuid_regs){ XMHF_VERSION, 0, 0, 0 };
    default:
        return (struct cpuid_regs){ 0, 0, 0, 0 };
    }
}

/*
 * The leaf whose data the CPU gives for `leaf`. Intel's give the highest basic leaf for
 * all that don't exist (SDM vol. 2, CPUID), so that hidden bits show at other numbers;
 * AMD's give zeros, on which the rules have no effect.
 */
static uint32_t real_leaf(cpuid_reader read, uint32_t leaf)
{
    uint32_t max;

    if (leaf <= 1) {
        return leaf;
    }
    if (leaf >= CPUID_EXTENDED) {
        uint32_t base = leaf & 0xffff0000u;

        max = read(base, 0).eax;
        if (max >= leaf && max >> 16 == base >> 16) {
            return leaf;
        }
        return read(0, 0).eax; /* no such range, or beyond its end */
    }
    max = read(0, 0).eax;
    return leaf > max ? max : leaf;
}

/* XCR0 bits that the CPU has and the guest may set. */
static uint64_t xcr0_visible(cpuid_reader read)
{
    struct cpuid_regs r = read(CPUID_XSTATE, 0);

    return (r.eax | (uint64_t)r.edx << 32) & ~XCR0_HIDDEN;
}

/* Bytes of an XSAVE area with the components `mask` (SDM vol. 1, 13.4.2 and 13.4.3). */
static uint32_t xsave_size(cpuid_reader read, uint64_t mask, bool compacted)
{
    uint32_t size = XSAVE_LEGACY_SIZE;

    for (mask &= ~(XCR0_X87 | XCR0_SSE); mask != 0; mask &= mask - 1) {
        /* EAX: size; EBX: offset in the standard form */
        struct cpuid_regs r = read(CPUID_XSTATE, (uint32_t)__builtin_ctzll(mask));

        if (!compacted) {
            size = r.ebx + r.eax > size ? r.ebx + r.eax : size;
            continue;
        }
        if (r.ecx & CPUID_D_N_ECX_ALIGN64) {
            size = (size + 63) & ~63u;
        }
        size += r.eax;
    }
    return size;
}

static struct cpuid_regs xstate_leaf(cpuid_reader read, struct cpuid_regs r, uint32_t sub,
                                     const struct cpuid_guest *g)
{
    uint64_t visible = xcr0_visible(read);

    if (visible == 0) { /* no XSAVE */
        return (struct cpuid_regs){ 0, 0, 0, 0 };
    }
    switch (sub) {
    case 0:
        r.eax = (uint32_t)visible;
        r.edx = (uint32_t)(visible >> 32);
        r.ebx = xsave_size(read, g->xcr0 & visible, false);
        r.ecx = xsave_size(read, visible, false);
        return r;
    case 1: /* EBX only with a compacting instruction */
        if (r.eax & (CPUID_D_1_EAX_XSAVEC | CPUID_D_1_EAX_XSAVES)) {
            r.ebx = xsave_size(read, g->xcr0 & visible, true);
        }
        return r;
    default: /* neither hidden components nor those of IA32_XSS */
        if (sub > 63 || !(visible & BIT(sub))) {
            return (struct cpuid_regs){ 0, 0, 0, 0 };
        }
        return r;
    }
}

/* The number in bits high:low of `reg`, at most `most`. */
static void limit(uint32_t *reg, unsigned high, unsigned low, uint32_t most)
{
    uint32_t mask = (2u << (high - low)) - 1, n = *reg >> low & mask;

    *reg = (*reg & ~(mask << low)) | (n < most ? n : most) << low;
}

/* As many counters as the MSR table has, and no version whose MSRs it hasn't (SDM vol. 2, CPUID,
 * leaf 0Ah). */
static void perfmon_leaf(struct cpuid_regs *r)
{
    limit(&r->eax, 7, 0, 5);
    limit(&r->eax, 15, 8, 8);
    limit(&r->edx, 4, 0, 4);
    r->ecx &= 0xf;
}

/* The same (APM vol. 3, E.4.23): of the core, of the north bridge, of memory controllers. */
static void perfmon_amd_leaf(struct cpuid_regs *r)
{
    limit(&r->ebx, 3, 0, 6);
    limit(&r->ebx, 15, 10, 4);
    limit(&r->ebx, 21, 16, 0);
}

/* Bits that mirror the guest's own settings; hardware's are those of the core. */
static void features_leaf(struct cpuid_regs *r, const struct cpuid_guest *g)
{
    r->ecx |= CPUID_1_ECX_HYPERVISOR;
    set_bit(&r->ecx, CPUID_1_ECX_OSXSAVE,
            (r->ecx & CPUID_1_ECX_XSAVE) && (g->cr4 & CR4_OSXSAVE));
    if (!g->apic_enabled) { /* SDM vol. 3, 11.4.3 */
        r->edx &= ~CPUID_1_EDX_APIC;
    }
}

struct cpuid_regs cpuid_guest_view(cpuid_reader read, uint32_t leaf, uint32_t sub,
                                   const struct cpuid_guest *g)
{
    struct cpuid_regs r;
    uint32_t real;

    if (leaf >= CPUID_HYPERVISOR && leaf <= 0x4fffffffu) {
        return our_leaf(leaf);
    }
    r = read(leaf, sub);
    real = real_leaf(read, leaf);
    if (real != leaf && (r.eax | r.ebx | r.ecx | r.edx) == 0) {
        return r; /* AMD: no such leaf */
    }
    switch (real) {
    case CPUID_FEATURES:
        features_leaf(&r, g);
        break;
    case CPUID_EXT_FEATURES:
        if (sub == 0) {
            set_bit(&r.ecx, CPUID_7_0_ECX_OSPKE,
                    (r.ecx & CPUID_7_0_ECX_PKU) && (g->cr4 & CR4_PKE));
        }
        break;
    case CPUID_ADDRESS_SIZES:
        if (phys_bits != 0) {
            r.eax = (r.eax & ~0xffu) | phys_bits;
        }
        break;
    case CPUID_XSTATE:
        r = xstate_leaf(read, r, sub, g);
        break;
    case CPUID_PERFMON:
        perfmon_leaf(&r);
        break;
    case CPUID_PERFMON_AMD:
        perfmon_amd_leaf(&r);
        break;
    case CPUID_KEY_LOCKER:
        set_bit(&r.ebx, CPUID_19_EBX_AESKLE,
                (read(CPUID_EXT_FEATURES, 0).ecx & CPUID_7_0_ECX_KL) && (g->cr4 & CR4_KL));
        break;
    default:
        break;
    }
    return hide(r, real, sub);
}
