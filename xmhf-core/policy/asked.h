/* SPDX-License-Identifier: MIT */
/*
 * What the hypapp asked to see beyond what the core intercepts itself: MSRs, control registers,
 * descriptor-table registers, ports (memory is rows of policy/regions.h). Filled on the boot CPU
 * before virt_ops->init, which makes intercepts of it; constant afterwards.
 */
#ifndef XMHF_POLICY_ASKED_H
#define XMHF_POLICY_ASKED_H

#include <policy/answer.h>
#include <xmhf/access.h>
#include <xmhf/types.h>

#define ASKED_MSRS_MAX  32 /* ranges */
#define ASKED_PORTS_MAX 32

/* Each gives 0; or -1, and nothing has changed: no room, no such register, or closed. hypapp/ask.h
 * has the contracts. */
int asked_add_msrs(uint32_t first, uint32_t last, unsigned access);
int asked_add_cr(unsigned cr, uint64_t bits);
int asked_add_tables(unsigned tables);
int asked_add_ports(uint16_t first, uint32_t count, hyp_io_fn *fn);
/* From now on nothing can be added. */
void asked_close(void);

/* Is there anything to ask the hypapp about this access (one of ACCESS_READ, ACCESS_WRITE)? */
bool asked_msr(uint32_t index, unsigned access);
/* The bits of CR0 or CR4 whose changes were asked for; of CR3 all or none. */
uint64_t asked_cr(unsigned cr);
/* A bit for each enum hyp_table that was asked for. */
unsigned asked_tables(void);
/* Who is to be asked about an access to the `size` ports from `port` on; NULL: nobody. */
hyp_io_fn *asked_port(uint16_t port, unsigned size);
/* Set the bit of each port that was asked for, in a bitmap of 64K bits. */
void asked_fill_ports(uint8_t *bitmap);

#endif
