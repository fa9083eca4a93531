/* SPDX-License-Identifier: MIT */
/*
 * Model-specific register numbers that the hypervisor names, and their bits. Names as
 * in the SDM, vol. 4, and the APM, vol. 2, appendix A.
 */
#ifndef X86_MSR_H
#define X86_MSR_H

/* --- architectural (SDM vol. 4, table 2-2) ----------------------------------- */
#define MSR_IA32_TSC                 0x00000010u
#define MSR_IA32_PLATFORM_ID         0x00000017u
#define MSR_IA32_APIC_BASE           0x0000001bu
#define MSR_IA32_MKTME_KEYID_PARTITIONING 0x00000087u
#define MSR_IA32_FEATURE_CONTROL     0x0000003au
#define MSR_IA32_TSC_ADJUST          0x0000003bu
#define MSR_IA32_SPEC_CTRL           0x00000048u
#define MSR_IA32_PRED_CMD            0x00000049u
#define MSR_IA32_BIOS_UPDT_TRIG      0x00000079u
#define MSR_IA32_BIOS_SIGN_ID        0x0000008bu
#define MSR_IA32_SMM_MONITOR_CTL     0x0000009bu
#define MSR_IA32_SMBASE              0x0000009eu
#define MSR_IA32_PMC0                0x000000c1u
#define MSR_IA32_UMWAIT_CONTROL      0x000000e1u
#define MSR_IA32_MPERF               0x000000e7u
#define MSR_IA32_APERF               0x000000e8u
#define MSR_IA32_MTRRCAP             0x000000feu
#define MSR_IA32_ARCH_CAPABILITIES   0x0000010au
#define MSR_IA32_FLUSH_CMD           0x0000010bu
#define MSR_IA32_TSX_CTRL            0x00000122u
#define MSR_IA32_SYSENTER_CS         0x00000174u
#define MSR_IA32_SYSENTER_ESP        0x00000175u
#define MSR_IA32_SYSENTER_EIP        0x00000176u
#define MSR_IA32_MCG_CAP             0x00000179u
#define MSR_IA32_MCG_STATUS          0x0000017au
#define MCG_CAP_COUNT                0xffu /* of IA32_MCG_CAP: banks */
#define MCI_STATUS_VAL               BIT(63)
#define MCI_STATUS_OVER              BIT(62)
#define MCI_STATUS_UC                BIT(61)
#define MCI_STATUS_PCC               BIT(57)
#define MCI_STATUS_AR                BIT(55) /* Intel: action required */
#define MCI_STATUS_TCC               BIT(55) /* AMD: task context corrupt */
#define MCG_STATUS_RIPV              BIT(0)
#define MCG_STATUS_EIPV              BIT(1)
#define MCG_STATUS_MCIP              BIT(2)
#define MSR_IA32_MCG_CTL             0x0000017bu
#define MSR_IA32_PERFEVTSEL0         0x00000186u
#define MSR_IA32_PERFEVTSEL7         0x0000018du
#define PERFEVTSEL_ANY               (1ULL << 21)
#define MSR_IA32_PERF_STATUS         0x00000198u
#define MSR_IA32_PERF_CTL            0x00000199u
#define MSR_IA32_CLOCK_MODULATION    0x0000019au
#define MSR_IA32_THERM_INTERRUPT     0x0000019bu
#define MSR_IA32_THERM_STATUS        0x0000019cu
#define MSR_IA32_MISC_ENABLE         0x000001a0u
#define MSR_IA32_TEMPERATURE_TARGET  0x000001a2u
#define MSR_IA32_ENERGY_PERF_BIAS    0x000001b0u
#define MSR_IA32_PACKAGE_THERM_STATUS 0x000001b1u
#define MSR_IA32_PACKAGE_THERM_INTERRUPT 0x000001b2u
#define MSR_IA32_XFD                 0x000001c4u
#define MSR_IA32_XFD_ERR             0x000001c5u
#define MSR_LASTBRANCH_TOS           0x000001c9u
#define MSR_LBR_SELECT               0x000001c8u
#define MSR_IA32_DEBUGCTL            0x000001d9u
#define DEBUGCTL_BTF                 (1ULL << 1) /* step on branches */
#define MSR_LASTBRANCH_FROM_IP       0x000001dbu
#define MSR_LASTBRANCH_TO_IP         0x000001dcu
#define MSR_LASTINT_FROM_IP          0x000001ddu
#define MSR_LASTINT_TO_IP            0x000001deu
#define MSR_IA32_SMRR_PHYSBASE       0x000001f2u
#define MSR_IA32_SMRR_PHYSMASK       0x000001f3u
#define MSR_POWER_CTL                0x000001fcu
#define MSR_IA32_MTRR_PHYSBASE0      0x00000200u
#define MSR_IA32_MTRR_PHYSMASK0      0x00000201u
#define MSR_IA32_MTRR_PHYS_LAST      0x0000021fu /* 16 pairs; IA32_MTRRCAP tells how many */
#define MSR_IA32_MTRR_FIX64K_00000   0x00000250u
#define MSR_IA32_MTRR_FIX16K_80000   0x00000258u
#define MSR_IA32_MTRR_FIX16K_A0000   0x00000259u
#define MSR_IA32_MTRR_FIX4K_C0000    0x00000268u
#define MSR_IA32_MTRR_FIX4K_F8000    0x0000026fu
#define MSR_IA32_PAT                 0x00000277u
#define MSR_IA32_MC0_CTL2            0x00000280u
#define MSR_IA32_MC31_CTL2           0x0000029fu
#define MSR_IA32_MTRR_DEF_TYPE       0x000002ffu
#define MSR_IA32_FIXED_CTR0          0x00000309u
#define MSR_IA32_PERF_CAPABILITIES   0x00000345u
#define MSR_IA32_FIXED_CTR_CTRL      0x0000038du
#define FIXED_CTR_ANY                0x4444ULL    /* of each counter; with 4 of them at most */
#define MSR_IA32_PERF_GLOBAL_STATUS  0x0000038eu
#define MSR_IA32_PERF_GLOBAL_CTRL    0x0000038fu
#define MSR_IA32_PERF_GLOBAL_OVF_CTRL 0x00000390u
#define MSR_IA32_PERF_GLOBAL_STATUS_SET 0x00000391u
#define MSR_IA32_PEBS_ENABLE         0x000003f1u
#define MSR_IA32_MC0_CTL             0x00000400u
#define MSR_IA32_MC31_MISC           0x0000047fu
#define MSR_IA32_A_PMC0              0x000004c1u
#define MSR_IA32_RTIT_OUTPUT_BASE    0x00000560u
#define MSR_IA32_RTIT_OUTPUT_MASK    0x00000561u
#define MSR_IA32_RTIT_CTL            0x00000570u
#define MSR_IA32_RTIT_STATUS         0x00000571u
#define MSR_IA32_RTIT_CR3_MATCH      0x00000572u
#define MSR_IA32_RTIT_ADDR0_A        0x00000580u
#define MSR_IA32_RTIT_ADDR3_B        0x00000587u
#define MSR_IA32_DS_AREA             0x00000600u
#define MSR_IA32_U_CET               0x000006a0u
#define MSR_IA32_S_CET               0x000006a2u
#define MSR_IA32_PL0_SSP             0x000006a4u
#define MSR_IA32_INTERRUPT_SSP_TABLE 0x000006a8u
#define MSR_IA32_TSC_DEADLINE        0x000006e0u
#define MSR_IA32_PKRS                0x000006e1u
#define MSR_IA32_PM_ENABLE           0x00000770u
#define MSR_IA32_HWP_STATUS          0x00000777u
#define MSR_X2APIC_FIRST             0x00000800u
#define MSR_X2APIC_APICID            0x00000802u
#define MSR_X2APIC_LDR               0x0000080du
#define MSR_X2APIC_ICR               0x00000830u
#define MSR_X2APIC_SELF_IPI          0x0000083fu
#define MSR_X2APIC_LAST              0x000008ffu
#define MSR_IA32_TME_CAPABILITY      0x00000981u
#define MSR_IA32_TME_ACTIVATE        0x00000982u
#define MSR_IA32_UINTR_RR            0x00000985u
#define MSR_IA32_UINTR_TT            0x0000098au
#define MSR_IA32_BNDCFGS             0x00000d90u
#define MSR_IA32_XSS                 0x00000da0u
#define MSR_IA32_LBR_CTL             0x000014ceu

