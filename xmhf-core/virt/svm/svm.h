/* SPDX-License-Identifier: MIT */
/* Inside of the SVM back end; nothing outside virt/svm includes this. */
#ifndef XMHF_SVM_H
#define XMHF_SVM_H

#include <hw/insn.h>
#include <virt/event.h>
#include <virt/fast_path.h>
#include <virt/svm/pmu.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>
#include <x86/vmcb.h>

#define SVM_ASID_OS 1u

/*
 * NMI blocking without vNMI: an injected NMI blocks until the guest's IRET. The IRET is
 * intercepted before it runs, so it is then stepped over with RFLAGS.TF.
 */
enum svm_nmi { NMI_OPEN, NMI_IN_HANDLER, NMI_STEPPING_IRET, NMI_STEPPING_SHADOW };

struct svm_cpu {
    union {
        struct {
            struct vmcb *os;      /* the OS */
            struct vmcb *sandbox; /* the sandbox, filled from a constant template */
        };
        struct vmcb *vmcb[2];     /* the same, by v->in_sandbox */
    };
    union {
        struct { uint64_t os_hpa, sandbox_hpa; };
        uint64_t vmcb_hpa[2];
    };
    uint64_t host_hpa, hsave_hpa;
    struct event_slot queued; /* for the next entry of the OS */
    enum svm_nmi nmi;         /* where the guest's NMI handler is */
    uint64_t step_tf;         /* the guest's own RFLAGS.TF, while we step */
    uint64_t step_tr;         /* and the base of its TSS */
    uint8_t *step_flags;      /* where a task switch saves TF; NULL: it can't */
    uint32_t step_exceptions; /* intercepted without a step */
    bool flush_os;
    bool r_init;              /* an INIT that isn't intercepted raises #SX */
    bool had_r_init;          /* before us */
    uint64_t had_hsave;       /* VM_HSAVE_PA, likewise */
    struct svm_pmu pmu;       /* the OS's counters, while the sandbox runs */
    uint64_t saved_debugctl;  /* the OS's, while the sandbox runs */
    uint64_t last_tag;        /* the sandbox that its VMCB was set up for; 0: none */
    uint64_t asid_tag[64];    /* sandbox tag that each ASID holds on this CPU */
    bool debugs;              /* the OS has set a bit of DEBUGCTL, or firmware had */
};

/* Features found by probe; the same on all CPUs or the launch is refused. */
struct svm_features {
    uint32_t edx;             /* CPUID 8000_000A:EDX */
    uint32_t asids;
};
extern struct svm_features svm_features;
extern hpa_t svm_iopm, svm_msrpm, svm_nested_root;

static inline struct svm_cpu *svm(struct vcpu *v) { return v->vendor; }
/* The one that v->regs belong to. */
static inline struct vmcb *svm_active(struct vcpu *v) { return svm(v)->vmcb[v->in_sandbox]; }

/* Length of the instruction that exited, by its next RIP (APM vol. 2, 15.7.1); 0: the CPU left
 * none. */
FAST_INLINE unsigned svm_insn_len(const struct vmcb *c)
{
    uint64_t len = c->next_rip - c->rip;

    return len <= 15 ? (unsigned)len : 0;
}

/* Bits of high halves that must be 0: of CR0, DR6 and DR7. */
FAST_INLINE bool svm_high_bits(const struct vmcb *c)
{
    return (c->cr0 | c->dr6 | c->dr7) >> 32;
}

/* Would VMRUN refuse this state, whatever the CPU? (APM vol. 2, 15.5.1.) Looked at before each
 * entry, for what a refused VMRUN leaves in the VMCB isn't said: with some of these QEMU leaves the
 * core's own state there. First what a kernel in 64-bit mode, or its programs, have: protected
 * mode, CR0.NW and CS.D clear, PAE: with that no rule is broken, whether it is long mode or not. */
FAST_INLINE bool svm_illegal(const struct vmcb *c)
{
    const uint16_t both = SEG_ATTR_L | SEG_ATTR_DB;

    if (__builtin_expect((c->cr0 & (CR0_NW | CR0_PE)) == CR0_PE && !(c->cs.attrib & SEG_ATTR_DB)
                         && (c->cr4 & CR4_PAE), 1)) {
        return svm_high_bits(c);
    }
    return (c->cr0 & (CR0_CD | CR0_NW)) == CR0_NW || svm_high_bits(c)
        || ((c->efer & EFER_LMA) && ((c->cs.attrib & both) == both || !(c->cr0 & CR0_PE)
                                     || !(c->cr4 & CR4_PAE)));
}

