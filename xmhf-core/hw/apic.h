/* SPDX-License-Identifier: MIT */
/* The local APIC of the CPU we run on, in whatever mode the guest has put it. */
#ifndef XMHF_HW_APIC_H
#define XMHF_HW_APIC_H

#include <xmhf/types.h>

#define APIC_ID    0x020
#define APIC_TPR   0x080
#define APIC_EOI   0x0b0
#define APIC_LDR   0x0d0
#define APIC_DFR   0x0e0
#define APIC_SVR   0x0f0
#define APIC_ISR   0x100
#define APIC_IRR   0x200
#define APIC_ICR   0x300
#define APIC_ICR2  0x310
#define APIC_TIMER 0x320
#define APIC_LINT0 0x350
#define APIC_LINT1 0x360
#define APIC_CMCI  0x2f0
#define APIC_LVT_ERROR 0x370
#define APIC_EXT_LVT 0x500
#define APIC_INITIAL_COUNT 0x380

#define ICR_DELIVERY_BITS 0x700u /* 0: fixed */

#define APIC_PAGE 0xfee00000ULL
#define MSI_SIZE  0x100000ULL /* from there on: where interrupt messages go (SDM vol. 3, 11.11.1) */

/* `page`: where APIC_PAGE is mapped, uncached. Boot CPU, once, before all others. */
void apic_init(volatile void *page);
/* That page. */
extern volatile uint8_t *apic_page;
bool apic_is_x2apic(void);
uint32_t apic_id(void);
/* `reg`: xAPIC offset; in x2APIC mode the MSR of that register. One that the APIC lacks reads
 * as 0 and takes no write. */
uint32_t apic_read(unsigned reg);
void apic_write(unsigned reg, uint32_t value);

/* Send to the CPU with this APIC id. The guest's half-written ICR is kept. Waits, bounded,
 * for the delivery in xAPIC mode. */
void apic_send_nmi(uint32_t dest);
void apic_send_nmi_others(void); /* to all but ourselves, whatever their ids */
void apic_send_init(uint32_t dest);
void apic_send_sipi(uint32_t dest, uint8_t vector);

/*
 * What an INIT does to the APIC (SDM vol. 3, 11.4.7.1), but for the id. Interrupts that it
 * still holds are taken and ended: `take` opens interrupts for a moment (notes/bugs/stale-irr.md).
 */
void apic_soft_reset(void (*take)(void *arg), void *arg);

#endif
