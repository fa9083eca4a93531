/* SPDX-License-Identifier: MIT */
/*
 * The seam between common code and the two vendors. One const table, chosen once at
 * run time. Unless said otherwise a function works on the calling CPU's own vCPU only.
 * notes/decisions/vmx-seams.md tells where the vendors differ.
 */
#ifndef XMHF_VIRT_VIRT_H
#define XMHF_VIRT_VIRT_H

#include <cpu/vcpu.h>
#include <mm/nested.h>
#include <virt/exit.h>
#include <virt/sandbox.h>
#include <virt/state.h>

/* What a task switch loads. Segments without SEG_ATTR_P are unusable; those of CS and SS stay as
 * they are then, and only their selectors change. */
struct task_state {
    struct vcpu_regs regs;
    struct segment seg[SEG_COUNT];
    bool debug;        /* the new TSS asks for a debug trap: DR6.BT */
    int nmi;           /* 1: NMIs are blocked from now on, -1: not any more, 0: as before */
};

struct virt_ops {
    const char *name;                       /* "AMD SVM" */
    const struct nested_format *nested;
    bool misc_enable;                       /* the CPU obeys IA32_MISC_ENABLE, which could take
                                               NX and CPUID leaves from the core */
    /* An APIC that is turned off comes back, although no register says so. */
    bool apic_returns;
    uint8_t hypercall_insn[3];              /* VMMCALL or VMCALL */
    /* The other vendor's, which programs may use too: 3 bytes that raise an intercepted #UD here
     * and are a hypercall all the same. NULL: #UD isn't intercepted. */
    const uint8_t *foreign_hypercall;
    /* INIT and SIPI that a guest sends by its APIC can't be seen at their target: its APIC
     * page is read-only and the x2APIC ICR exits. False: EXIT_INIT, EXIT_SIPI tell, unless
     * the option trap-icr is given: ask ipi_traps_icr(). After probe. */
    bool (*traps_icr)(void);

    /* NULL if this CPU can be used, else the name of what is missing. */
    const char *(*probe)(void);
    /* Boot CPU, once: bitmaps and shared structures from the policy tables.
     * `nested_root`: the OS's nested tables. 0 or -1 (out of memory). */
    int (*init)(hpa_t nested_root);
    /* Each CPU once: turn virtualization on, build its control structures. */
    int (*cpu_init)(struct vcpu *v);
    /* Before the guest runs on this CPU: undo what cpu_init, if it was called, has changed of the
     * CPU (CR0 and CR4 are the caller's), whether it succeeded or not. */
    void (*cpu_off)(struct vcpu *v);
    /* After a cpu_init that succeeded: turn virtualization on if it is off, with the core's
     * descriptor tables, TR and LDTR as they are now. False: it can't be turned on. */
    bool (*cpu_on)(struct vcpu *v);
    /* The OS's nested tables on this CPU, from its next entry on. Not while in a sandbox. */
    void (*set_root)(struct vcpu *v, hpa_t nested_root);
    /* What this CPU remembers of the OS's nested tables is forgotten before the OS runs again,
     * however often sandboxes run before. */
    void (*flush_nested)(struct vcpu *v);
    /* The largest leaf of the nested tables: 2 (2M) or 3 (1G). NULL: 3. After probe. */
    unsigned (*max_leaf_level)(void);
    /* Leaves above 4K must not be executable on this CPU (CVE-2018-12207). NULL: they may. */
    bool (*split_exec)(void);
    /* A translation that is used must not become larger or smaller on this CPU (AMD's erratum 383).
     * NULL: it may. */
    bool (*keeps_sizes)(void);
    /* Boot CPU, before cpu_init: nested leaves may be executable in ring 3 alone. False: this CPU
     * can't. NULL: the back end can't. */
    bool (*user_exec)(void);
    /* Load a complete state (boot, INIT). */
    void (*set_state)(struct vcpu *v, const struct vcpu_state *s);
    /* Enter the guest with v->regs; on an exit decode it and return. */
    void (*run)(struct vcpu *v, struct exit *e);

