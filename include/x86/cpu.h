/* SPDX-License-Identifier: MIT */
/*
 * Architectural bits of the control registers, RFLAGS, page-table entries, segment
 * attributes, and exception vectors. Facts from the manuals, no code.
 */
#ifndef X86_CPU_H
#define X86_CPU_H

/* CR0 (SDM vol. 3, 2.5; APM vol. 2, 3.1.1) */
#define CR0_PE  (1ULL << 0)
#define CR0_MP  (1ULL << 1)
#define CR0_EM  (1ULL << 2)
#define CR0_TS  (1ULL << 3)
#define CR0_ET  (1ULL << 4)
#define CR0_NE  (1ULL << 5)
#define CR0_WP  (1ULL << 16)
#define CR0_AM  (1ULL << 18)
#define CR0_NW  (1ULL << 29)
#define CR0_CD  (1ULL << 30)
#define CR0_PG  (1ULL << 31)
#define CR0_AT_RESET 0x60000010ULL /* SDM vol. 3, table 9-1; INIT keeps CD and NW */

/* CR4 (SDM vol. 3, 2.5; APM vol. 2, 3.1.3) */
#define CR4_VME        (1ULL << 0)
#define CR4_PVI        (1ULL << 1)
#define CR4_TSD        (1ULL << 2)
#define CR4_DE         (1ULL << 3)
#define CR4_PSE        (1ULL << 4)
#define CR4_PAE        (1ULL << 5)
#define CR4_MCE        (1ULL << 6)
#define CR4_PGE        (1ULL << 7)
#define CR4_PCE        (1ULL << 8)
#define CR4_OSFXSR     (1ULL << 9)
#define CR4_OSXMMEXCPT (1ULL << 10)
#define CR4_UMIP       (1ULL << 11)
#define CR4_LA57       (1ULL << 12)
#define CR4_VMXE       (1ULL << 13)
#define CR4_SMXE       (1ULL << 14)
#define CR4_FSGSBASE   (1ULL << 16)
#define CR4_PCIDE      (1ULL << 17)
#define CR4_OSXSAVE    (1ULL << 18)
#define CR4_KL         (1ULL << 19)
#define CR4_SMEP       (1ULL << 20)
#define CR4_SMAP       (1ULL << 21)
#define CR4_PKE        (1ULL << 22)
#define CR4_CET        (1ULL << 23)
#define CR4_PKS        (1ULL << 24)
#define CR4_UINTR      (1ULL << 25)
#define CR4_LASS       (1ULL << 27)
#define CR4_LAM_SUP    (1ULL << 28)
#define CR4_FRED       (1ULL << 32)

/* CR3 in 64-bit paging: address bits; low bits are PCID or PWT/PCD (SDM vol. 3, 4.5) */
#define CR3_NO_FLUSH (1ULL << 63) /* of MOV to CR3, with CR4.PCIDE: not of the register */
#define CR3_ADDR       0x000ffffffffff000ULL

/* EFER (SDM vol. 3, 2.2.1; APM vol. 2, 3.1.7) */
#define EFER_SCE   (1ULL << 0)
#define EFER_LME   (1ULL << 8)
#define EFER_LMA   (1ULL << 10)
#define EFER_NXE   (1ULL << 11)
#define EFER_SVME  (1ULL << 12)
#define EFER_LMSLE (1ULL << 13)
#define EFER_FFXSR (1ULL << 14)
#define EFER_TCE   (1ULL << 15)
#define EFER_AUTO_IBRS (1ULL << 21)

/* RFLAGS (SDM vol. 1, 3.4.3) */
#define RFLAGS_CF   (1ULL << 0)
#define RFLAGS_ONE  (1ULL << 1)
#define RFLAGS_PF   (1ULL << 2)
#define RFLAGS_AF   (1ULL << 4)
#define RFLAGS_ZF   (1ULL << 6)
#define RFLAGS_SF   (1ULL << 7)
#define RFLAGS_TF   (1ULL << 8)
#define RFLAGS_IF   (1ULL << 9)
#define RFLAGS_DF   (1ULL << 10)
#define RFLAGS_OF   (1ULL << 11)
#define RFLAGS_IOPL (3ULL << 12)
#define RFLAGS_NT   (1ULL << 14)
#define RFLAGS_RF   (1ULL << 16)
#define RFLAGS_VM   (1ULL << 17)
#define RFLAGS_AC   (1ULL << 18)
#define RFLAGS_VIF  (1ULL << 19)
#define RFLAGS_VIP  (1ULL << 20)
#define RFLAGS_ID   (1ULL << 21)

