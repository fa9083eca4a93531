/* SPDX-License-Identifier: MIT */
/*
 * From a multiboot1 or multiboot2 information structure to struct boot_info.
 * Pure and bounds-checked: libFuzzer feeds it. (Multiboot 0.6.96, section 3.3;
 * Multiboot2 2.0, section 3.6.)
 */
#ifndef XMHF_BOOT_MULTIBOOT_PARSE_H
#define XMHF_BOOT_MULTIBOOT_PARSE_H

#include <xmhf/boot_info.h>

#define MB1_BOOT_MAGIC 0x2badb002u
#define MB2_BOOT_MAGIC 0x36d76289u

/* Pointer to physical [addr, addr+len), or NULL. In the boot stage memory below 4 GiB
 * is identity mapped; the tests use an array. */
typedef const void *(*mb_mapper)(uint64_t addr, uint64_t len);

/*
 * Fill bi->mem (sanitized), module, cmdline (first word, the image's own name, is
 * dropped where the loader puts it there), screen as far as the loader tells, and rsdp (the
 * copy in multiboot2's tag 15 or 14, inside the information structure: keep that until the
 * core has read it; else 0).
 * The other fields stay as they are. 0, or -1 with `*why` (bi then holds rubbish, but for screen).
 */
int mb1_parse(mb_mapper map, uint64_t info, struct boot_info *bi, const char **why);
int mb2_parse(mb_mapper map, uint64_t info, struct boot_info *bi, const char **why);

/* The reason of both for a machine that UEFI firmware started. */
extern const char mb_uefi[];

/*
 * Fill bi->screen where the loader told nothing about it: by what the BIOS keeps in its data
 * area, if there is a BIOS. For after mb1_parse or mb2_parse, whether they failed or not.
 */
void boot_find_screen(mb_mapper map, struct boot_info *bi);

/* Bytes of tables that code in all of RAM may need, where only pages of 4 KiB are executable: RAM/512, at most
 * 256 MiB. To be added to core_mem below. */
uint64_t boot_tables(const struct boot_info *bi);

/*
 * Choose the protected range: core_mem + palmem bytes, or with palmem 0 the larger of
 * RAM/64 (clamped to 2..64 MiB) and core_mem + half of that or 2 MiB, rounded up to 2 MiB; the highest
 * place below 4 GiB that is usable and touches no module and none of `avoid` (boot
 * stage, multiboot info; at most 32). Sets bi->protected_base/size. 0, or -1 with `*why`.
 */
int boot_place(struct boot_info *bi, uint64_t core_mem, uint64_t palmem,
               const struct boot_mem *avoid, unsigned avoid_count, const char **why);

#endif
