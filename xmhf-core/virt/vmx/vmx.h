/* SPDX-License-Identifier: MIT */
/* Inside of the VMX back end; nothing outside virt/vmx includes this. */
#ifndef XMHF_VMX_H
#define XMHF_VMX_H

#include <hw/insn.h>
#include <virt/event.h>
#include <virt/virt.h>
#include <virt/vmx/vmcs.h>
#include <x86/vmx.h>

#define VMX_VPID_OS 1
#define VMX_SLOTS   62   /* sandbox tags that keep their translations, VPIDs 2..63 */

struct vmx_cpu {
    uint64_t os, sandbox;         /* the two VMCSs, physical */
    uint64_t vmxon;               /* VMXON's region */
    uint64_t had_rtit;            /* IA32_RTIT_CTL before us */
    bool on;                      /* in VMX operation */
    bool launched[2];             /* by v->in_sandbox, as is which VMCS is the current one */
    struct event_slot queued;     /* for the next entry of the OS */
    union {
        struct {
            bool window_changed;
            bool flush_linear;    /* the OS's translations, before its next entry */
            bool flush_nested;
            bool loaded;          /* `queued` is in the VMCS */
            bool smi_bit_stuck;   /* see vmx_clear_smi_bit */
            bool after_sipi;      /* the last exit was a SIPI */
        };
        uint64_t any_flag;        /* not 0: one of them is set; one look on the usual path */
    };
    uint32_t window;              /* the OS's next window shall exit: these of the controls */
    enum sandbox_mode mode;       /* whose CS is in the sandbox's VMCS */
    uint64_t entry_rip, entry_tsc; /* at the entry after a SIPI */
    uint64_t saved_perf_global;   /* the OS's, while the sandbox runs */
    uint64_t last_tag;            /* the sandbox that the sandbox's VMCS was set up for */
    uint64_t tag[VMX_SLOTS];      /* sandbox tag of each VPID on this CPU */
};

static inline struct vmx_cpu *vmx(struct vcpu *v) { return v->vendor; }

/* Chosen on the boot CPU; other CPUs must be able to do the same. */
struct vmx_common {
    struct vmx_caps caps;
    struct vmx_controls os, sandbox;
    uint64_t cr0_mask, cr4_mask;  /* bits that the guest sees from the shadow */
    /* those that it can't set; of the others the CPU has the guest's */
    uint64_t cr4_hidden;
    uint64_t os_eptp;
    hpa_t msr_bitmap, io_bitmap;
    bool perf_global;             /* IA32_PERF_GLOBAL_CTRL exists */
};
extern struct vmx_common vmx_common;

/* vmcs.c: what never changes in a VMCS, and the two templates. */
void vmx_write_controls(const struct vmx_controls *c);
void vmx_write_host_state(struct vcpu *v);
void vmx_write_zero_fields(void);

/* vmx.c */
void vmx_flush_vpid(uint16_t vpid);
void vmx_flush_ept(uint64_t eptp);
uint64_t vmx_eptp(hpa_t root);

/* fast_path.c. Called by vmx_exit at a CPUID, with the registers that C functions may change, and
 * RBX, in `regs`, and the others as the guest has them. FAST_DONE: its answer is in `regs`, and the
 * guest can be entered again. FAST_NEW: vmx_new_cpuid knows the answer. Otherwise nothing has
 * changed. */
unsigned vmx_fast_cpuid(struct vcpu_regs *regs);
void vmx_new_cpuid(struct vcpu_regs *regs);

/* ept.c */
bool vmx_ept_1g(void);
bool vmx_split_exec(void);

/* The kind of an exit of an instruction about which there is no more to know than its length;
 * EXIT_NONE for the others. */
#define VMX_PLAIN_KINDS (VMX_EXIT_PCONFIG + 1)
extern const uint8_t vmx_plain_kinds[VMX_PLAIN_KINDS];
/* Is it one? Then it is decoded. */
static inline bool vmx_decode_plain(uint32_t reason, struct exit *e)
{
    if (reason >= VMX_PLAIN_KINDS || vmx_plain_kinds[reason] == EXIT_NONE) {
        return false;
    }
    e->raw = reason;
    e->kind = (enum exit_kind)vmx_plain_kinds[reason];
    e->insn_len = (unsigned)vmcs_read(VMCS_EXIT_INSN_LEN);
    return true;
}

