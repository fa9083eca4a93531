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
 * Fill bi->mem (sanitized; under UEFI what is usable after boot services), module, cmdline (first
 * word, the image's own name, is dropped where the loader puts it there), screen and firmware as
 * far as the loader tells, start, log (there is none), and rsdp (the copy in multiboot2's tag 15 or
 * 14, inside the information structure: keep that until the core has read it; else 0). By
 * multiboot2 alone efi and framebuffer; efi.map is in the information structure, too.
 * What only a front end can choose is 0. The other fields stay as they are. 0, or -1 with `*why`
 * (bi then holds rubbish, but for screen and firmware).
 */
int mb1_parse(mb_mapper map, uint64_t info, struct boot_info *bi, const char **why);
int mb2_parse(mb_mapper map, uint64_t info, struct boot_info *bi, const char **why);

/*
 * Fill bi->firmware where the loader told nothing about it: is there a BIOS? And bi->screen: by
 * what the BIOS keeps in its data area. For after mb1_parse or mb2_parse, whether they failed or
 * not.
 */
void mb_look_for_bios(mb_mapper map, struct boot_info *bi);

#endif