/* IA32_FEATURE_CONTROL (SDM vol. 3, 24.7; vol. 4, table 2-2) */
#define FEATURE_CONTROL_LOCK       (1ULL << 0)
#define FEATURE_CONTROL_VMX_IN_SMX (1ULL << 1)
#define FEATURE_CONTROL_VMX        (1ULL << 2)
#define FEATURE_CONTROL_LMCE       (1ULL << 20)

/* IA32_MISC_ENABLE (SDM vol. 4, table 2-2) */
#define MISC_ENABLE_LIMIT_CPUID    (1ULL << 22)
#define MISC_ENABLE_XD_DISABLE     (1ULL << 34)

/* IA32_TME_ACTIVATE (SDM vol. 4, table 2-2): encryption is on; bits 35:32 are the number of address
 * bits that are KeyIDs, 39:36 how many of these are TDX's */
#define TME_ACTIVATE_ENABLE      (1ULL << 1)
#define TME_ACTIVATE_KEYID_SHIFT 32
#define TME_ACTIVATE_KEYID_MASK  0xfu

/* IA32_ARCH_CAPABILITIES, IA32_XAPIC_DISABLE_STATUS (SDM vol. 4, table 2-2) */
#define MSR_IA32_XAPIC_DISABLE_STATUS 0x000000bdu
#define ARCH_CAP_XAPIC_DISABLE (1ULL << 21) /* the register above exists */
#define XAPIC_DISABLE_LEGACY   (1ULL << 0)  /* locked in x2APIC mode */

