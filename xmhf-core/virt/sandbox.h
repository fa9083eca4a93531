/* SPDX-License-Identifier: MIT */
/* What a sandbox is, and the one state that every sandbox starts with, whichever the vendor. */
#ifndef XMHF_VIRT_SANDBOX_H
#define XMHF_VIRT_SANDBOX_H

#include <virt/state.h>

enum sandbox_mode {
    SANDBOX_16,          /* compatibility mode: 16-bit code, with segments of its own */
    SANDBOX_32,          /* compatibility mode: 32-bit code */
    SANDBOX_64,          /* 64-bit code */
    SANDBOX_MODES
};

/* An isolated ring-3 context that runs instead of the OS on this CPU. */
struct sandbox {
    hpa_t nested_root;   /* built with virt_ops->nested */
    gpa_t cr3;           /* its 4-level page tables, in its own guest-physical space */
    enum sandbox_mode mode;
    uint64_t tag;        /* unique, never reused: for ASID/VPID allocation */
    const struct segment *segments; /* SANDBOX_16: SANDBOX_OWN_SEGMENTS of this entry, for ring 3
                            and accessed, with LDTR; else NULL */
};

/*
 * All of its state but address space, general registers, FPU and CR4.OSXSAVE, which is as the core
 * has it. Constant: nothing comes from the OS. Back ends add what their CPU insists on (EFER.SVME,
 * CR0 and CR4 bits that VMX fixes; those a sandbox doesn't see).
 */
extern const struct vcpu_state sandbox_template[SANDBOX_MODES];

/* The segments that code in a sandbox can change, by null selectors, which need no table; they are
 * the template's again at each entry. The same in all modes, with one selector for all. */
#define SANDBOX_LOADABLE { SEG_ES, SEG_DS, SEG_FS, SEG_GS }
#define SANDBOX_DATA_SELECTOR 0x2b

/* Code in SANDBOX_16 can load what its LDT has, which the CPU never writes: it lies in a supervisor
 * page that is read-only, and all its descriptors are marked accessed. The hypapp keeps what is
 * loaded (hyp_get_segment) and says it again at the next entry. ES to GS, and LDTR. */
#define SANDBOX_OWN_SEGMENTS (SEG_LDTR + 1)

#endif
