/* SPDX-License-Identifier: MIT */
/*
 * One struct vcpu per CPU: the guest's registers while we run, and everything that
 * belongs to that CPU alone. Between an exit and the next entry `regs` is the only
 * copy of the guest's general registers, RIP and RFLAGS; all other guest state lives
 * in the VMCB/VMCS and is reached through virt_ops.
 *
 * Fields marked (any) may be read or changed by other CPUs, always atomically;
 * all others belong to the owning CPU.
 */
#ifndef XMHF_CPU_VCPU_H
#define XMHF_CPU_VCPU_H

#include <stdatomic.h>
#include <x86/cpuid.h>
#include <xmhf/exits.h>
#include <cpu/apstate.h>
#include <xmhf/types.h>

enum gpr { /* the order of the instruction encoding */
    GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
    GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
};

struct vcpu_regs {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;
};

/* Execution mode of the code that caused an exit. */
enum cpu_mode {
    MODE_REAL,      /* real or virtual-8086 mode */
    MODE_PROT16,    /* protected mode, 16-bit code segment */
    MODE_PROT32,    /* protected or compatibility mode, 32-bit code segment */
    MODE_LONG64,    /* 64-bit code segment */
};

/* What a walk of the guest's page tables and a caller check need to know. */
struct guest_paging {
    uint64_t cr0, cr3, cr4, efer;
    uint32_t pkru;    /* 0 if CR4.PKE is clear */
    uint8_t cpl;      /* 0..3; 3 in virtual-8086 mode */
    bool ac;          /* RFLAGS.AC, for SMAP */
    enum cpu_mode mode;
};

struct event {
    uint8_t vector;
    uint8_t type;      /* enum event_type */
    bool has_error;
    uint32_t error;
    unsigned insn_len; /* of the instruction, for software events */
};

enum event_type { EVENT_INTR = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3, EVENT_SOFT_INT = 4 };

#define CPU_MAX 64
#define VCPU_TRACE 16 /* a power of two */
#define VCPU_CPUID 64 /* likewise */

/* Requests one CPU makes of another, taken up at the target's next exit. */
#define REQ_INIT_SIPI  1u  /* look at apstate */
#define REQ_STOP       2u  /* stop for a reset or panic, for good */
#define REQ_NMI        4u  /* a guest NMI is pending in guest_nmis */
#define REQ_FLUSH     16u  /* forget the OS's nested translations (guest/flush.h) */
#define REQ_MC         8u  /* a machine check met the core and is the guest's; set by its own CPU */

/*
 * A walk to a page, remembered with all its entries. Each entry says where the next one is: if CR3
 * and all entries are what they were, the walk ends at the same page. All zero: nothing is
 * remembered.
 */
struct walk_memo {
    uint64_t page;                        /* linear address >> 12 */
    uint64_t cr3, cr4, efer;
    const _Atomic uint64_t *entry[4];     /* in guest RAM */
    uint64_t value[4];
    uint8_t *bytes;                       /* core pointer to the page, or NULL */
};

struct vcpu {
    struct vcpu *self;                 /* at offset 0: gs:0 */
    unsigned index;                    /* 0 = boot CPU; not the APIC id */
    _Atomic uint32_t apic_id;          /* (any reads) as the APIC has it: exit/msr.c, guest/ipi.c */
    struct vcpu_regs regs;

    bool in_sandbox;                   /* `regs`, and the VMCB or VMCS in use, are the hypapp's
                                          sandbox's, not the OS's: hypapp/sandbox.c alone sets it */

    struct vcpu_ap ap;                 /* INIT/SIPI state; its `pending` is (any) */
    atomic_uint requests;              /* (any) REQ_* */
    /* (any reads) the generation of nested tables that it has seen */
    _Atomic uint64_t flushed;
    atomic_uint kicks;                 /* (any) NMIs we sent to this CPU and it hasn't seen */
    atomic_uint guest_nmis;            /* (any) guest NMIs to deliver */
    atomic_uint nmis_seen;             /* NMIs taken by this CPU's host handler */
    uint64_t clock_offset;             /* TSC less clock_now() */
    bool draining;                     /* in cpu_take_interrupts */
    bool drained_mc;                   /* an interrupt with #MC's vector came then, or a #MC */
    uint64_t nmi_rip, nmi_rsp;         /* of our own code, when it took its last NMI */
    atomic_bool stopped;               /* (any) has obeyed REQ_STOP */
    atomic_bool online;                /* (any) runs the hypervisor */
    /* (any) the guest has turned its APIC off (guest/apic_mode.h) */
    atomic_bool apic_off;
    atomic_bool waiting;               /* (any) in the hardware's wait-for-SIPI: takes no NMI */

    struct code_page {                 /* the last code page that an exit was decoded in */
        uint64_t cr3, page;            /* CR3 and linear address >> 12 */
        const uint8_t *bytes;          /* guest RAM, never anything else; NULL: empty */
    } code;
    /* the page of the last store to the APIC page: virt/fast_path.h */
    struct walk_memo store_code;
    struct cpuid_memo {                /* answers that the OS got: virt/fast_path.h */
        uint32_t leaf, question;       /* its question: the leaf, and cpuid_question() */
        struct cpuid_regs raw, answer; /* what the CPU said, and what the OS saw */
    } cpuid[VCPU_CPUID];
    bool counting;                     /* the guest has enabled a performance counter */
    uint64_t guest_xcr0;               /* the guest's XCR0 while a sandbox runs */
    void *tables;                      /* its GDT and TSS: a page (cpu/cpu.c), never wiped: NMIs
                                          may come during a reset */
    void *vendor;                      /* struct svm_cpu or struct vmx_cpu */
    void *hypapp;                      /* the hypapp's own per-CPU data */
    struct exit_trace {                /* the last exits, for the crash record */
        uint64_t raw;
        uint32_t kind;
    } trace[VCPU_TRACE];
    unsigned trace_next;               /* counts up; the newest is trace_next - 1 */
    unsigned refused, refused_at;      /* refused entries in a row; trace_next at the last */
    uint64_t exits[EXIT_KIND_COUNT];   /* read by others for statistics only */
    uint64_t longest[EXIT_KIND_COUNT]; /* likewise, with the option `measure`: TSC ticks */
    uint64_t exit_began;               /* TSC at the last exit; 0: its duration doesn't count */
};

#endif