    void (*get_paging)(struct vcpu *v, struct guest_paging *p);
    /* CR0, CR3 or CR4 as the guest reads it. */
    uint64_t (*get_cr)(struct vcpu *v, unsigned cr);
    /* CR4 alone, where that is cheaper than get_paging. NULL: it isn't. */
    uint64_t (*get_cr4)(struct vcpu *v);
    void (*get_segment)(struct vcpu *v, enum segment_index i, struct segment *s);
    /* LDTR or TR, checked. */
    void (*set_segment)(struct vcpu *v, enum segment_index i, const struct segment *s);
    void (*get_table)(struct vcpu *v, enum table_register which, uint64_t *base, uint32_t *limit);
    void (*set_table)(struct vcpu *v, enum table_register which, uint64_t base, uint32_t limit);
    /* Queue an event for the next entry. An event that was being delivered when the
     * exit happened is queued by `run` itself and is replaced only by a double-fault
     * rule inside. False if one is queued already (the caller keeps its event). */
    bool (*inject)(struct vcpu *v, const struct event *ev);
    bool (*event_queued)(struct vcpu *v);
    /* True if the guest could take an NMI now (not blocked, nothing queued). */
    bool (*nmi_ready)(struct vcpu *v);
    /* Ask for EXIT_NMI_WINDOW when it can. */
    void (*want_nmi_window)(struct vcpu *v);
    /* After RIP was moved by software: ends STI/MOV-SS shadows. */
    void (*clear_shadow)(struct vcpu *v);
    /* The same where the instruction will run again: interrupts come first. */
    void (*end_shadow)(struct vcpu *v);
    void (*set_cr2)(struct vcpu *v, uint64_t cr2);
    /* MSRs whose value lives in VMCB or VMCS (MSR_GUEST_STATE, EFER). False: this one does not. */
    bool (*state_msr_read)(struct vcpu *v, uint32_t msr, uint64_t *value);
    bool (*state_msr_write)(struct vcpu *v, uint32_t msr, uint64_t value);
    /* Load CR0 or CR4 (`cr` is 0 or 4) with a value that was checked. False: the PAE
     * page-directory pointers that this would load have reserved bits, which is #GP; nothing has
     * changed. */
    bool (*set_cr)(struct vcpu *v, unsigned cr, uint64_t value);
    /* The CPU has refused the OS's state: mend whatever breaks a rule of the manual. Returns the
     * first rule that was broken; NULL if we know of none, and then nothing has changed. */
    const char *(*legalise)(struct vcpu *v);

    /* CR3, checked. False: as set_cr. */
    bool (*set_cr3)(struct vcpu *v, uint64_t value);
    /* For task switches that exit (guest/task.c); NULL, all: the CPU carries them out itself. */
    /* The rest of a new task's state, and CR0.TS. */
    void (*load_task)(struct vcpu *v, const struct task_state *t);
    /* The event that led to the task switch is delivered. */
    void (*event_done)(struct vcpu *v);

    /* Switch v to the sandbox / back to the OS. Registers, FPU and XCR0 are the
     * caller's business (hypapp/sandbox.c). */
    void (*sandbox_enter)(struct vcpu *v, const struct sandbox *sb);
    void (*sandbox_leave)(struct vcpu *v);
    /* A tag is retired: forget all translations that this CPU has cached for it. */
    void (*sandbox_forget)(struct vcpu *v, uint64_t tag);
    /* Let interrupts that are pending be taken by the core, whose handlers do nothing. */
    void (*take_interrupts)(struct vcpu *v);
    /* Between smi_open and smi_close SMIs are taken where the core is: firmware that traps a port,
     * or watches a register that is written, acts at that access. NMIs are taken too, and counted
     * in nmis_seen. Both NULL: SMIs are never held back. */
    void (*smi_open)(void);
    void (*smi_close)(void);
    /* All is wiped: from now on an INIT may reset this CPU again. NULL: it always could. */
    void (*let_init)(void);
    /* This CPU waits for a SIPI. With traps_icr: sleep until an NMI, which may be a kick. Without:
     * make the next entry wait in the hardware, with v->waiting set until the SIPI exits. */
    void (*park)(struct vcpu *v);
};

/* Ask both back ends whether they can use this CPU, and set `virt`. Boot CPU, once, with an IDT: a
 * capability MSR that isn't there costs nothing then. False: neither can; a log line names what
 * each lacks, and `virt` stays NULL. */
bool virt_choose(void);

extern const struct virt_ops *virt;      /* set once, before any CPU enters a guest */
extern const struct virt_ops svm_ops, vmx_ops;

#endif
