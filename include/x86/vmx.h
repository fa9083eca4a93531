/* SPDX-License-Identifier: MIT */
/* VMX: control bits, exit reasons, error numbers, field formats. Facts from the SDM, vol. 3,
 * chapters 25-31 and appendices A and C; no code. */
#ifndef X86_VMX_H
#define X86_VMX_H

/* IA32_ARCH_CAPABILITIES: no machine check on page size change (CVE-2018-12207) */
#define ARCH_CAP_PSCHANGE_MC_NO     (1ULL << 6)

/* IA32_VMX_BASIC (A.1) */
#define VMX_BASIC_REVISION          0x7fffffffULL
#define VMX_BASIC_TRUE_CONTROLS     55

/* IA32_VMX_MISC (A.6) */
#define VMX_MISC_EFER_LMA           (1ULL << 5)  /* exits store LMA in "IA-32e mode guest" */
#define VMX_MISC_WAIT_FOR_SIPI      (1ULL << 8)
#define VMX_MISC_INJECT_LEN_0       (1ULL << 30) /* software events with length 0 */

/* Bits of the control fields, by number (25.6, 25.7, 25.8) */
#define PIN_INTR_EXITING        0
#define PIN_NMI_EXITING         3
#define PIN_VIRTUAL_NMIS        5
#define PIN_PREEMPTION_TIMER    6

#define PROC_INTR_WINDOW        2
#define PROC_TSC_OFFSETTING     3
#define PROC_HLT_EXITING        7
#define PROC_INVLPG_EXITING     9
#define PROC_MWAIT_EXITING      10
#define PROC_RDPMC_EXITING      11
#define PROC_RDTSC_EXITING      12
#define PROC_CR3_LOAD_EXITING   15
#define PROC_CR3_STORE_EXITING  16
#define PROC_TERTIARY           17
#define PROC_CR8_LOAD_EXITING   19
#define PROC_CR8_STORE_EXITING  20
#define PROC_TPR_SHADOW         21
#define PROC_NMI_WINDOW         22
#define PROC_MOV_DR_EXITING     23
#define PROC_IO_EXITING         24
#define PROC_IO_BITMAPS         25
#define PROC_MTF                27
#define PROC_MSR_BITMAPS        28
#define PROC_MONITOR_EXITING    29
#define PROC_PAUSE_EXITING      30
#define PROC_SECONDARY          31

#define PROC2_APIC_ACCESS       0
#define PROC2_EPT               1
#define PROC2_DESC_EXITING      2
#define PROC2_RDTSCP            3
#define PROC2_X2APIC            4
#define PROC2_VPID              5
#define PROC2_WBINVD_EXITING    6
#define PROC2_UNRESTRICTED      7
#define PROC2_INVPCID           12
#define PROC2_VMFUNC            13
#define PROC2_ENCLS_EXITING     15
#define PROC2_XSAVES            20
#define PROC2_EXEC_BY_MODE      22
#define PROC2_USER_WAIT         26
#define PROC2_PCONFIG           27
#define PROC2_ENCLV_EXITING     28

#define EXIT_SAVE_DEBUG         2
#define EXIT_HOST_64            9
#define EXIT_LOAD_PERF_GLOBAL   12
#define EXIT_ACK_INTR           15
#define EXIT_SAVE_PAT           18
#define EXIT_LOAD_PAT           19
#define EXIT_SAVE_EFER          20
#define EXIT_LOAD_EFER          21
#define EXIT_SECONDARY          31

#define ENTRY_LOAD_DEBUG        2
#define ENTRY_GUEST_64          9
#define ENTRY_LOAD_PERF_GLOBAL  13
#define ENTRY_LOAD_PAT          14
#define ENTRY_LOAD_EFER         15

