/* SPDX-License-Identifier: MIT */
/* What a hypapp is asked about the guest's accesses, and what it may answer. Hypapps include it by
 * hypapp/ask.h. */
#ifndef XMHF_POLICY_ANSWER_H
#define XMHF_POLICY_ANSWER_H

#include <xmhf/types.h>

struct vcpu;

/* What becomes of an access that a hypapp was asked about. RIP is still at the instruction, and
 * whatever the CPU checks before such an exit has been checked. */
enum hyp_answer {
    HYP_CORE,      /* as if the hypapp weren't there, with the value as it is now */
    HYP_DONE,      /* the hypapp has carried it out; the core skips the instruction */
    HYP_AGAIN,     /* run the instruction again, interrupts first */
    HYP_REFUSE,    /* #GP(0) */
    HYP_SWITCHED,  /* an exception is queued, or RIP set: leave everything as it is */
};

/* An access to ports. Of INS and OUTS each element is one. */
struct hyp_io {
    uint16_t port;   /* the first of them */
    uint8_t size;    /* 1, 2 or 4 ports, that is bytes */
    bool in;
    uint32_t value;  /* OUT: what the guest writes. IN: 0; with HYP_DONE what the guest reads */
};
typedef enum hyp_answer hyp_io_fn(struct vcpu *v, struct hyp_io *io);

/* An access to a device's memory, 1, 2, 4 or 8 bytes that don't cross a page. */
struct hyp_mmio {
    gpa_t at;
    uint8_t size;
    bool write;
    uint64_t value;  /* a write's. Of a read: 0; with HYP_DONE what the guest reads */
};
typedef enum hyp_answer hyp_mmio_fn(struct vcpu *v, struct hyp_mmio *m);

/* Descriptor-table registers. */
enum hyp_table { HYP_GDT, HYP_IDT, HYP_LDT, HYP_TR };

#endif