/* IA32_APIC_BASE (SDM vol. 3, 11.4.4, 11.12.1) */
#define APIC_BASE_BSP     (1ULL << 8)
#define APIC_BASE_EXTD    (1ULL << 10)
#define APIC_BASE_EN      (1ULL << 11)
#define APIC_BASE_ADDR    0x000ffffffffff000ULL

/* --- VMX capabilities (SDM vol. 3, appendix A) -------------------------------- */
#define MSR_IA32_VMX_BASIC               0x00000480u
#define MSR_IA32_VMX_PINBASED_CTLS       0x00000481u
#define MSR_IA32_VMX_PROCBASED_CTLS      0x00000482u
#define MSR_IA32_VMX_EXIT_CTLS           0x00000483u
#define MSR_IA32_VMX_ENTRY_CTLS          0x00000484u
#define MSR_IA32_VMX_MISC                0x00000485u
#define MSR_IA32_VMX_CR0_FIXED0          0x00000486u
#define MSR_IA32_VMX_CR0_FIXED1          0x00000487u
#define MSR_IA32_VMX_CR4_FIXED0          0x00000488u
#define MSR_IA32_VMX_CR4_FIXED1          0x00000489u
#define MSR_IA32_VMX_VMCS_ENUM           0x0000048au
#define MSR_IA32_VMX_PROCBASED_CTLS2     0x0000048bu
#define MSR_IA32_VMX_EPT_VPID_CAP        0x0000048cu
#define MSR_IA32_VMX_TRUE_PINBASED_CTLS  0x0000048du
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS 0x0000048eu
#define MSR_IA32_VMX_TRUE_EXIT_CTLS      0x0000048fu
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS     0x00000490u
#define MSR_IA32_VMX_VMFUNC              0x00000491u
#define MSR_IA32_VMX_PROCBASED_CTLS3     0x00000492u
#define MSR_IA32_VMX_EXIT_CTLS2          0x00000493u

