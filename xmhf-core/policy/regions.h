/* SPDX-License-Identifier: MIT */
/*
 * What the guest reaches by addresses and the core answers: one table of memory and of ports, each
 * row with its handler. Filled on the boot CPU before the guest starts, constant afterwards; looked
 * up by any CPU without a lock.
 */
#ifndef XMHF_POLICY_REGIONS_H
#define XMHF_POLICY_REGIONS_H

#include <xmhf/access.h>
#include <xmhf/types.h>

struct vcpu;
struct exit;

enum region_space { REGION_MEMORY, REGION_PORTS, REGION_SPACES };

#define REGION_MAX 32 /* in each space */

struct region {
    uint64_t base, size;   /* guest-physical, whole pages; or ports */
    unsigned access;       /* which accesses are the handler's: ACCESS_READ, WRITE, EXEC */
    /* An EXIT_NESTED_FAULT or EXIT_IO. RIP is at the instruction: the handler carries it out and
     * skips it, or queues a fault. */
    void (*handle)(struct vcpu *v, const struct exit *e);
};

/*
 * Add `r` (copied). Of memory the one who adds takes the rights away in guest_nested; ports exit by
 * themselves if they are added before virt_ops->init. 0; -1 and nothing changed: the table is full
 * or closed, `r` is empty, leaves its space, isn't of whole pages, or shares a byte with a row of
 * another handler. A row that is there already is not added again.
 */
int region_add(enum region_space space, const struct region *r);

/* From now on nothing can be added. */
void regions_close(void);

/* The row of the lowest byte of [at, at+size) that is in any, for one of the kinds in `access`; or
 * NULL. `size` is 1 to 8. */
const struct region *region_find(enum region_space space, uint64_t at, unsigned size,
                                 unsigned access);

/* Set the bit of each port in the table, in a bitmap of 64K bits. */
void regions_fill_ports(uint8_t *bitmap);

#endif
