/* SPDX-License-Identifier: MIT */
/*
 * The MSR table. An MSR that isn't listed can be read, by a fault-safe access to the hardware; a
 * write to it is #GP(0). So every MSR that the guest may write has a line, with the reason why. No
 * MSR that it may write holds a physical address or a voltage. Lines whose action is the default
 * are for those who want to "just allow" such an MSR: they say why not. Sections: SDM vol. 4; APM
 * vol. 2, appendix A, and the families' BKDG or PPR for C001_xxxx.
 */
#include <policy/msr_policy.h>
#include <x86/cpu.h>
#include <x86/msr.h>

#define PASS     MSR_PASS
#define HARDWARE MSR_HARDWARE
#define STATE    MSR_GUEST_STATE
#define SHADOW   MSR_SHADOW
#define IGNORE   MSR_IGNORE
#define DENY     MSR_DENY
#define SPECIAL  MSR_SPECIAL

#define ALL ~0ULL /* the reason says why "any value" will do */
#define BITS(high, low) (BIT(high) - BIT(low) + BIT(high))

/* SDM vol. 3, figures 20-6 and 20-48, but PC (pin control): this thread's, in rings 0 and 3. */
#define EVENT_BITS (BITS(34, 22) | BITS(47, 40) | BIT(36) | BIT(20) | BITS(18, 0) | PERFEVTSEL_ANY)
/* APM vol. 2, 13.2.1: not HostOnly, GuestOnly (bits 41:40), which would count the core alone. */
#define AMD_EVENT_BITS (BITS(35, 32) | BITS(31, 22) | BIT(20) | BITS(18, 0))
#define AMD_COUNTER(n, what) \
    { 0xc0010200u + 2 * (n), 0xc0010200u + 2 * (n), HARDWARE, HARDWARE, AMD_EVENT_BITS, \
      "PERF_CTL" what }, \
    { 0xc0010201u + 2 * (n), 0xc0010201u + 2 * (n), HARDWARE, HARDWARE, ALL, \
      "PERF_CTR" what ": any value is a counter's start" }

