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

/*
 * The firmware's code and data below 1 MiB, where a walk for `right` has ended in WALK_NOT_RAM: the
 * core reads there for the guest what the guest could read itself. A pointer, to read, that is
 * good to the page's end, or NULL: that isn't it, or the guest sees something else there (the low
 * page), or hasn't the right. Any CPU, no lock.
 */
void *guest_phys_firmware(const struct walk *w, unsigned right);

/* Pages that the tables of the guest's memory have taken out of the pool since boot. Never given
 * back; counted as free in XMHF_INFO_POOL_FREE (notes/bugs/split-tables-count.md). */
unsigned guest_phys_tables(void);

/*
 * Make the page at `g`, which is not RAM that the guest uses as such, read-only for the guest: its
 * writes exit as EXIT_NESTED_FAULT. Boot only, after guest_phys_init. 0, or -1 (out of pages,
 * protected, RAM).
 */
int guest_phys_write_protect(gpa_t g);

/*
 * Take rights of the page at `g` of a device away, which is not RAM: only `rights` are left, READ
 * and EXEC or none. The guest's other accesses exit as EXIT_NESTED_FAULT. Boot only, as above. 0,
 * or -1 (out of pages, protected, RAM, the APIC's page, wider than addresses are).
 */
int guest_phys_device_rights(gpa_t g, unsigned rights);

/*
 * The root of the nested tables for a CPU whose guest has turned its APIC off: all is as in the
 * others' tables, but that the APIC's page is memory, one page for all such CPUs. False: the tables
 * of the others. Any CPU, without guest_phys_lock; one's turn comes after 64 such copies at most.
 */
hpa_t guest_phys_root(bool apic_off);

/* --- for guest/rights.c: the tables after boot. Under the lock, where nothing else is said */

/* The rights that the guest has at `g`, which isn't kept from it. Any CPU; for the moment only
 * without the lock. */
unsigned guest_phys_rights(gpa_t g);
/* A try-lock, any CPU: false, another CPU has it, for up to 200,000 instructions. */
bool guest_phys_lock(void);
void guest_phys_unlock(void);

/* False: no leaf may be split or merged on this machine, so no right be taken. Any CPU. */
bool guest_phys_can_split(void);

/* Make the tables such that guest_phys_protect can't fail: [g, g+size) is RAM in one 2 MiB-aligned
 * piece. No right changes. 0, or -1 when out of pages. */
int guest_phys_split(gpa_t g, uint64_t size, unsigned rights);
/* Give it `rights`. The number of entries that changed; -1, and nothing has changed: the tables
 * aren't so (any more). */
int guest_phys_protect(gpa_t g, uint64_t size, unsigned rights);
/* If what lies below the entry of `level` (2 or 3) for `g` is all alike, make it one leaf again.
 * True: `page` of the pool was its table, and is to be freed once all CPUs have flushed. */
bool guest_phys_merge(gpa_t g, unsigned level, hpa_t *page);
/* After changes, and before other CPUs are asked to flush: the second tree follows. */
void guest_phys_changed(void);

#endif