/* IA32_VMX_EPT_VPID_CAP (A.10) */
#define EPT_CAP_EXEC_ONLY       (1ULL << 0)
#define EPT_CAP_WALK_4          (1ULL << 6)
#define EPT_CAP_UC              (1ULL << 8)
#define EPT_CAP_WB              (1ULL << 14)
#define EPT_CAP_2M              (1ULL << 16)
#define EPT_CAP_1G              (1ULL << 17)
#define EPT_CAP_INVEPT          (1ULL << 20)
#define EPT_CAP_INVEPT_SINGLE   (1ULL << 25)
#define EPT_CAP_INVEPT_ALL      (1ULL << 26)
#define VPID_CAP_INVVPID        (1ULL << 32)
#define VPID_CAP_SINGLE         (1ULL << 41)
#define VPID_CAP_ALL            (1ULL << 42)

/* EPT entries (29.3.2) and the EPTP (25.6.11) */
#define EPT_READ       (1ULL << 0)
#define EPT_WRITE      (1ULL << 1)
#define EPT_EXEC       (1ULL << 2)
#define EPT_TYPE_SHIFT 3
#define EPT_LARGE      (1ULL << 7)
/* with PROC2_EXEC_BY_MODE; bit 2 is ring 0's, 1's and 2's then */
#define EPT_USER_EXEC  (1ULL << 10)
#define EPT_ADDR       0x000ffffffffff000ULL
#define EPTP_WALK_4    (3ULL << 3)

/* Types of INVEPT and INVVPID (chapter 31) */
#define INVEPT_SINGLE  1
#define INVEPT_ALL     2
#define INVVPID_SINGLE 1
#define INVVPID_ALL    2

/* Access rights (25.4.1): descriptor bits 47:40 in 7:0, 55:52 in 15:12 */
#define AR_TYPE        0x0000fu
#define AR_S           0x00010u
#define AR_DPL_SHIFT   5
#define AR_P           0x00080u
#define AR_L           0x02000u
#define AR_DB          0x04000u
#define AR_G           0x08000u
#define AR_UNUSABLE    0x10000u

/* Activity and interruptibility (25.4.2) */
#define ACTIVITY_ACTIVE        0
#define ACTIVITY_HLT           1
#define ACTIVITY_SHUTDOWN      2
#define ACTIVITY_WAIT_SIPI     3
#define BLOCKED_BY_STI         (1u << 0)
#define BLOCKED_BY_MOV_SS      (1u << 1)
#define BLOCKED_SHADOWS        (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)
#define BLOCKED_BY_SMI         (1u << 2)
#define BLOCKED_BY_NMI         (1u << 3)
#define PENDING_DEBUG_BS       (1ULL << 14)

/* Interruption information, of entries, exits and IDT vectoring (25.8.3, 25.9.2) */
#define INTR_INFO_VECTOR       0xffu
#define INTR_INFO_TYPE_SHIFT   8
#define INTR_INFO_ERROR        (1u << 11)
#define INTR_INFO_NMI_UNBLOCK  (1u << 12)
#define INTR_INFO_VALID        (1u << 31)
#define INTR_TYPE_EXTERNAL     0
#define INTR_TYPE_NMI          2
#define INTR_TYPE_HARDWARE     3
#define INTR_TYPE_SOFT_INT     4
#define INTR_TYPE_PRIV_SOFT    5
#define INTR_TYPE_SOFT_EXC     6

/* Exit qualification of EPT violations (28.2.1) */
#define EPT_QUAL_READ          (1ULL << 0)
#define EPT_QUAL_WRITE         (1ULL << 1)
#define EPT_QUAL_FETCH         (1ULL << 2)
#define EPT_QUAL_LINEAR        (1ULL << 7)  /* the field guest-linear address is valid */
#define EPT_QUAL_FINAL         (1ULL << 8)  /* if so: no access to a paging structure */
#define EPT_QUAL_NMI_UNBLOCK   (1ULL << 12)

#define VMX_ENTRY_FAILED       (1u << 31) /* in the exit reason */

