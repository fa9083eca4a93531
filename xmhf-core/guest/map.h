/* SPDX-License-Identifier: MIT */
/* The guest's physical addresses: which are RAM, which are kept from it, and which don't exist. */
#ifndef XMHF_GUEST_MAP_H
#define XMHF_GUEST_MAP_H

#include <acpi/acpi.h>
#include <guest/walk.h>
#include <xmhf/boot_info.h>

/* Boot CPU: the width of addresses, and the firmware's map less what is ours. 0, or -1 with a log
 * line: the launch is refused. */
int guest_map_init(const struct boot_info *bi);

/* Boot CPU, then: what is RAM, and where it may be plugged in; from now on guest_phys_ops find
 * it. */
void guest_map_add_ram(const struct acpi_info *acpi);

/* The guest's RAM for the core (guest/walk.h). */
extern struct guest_phys_ops guest_phys_ops;

/* The guest's E820, without the protected range. */
extern struct boot_mem guest_map[BOOT_MEM_MAX];
extern unsigned guest_map_count;

/* From now on `rights` says what the guest may do with each page of its RAM: see guest/walk.h. Any
 * CPU; others obey from their next exit on. */
void guest_map_judge(unsigned (*rights)(gpa_t));

/* The i-th piece of the guest's RAM that is there at boot, once it is added: whole pages, in no
 * order. False: there are no more. */
bool guest_map_ram(unsigned i, uint64_t *start, uint64_t *end);

uint64_t guest_map_limit(void);     /* the first address that is too wide for the guest */
uint64_t guest_map_ram_end(void);   /* of RAM that is there at boot */
uint64_t guest_map_ram_bytes(void); /* of the same, once it is added */

/* True if `g` is wider than the guest's addresses (cpu/width.h): nothing is mapped there, ever. */
bool guest_phys_beyond(gpa_t g);

/* True if `g` lies in the protected range, or in the low page. */
bool guest_phys_protected(gpa_t g);

#endif
