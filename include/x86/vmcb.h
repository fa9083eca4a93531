/* SPDX-License-Identifier: MIT */
/*
 * The AMD virtual machine control block (APM vol. 2, appendix B). Offsets in the comments;
 * checked at compile time below.
 */
#ifndef X86_VMCB_H
#define X86_VMCB_H

#include <xmhf/types.h>

struct vmcb_segment {
    uint16_t selector;
    uint16_t attrib;  /* type/S/DPL/P in 7:0, AVL/L/DB/G in 11:8 */
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    /* Control area */
    uint32_t intercept_cr;         /* 000: reads 15:0, writes 31:16 */
    uint32_t intercept_dr;         /* 004 */
    uint32_t intercept_exceptions; /* 008 */
    uint32_t intercept1;           /* 00C */
    uint32_t intercept2;           /* 010 */
    uint32_t intercept3;           /* 014 */
    uint8_t pad018[0x3c - 0x18];
    uint16_t pause_threshold;      /* 03C */
    uint16_t pause_count;          /* 03E */
    uint64_t iopm_base;            /* 040 */
    uint64_t msrpm_base;           /* 048 */
    uint64_t tsc_offset;           /* 050 */
    uint32_t asid;                 /* 058 */
    uint8_t tlb_control;           /* 05C */
    uint8_t pad05d[3];
    uint64_t v_intr;               /* 060 */
    uint64_t interrupt_shadow;     /* 068 */
    uint64_t exit_code;            /* 070 */
    uint64_t exit_info1;           /* 078 */
    uint64_t exit_info2;           /* 080 */
    uint64_t exit_int_info;        /* 088 */
    uint64_t np_enable;            /* 090 */
    uint64_t avic_apic_bar;        /* 098 */
    uint64_t ghcb;                 /* 0A0 */
    uint64_t event_inj;            /* 0A8 */
    uint64_t n_cr3;                /* 0B0 */
    uint64_t lbr_virt;             /* 0B8 */
    uint32_t clean_bits;           /* 0C0 */
    uint32_t pad0c4;
    uint64_t next_rip;             /* 0C8 */
    uint8_t insn_len;              /* 0D0 */
    uint8_t insn_bytes[15];        /* 0D1 */
    uint8_t pad0e0[0x400 - 0xe0];

    /* State save area */
    struct vmcb_segment es;        /* 400 */
    struct vmcb_segment cs;        /* 410 */
    struct vmcb_segment ss;        /* 420 */
    struct vmcb_segment ds;        /* 430 */
    struct vmcb_segment fs;        /* 440 */
    struct vmcb_segment gs;        /* 450 */
    struct vmcb_segment gdtr;      /* 460 */
    struct vmcb_segment ldtr;      /* 470 */
    struct vmcb_segment idtr;      /* 480 */
    struct vmcb_segment tr;        /* 490 */
    uint8_t pad4a0[0x4cb - 0x4a0];
    uint8_t cpl;                   /* 4CB */
    uint32_t pad4cc;
    uint64_t efer;                 /* 4D0 */
    uint8_t pad4d8[0x548 - 0x4d8];
    uint64_t cr4;                  /* 548 */
    uint64_t cr3;                  /* 550 */
    uint64_t cr0;                  /* 558 */
    uint64_t dr7;                  /* 560 */
    uint64_t dr6;                  /* 568 */
    uint64_t rflags;               /* 570 */
    uint64_t rip;                  /* 578 */
    uint8_t pad580[0x5d8 - 0x580];
    uint64_t rsp;                  /* 5D8 */
    uint8_t pad5e0[0x5f8 - 0x5e0];
    uint64_t rax;                  /* 5F8 */
    uint64_t star;                 /* 600 */
    uint64_t lstar;                /* 608 */
    uint64_t cstar;                /* 610 */
    uint64_t sfmask;               /* 618 */
    uint64_t kernel_gs_base;       /* 620 */
    uint64_t sysenter_cs;          /* 628 */
    uint64_t sysenter_esp;         /* 630 */
    uint64_t sysenter_eip;         /* 638 */
    uint64_t cr2;                  /* 640 */
    uint8_t pad648[0x668 - 0x648];
    uint64_t g_pat;                /* 668 */
    uint64_t dbgctl;               /* 670 */
    uint8_t pad678[0x6e0 - 0x678];
    uint64_t spec_ctrl;            /* 6E0 */
    uint8_t pad6e8[0x1000 - 0x6e8];
};

_Static_assert(sizeof(struct vmcb) == 4096, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, iopm_base) == 0x40, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, event_inj) == 0xa8, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, insn_bytes) == 0xd1, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, tr) == 0x490, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "APM vol. 2, appendix B");
_Static_assert(offsetof(struct vmcb, spec_ctrl) == 0x6e0, "APM vol. 2, appendix B");

