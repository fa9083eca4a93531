/* SPDX-License-Identifier: MIT */
/*
 * The MSR table. What isn't listed: reads go to the hardware, fault-safe; writes give
 * #GP(0). So every writable MSR has a line, with its reason. None of them holds a
 * physical address or a voltage. The others that are listed although their action is the
 * default are there to be found when somebody wants to "just allow" them.
 */
#include <policy/msr_policy.h>
#include <x86/msr.h>

#define PASS     MSR_PASS
#define HARDWARE MSR_HARDWARE
#define HELD     MSR_HELD
#define SHADOW   MSR_SHADOW
#define IGNORE   MSR_IGNORE
#define DENY     MSR_DENY
#define SPECIAL  MSR_SPECIAL

const struct msr_rule msr_rules[] = {
    /* first, last, read, write, why */
    { 0x10, 0x10, HARDWARE, SPECIAL, "IA32_TIME_STAMP_COUNTER: the guest's, but not our clock" },
    { 0x1b, 0x1b, HARDWARE, SPECIAL, "IA32_APIC_BASE: may enter x2APIC, not move or disable" },
    { 0x33, 0x33, HARDWARE, HARDWARE, "TEST_CTRL: split-lock detection, Linux writes at boot" },
    { 0x3a, 0x3a, SPECIAL, DENY, "IA32_FEATURE_CONTROL: reads as locked, VMX and SMX off; "
      "Linux reads it unguarded for LMCE" },
    { 0x3b, 0x3b, HARDWARE, SPECIAL, "IA32_TSC_ADJUST: Linux synchronizes with it; not our clock" },
    { 0x48, 0x49, PASS, PASS, "IA32_SPEC_CTRL, IA32_PRED_CMD: written at each context switch" },
    { 0x79, 0x79, DENY, IGNORE, "IA32_BIOS_UPDT_TRIG: microcode is loaded before us; takes "
      "a linear address" },
    { 0x87, 0x87, DENY, DENY, "IA32_MKTME_KEYID_PARTITIONING: as IA32_TME_*" },
    { 0x8b, 0x8b, HARDWARE, HARDWARE, "IA32_BIOS_SIGN_ID: Linux writes 0, then CPUID 1 loads it" },
    { 0x8c, 0x8f, DENY, DENY, "IA32_SGXLEPUBKEYHASH: SGX is hidden" },
    { 0x9b, 0x9b, DENY, DENY, "IA32_SMM_MONITOR_CTL: MSEG address; dual-monitor SMM" },
    { 0x9e, 0x9e, DENY, DENY, "IA32_SMBASE: readable in SMM only" },
    { 0xc1, 0xc8, HARDWARE, HARDWARE, "IA32_PMCx: performance counters" },
    { 0xe1, 0xe2, HARDWARE, HARDWARE, "IA32_UMWAIT_CONTROL, PKG_CST_CONFIG: power; Linux "
      "writes both at boot" },
    { 0xe7, 0xe8, PASS, HARDWARE, "IA32_MPERF, IA32_APERF: read at each tick" },
    { 0xfe, 0xfe, HARDWARE, DENY, "IA32_MTRRCAP: read-only" },
    { 0x10b, 0x10b, HARDWARE, HARDWARE, "IA32_FLUSH_CMD: L1D flush" },
    { 0x10f, 0x10f, HARDWARE, HARDWARE, "TSX_FORCE_ABORT: written by Linux' perf" },
    { 0x122, 0x123, HARDWARE, HARDWARE, "IA32_TSX_CTRL, IA32_MCU_OPT_CTRL: mitigations" },
    { 0x140, 0x140, HARDWARE, HARDWARE, "MISC_FEATURES_ENABLES: CPUID faulting, ring-3 MWAIT; "
      "Linux writes at boot" },
    { 0x150, 0x150, HARDWARE, DENY, "overclocking mailbox: voltages, so faults in PALs" },
    { 0x174, 0x176, PASS, PASS, "IA32_SYSENTER_*: switched with the guest by VMSAVE/VMCS" },
    { 0x179, 0x179, HARDWARE, DENY, "IA32_MCG_CAP: read-only" },
    { 0x17a, 0x17a, HARDWARE, SPECIAL, "IA32_MCG_STATUS: only 0; what tells a machine check "
      "from an interrupt is set by the CPU alone" },
    { 0x17b, 0x17b, HARDWARE, HARDWARE, "IA32_MCG_CTL: Linux' machine-check set-up" },
    { 0x186, 0x18d, HARDWARE, SPECIAL, "IA32_PERFEVTSELx: performance counters of this thread" },
    { 0x199, 0x19c, HARDWARE, HARDWARE, "IA32_PERF_CTL, CLOCK_MODULATION, THERM_*: power" },
    { 0x1a0, 0x1a0, SPECIAL, SPECIAL, "IA32_MISC_ENABLE: where the CPU obeys it not XD_DISABLE "
      "(our own tables use NX), not LIMIT_CPUID" },
    { 0x1a2, 0x1a2, HARDWARE, HARDWARE, "TEMPERATURE_TARGET: thermal" },
    { 0x1a4, 0x1a4, HARDWARE, HARDWARE, "MISC_FEATURE_CONTROL: prefetchers" },
    { 0x1a6, 0x1a7, HARDWARE, HARDWARE, "OFFCORE_RSP: performance counters" },
    { 0x1b0, 0x1b2, HARDWARE, HARDWARE, "IA32_ENERGY_PERF_BIAS, PACKAGE_THERM_*: power" },
    { 0x1c4, 0x1c5, DENY, DENY, "IA32_XFD, IA32_XFD_ERR: AMX is hidden" },
    { 0x1c8, 0x1c9, HARDWARE, HARDWARE, "LBR_SELECT, LASTBRANCH_TOS: perf" },
    { 0x1d9, 0x1d9, HELD, HELD, "IA32_DEBUGCTL: the MSR on SVM, a VMCS field on VMX, "
      "where exits clear it; off while a PAL runs" },
    { 0x1f2, 0x1f5, HARDWARE, DENY, "SMRR, PRMRR: physical addresses" },
    { 0x1fc, 0x1fc, HARDWARE, HARDWARE, "POWER_CTL: C1E" },
    { 0x200, 0x21f, SHADOW, SHADOW, "variable MTRRs: would change the host's types too" },
    { 0x250, 0x250, SHADOW, SHADOW, "fixed MTRRs, 64K" },
    { 0x258, 0x259, SHADOW, SHADOW, "fixed MTRRs, 16K" },
    { 0x268, 0x26f, SHADOW, SHADOW, "fixed MTRRs, 4K" },
    { 0x277, 0x277, HELD, HELD, "IA32_PAT: switched with the guest" },
    { 0x280, 0x29f, HARDWARE, HARDWARE, "IA32_MCi_CTL2: corrected-error thresholds" },
    { 0x2ff, 0x2ff, SHADOW, SHADOW, "IA32_MTRR_DEF_TYPE" },
    { 0x309, 0x30c, HARDWARE, HARDWARE, "IA32_FIXED_CTRx: performance counters" },
    { 0x38d, 0x38d, HARDWARE, SPECIAL, "IA32_FIXED_CTR_CTRL: as IA32_PERFEVTSELx" },
    { 0x38e, 0x391, HARDWARE, HARDWARE, "IA32_PERF_GLOBAL_*" },
    { 0x3f1, 0x3f1, HARDWARE, DENY, "IA32_PEBS_ENABLE: the debug store is hidden" },
    { 0x400, 0x47f, HARDWARE, HARDWARE, "IA32_MCi_*: the OS clears them; an address written "
      "there is used by nobody" },
    { 0x480, 0x493, DENY, DENY, "IA32_VMX_*: VMX is hidden" },
    { 0x4c1, 0x4c8, HARDWARE, HARDWARE, "IA32_A_PMCx: performance counters" },
    { 0x4d0, 0x4d0, HARDWARE, HARDWARE, "IA32_MCG_EXT_CTL: Linux enables LMCE" },
    { 0x560, 0x561, HARDWARE, DENY, "IA32_RTIT_OUTPUT_*: physical addresses" },
    { 0x570, 0x572, HARDWARE, DENY, "IA32_RTIT_CTL, STATUS, CR3_MATCH: PT is hidden; 32-bit "
      "Debian reads 570" },
    { 0x580, 0x587, HARDWARE, DENY, "IA32_RTIT_ADDRx: PT is hidden" },
    { 0x600, 0x600, HARDWARE, DENY, "IA32_DS_AREA: where PEBS and BTS store" },
    { 0x610, 0x610, HARDWARE, HARDWARE, "PKG_POWER_LIMIT: RAPL" },
    { 0x618, 0x618, HARDWARE, HARDWARE, "DRAM_POWER_LIMIT: RAPL" },
    { 0x638, 0x642, HARDWARE, HARDWARE, "PP0_*, PP1_*: RAPL" },
    { 0x680, 0x69f, HARDWARE, HARDWARE, "LASTBRANCH_x_FROM_IP: perf clears them" },
    { 0x6a0, 0x6a8, DENY, DENY, "IA32_U_CET ... INTERRUPT_SSP_TABLE: CET is hidden" },
    { 0x6c0, 0x6df, HARDWARE, HARDWARE, "LASTBRANCH_x_TO_IP: perf clears them" },
    { 0x6e0, 0x6e0, PASS, PASS, "IA32_TSC_DEADLINE: the guest's timer" },
    { 0x6e1, 0x6e1, DENY, DENY, "IA32_PKRS: PKS is hidden" },
    { 0x770, 0x777, HARDWARE, HARDWARE, "IA32_PM_ENABLE, IA32_HWP_*: power" },
    { 0x800, 0x82f, PASS, PASS, "x2APIC registers: the guest owns its APIC; #GP by hardware "
      "in xAPIC mode" },
    { 0x830, 0x830, HARDWARE, SPECIAL, "x2APIC ICR: INIT and SIPI go through us" },
    { 0x831, 0x8ff, PASS, PASS, "x2APIC registers, SELF_IPI included: fixed interrupts only" },
    { 0x981, 0x984, DENY, DENY, "IA32_TME_*: TME is hidden, the width that CPUID shows is without the "
      "keys' bits, from which Linux would take them again" },
    { 0x985, 0x98a, DENY, DENY, "IA32_UINTR_*: UINTR is hidden" },
    { 0xc8d, 0xc8f, HARDWARE, HARDWARE, "IA32_QM_EVTSEL, QM_CTR, PQR_ASSOC: Linux' resctrl" },
    { 0xc90, 0xd8f, HARDWARE, HARDWARE, "cache and bandwidth allocation masks: resctrl" },
    { 0xd90, 0xd90, HARDWARE, SPECIAL, "IA32_BNDCFGS: only 0; ring 0's MPX would be in force in "
      "the core, whose branches then empty a PAL's bounds" },
    { 0xda0, 0xda0, HARDWARE, SPECIAL, "IA32_XSS: only 0" },
    { 0xdc0, 0xddf, HARDWARE, HARDWARE, "LBR_INFO_x: perf clears them" },
    { 0x17d0, 0x17d1, HARDWARE, DENY, "IA32_HW_FEEDBACK_PTR, CONFIG: a physical address" },

    { 0xc0000080, 0xc0000080, HELD, HELD, "EFER: switched with the guest" },
    { 0xc0000081, 0xc0000084, PASS, PASS, "STAR, LSTAR, CSTAR, SFMASK: we use no SYSCALL" },
    { 0xc00000e7, 0xc00000e8, PASS, DENY, "MPERF, APERF, read-only form" },
    { 0xc00000e9, 0xc00000e9, DENY, DENY, "IRPerfCount: would count a PAL's instructions" },
    { 0xc0000100, 0xc0000102, PASS, PASS, "FS_BASE, GS_BASE, KERNEL_GS_BASE: switched with "
      "the guest; written at each context switch" },
    { 0xc0000103, 0xc0000103, PASS, PASS, "TSC_AUX: we don't use it" },
    { 0xc0000104, 0xc0000104, DENY, DENY, "TSC_RATIO: SVM is hidden" },
    { 0xc0000200, 0xc000020f, HARDWARE, HARDWARE, "bandwidth allocation: resctrl" },
    { 0xc0000300, 0xc0000303, HARDWARE, HARDWARE, "PerfCntrGlobal*: performance counters" },
    { 0xc0002000, 0xc00023ff, HARDWARE, HARDWARE, "SMCA banks: as IA32_MCi_*" },
    { 0xc0010000, 0xc0010007, HARDWARE, HARDWARE, "PERF_CTL, PERF_CTR: performance counters" },
    { 0xc0010010, 0xc0010010, HARDWARE, DENY, "SYSCFG: MTRR and TOM2 enables; SME, which changes what an address names" },
    { 0xc0010015, 0xc0010015, HARDWARE, HARDWARE, "HWCR: Linux sets IRPERF_EN, boost" },
    { 0xc0010016, 0xc0010019, HARDWARE, DENY, "IORR: physical addresses" },
    { 0xc001001a, 0xc001001a, HARDWARE, DENY, "TOP_MEM: a physical address" },
    { 0xc001001d, 0xc001001d, HARDWARE, DENY, "TOM2: a physical address" },
    { 0xc001001f, 0xc001001f, HARDWARE, IGNORE, "NB_CFG: Linux sets CF8-extended access, "
      "unguarded" },
    { 0xc0010020, 0xc0010020, DENY, IGNORE, "PATCH_LOADER: as IA32_BIOS_UPDT_TRIG" },
    { 0xc0010044, 0xc001004a, HARDWARE, HARDWARE, "MCi_CTL_MASK: Linux masks known false errors" },
    { 0xc0010055, 0xc0010055, HARDWARE, HARDWARE, "INT_PENDING: C1E messages" },
    { 0xc0010058, 0xc0010058, HARDWARE, DENY, "MMIO_CFG_BASE: a physical address" },
    { 0xc0010062, 0xc0010062, HARDWARE, HARDWARE, "PSTATE_CTL: cpufreq" },
    { 0xc0010064, 0xc001006b, HARDWARE, DENY, "PSTATE0-7: voltages, so faults in PALs" },
    { 0xc0010111, 0xc0010113, HARDWARE, DENY, "SMM_BASE, SMMADDR, SMMMASK: physical addresses" },
    { 0xc0010114, 0xc0010114, DENY, DENY, "VM_CR: SVM is hidden" },
    { 0xc0010115, 0xc0010116, HARDWARE, DENY, "IGNNE, SMM_CTL" },
    { 0xc0010117, 0xc0010119, DENY, DENY, "VM_HSAVE_PA, SVM_KEY, SMM_KEY: SVM is hidden; ours "
      "holds a core address" },
    { 0xc001011b, 0xc001011b, DENY, DENY, "AVIC doorbell: SVM is hidden" },
    { 0xc0010130, 0xc0010133, DENY, DENY, "GHCB, SEV_STATUS, RMP: SEV is hidden" },
    { 0xc0010200, 0xc001020b, HARDWARE, HARDWARE, "PERF_CTLx, PERF_CTRx: performance counters" },
    { 0xc0010230, 0xc001023b, HARDWARE, HARDWARE, "L3 performance counters" },
    { 0xc0010240, 0xc0010247, HARDWARE, HARDWARE, "northbridge performance counters" },
    { 0xc00102b0, 0xc00102b4, HARDWARE, HARDWARE, "CPPC: amd-pstate" },
    { 0xc0011020, 0xc0011023, HARDWARE, HARDWARE, "LS_CFG, IC_CFG, DC_CFG, BU_CFG: Linux' "
      "errata and SSBD" },
    { 0xc0011028, 0xc001102d, HARDWARE, HARDWARE, "FP_CFG, DE_CFG, BU_CFG2 ...: Linux' errata, "
      "serializing LFENCE" },
};

const size_t msr_rule_count = ARRAY_SIZE(msr_rules);

/* The rule for `index`, or NULL. */
static const struct msr_rule *find(uint32_t index)
{
    size_t low = 0, high = ARRAY_SIZE(msr_rules);

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (index < msr_rules[mid].first) {
            high = mid;
        } else if (index > msr_rules[mid].last) {
            low = mid + 1;
        } else {
            return &msr_rules[mid];
        }
    }
    return NULL;
}

enum msr_action msr_read_action(uint32_t index)
{
    const struct msr_rule *rule = find(index);

    return rule != NULL ? rule->read : MSR_HARDWARE;
}

enum msr_action msr_write_action(uint32_t index)
{
    const struct msr_rule *rule = find(index);

    return rule != NULL ? rule->write : MSR_DENY;
}