static inline bool svm_has_vnmi(void) { return svm_features.edx & CPUID_8_A_EDX_VNMI; }

/* decode.c: from the VMCB to the neutral form; nothing else changes. */
void svm_decode(const struct vmcb *c, const struct vcpu *v, struct exit *e);
/* act.c: that, and what the back end does about it: the steps of NMI blocking. */
void svm_take_exit(struct vcpu *v, const struct vmcb *c, struct exit *e);
/* The kind of an exit that its code says everything about; EXIT_NONE for the others. */
#define SVM_SIMPLE_KINDS (SVM_EXIT_XSETBV + 1)
extern const uint8_t svm_simple_kinds[SVM_SIMPLE_KINDS];
static inline unsigned svm_simple_kind(uint64_t code)
{
    return code < SVM_SIMPLE_KINDS ? svm_simple_kinds[code] : EXIT_NONE;
}

/* fast_path.c. Called by svm_enter at a CPUID, with the registers that C functions may change, and
 * RBX, in `regs`, RAX and RSP in the VMCB, and the others as the guest has them; segments that
 * VMLOAD loads, GS among them, are the guest's. FAST_DONE: the answer is in their places, and the
 * guest can be entered again. FAST_NEW: svm_new_cpuid knows the answer. Otherwise nothing has
 * changed. */
unsigned svm_fast_cpuid(struct vcpu_regs *regs);
/* The answer to a question that svm_fast_cpuid hasn't got, with the host's segments loaded. */
void svm_new_cpuid(struct vcpu_regs *regs);
/* As svm_fast_cpuid, for a store to the APIC page: FAST_DONE or FAST_NO. */
unsigned svm_fast_store(struct vcpu_regs *regs);
/* state.c */
void svm_set_state(struct vcpu *v, const struct vcpu_state *s);
void svm_get_paging(struct vcpu *v, struct guest_paging *p);
void svm_get_segment(struct vcpu *v, enum segment_index i, struct segment *s);
bool svm_state_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
bool svm_state_msr_write(struct vcpu *v, uint32_t msr, uint64_t value);
bool svm_set_cr(struct vcpu *v, unsigned cr, uint64_t value);
bool svm_set_cr3(struct vcpu *v, uint64_t value);
uint64_t svm_get_cr(struct vcpu *v, unsigned cr);
void svm_get_table(struct vcpu *v, enum table_register which, uint64_t *base, uint32_t *limit);
void svm_set_table(struct vcpu *v, enum table_register which, uint64_t base, uint32_t limit);
void svm_set_segment(struct vcpu *v, enum segment_index i, const struct segment *s);
/* legal.c: see virt_ops */
const char *svm_legalise(struct vcpu *v);
/* segment.c */
struct vmcb_segment *svm_segment(struct vmcb *c, enum segment_index i);
void svm_write_segment(struct vmcb *c, enum segment_index i, const struct segment *s);

/* sandbox.c */
void svm_sandbox_init(struct vcpu *v);
void svm_sandbox_enter(struct vcpu *v, const struct sandbox *sb);
void svm_sandbox_leave(struct vcpu *v);
void svm_sandbox_forget(struct vcpu *v, uint64_t tag);
/* DEBUGCTL was written for the OS: unless all its bits are 0, each entry looks at it from now on. A
 * CPU sets none of them by itself, and a guest by WRMSR only, which exits. Bochs' AMD CPU has SVM
 * and not this MSR. */
static inline void svm_debugctl_changes(struct svm_cpu *s)
{
    uint64_t now;

    s->debugs = s->debugs || (hw_rdmsr_safe(MSR_IA32_DEBUGCTL, &now) && now != 0);
}
/* event.c */
bool svm_inject(struct vcpu *v, const struct event *ev);
bool svm_event_queued(struct vcpu *v);
void svm_load_event(struct vcpu *v);
void svm_save_event(struct vcpu *v);
void svm_clear_shadow(struct vcpu *v);
void svm_end_shadow(struct vcpu *v);
bool svm_nmi_ready(struct vcpu *v);
void svm_want_nmi_window(struct vcpu *v);
/* step.c: run one instruction with TF set. */
void svm_step(struct vcpu *v, enum svm_nmi state);
/* The intercepted IRET: step over it (notes/bugs/nested-nmi.md). */
void svm_nmi_iret(struct vcpu *v);
/* A #DB exit: true if it was the end of that step and the guest must not see it. */
bool svm_nmi_step_done(struct vcpu *v);
/* Any other exit came first: TF is the guest's again, and the step is tried anew. */
void svm_nmi_step_aborted(struct vcpu *v);

#endif
