/* SPDX-License-Identifier: MIT */
/*
 * Decoding the local APIC's interrupt command register (SDM vol. 3, 11.6.1 and
 * 11.12.9; APM vol. 2, 16.5), xAPIC and x2APIC form.
 */
#ifndef XMHF_GUEST_ICR_H
#define XMHF_GUEST_ICR_H

#include <xmhf/types.h>

enum icr_delivery {
    ICR_FIXED = 0, ICR_LOWEST = 1, ICR_SMI = 2, ICR_RESERVED3 = 3,
    ICR_NMI = 4, ICR_INIT = 5, ICR_SIPI = 6, ICR_EXTINT = 7,
};

enum icr_shorthand { ICR_DEST = 0, ICR_SELF = 1, ICR_ALL = 2, ICR_OTHERS = 3 };

struct icr {
    uint8_t vector;
    enum icr_delivery delivery;
    enum icr_shorthand shorthand;
    bool logical;       /* destination mode */
    bool deassert;      /* INIT level de-assert: no INIT at all on current CPUs */
    uint32_t dest;      /* 8 bits (xAPIC) or 32 bits (x2APIC) */
};

/* `low` is register 0x300, `high` register 0x310 (destination in bits 31:24). */
struct icr icr_decode_xapic(uint32_t low, uint32_t high);
/* `value` is MSR 0x830. */
struct icr icr_decode_x2apic(uint64_t value);

/*
 * The guest's `entry` for the local vector table (SDM vol. 3, 11.5.1) as it may be written: masked
 * if its delivery mode is INIT, or one that means nothing, since what a pin, a sensor or a counter
 * sends then reaches its CPU unseen.
 */
uint32_t icr_lvt_without_init(uint32_t entry);

/* One possible target, as its own APIC tells. */
struct icr_target {
    uint32_t apic_id;   /* 8 bits in xAPIC mode */
    uint32_t ldr;       /* register 0xD0 (xAPIC: bits 31:24 are the logical id) */
    uint32_t dfr;       /* register 0xE0, xAPIC only: 0xFFFFFFFF flat, 0x0FFFFFFF cluster */
};

/*
 * Does `icr`, sent by the CPU with APIC id `sender_id`, address `t`? Handles all
 * four shorthands, physical and logical (flat and cluster; x2APIC cluster)
 * destinations and both broadcast ids. `x2apic`: both are in x2APIC mode.
 */
bool icr_matches(const struct icr *icr, uint32_t sender_id, const struct icr_target *t,
                 bool x2apic);

#endif