/* v_intr: APM vol. 2, 15.21.10 */
#define SVM_V_NMI        BIT(11)
#define SVM_V_NMI_MASK   BIT(12)
#define SVM_V_NMI_ENABLE BIT(26)
/* intercept_cr */
#define SVM_CR0_WRITE BIT(16)
#define SVM_CR3_WRITE BIT(19)
#define SVM_CR4_WRITE BIT(20)
#define SVM_CR8_READ  BIT(8)
/* intercept1, offset 00C */
#define SVM_I1_INTR      BIT(0)
#define SVM_I1_NMI       BIT(1)
#define SVM_I1_SMI       BIT(2)
#define SVM_I1_INIT      BIT(3)
#define SVM_I1_VINTR     BIT(4)
#define SVM_I1_IDTR_WRITE BIT(10)
#define SVM_I1_GDTR_WRITE BIT(11)
#define SVM_I1_LDTR_WRITE BIT(12)
#define SVM_I1_TR_WRITE  BIT(13)
#define SVM_I1_RDPMC     BIT(15)
#define SVM_I1_CPUID     BIT(18)
#define SVM_I1_IRET      BIT(20)
#define SVM_I1_INTN      BIT(21)
#define SVM_I1_INVD      BIT(22)
#define SVM_I1_PAUSE     BIT(23)
#define SVM_I1_HLT       BIT(24)
#define SVM_I1_INVLPGA   BIT(26)
#define SVM_I1_IOIO      BIT(27)
#define SVM_I1_MSR       BIT(28)
#define SVM_I1_TASK      BIT(29)
#define SVM_I1_FERR      BIT(30)
#define SVM_I1_SHUTDOWN  BIT(31)
/* intercept2, offset 010 */
#define SVM_I2_VMRUN     BIT(0)
#define SVM_I2_VMMCALL   BIT(1)
#define SVM_I2_VMLOAD    BIT(2)
#define SVM_I2_VMSAVE    BIT(3)
#define SVM_I2_STGI      BIT(4)
#define SVM_I2_CLGI      BIT(5)
#define SVM_I2_SKINIT    BIT(6)
#define SVM_I2_RDTSCP    BIT(7)
#define SVM_I2_ICEBP     BIT(8)
#define SVM_I2_WBINVD    BIT(9)
#define SVM_I2_MONITOR   BIT(10)
#define SVM_I2_MWAIT     BIT(11)
#define SVM_I2_XSETBV    BIT(13)

#define SVM_TLB_NOTHING   0u
#define SVM_TLB_FLUSH_ALL 1u
#define SVM_TLB_FLUSH_ASID 3u

#define SVM_SHADOW        1u /* in interrupt_shadow; bit 1 is RFLAGS.IF, on CPUs that tell it */

/* event_inj and exit_int_info (APM vol. 2, 15.20) */
#define SVM_EVENT_HAS_ERROR BIT(11)
#define SVM_EVENT_VALID     BIT(31)

#define NPF_FINAL BIT(32) /* EXITINFO1: no access to a page table (APM vol. 2, 15.25.6) */

/* Exit codes (APM vol. 2, appendix C): X(name, number); CR_WRITE0 and EXCEPTION0 begin a range. */
#define SVM_EXIT_CODES(X) \
    X(CR_WRITE0, 0x010) X(EXCEPTION0, 0x040) X(INTR, 0x060) X(NMI, 0x061) X(SMI, 0x062) \
    X(INIT, 0x063) X(IDTR_WRITE, 0x06a) \
    X(GDTR_WRITE, 0x06b) X(LDTR_WRITE, 0x06c) X(TR_WRITE, 0x06d) \
    X(RDPMC, 0x06f) X(CPUID, 0x072) X(IRET, 0x074) X(SWINT, 0x075) \
    X(INVD, 0x076) X(HLT, 0x078) X(INVLPGA, 0x07a) X(IOIO, 0x07b) X(MSR, 0x07c) \
    X(TASK_SWITCH, 0x07d) X(SHUTDOWN, 0x07f) X(VMRUN, 0x080) X(VMMCALL, 0x081) \
    X(VMLOAD, 0x082) X(VMSAVE, 0x083) X(STGI, 0x084) X(CLGI, 0x085) X(SKINIT, 0x086) \
    X(XSETBV, 0x08d) X(NPF, 0x400)

enum svm_exit_code {
#define X(name, number) SVM_EXIT_##name = number,
    SVM_EXIT_CODES(X)
#undef X
};

#endif
