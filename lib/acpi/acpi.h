/* SPDX-License-Identifier: MIT */
/*
 * The few ACPI tables the core needs: RSDP, RSDT/XSDT, MADT, FADT, SRAT, HPET, TPM2, TCPA, and of
 * DSDT and SSDTs the sleep states (ACPI 6.5, chapter 5). All input is hostile: every length is
 * checked, nothing is trusted.
 */
#ifndef XMHF_ACPI_H
#define XMHF_ACPI_H

#include <acpi/sleep.h>
#include <xmhf/boot_info.h>

/* Maps [addr, addr+len) of physical memory for reading, or NULL if it can't. A pointer is valid
 * until the next call. The tables may lie anywhere: real firmware has them in memory that its map
 * calls ACPI, NVS or reserved, or doesn't mention. */
typedef const void *(*acpi_mapper)(uint64_t addr, size_t len);

#define ACPI_CPU_MAX 256

struct acpi_cpu { uint32_t apic_id; bool enabled; };

/* X(name, text): what is wrong with a table, and taken all the same, as Linux does. */
#define ACPI_WARNINGS(X) \
    X(RSDP_SUM, "the root pointer's extended checksum is wrong") \
    X(ROOT_SUM, "the root table's checksum is wrong") \
    X(MADT_SUM, "the MADT's checksum is wrong") \
    X(MADT_TAIL, "there are stray bytes behind the MADT's last entry") \
    X(FADT_SUM, "the FADT's checksum is wrong") \
    X(SRAT_CUT, "the SRAT isn't understood to its end, and lists perhaps more RAM to be plugged in")

#define X(name, text) ACPI_WARN_##name,
enum acpi_warning { ACPI_WARNINGS(X) ACPI_WARNING_COUNT };
#undef X

#define ACPI_HOTPLUG_MAX 16

struct acpi_range { uint64_t start, end; }; /* [start, end) */

struct acpi_info {
    uint64_t lapic_base;              /* 0xfee00000 if the MADT is silent */
    uint32_t warnings;                /* bit n: enum acpi_warning */
    unsigned cpu_count;               /* entries in cpu[], enabled or not; ACPI_CPU_MAX: or more */
    struct acpi_cpu cpu[ACPI_CPU_MAX];/* no APIC id twice; enabled ones rather than others */
    bool has_fadt;
    uint16_t pm1a_cnt, pm1b_cnt;      /* I/O ports, 0 if absent */
    uint16_t pm1a_evt, pm1b_evt;      /* status register; I/O ports, 0 if absent */
    uint16_t pm_timer;                /* I/O port, 0 if absent */
    uint64_t hpet;                    /* registers in memory, 0 if absent */
    struct boot_event_log log;        /* by TPM2, or TCPA: a BIOS has no other way to tell */
    struct acpi_sleep sleep;          /* what SLP_TYP means */
    uint64_t facs[2];                 /* where the FADT says the FACS is, 32- and 64-bit field; 0:
                                         absent, or the same */
    /* where RAM may be plugged in, and nothing else is: what the SRAT says is enabled and
     * hot-pluggable */
    unsigned hotplug_count;
    struct acpi_range hotplug[ACPI_HOTPLUG_MAX];
    bool has_reset_reg;
    uint8_t reset_space;              /* address space id: 0 memory, 1 I/O, 2 PCI config */
    uint64_t reset_addr;
    uint8_t reset_value;
};

/* Find the RSDP in the EBDA's first KiB or 0xE0000-0xFFFFF (ACPI 6.5, 5.2.5.1).
 * 0 if there is none with a right checksum; one whose extended checksum is right goes first. */
uint64_t acpi_find_rsdp(acpi_mapper map);

/* Read everything above. 0, or -1 with `*why` set (a constant string). A missing FADT
 * is no error; one that can't be read, and a MADT that isn't there or can't be read to its end,
 * are. */
int acpi_read(acpi_mapper map, uint64_t rsdp, struct acpi_info *out, const char **why);

/* A warning's text, for `w` below ACPI_WARNING_COUNT. */
const char *acpi_warning_text(enum acpi_warning w);

#endif