const struct msr_rule msr_rules[] = {
    /* first, last, read, write, bits that a write may change, why */
    { 0x10, 0x10, HARDWARE, SPECIAL, ALL, "IA32_TIME_STAMP_COUNTER: any value; the guest's, but "
      "not our clock" },
    { 0x1b, 0x1b, SPECIAL, SPECIAL, APIC_BASE_EXTD | APIC_BASE_EN, "IA32_APIC_BASE: the mode, not "
      "the place; the hardware's APIC stays on" },
    { 0x33, 0x33, HARDWARE, HARDWARE, BIT(29), "TEST_CTRL: split-lock detection, Linux writes at "
      "boot; not bit 31, which splits locks" },
    { 0x3a, 0x3a, SPECIAL, DENY, 0, "IA32_FEATURE_CONTROL: reads as locked, VMX and SMX off; "
      "Linux reads it unguarded for LMCE" },
    { 0x3b, 0x3b, HARDWARE, SPECIAL, ALL, "IA32_TSC_ADJUST: any value; Linux synchronizes with "
      "it; not our clock" },
    { 0x48, 0x49, PASS, PASS, ALL, "IA32_SPEC_CTRL, IA32_PRED_CMD: any value steers predictors, "
      "never what an instruction computes; written at each context switch" },
    { 0x79, 0x79, DENY, IGNORE, 0, "IA32_BIOS_UPDT_TRIG: microcode is loaded before us; takes "
      "a linear address" },
    { 0x87, 0x87, DENY, DENY, 0, "IA32_MKTME_KEYID_PARTITIONING: as IA32_TME_*" },
    { 0x8b, 0x8b, HARDWARE, HARDWARE, ALL, "IA32_BIOS_SIGN_ID: any value stays only until CPUID 1 "
      "loads it; Linux writes 0" },
    { 0x8c, 0x8f, DENY, DENY, 0, "IA32_SGXLEPUBKEYHASH: SGX is hidden" },
    { 0x9b, 0x9b, DENY, DENY, 0, "IA32_SMM_MONITOR_CTL: MSEG address; dual-monitor SMM" },
    { 0x9e, 0x9e, DENY, DENY, 0, "IA32_SMBASE: readable in SMM only" },
    { 0xc1, 0xc8, HARDWARE, HARDWARE, ALL, "IA32_PMCx: any value is a counter's start" },
    { 0xe1, 0xe1, HARDWARE, HARDWARE, BITS(31, 2) | BIT(0), "IA32_UMWAIT_CONTROL: Linux writes at "
      "boot" },
    { 0xe2, 0xe2, HARDWARE, HARDWARE, BITS(30, 25) | BITS(3, 0), "PKG_CST_CONFIG: demotion and "
      "limit; not bit 10, which turns an IN of ours into MWAIT, nor the lock" },
    { 0xe7, 0xe8, PASS, HARDWARE, ALL, "IA32_MPERF, IA32_APERF: any value is a counter's start; "
      "read at each tick" },
    { 0xfe, 0xfe, HARDWARE, DENY, 0, "IA32_MTRRCAP: read-only" },
    { 0x10b, 0x10b, HARDWARE, HARDWARE, BIT(0), "IA32_FLUSH_CMD: L1D flush" },
    { 0x10f, 0x10f, HARDWARE, HARDWARE, BITS(2, 0), "TSX_FORCE_ABORT: written by Linux' perf" },
    { 0x122, 0x122, HARDWARE, HARDWARE, BITS(1, 0), "IA32_TSX_CTRL: mitigations" },
    { 0x123, 0x123, HARDWARE, HARDWARE, BIT(1), "IA32_MCU_OPT_CTRL: RTM_ALLOW; not RNGDS_MITG_DIS, "
      "FB_CLEAR_DIS, GDS_MITG_DIS, which would show others a PAL's RDRAND and vector registers" },
    { 0x140, 0x140, HARDWARE, HARDWARE, BITS(1, 0), "MISC_FEATURES_ENABLES: CPUID faulting, ring-3 "
      "MWAIT; Linux writes at boot" },
    { 0x150, 0x150, HARDWARE, DENY, 0, "overclocking mailbox: voltages, so faults in PALs" },
    { 0x174, 0x176, PASS, PASS, ALL, "IA32_SYSENTER_*: any value; switched with the guest by "
      "VMSAVE/VMCS" },
    { 0x179, 0x179, HARDWARE, DENY, 0, "IA32_MCG_CAP: read-only" },
    { 0x17a, 0x17a, HARDWARE, SPECIAL, BITS(3, 0), "IA32_MCG_STATUS: only 0; what tells a machine "
      "check from an interrupt is set by the CPU alone" },
    { 0x17b, 0x17b, HARDWARE, HARDWARE, ALL, "IA32_MCG_CTL: any value chooses what is reported; "
      "Linux' machine-check set-up" },
    { 0x186, 0x18d, HARDWARE, SPECIAL, EVENT_BITS, "IA32_PERFEVTSELx: performance counters of this "
      "thread" },
    { 0x199, 0x199, HARDWARE, HARDWARE, BIT(32) | BITS(15, 0), "IA32_PERF_CTL: ratio, turbo" },
    { 0x19a, 0x19a, HARDWARE, HARDWARE, BITS(4, 0), "IA32_CLOCK_MODULATION: power" },
    { 0x19b, 0x19b, HARDWARE, HARDWARE, BITS(24, 8) | BITS(4, 0), "IA32_THERM_INTERRUPT: not "
      "bit 25, the hidden hardware feedback" },
    { 0x19c, 0x19c, HARDWARE, HARDWARE, ALL, "IA32_THERM_STATUS: any value; 0 clears a log bit, "
      "others are read-only" },
    { 0x1a0, 0x1a0, SPECIAL, SPECIAL, BITS(39, 37) | BIT(23) | BIT(19) | BIT(18) | BIT(16)
      | BIT(13) | BIT(9) | BIT(3) | BIT(0), "IA32_MISC_ENABLE: where the CPU obeys it not "
      "XD_DISABLE (our own tables use NX), not LIMIT_CPUID" },
    { 0x1a2, 0x1a2, HARDWARE, HARDWARE, BITS(29, 24) | BITS(7, 0), "TEMPERATURE_TARGET: thermal" },
    { 0x1a4, 0x1a4, HARDWARE, HARDWARE, BIT(5) | BITS(3, 0), "MISC_FEATURE_CONTROL: prefetchers" },
    { 0x1a6, 0x1a7, HARDWARE, HARDWARE, ALL, "OFFCORE_RSP: any value says what a counter counts" },
    { 0x1b0, 0x1b0, HARDWARE, HARDWARE, BITS(3, 0), "IA32_ENERGY_PERF_BIAS: power" },
    { 0x1b1, 0x1b1, HARDWARE, HARDWARE, ALL, "IA32_PACKAGE_THERM_STATUS: any value, as "
      "IA32_THERM_STATUS" },
    { 0x1b2, 0x1b2, HARDWARE, HARDWARE, BITS(24, 8) | BITS(4, 0), "IA32_PACKAGE_THERM_INTERRUPT" },
    { 0x1c4, 0x1c5, DENY, DENY, 0, "IA32_XFD, IA32_XFD_ERR: AMX is hidden" },
    { 0x1c8, 0x1c8, HARDWARE, HARDWARE, BITS(9, 0), "LBR_SELECT: perf" },
    { 0x1c9, 0x1c9, HARDWARE, HARDWARE, BITS(4, 0), "LASTBRANCH_TOS: perf" },
    { 0x1d9, 0x1d9, STATE, STATE, BITS(15, 9) | BITS(5, 0), "IA32_DEBUGCTL: the MSR on SVM, a VMCS "
      "field on VMX, where exits clear it; off while a PAL runs; not the debug store" },
    { 0x1f2, 0x1f5, HARDWARE, DENY, 0, "SMRR, PRMRR: physical addresses" },
    { 0x1fc, 0x1fc, HARDWARE, HARDWARE, BIT(19) | BIT(1), "POWER_CTL: C1E, efficient turbo" },
    { 0x200, 0x21f, SHADOW, SHADOW, ALL, "variable MTRRs: any value, since none reaches the "
      "hardware; would change the host's types too" },
    { 0x250, 0x250, SHADOW, SHADOW, ALL, "fixed MTRRs, 64K: any value, likewise" },
    { 0x258, 0x259, SHADOW, SHADOW, ALL, "fixed MTRRs, 16K: any value, likewise" },
    { 0x268, 0x26f, SHADOW, SHADOW, ALL, "fixed MTRRs, 4K: any value, likewise" },
    { 0x277, 0x277, STATE, STATE, 0x0707070707070707ULL, "IA32_PAT: switched with the guest" },
    { 0x280, 0x29f, HARDWARE, HARDWARE, BIT(30) | BITS(14, 0), "IA32_MCi_CTL2: corrected-error "
      "thresholds" },
    { 0x2ff, 0x2ff, SHADOW, SHADOW, ALL, "IA32_MTRR_DEF_TYPE: any value, since it never reaches "
      "the hardware" },
    { 0x309, 0x30c, HARDWARE, HARDWARE, ALL, "IA32_FIXED_CTRx: any value is a counter's start" },
    { 0x329, 0x329, HARDWARE, HARDWARE, ALL, "IA32_PERF_METRICS: any value, as IA32_FIXED_CTR3" },
    { 0x38d, 0x38d, HARDWARE, SPECIAL, 0xffff, "IA32_FIXED_CTR_CTRL: as IA32_PERFEVTSELx" },
    { 0x38e, 0x391, HARDWARE, HARDWARE, ALL, "IA32_PERF_GLOBAL_*: any value turns on or clears "
      "what the rows of counters let count" },
    { 0x3f1, 0x3f1, HARDWARE, DENY, 0, "IA32_PEBS_ENABLE: the debug store is hidden" },
    { 0x400, 0x47f, HARDWARE, SPECIAL, ALL, "IA32_MCi_*: any value but in STATUS, which takes "
      "only 0: what an error was is the CPU's word; an ADDR is used by nobody" },
    { 0x480, 0x493, DENY, DENY, 0, "IA32_VMX_*: VMX is hidden" },
    { 0x4c1, 0x4c8, HARDWARE, HARDWARE, ALL, "IA32_A_PMCx: any value is a counter's start" },
    { 0x4d0, 0x4d0, HARDWARE, HARDWARE, BIT(0), "IA32_MCG_EXT_CTL: Linux enables LMCE" },
    { 0x560, 0x561, HARDWARE, DENY, 0, "IA32_RTIT_OUTPUT_*: physical addresses" },
    { 0x570, 0x572, HARDWARE, DENY, 0, "IA32_RTIT_CTL, STATUS, CR3_MATCH: PT is hidden; 32-bit "
      "Debian reads 570" },
    { 0x580, 0x587, HARDWARE, DENY, 0, "IA32_RTIT_ADDRx: PT is hidden" },
    { 0x600, 0x600, HARDWARE, DENY, 0, "IA32_DS_AREA: where PEBS and BTS store" },
    { 0x610, 0x610, HARDWARE, HARDWARE, BITS(55, 32) | BITS(23, 0), "PKG_POWER_LIMIT: RAPL, not "
      "the lock" },
    { 0x618, 0x618, HARDWARE, HARDWARE, BITS(23, 0), "DRAM_POWER_LIMIT: RAPL" },
    { 0x638, 0x638, HARDWARE, HARDWARE, BITS(23, 0), "PP0_POWER_LIMIT: RAPL" },
    { 0x63a, 0x63a, HARDWARE, HARDWARE, BITS(4, 0), "PP0_POLICY: RAPL" },
    { 0x640, 0x640, HARDWARE, HARDWARE, BITS(23, 0), "PP1_POWER_LIMIT: RAPL" },
    { 0x642, 0x642, HARDWARE, HARDWARE, BITS(4, 0), "PP1_POLICY: RAPL" },
    { 0x680, 0x69f, HARDWARE, HARDWARE, ALL, "LASTBRANCH_x_FROM_IP: any value is a record that the "
      "CPU doesn't use; perf clears them" },
    { 0x6a0, 0x6a8, DENY, DENY, 0, "IA32_U_CET ... INTERRUPT_SSP_TABLE: CET is hidden" },
    { 0x6c0, 0x6df, HARDWARE, HARDWARE, ALL, "LASTBRANCH_x_TO_IP: any value, likewise" },
    { 0x6e0, 0x6e0, PASS, PASS, ALL, "IA32_TSC_DEADLINE: any value; the guest's timer" },
    { 0x6e1, 0x6e1, DENY, DENY, 0, "IA32_PKRS: PKS is hidden" },
    { 0x770, 0x770, HARDWARE, HARDWARE, BIT(0), "IA32_PM_ENABLE: power" },
    { 0x772, 0x772, HARDWARE, HARDWARE, BITS(41, 0), "IA32_HWP_REQUEST_PKG: power" },
    { 0x773, 0x773, HARDWARE, HARDWARE, BITS(3, 0), "IA32_HWP_INTERRUPT: power" },
    { 0x774, 0x774, HARDWARE, HARDWARE, BITS(63, 59) | BITS(42, 0), "IA32_HWP_REQUEST: power" },
    { 0x776, 0x776, HARDWARE, HARDWARE, BIT(0), "IA32_HWP_CTL: power" },
    { 0x777, 0x777, HARDWARE, HARDWARE, ALL, "IA32_HWP_STATUS: any value; 0 clears a log bit, "
      "others are read-only" },
    { 0x800, 0x82e, PASS, PASS, ALL, "x2APIC registers: any value; the guest owns its APIC; #GP by "
      "hardware in xAPIC mode" },
    { 0x82f, 0x82f, PASS, SPECIAL, BITS(16, 0), "x2APIC LVT of corrected machine checks: no INIT" },
    { 0x830, 0x830, HARDWARE, SPECIAL, ALL, "x2APIC ICR: any value; INIT and SIPI go through us" },
    { 0x831, 0x832, PASS, PASS, ALL, "x2APIC timer: any value, since fixed interrupts only" },
    { 0x833, 0x836, PASS, SPECIAL, BITS(16, 0), "x2APIC LVT of sensors, counters, pins: no INIT" },
    { 0x837, 0x84f, PASS, PASS, ALL, "x2APIC registers, SELF_IPI included: any value, since fixed "
      "interrupts only" },
    { 0x850, 0x85f, PASS, SPECIAL, BITS(16, 0), "AMD's extended x2APIC LVTs: no INIT" },
    { 0x860, 0x8ff, PASS, PASS, ALL, "x2APIC registers: any value; there are none so far" },
    { 0x981, 0x984, DENY, DENY, 0, "IA32_TME_*: TME is hidden, the width that CPUID shows is "
      "without the keys' bits, from which Linux would take them again" },
    { 0x985, 0x98a, DENY, DENY, 0, "IA32_UINTR_*: UINTR is hidden" },
    { 0xc81, 0xc82, HARDWARE, HARDWARE, BIT(0), "IA32_L3_QOS_CFG, L2: code and data apart" },
    { 0xc8d, 0xc8d, HARDWARE, HARDWARE, BITS(63, 32) | BITS(7, 0), "IA32_QM_EVTSEL: resctrl" },
    { 0xc8f, 0xc8f, HARDWARE, HARDWARE, BITS(63, 32) | BITS(9, 0), "IA32_PQR_ASSOC: resctrl" },
    { 0xc90, 0xd8f, HARDWARE, HARDWARE, BITS(31, 0), "cache and bandwidth allocation masks: "
      "resctrl" },
    { 0xd90, 0xd90, HARDWARE, SPECIAL, 0, "IA32_BNDCFGS: only 0; ring 0's MPX would be in force in "
      "the core, whose branches then empty a PAL's bounds" },
    { 0xda0, 0xda0, HARDWARE, SPECIAL, 0, "IA32_XSS: only 0" },
    { 0xdc0, 0xddf, HARDWARE, HARDWARE, ALL, "LBR_INFO_x: any value, as LASTBRANCH_x_FROM_IP" },
    { 0x17d0, 0x17d1, HARDWARE, DENY, 0, "IA32_HW_FEEDBACK_PTR, CONFIG: a physical address" },

    { 0xc0000080, 0xc0000080, STATE, STATE, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR
      | EFER_TCE | EFER_AUTO_IBRS, "EFER: switched with the guest" },
    { 0xc0000081, 0xc0000084, PASS, PASS, ALL, "STAR, LSTAR, CSTAR, SFMASK: any value; we use no "
      "SYSCALL" },
    { 0xc00000e7, 0xc00000e8, PASS, DENY, 0, "MPERF, APERF, read-only form" },
    { 0xc00000e9, 0xc00000e9, DENY, DENY, 0, "IRPerfCount: would count a PAL's instructions" },
    { 0xc0000100, 0xc0000102, PASS, PASS, ALL, "FS_BASE, GS_BASE, KERNEL_GS_BASE: any value; "
      "switched with the guest; written at each context switch" },
    { 0xc0000103, 0xc0000103, PASS, PASS, ALL, "TSC_AUX: any value; we don't use it" },
    { 0xc0000104, 0xc0000104, DENY, DENY, 0, "TSC_RATIO: SVM is hidden" },
    { 0xc0000108, 0xc0000108, HARDWARE, HARDWARE, BIT(5) | BITS(3, 0), "PrefetchControl: "
      "prefetchers" },
    { 0xc0000200, 0xc000020f, HARDWARE, HARDWARE, BITS(31, 0), "bandwidth allocation: resctrl" },
    { 0xc0000300, 0xc0000303, HARDWARE, HARDWARE, ALL, "PerfCntrGlobal*: any value turns on or "
      "clears what the rows of counters let count" },
    { 0xc0002000, 0xc00023ff, HARDWARE, SPECIAL, ALL, "SMCA banks: any value but in STATUS, as "
      "IA32_MCi_*" },
    { 0xc0010000, 0xc0010003, HARDWARE, HARDWARE, AMD_EVENT_BITS, "PERF_CTL: counters" },
    { 0xc0010004, 0xc0010007, HARDWARE, HARDWARE, ALL, "PERF_CTR: any value is a counter's start" },
    { 0xc0010010, 0xc0010010, HARDWARE, DENY, 0, "SYSCFG: MTRR and TOM2 enables; SME, which "
      "changes what an address names" },
    { 0xc0010015, 0xc0010015, HARDWARE, HARDWARE, BIT(35) | BIT(25), "HWCR: boost, CPUID faulting; "
      "not IoCfgGpFault (20), which makes our own IN and OUT #GP, nor McStatusWrEn (18), "
      "TlbCacheDis (3), TscFreqSel (24), IRPerfEn (30), SMM's and monitor's" },
    { 0xc0010016, 0xc0010019, HARDWARE, DENY, 0, "IORR: physical addresses" },
    { 0xc001001a, 0xc001001a, HARDWARE, DENY, 0, "TOP_MEM: a physical address" },
    { 0xc001001d, 0xc001001d, HARDWARE, DENY, 0, "TOM2: a physical address" },
    { 0xc001001f, 0xc001001f, HARDWARE, IGNORE, 0, "NB_CFG: Linux sets CF8-extended access, "
      "unguarded" },
    { 0xc0010020, 0xc0010020, DENY, IGNORE, 0, "PATCH_LOADER: as IA32_BIOS_UPDT_TRIG" },
    { 0xc0010044, 0xc001004a, HARDWARE, HARDWARE, ALL, "MCi_CTL_MASK: any value chooses what is "
      "reported; Linux masks known false errors" },
    { 0xc0010050, 0xc0010054, HARDWARE, DENY, 0, "SMI_ON_IO_TRAP: SMIs, or worse, at our port "
      "accesses" },
    { 0xc0010055, 0xc0010055, HARDWARE, SPECIAL, BITS(28, 27), "INT_PENDING: C1E may be turned "
      "off, as FreeBSD does; the rest makes the CPU write a byte to a port, past the bitmap" },
    { 0xc0010056, 0xc0010057, HARDWARE, DENY, 0, "SMI_TRIGGER_IO_CYCLE: a port" },
    { 0xc0010058, 0xc0010058, HARDWARE, DENY, 0, "MMIO_CFG_BASE: a physical address" },
    { 0xc0010062, 0xc0010062, HARDWARE, HARDWARE, BITS(2, 0), "PSTATE_CTL: cpufreq" },
    { 0xc0010064, 0xc001006b, HARDWARE, DENY, 0, "PSTATE0-7: voltages, so faults in PALs" },
    { 0xc0010111, 0xc0010113, HARDWARE, DENY, 0, "SMM_BASE, SMMADDR, SMMMASK: physical addresses" },
    { 0xc0010114, 0xc0010114, DENY, DENY, 0, "VM_CR: SVM is hidden" },
    { 0xc0010115, 0xc0010116, HARDWARE, DENY, 0, "IGNNE, SMM_CTL" },
    { 0xc0010117, 0xc0010119, DENY, DENY, 0, "VM_HSAVE_PA, SVM_KEY, SMM_KEY: SVM is hidden; ours "
      "holds a core address" },
    { 0xc001011b, 0xc001011b, DENY, DENY, 0, "AVIC doorbell: SVM is hidden" },
    { 0xc0010130, 0xc0010133, DENY, DENY, 0, "GHCB, SEV_STATUS, RMP: SEV is hidden" },
    AMD_COUNTER(0, "0"), AMD_COUNTER(1, "1"), AMD_COUNTER(2, "2"),
    AMD_COUNTER(3, "3"), AMD_COUNTER(4, "4"), AMD_COUNTER(5, "5"),
    { 0xc0010230, 0xc001023b, HARDWARE, HARDWARE, ALL, "L3 performance counters: any value counts "
      "the cache's traffic" },
    { 0xc0010240, 0xc0010247, HARDWARE, HARDWARE, ALL, "northbridge performance counters: any "
      "value counts its traffic" },
    { 0xc00102b1, 0xc00102b1, HARDWARE, HARDWARE, BIT(0), "CPPC_ENABLE: amd-pstate" },
    { 0xc00102b3, 0xc00102b3, HARDWARE, HARDWARE, BITS(31, 0), "CPPC_REQ: amd-pstate" },
    { 0xc0011019, 0xc001101b, HARDWARE, HARDWARE, BITS(31, 0), "DR1-3_ADDR_MASK: breakpoints are "
      "off in core and PALs" },
    { 0xc0011020, 0xc0011020, HARDWARE, HARDWARE, BIT(57) | BIT(54) | BIT(33) | BIT(15)
      | BIT(10) | BIT(4), "LS_CFG: SSBD of families 15h, 16h, 17h, errata 793, 1033, 1095" },
    { 0xc0011021, 0xc0011021, HARDWARE, HARDWARE, BITS(4, 1), "IC_CFG: Linux' way filter of family "
      "15h" },
    { 0xc0011022, 0xc0011023, HARDWARE, IGNORE, 0, "DC_CFG, TW_CFG: Windows writes them at boot, "
      "unguarded; nobody needs it" },
    { 0xc0011027, 0xc0011027, HARDWARE, HARDWARE, BITS(31, 0), "DR0_ADDR_MASK: as DR1_ADDR_MASK" },
    { 0xc0011028, 0xc0011028, HARDWARE, SPECIAL, BIT(9) | BIT(4), "FP_CFG: errata of the "
      "divider, and 1049; may be set only" },
    { 0xc0011029, 0xc0011029, HARDWARE, SPECIAL, BIT(13) | BIT(9) | BITS(1, 0), "DE_CFG: "
      "serializing LFENCE, Zenbleed, errata 721, 1021; may be set only" },
    { 0xc001102a, 0xc001102a, HARDWARE, HARDWARE, BIT(24), "BU_CFG2: Linux' family 10h" },
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

    return rule ? rule->read : MSR_HARDWARE;
}

uint64_t msr_write_bits(uint32_t index)
{
    const struct msr_rule *rule = find(index);

    return rule ? rule->bits : 0;
}

enum msr_action msr_write_action(uint32_t index)
{
    const struct msr_rule *rule = find(index);

    return rule ? rule->write : MSR_DENY;
}
