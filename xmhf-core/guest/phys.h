/* SPDX-License-Identifier: MIT */
/* The OS's nested tables: an identity map with memory types, less what is kept from the guest. */
#ifndef XMHF_GUEST_PHYS_H
#define XMHF_GUEST_PHYS_H

#include <guest/map.h>
#include <mm/nested.h>

/* Boot CPU: the guest's map (guest/map.h), and the identity-mapped nested tables with decoy and
 * read-only APIC page. 0, or -1 with a log line. */
int guest_phys_init(const struct boot_info *bi, const struct acpi_info *acpi);

extern struct nested_table guest_nested;

/* A page that the guest touched and that isn't mapped: device memory above what was mapped at
 * boot. True if it is mapped now. */
bool guest_phys_map_device(gpa_t g);

/* A fetch from a large leaf that isn't executable because of CVE-2018-12207: replace it by
 * executable 4 KiB pages. False: that isn't why. */
bool guest_phys_make_executable(gpa_t g);

/* Pages that the tables of the guest's memory have taken out of the pool since boot. Never given
 * back; counted as free in XMHF_INFO_POOL_FREE (notes/bugs/split-tables-count.md). */
unsigned guest_phys_tables(void);

/*
 * Make the page at `g`, which is not RAM that the guest uses as such, read-only for the guest: its writes
 * exit as EXIT_NESTED_FAULT. Boot only, after guest_phys_init. 0, or -1 (out of pages, protected, RAM).
 */
int guest_phys_write_protect(gpa_t g);

/*
 * The root of the nested tables for a CPU whose guest has turned its APIC off: all is as in the others' tables,
 * but that the APIC's page is memory, one page for all such CPUs. False: the tables of the others. Any CPU, no lock.
 */
hpa_t guest_phys_root(bool apic_off);

#endif
