/* SPDX-License-Identifier: MIT */
/*
 * What the front end for UEFI knows of the firmware: gnu-efi's headers, and what version 3.0.15 of
 * them doesn't have.
 */
#ifndef XMHF_BOOT_UEFI_EFI_H
#define XMHF_BOOT_UEFI_EFI_H

#include <efi.h>

#include <xmhf/types.h>

/* UEFI 2.10, 3.1.3: of a boot entry. */
#define EFI_OPTION_ACTIVE   0x00000001u
#define EFI_OPTION_CATEGORY 0x00001f00u /* 0: it boots something; 100h: an application */

/* What this program was given, and what is asked all the time. */
struct uefi {
    EFI_HANDLE image;
    EFI_SYSTEM_TABLE *system;
    EFI_BOOT_SERVICES *boot;
    EFI_LOADED_IMAGE *loaded; /* ourselves */
    EFI_FILE_IO_INTERFACE *files; /* of the volume that we came from, or NULL */
};

/* Fill `u`. False: the firmware doesn't tell what was loaded. */
bool uefi_init(struct uefi *u, EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* The protocol `guid` of `handle`, or NULL. */
void *uefi_protocol(const struct uefi *u, EFI_HANDLE handle, const EFI_GUID *guid);

/*
 * The variable `name` (UEFI 2.10, 8.2) of `vendor`, NULL: one of UEFI's own, into `buf`, which has
 * room for `*size` bytes; `*size` becomes what it has. False: there is none, or it is larger.
 */
bool uefi_variable(const struct uefi *u, const CHAR16 *name, const EFI_GUID *vendor, void *buf,
                   size_t *size);

/* Is Secure Boot enforced (UEFI 2.10, 3.3: SecureBoot is 1)? */
bool uefi_secure_boot(const struct uefi *u);

/* A line on the firmware's console, "[xmhf] " before it: at most 400 characters, the rest is
 * lost. */
void uefi_say(const struct uefi *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What a status means, for a sentence about a program that doesn't start. */
const char *uefi_status_text(EFI_STATUS status);

#endif