/* --- long mode (SDM vol. 4, table 2-2; APM vol. 2, appendix A) ---------------- */
#define MSR_EFER                     0xc0000080u
#define MSR_STAR                     0xc0000081u
#define MSR_LSTAR                    0xc0000082u
#define MSR_CSTAR                    0xc0000083u
#define MSR_SFMASK                   0xc0000084u
#define MSR_FS_BASE                  0xc0000100u
#define MSR_GS_BASE                  0xc0000101u
#define MSR_KERNEL_GS_BASE           0xc0000102u
#define MSR_TSC_AUX                  0xc0000103u
#define MSR_AMD_TSC_RATIO            0xc0000104u
#define MSR_AMD_MPERF_RO             0xc00000e7u
#define MSR_AMD_APERF_RO             0xc00000e8u

/* --- AMD (APM vol. 2, appendix A; BKDG/PPR for the C001_1xxx range) ----------- */
#define MSR_AMD_PERFEVTSEL0          0xc0010000u
#define MSR_AMD_PERFCTR3             0xc0010007u
#define MSR_AMD_SYSCFG               0xc0010010u
#define MSR_AMD_HWCR                 0xc0010015u
#define MSR_AMD_IORR_BASE0           0xc0010016u
#define MSR_AMD_IORR_MASK1           0xc0010019u
#define MSR_AMD_TOP_MEM              0xc001001au
#define MSR_AMD_TOP_MEM2             0xc001001du
#define MSR_AMD_NB_CFG               0xc001001fu
#define MSR_AMD_PATCH_LOADER         0xc0010020u
#define MSR_AMD_INT_PENDING          0xc0010055u
#define MSR_AMD_SMCA_FIRST           0xc0002000u
#define MSR_AMD_SMCA_LAST            0xc00023ffu
#define MSR_AMD_PSTATE_CUR_LIMIT     0xc0010061u
#define MSR_AMD_PSTATE_CTL           0xc0010062u
#define MSR_AMD_PSTATE_STATUS        0xc0010063u
#define MSR_AMD_PSTATE0              0xc0010064u
#define MSR_AMD_VM_CR                0xc0010114u
#define MSR_AMD_IGNNE                0xc0010115u
#define MSR_AMD_SMM_CTL              0xc0010116u
#define MSR_AMD_VM_HSAVE_PA          0xc0010117u
#define MSR_AMD_SVM_KEY              0xc0010118u
#define MSR_AMD_OSVW_ID_LENGTH       0xc0010140u
#define MSR_AMD_OSVW_STATUS          0xc0010141u
#define MSR_AMD_LS_CFG               0xc0011020u
#define MSR_AMD_IC_CFG               0xc0011021u
#define MSR_AMD_DC_CFG               0xc0011022u
#define MSR_AMD_BU_CFG               0xc0011023u
#define MSR_AMD_FP_CFG               0xc0011028u
#define MSR_AMD_DE_CFG               0xc0011029u

/* SYSCFG (APM vol. 2, 7.10.1, 15.34.3) */
#define SYSCFG_MEM_ENCRYPTION (1ULL << 23)

/* VM_CR (APM vol. 2, 15.30.1) */
#define VM_CR_R_INIT      (1ULL << 1)
#define VM_CR_LOCK        (1ULL << 3)
#define VM_CR_SVMDIS      (1ULL << 4)

/* Performance counters (APM vol. 2, 13.2.1; SDM vol. 3, 20.2.1.1): bit 22 enables one. */
#define MSR_AMD_PERF_CTL0                0xc0010000u /* 4 of them */
#define MSR_AMD_PERF_CTL3                0xc0010003u
#define MSR_AMD_PERF_CTL0_EXT            0xc0010200u /* 6 of them, counters in between */
#define MSR_AMD_PERF_CTR5_EXT            0xc001020bu
#define PERF_CTL_EN                      (1ULL << 22)

#endif