#define DR6_AT_INIT 0xffff0ff0ULL
#define DR6_BLD     (1ULL << 11)
#define DR6_BS      (1ULL << 14)
#define DR6_BT      (1ULL << 15)
#define DR7_LOCAL   0x155ULL      /* L0 to L3 and LE, which a task switch clears */
#define DR6_RTM     (1ULL << 16)
#define DR7_AT_INIT 0x400ULL
#define PAT_AT_RESET 0x0007040600070406ULL /* INIT keeps PAT (SDM vol. 3, table 9-1) */

/* XCR0 and IA32_XSS components (SDM vol. 1, 13.1) */
#define XCR0_X87       (1ULL << 0)
#define XCR0_SSE       (1ULL << 1)
#define XCR0_AVX       (1ULL << 2)
#define XCR0_BNDREGS   (1ULL << 3)
#define XCR0_BNDCSR    (1ULL << 4)
#define XCR0_OPMASK    (1ULL << 5)
#define XCR0_ZMM_HI256 (1ULL << 6)
#define XCR0_HI16_ZMM  (1ULL << 7)
#define XSS_PT         (1ULL << 8)
#define XCR0_PKRU      (1ULL << 9)
#define XSS_PASID      (1ULL << 10)
#define XSS_CET_U      (1ULL << 11)
#define XSS_CET_S      (1ULL << 12)
#define XSS_HDC        (1ULL << 13)
#define XSS_UINTR      (1ULL << 14)
#define XSS_LBR        (1ULL << 15)
#define XSS_HWP        (1ULL << 16)
#define XCR0_TILECFG   (1ULL << 17)
#define XCR0_TILEDATA  (1ULL << 18)
#define XCR0_APX       (1ULL << 19)
#define XCR0_LWP       (1ULL << 62) /* APM vol. 2, 11.5.2 */

/* Exception vectors (SDM vol. 3, table 6-1; APM vol. 2, 8.2) */
#define EXC_DE  0
#define EXC_DB  1
#define EXC_NMI 2
#define EXC_BP  3
#define EXC_OF  4
#define EXC_BR  5
#define EXC_UD  6
#define EXC_NM  7
#define EXC_DF  8
#define EXC_TS  10
#define EXC_NP  11
#define EXC_SS  12
#define EXC_GP  13
#define EXC_PF  14
#define EXC_MF  16
#define EXC_AC  17
#define EXC_MC  18
#define EXC_XM  19
#define EXC_VE  20
#define EXC_CP  21
#define EXC_HV  28
#define EXC_VC  29
#define EXC_SX  30
#define SX_INIT 1u /* error code of #SX: a redirected INIT (APM vol. 2, 8.2, 15.28) */
/* The vectors that push an error code. */
#define EXC_ERROR_CODE_MASK \
    (1u << EXC_DF | 1u << EXC_TS | 1u << EXC_NP | 1u << EXC_SS | 1u << EXC_GP | 1u << EXC_PF | \
     1u << EXC_AC | 1u << EXC_CP | 1u << EXC_VC | 1u << EXC_SX)

/* Page-table entries (SDM vol. 3, 4.3-4.6; APM vol. 2, 5.3-5.4) */
#define PTE_P    (1ULL << 0)
#define PTE_RW   (1ULL << 1)
#define PTE_US   (1ULL << 2)
#define PTE_PWT  (1ULL << 3)
#define PTE_PCD  (1ULL << 4)
#define PTE_A    (1ULL << 5)
#define PTE_D    (1ULL << 6)
#define PTE_PS   (1ULL << 7)      /* in a leaf above 4 KiB */
#define PTE_PAT  (1ULL << 7)      /* in a 4 KiB leaf */
#define PTE_G    (1ULL << 8)
#define PTE_PAT_LARGE (1ULL << 12)
#define PTE_PK_SHIFT 59
#define PTE_NX   (1ULL << 63)
#define PTE_ADDR 0x000ffffffffff000ULL

/* Segment attributes in AMD form: descriptor bits 47:40 in 7:0 and 55:52 in 11:8
 * (APM vol. 2, 15.5.1). */
#define SEG_ATTR_TYPE 0x00fu
#define SEG_ATTR_S    0x010u      /* code or data, not system */
#define SEG_ATTR_DPL  0x060u
#define SEG_ATTR_P    0x080u
#define SEG_ATTR_AVL  0x100u
#define SEG_ATTR_L    0x200u      /* 64-bit code */
#define SEG_ATTR_DB   0x400u
#define SEG_ATTR_G    0x800u
#define SEG_ATTR_CODE_REAL 0x09bu /* present, accessed, readable code, 16-bit */
#define SEG_ATTR_DATA_REAL 0x093u /* present, accessed, writable data, 16-bit */
#define SEG_ATTR_CODE32    0xc9bu
#define SEG_ATTR_DATA32    0xc93u
#define SEG_ATTR_CODE64    0xa9bu
#define SEG_ATTR_LDT       0x082u
#define SEG_ATTR_TSS_BUSY  0x08bu

#endif
