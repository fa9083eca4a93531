/* SPDX-License-Identifier: MIT */
/*
 * CPUID leaves and feature bits that the hypervisor names (SDM vol. 2, CPUID; APM
 * vol. 3, appendix E). A name is CPUID_<leaf>_<register>_<feature>.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include <stdint.h>

/* What CPUID answers. */
struct cpuid_regs { uint32_t eax, ebx, ecx, edx; };

#define CPUID_BASIC          0x00000000u
#define CPUID_FEATURES       0x00000001u
#define CPUID_THERMAL_POWER  0x00000006u
#define CPUID_EXT_FEATURES   0x00000007u
#define CPUID_PERFMON        0x0000000au
#define CPUID_TOPOLOGY       0x0000000bu
#define CPUID_XSTATE         0x0000000du
#define CPUID_SGX            0x00000012u
#define CPUID_PT             0x00000014u
#define CPUID_KEY_LOCKER     0x00000019u
#define CPUID_ARCH_LBR       0x0000001cu
#define CPUID_TILE           0x0000001du
#define CPUID_TMUL           0x0000001eu
#define CPUID_HYPERVISOR     0x40000000u
#define CPUID_HYPERVISOR_LAST 0x400000ffu
#define CPUID_EXTENDED       0x80000000u
#define CPUID_EXT_AMD        0x80000001u
#define CPUID_POWER          0x80000007u
#define CPUID_ADDRESS_SIZES  0x80000008u
#define CPUID_SVM            0x8000000au
#define CPUID_IBS            0x8000001bu
#define CPUID_LWP            0x8000001cu
#define CPUID_SEV            0x8000001fu
#define CPUID_QOS_AMD        0x80000020u
#define CPUID_FEATURES_2_AMD 0x80000021u
#define CPUID_PERFMON_AMD    0x80000022u

/* leaf 1 */
#define CPUID_1_ECX_DTES64   (1u << 2)
#define CPUID_1_ECX_MONITOR  (1u << 3)
#define CPUID_1_ECX_DS_CPL   (1u << 4)
#define CPUID_1_ECX_VMX      (1u << 5)
#define CPUID_1_ECX_SMX      (1u << 6)
#define CPUID_1_ECX_SDBG      (1u << 11)
#define CPUID_1_ECX_DCA       (1u << 18)
#define CPUID_1_ECX_PCID     (1u << 17)
#define CPUID_1_ECX_X2APIC   (1u << 21)
#define CPUID_1_ECX_XSAVE    (1u << 26)
#define CPUID_1_ECX_OSXSAVE  (1u << 27)
#define CPUID_1_ECX_RDRAND   (1u << 30)
#define CPUID_1_ECX_HYPERVISOR (1u << 31)
#define CPUID_1_EDX_MSR      (1u << 5)
#define CPUID_1_EDX_APIC     (1u << 9)
#define CPUID_1_EDX_MTRR     (1u << 12)
#define CPUID_1_EDX_PAT      (1u << 16)
#define CPUID_1_EDX_DS       (1u << 21)
#define CPUID_1_EDX_FXSR     (1u << 24)
#define CPUID_1_EDX_SSE      (1u << 25)

/* leaf 6 */
#define CPUID_6_EAX_HFI       (1u << 19)
#define CPUID_6_EAX_HDC       (1u << 13)
#define CPUID_6_EAX_THERM_25  (1u << 24) /* bit 25 of IA32_THERM_INTERRUPT */
#define CPUID_6_EAX_ITD       (1u << 23)
#define CPUID_6_ECX_ITD_CLASSES 0xff00u

/* leaf 7, subleaf 0 */
#define CPUID_7_0_EBX_FSGSBASE (1u << 0)
#define CPUID_7_0_EBX_SGX     (1u << 2)
#define CPUID_7_0_EBX_SMEP    (1u << 7)
#define CPUID_7_0_EBX_INVPCID (1u << 10)
#define CPUID_7_0_EBX_RDSEED  (1u << 18)
#define CPUID_7_0_EBX_SMAP    (1u << 20)
#define CPUID_7_0_EBX_PT      (1u << 25)
#define CPUID_7_0_EBX_SHA     (1u << 29)
#define CPUID_7_0_ECX_UMIP    (1u << 2)
#define CPUID_7_0_ECX_PKU     (1u << 3)
#define CPUID_7_0_ECX_OSPKE   (1u << 4)
#define CPUID_7_0_ECX_WAITPKG (1u << 5)
#define CPUID_7_0_ECX_CET_SS  (1u << 7)
#define CPUID_7_0_ECX_TME     (1u << 13)
#define CPUID_7_0_ECX_LA57    (1u << 16)
#define CPUID_7_0_ECX_RDPID   (1u << 22)
#define CPUID_7_0_ECX_KL      (1u << 23)
#define CPUID_7_0_ECX_ENQCMD  (1u << 29)
#define CPUID_7_0_ECX_SGX_LC  (1u << 30)
#define CPUID_7_0_ECX_PKS     (1u << 31)
#define CPUID_7_0_EDX_SGX_KEYS (1u << 1)
#define CPUID_7_0_EDX_UINTR   (1u << 5)
#define CPUID_7_0_EDX_PCONFIG (1u << 18)
#define CPUID_7_0_EDX_ARCH_LBR (1u << 19)
#define CPUID_7_0_EDX_CET_IBT (1u << 20)
#define CPUID_7_0_EDX_AMX_BF16 (1u << 22)
#define CPUID_7_0_EDX_AMX_TILE (1u << 24)
#define CPUID_7_0_EDX_AMX_INT8 (1u << 25)
#define CPUID_7_0_EDX_ARCH_CAP (1u << 29)
/* leaf 7, subleaf 1 */
#define CPUID_7_1_EAX_LASS    (1u << 6)
#define CPUID_7_1_EAX_FRED    (1u << 17)
#define CPUID_7_1_EAX_LKGS    (1u << 18)
#define CPUID_7_1_EAX_WRMSRNS (1u << 19)
#define CPUID_7_1_EAX_AMX_FP16 (1u << 21)
#define CPUID_7_1_EAX_HRESET  (1u << 22)
#define CPUID_7_1_EAX_LAM     (1u << 26)
#define CPUID_7_1_EAX_MSRLIST (1u << 27)
#define CPUID_7_1_EAX_PERFMON_EXT (1u << 8)
#define CPUID_7_1_EBX_PPIN    (1u << 0)
#define CPUID_7_1_EBX_PBNDKB  (1u << 1)
#define CPUID_7_1_ECX_MSR_IMM (1u << 5)
#define CPUID_7_1_EDX_UIRET_UIF (1u << 17)
#define CPUID_7_1_EDX_APX     (1u << 21)
#define CPUID_7_2_EDX_UC_LOCK (1u << 6)
#define CPUID_7_1_EDX_AMX_COMPLEX (1u << 8)
#define CPUID_7_1_EDX_USER_MSR (1u << 15)
#define CPUID_7_1_EDX_CET_SSS (1u << 18)

