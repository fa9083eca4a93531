/* SPDX-License-Identifier: MIT */
/* A UEFI firmware made of data, for unit tests of boot/uefi/: what it has, what it was asked. */
#ifndef XMHF_TESTS_EFI_FIRMWARE_H
#define XMHF_TESTS_EFI_FIRMWARE_H

#include <boot/uefi/efi.h>

#define FW_VOLUMES   3
#define FW_VARIABLES 16
#define FW_PROGRAMS  12
#define FW_FILES     4
#define FW_PAGES     16

struct fw_variable {
    const uint16_t *name;
    uint8_t data[600];
    size_t size;
    bool locked, forgets; /* SetVariable fails, or seems to work */
};

/* Something that LoadImage finds: by the volume (0..2; -1: not on a volume) and the path there. */
struct fw_program {
    int volume;
    const uint16_t *file;
    EFI_STATUS load, start;
    EFI_STATUS (*runs)(void); /* instead of `start`, if set */
    unsigned loaded, started, unloaded;
    uint8_t options[200];     /* what it saw when it was started */
    size_t options_size;
};

struct fw_file {
    const uint16_t *path;     /* on our volume */
    const char *text;
    size_t size;
    EFI_STATUS read;
};

struct fw_page { uint64_t base, pages; uint32_t type; void *real; };

struct firmware {
    EFI_SYSTEM_TABLE system;
    EFI_BOOT_SERVICES boot;
    EFI_RUNTIME_SERVICES runtime;
    struct fw_variable variable[FW_VARIABLES];
    struct fw_program program[FW_PROGRAMS];
    struct fw_file file[FW_FILES];
    const void *own_path;          /* our file, as the loaded image tells it */
    EFI_LOADED_IMAGE loaded;       /* ourselves */
    bool shell;                    /* started by a shell */
    bool shim;                     /* LoadImage is shim's: unsupported with a boot policy */
    char console[8192];            /* all that was written */
    size_t console_size;
    unsigned watchdog, connects;   /* seconds; how often something was connected */
    const void *map;               /* EFI_MEMORY_DESCRIPTORs */
    size_t map_size, descriptor;
    struct fw_page page[FW_PAGES]; /* allocated and not given back */
    unsigned page_count, refusals; /* so many AllocatePages by address fail */
    unsigned pools;                /* allocated and not freed */
    struct { const EFI_GUID *guid; void *protocol; } other[4]; /* of no handle in particular */
};

extern struct firmware fw;

/* Forget everything; three volumes, of which we came from the first, as \EFI\xmhf\xmhf.efi. */
void fw_reset(void);
/* `u` as this program would have it. */
void fw_init(struct uefi *u);

struct fw_variable *fw_set_variable(const uint16_t *name, const void *data, size_t size);
struct fw_program *fw_add_program(int volume, const uint16_t *file, EFI_STATUS load,
                                  EFI_STATUS start);
void fw_add_file(const uint16_t *path, const char *text);
/* Was this said on the console? */
bool fw_said(const char *text);
/* The device path of a volume, with its end node. */
const uint8_t *fw_volume_path(unsigned volume, size_t *size);

#endif
