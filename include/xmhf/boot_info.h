/* SPDX-License-Identifier: MIT */
/*
 * What a boot front end (multiboot, UEFI) tells the core.
 *
 * Every front end fills one struct boot_info; the core never sees a multiboot or
 * EFI header. All addresses are host-physical, all sizes in bytes. The core treats
 * firmware-made content (the memory map, the RSDP) as untrusted input.
 */
#ifndef XMHF_BOOT_INFO_H
#define XMHF_BOOT_INFO_H

#include <xmhf/types.h>

#define BOOT_INFO_MAGIC     0x584d4846424f4f54ULL /* "XMHFBOOT" */
#define BOOT_INFO_VERSION   4
#define BOOT_MEM_MAX        512
#define BOOT_MODULE_MAX     8
#define BOOT_CMDLINE_MAX    2048
#define BOOT_OTHER_CPUS_MAX 64
#define BOOT_REFUSAL_MAX    256

/* Memory types, numbered as INT 15h E820 does (ACPI 6.5, table 15.4), but for the last. */
enum boot_mem_type {
    BOOT_MEM_USABLE = 1,
    BOOT_MEM_RESERVED = 2,
    BOOT_MEM_ACPI = 3,
    BOOT_MEM_NVS = 4,
    BOOT_MEM_BAD = 5,
    /* RAM that firmware keeps (runtime services, what it calls reserved and write-back), where the
     * guest may run code and have page tables, so that the core must be able to read it. To the
     * guest it is reserved. Not ACPI's tables, nor its NVS, which keep their types. */
    BOOT_MEM_FIRMWARE_RAM = 0x1000,
};

struct boot_mem {
    uint64_t start;
    uint64_t size;   /* > 0; start + size doesn't wrap */
    uint32_t type;   /* enum boot_mem_type, or what the firmware said */
    uint32_t reserved;
};

struct boot_module {
    uint64_t start;
    uint64_t size;
    char cmdline[BOOT_CMDLINE_MAX]; /* NUL-terminated; without the file name */
};

/* What is on the screen. Only text cells (a character, an attribute) can be written to. */
enum boot_screen_kind { BOOT_SCREEN_UNKNOWN, BOOT_SCREEN_TEXT, BOOT_SCREEN_NONE };

struct boot_screen {
    uint64_t base;    /* of the cell at the top left */
    uint32_t kind;    /* enum boot_screen_kind; the rest is for TEXT only */
    uint16_t columns; /* 40..132 */
    uint16_t rows;    /* 25..60 */
};

/* What started the machine. A BIOS serves the guest too, and only with one is there a screen of
 * text. */
enum boot_firmware { BOOT_FIRMWARE_UNKNOWN, BOOT_FIRMWARE_BIOS, BOOT_FIRMWARE_UEFI };

/* How the guest begins (guest/boot.c has a row for each of the first three). */
enum boot_start {
    BOOT_START_BY_IMAGE, /* module[0] is a kernel whose header says which of the others it wants */
    BOOT_START_LINUX32,  /* Linux' 32-bit protocol: protected mode, boot_params */
    BOOT_START_LINUX16,  /* Linux' 16-bit protocol: real mode, asks the BIOS */
    BOOT_START_LIVE,     /* the CPUs go on where they are: xmhf/live.h, xmhf/core_image.h */
};

/*
 * UEFI firmware whose boot services are over, as its guest must be told of it. The map is what
 * GetMemoryMap said last (util/efi_map.h): it lies in usable memory, and the core copies it.
 */
struct boot_efi {
    uint64_t system_table;
    uint64_t map;
    uint32_t map_size;
    uint32_t descriptor_size;
    uint32_t descriptor_version;
    uint32_t bits;               /* of the firmware, 32 or 64; 0: there is none, the rest is 0 */
};

/* A picture of true colours on the screen, which the guest goes on with; under UEFI only. */
struct boot_framebuffer {
    uint64_t base;               /* 0: there is none, or nobody knows */
    uint32_t pitch;              /* bytes of a line, at most 65,535 */
    uint16_t width, height;
    uint8_t depth;               /* bits of a pixel */
    struct { uint8_t at, bits; } red, green, blue;
    uint8_t reserved;
};

/*
 * The log of what firmware has measured into the TPM (TCG PC Client Platform Firmware Profile
 * 1.05, 10): by SHA-1 alone (10.2.1), or by a digest for each bank (10.2.2). Multiboot tells of
 * none; under a BIOS with a TPM the core finds it by the ACPI tables, as an OS does. Under UEFI,
 * events after the log was first asked for are in the final events' table as well (TCG EFI Protocol
 * 1.0, 7). Nothing reads the events yet.
 */
enum boot_log_format { BOOT_LOG_NONE, BOOT_LOG_SHA1, BOOT_LOG_AGILE };

struct boot_event_log {
    uint64_t base;       /* of the first event */
    uint64_t size;       /* of events, or with room behind them; firmware's word */
    uint64_t final_base; /* of the final events' table; 0: there is none */
    uint32_t format;     /* enum boot_log_format; NONE: the rest is 0 */
    uint32_t truncated;  /* not 0: the firmware had no room for all events */
};

struct boot_info {
    uint64_t magic;
    uint32_t version;
    uint32_t size;               /* sizeof(struct boot_info) */

    uint64_t tsc_start;          /* TSC near our first instruction */

    /* The protected range: core image, its memory, then the page pool. */
    uint64_t protected_base;     /* 2 MiB aligned */
    uint64_t protected_size;     /* a multiple of 4 KiB, at least 2 MiB */
    uint64_t core_image_size;    /* bytes at protected_base taken by the image, .bss included */

    uint64_t rsdp;               /* 0 if not found */
    struct boot_screen screen;
    struct boot_event_log log;
    uint32_t firmware;           /* enum boot_firmware */
    uint32_t start;              /* enum boot_start */
    struct boot_efi efi;         /* not with BOOT_START_LIVE: that guest has the firmware itself */
    struct boot_framebuffer framebuffer;

    /* Pages that the front end has taken from the firmware for good; 0: the core looks for one that
     * is usable. The low page is below 640 KiB (smp/low_page.h); a crash record goes to each of the
     * others, which should be the same in each boot (debug/crash.h). */
    uint64_t low_page;
    uint64_t crash_place[2];

    /* BOOT_START_LIVE: the CPUs besides the boot CPU that the front end will have call core_take.
     * 0, and the MADT has more: nobody can make them call it, so the core starts them itself. */
    uint32_t cpu_count;
    uint32_t cpu_apic_id[BOOT_OTHER_CPUS_MAX];
    /* and the core's answer where it doesn't start: a sentence, NUL-terminated */
    char refusal[BOOT_REFUSAL_MAX];

    /* Sorted by start, no overlaps, the firmware's view: the protected range is
     * still inside a usable entry here. */
    uint32_t mem_count;
    uint32_t module_count;
    struct boot_mem mem[BOOT_MEM_MAX];

    struct boot_module module[BOOT_MODULE_MAX]; /* [0] guest kernel, [1] initrd */
    char cmdline[BOOT_CMDLINE_MAX];             /* the hypervisor's own options */
};

_Static_assert(sizeof(struct boot_mem) == 24, "struct boot_mem crosses a boundary");
_Static_assert(sizeof(struct boot_event_log) == 32, "so does struct boot_event_log");
_Static_assert(sizeof(struct boot_efi) == 32 && sizeof(struct boot_framebuffer) == 24, "and these");
_Static_assert(offsetof(struct boot_info, protected_base) == 24, "layout");

#endif