/* Basic exit reasons (appendix C): X(name, number). */
#define VMX_EXIT_REASONS(X) \
    X(EXCEPTION_NMI, 0) X(EXTERNAL_INTR, 1) X(TRIPLE_FAULT, 2) X(INIT, 3) X(SIPI, 4) \
    X(IO_SMI, 5) X(OTHER_SMI, 6) X(INTR_WINDOW, 7) X(NMI_WINDOW, 8) X(TASK_SWITCH, 9) \
    X(CPUID, 10) X(GETSEC, 11) X(HLT, 12) X(INVD, 13) X(INVLPG, 14) X(RDPMC, 15) X(RDTSC, 16) \
    X(RSM, 17) X(VMCALL, 18) X(VMCLEAR, 19) X(VMLAUNCH, 20) X(VMPTRLD, 21) X(VMPTRST, 22) \
    X(VMREAD, 23) X(VMRESUME, 24) X(VMWRITE, 25) X(VMXOFF, 26) X(VMXON, 27) X(CR_ACCESS, 28) \
    X(MOV_DR, 29) X(IO, 30) X(RDMSR, 31) X(WRMSR, 32) X(BAD_GUEST_STATE, 33) X(BAD_MSR_LOAD, 34) \
    X(MWAIT, 36) X(MTF, 37) X(MONITOR, 39) X(PAUSE, 40) X(ENTRY_MC, 41) X(TPR_THRESHOLD, 43) \
    X(APIC_ACCESS, 44) X(VIRTUAL_EOI, 45) X(GDTR_IDTR, 46) X(LDTR_TR, 47) X(EPT_VIOLATION, 48) \
    X(EPT_MISCONFIG, 49) X(INVEPT, 50) X(RDTSCP, 51) X(PREEMPTION_TIMER, 52) X(INVVPID, 53) \
    X(WBINVD, 54) X(XSETBV, 55) X(APIC_WRITE, 56) X(RDRAND, 57) X(INVPCID, 58) X(VMFUNC, 59) \
    X(ENCLS, 60) X(RDSEED, 61) X(PML_FULL, 62) X(XSAVES, 63) X(XRSTORS, 64) X(PCONFIG, 65) \
    X(SPP, 66) X(UMWAIT, 67) X(TPAUSE, 68) X(LOADIWKEY, 69) X(ENCLV, 70) X(ENQCMD_PASID, 72) \
    X(ENQCMDS_PASID, 73) X(BUS_LOCK, 74) X(NOTIFY, 75) X(SEAMCALL, 76) X(TDCALL, 77) \
    X(RDMSRLIST, 78) X(WRMSRLIST, 79)

enum vmx_exit_reason {
#define X(name, number) VMX_EXIT_##name = number,
    VMX_EXIT_REASONS(X)
#undef X
};

/* VM-instruction errors (31.4): X(number, meaning). */
#define VMX_INSN_ERRORS(X) \
    X(1, "VMCALL in VMX root operation") \
    X(2, "VMCLEAR with an invalid address") \
    X(3, "VMCLEAR with the VMXON pointer") \
    X(4, "VMLAUNCH with a VMCS that isn't clear") \
    X(5, "VMRESUME with a VMCS that wasn't launched") \
    X(6, "VMRESUME after VMXOFF") \
    X(7, "VM entry with invalid control fields") \
    X(8, "VM entry with invalid host state") \
    X(9, "VMPTRLD with an invalid address") \
    X(10, "VMPTRLD with the VMXON pointer") \
    X(11, "VMPTRLD with a wrong revision identifier") \
    X(12, "VMREAD or VMWRITE of a field that doesn't exist") \
    X(13, "VMWRITE to a read-only field") \
    X(15, "VMXON in VMX root operation") \
    X(16, "VM entry with an invalid executive-VMCS pointer") \
    X(17, "VM entry with an executive VMCS that wasn't launched") \
    X(18, "VM entry with an executive-VMCS pointer that isn't the VMXON pointer") \
    X(19, "VMCALL with a VMCS that isn't clear") \
    X(20, "VMCALL with invalid VM-exit control fields") \
    X(22, "VMCALL with a wrong MSEG revision identifier") \
    X(23, "VMXOFF under dual-monitor treatment") \
    X(24, "VMCALL with invalid SMM-monitor features") \
    X(25, "VM entry with invalid execution control fields in the executive VMCS") \
    X(26, "VM entry with events blocked by MOV SS") \
    X(28, "invalid operand to INVEPT or INVVPID")

#endif