/* leaf 0xD */
#define CPUID_D_1_EAX_XSAVEOPT (1u << 0)
#define CPUID_D_1_EAX_XSAVEC  (1u << 1)
#define CPUID_D_1_EAX_XGETBV1 (1u << 2)
#define CPUID_D_1_EAX_XSAVES  (1u << 3)
#define CPUID_D_1_EAX_XFD     (1u << 4)
#define CPUID_D_N_ECX_ALIGN64 (1u << 1)

/* leaf 0x19 */
#define CPUID_19_EBX_AESKLE   (1u << 0)
#define CPUID_19_EBX_BACKUP   (1u << 4)

/* leaf 0x80000001 */
#define CPUID_8_1_ECX_SVM     (1u << 2)
#define CPUID_8_1_ECX_IBS     (1u << 10)
#define CPUID_8_1_ECX_SKINIT  (1u << 12)
#define CPUID_8_1_ECX_WDT     (1u << 13)
#define CPUID_8_1_ECX_LWP     (1u << 15)
#define CPUID_8_1_ECX_PERFCTR_EXT (1u << 23)
#define CPUID_8_1_EDX_NX      (1u << 20)
#define CPUID_8_1_EDX_PAGE1G  (1u << 26)
#define CPUID_8_1_EDX_RDTSCP  (1u << 27)
#define CPUID_8_1_EDX_LM      (1u << 29)

/* leaf 0x80000008 */
#define CPUID_8_8_EBX_XSAVEERPTR (1u << 2)
#define CPUID_8_8_EBX_IRPERF  (1u << 1)
#define CPUID_8_8_EBX_MCOMMIT (1u << 8)
#define CPUID_8_8_EBX_INT_WBINVD (1u << 13)
#define CPUID_8_8_EBX_VIRT_SSBD (1u << 25)
#define CPUID_8_7_EBX_HWA     (1u << 2)
#define CPUID_8_7_EDX_FID     (1u << 1)
#define CPUID_8_7_EDX_VID     (1u << 2)
#define CPUID_8_21_EAX_UAI    (1u << 7)
#define CPUID_8_21_EAX_SRSO_MSR_FIX (1u << 31)
#define CPUID_8_8_EBX_INVLPGB (1u << 3)
#define CPUID_8_8_EBX_INVLPGB_NESTED (1u << 21)

/* leaf 0x8000001F (APM vol. 3, E.4.17) */
#define CPUID_8_1F_EAX_SME    (1u << 0)
#define CPUID_8_1F_EAX_SEV    (1u << 1)

/* leaf 0x80000022 */
#define CPUID_8_22_EAX_LBR_V2 (1u << 1)
#define CPUID_8_22_EAX_LBR_FREEZE (1u << 2)

/* leaf 0x8000000A (APM vol. 3, E.4.9) */
#define CPUID_8_A_EDX_NP      (1u << 0)
#define CPUID_8_A_EDX_LBR_VIRT (1u << 1)
#define CPUID_8_A_EDX_SVML    (1u << 2)
#define CPUID_8_A_EDX_NRIPS   (1u << 3)
#define CPUID_8_A_EDX_SPEC_CTRL (1u << 20)
#define CPUID_8_A_EDX_TSC_RATE (1u << 4)
#define CPUID_8_A_EDX_VMCB_CLEAN (1u << 5)
#define CPUID_8_A_EDX_FLUSH_BY_ASID (1u << 6)
#define CPUID_8_A_EDX_DECODE_ASSISTS (1u << 7)
#define CPUID_8_A_EDX_PAUSE_FILTER (1u << 10)
#define CPUID_8_A_EDX_AVIC    (1u << 13)
#define CPUID_8_A_EDX_VGIF    (1u << 16)
#define CPUID_8_A_EDX_VNMI    (1u << 25)
#define CPUID_8_A_EDX_SVME_ADDR_CHK (1u << 28)

#endif