/* decode.c: the exit of the current VMCS in the neutral form; nothing else changes. True: of an
 * instruction, and there is nothing for act.c to do. */
bool vmx_decode(uint32_t reason, const struct vcpu *v, struct exit *e);
/* act.c: that, and what the back end does about it. An event whose delivery was interrupted is
 * queued again; NMI blocking is as the guest has it; an exception of the OS's is passed on
 * (EXIT_NONE). */
void vmx_take_exit(struct vcpu *v, uint32_t reason, struct exit *e);

/* state.c */
void vmx_set_state(struct vcpu *v, const struct vcpu_state *s);
void vmx_get_paging(struct vcpu *v, struct guest_paging *p);
uint64_t vmx_get_cr4(struct vcpu *v);
void vmx_get_segment(struct vcpu *v, enum segment_index i, struct segment *s);
void vmx_write_segment(enum segment_index i, const struct segment *s);
bool vmx_state_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
bool vmx_state_msr_write(struct vcpu *v, uint32_t msr, uint64_t value);
void vmx_get_table(struct vcpu *v, enum table_register which, uint64_t *base, uint32_t *limit);
void vmx_set_table(struct vcpu *v, enum table_register which, uint64_t base, uint32_t limit);
void vmx_set_segment(struct vcpu *v, enum segment_index i, const struct segment *s);
bool vmx_set_cr3(struct vcpu *v, uint64_t value);
void vmx_load_task(struct vcpu *v, const struct task_state *t);
bool vmx_set_cr(struct vcpu *v, unsigned cr, uint64_t value);
uint64_t vmx_get_cr(struct vcpu *v, unsigned cr);

/* sandbox.c */
void vmx_sandbox_init(struct vcpu *v);
void vmx_sandbox_enter(struct vcpu *v, const struct sandbox *sb);
void vmx_sandbox_leave(struct vcpu *v);
void vmx_sandbox_forget(struct vcpu *v, uint64_t tag);

/* event.c */
bool vmx_inject(struct vcpu *v, const struct event *ev);
bool vmx_event_queued(struct vcpu *v);
void vmx_load_event(struct vcpu *v);
void vmx_save_event(struct vcpu *v);
bool vmx_nmi_ready(struct vcpu *v);
void vmx_set_window(struct vmx_cpu *s, uint32_t controls); /* taken up at the OS's next entry */
void vmx_want_nmi_window(struct vcpu *v);
void vmx_clear_shadow(struct vcpu *v);
void vmx_end_shadow(struct vcpu *v);
void vmx_event_done(struct vcpu *v);
/* An exception of the OS that exited only so that it can't loop inside the CPU. */
void vmx_pass_exception(struct vcpu *v, uint32_t info);
/* The guest's IRET faulted, but had already ended the blocking of NMIs: block them again. */
void vmx_block_nmis_again(void);

/* "Blocked by SMI" can't be true outside SMM, and an entry with it fails. An emulator (Bochs 2.7)
 * sets it in wait-for-SIPI and never clears it: done here, on a CPU where that was seen
 * (notes/bugs/smi-bit-stuck.md). */
void vmx_clear_smi_bit(void);

/* check.c: the first of the SDM's rules for guest state that the values break, or NULL. */
typedef uint64_t (*vmx_field_reader)(enum vmcs_field field);
const char *vmx_check_guest(const struct vmx_caps *c, vmx_field_reader read);
/* legal.c: see virt_ops */
const char *vmx_legalise(struct vcpu *v);
/* check_entry.c: the same for control fields and for host state. */
const char *vmx_check_controls(const struct vmx_caps *c, vmx_field_reader read);
const char *vmx_check_host(const struct vmx_caps *c, vmx_field_reader read);
/* Log why an entry failed. */
void vmx_log_entry_failure(uint32_t reason);

#endif
