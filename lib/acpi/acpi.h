/* SPDX-License-Identifier: MIT */
/*
 * The few ACPI tables the core needs: RSDP, RSDT/XSDT, MADT, FADT, and of DSDT and SSDTs
 * the sleep states (ACPI 6.5, chapter 5). All input is hostile: every length is checked, nothing is trusted.
 */
#ifndef XMHF_ACPI_H
#define XMHF_ACPI_H

#include <acpi/sleep.h>
#include <xmhf/types.h>

/* Maps [addr, addr+len) of physical memory for reading, or NULL if it can't. A pointer
 * is valid until the next call at least for tables up to 64 KiB each (they stay mapped). */
typedef const void *(*acpi_mapper)(uint64_t addr, size_t len);

#define ACPI_CPU_MAX 256

struct acpi_cpu { uint32_t apic_id; bool enabled; };

struct acpi_info {
    uint64_t lapic_base;              /* 0xfee00000 if the MADT is silent */
    unsigned cpu_count;               /* entries in cpu[], enabled or not */
    bool cpus_truncated;              /* more than ACPI_CPU_MAX were listed */
    struct acpi_cpu cpu[ACPI_CPU_MAX];/* no duplicates of one APIC id */
    bool has_fadt;
    uint16_t pm1a_cnt, pm1b_cnt;      /* I/O ports, 0 if absent */
    uint16_t pm1a_evt, pm1b_evt;      /* status register; I/O ports, 0 if absent */
    struct acpi_sleep sleep;          /* what SLP_TYP means */
    uint64_t facs[2];                 /* where the FADT says the FACS is, 32- and 64-bit field; 0:
                                         absent, or the same */
    bool has_reset_reg;
    uint8_t reset_space;              /* address space id: 0 memory, 1 I/O, 2 PCI config */
    uint64_t reset_addr;
    uint8_t reset_value;
};

/* Find the RSDP in the EBDA's first KiB or 0xE0000-0xFFFFF (ACPI 6.5, 5.2.5.1).
 * 0 if there is none with a right checksum. */
uint64_t acpi_find_rsdp(acpi_mapper map);

/* Read everything above. 0, or -1 with `*why` set (a constant string). A missing FADT
 * is no error; a damaged one, and a missing or damaged MADT, are. */
int acpi_read(acpi_mapper map, uint64_t rsdp, struct acpi_info *out, const char **why);

#endif
