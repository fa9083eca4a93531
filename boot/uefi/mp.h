/* SPDX-License-Identifier: MIT */
/* The MP services protocol, which gnu-efi 3.0.15 doesn't have: Platform Initialization
 * Specification 1.7, volume 2, 13.4. */
#ifndef XMHF_BOOT_UEFI_MP_H
#define XMHF_BOOT_UEFI_MP_H

#include <boot/uefi/efi.h>

#define MP_SERVICES_GUID \
    { 0x3fdda605, 0xa76e, 0x4f46, { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 } }

/* status_flag below */
#define MP_IS_BSP  0x1u
#define MP_ENABLED 0x2u
#define MP_HEALTHY 0x4u

struct mp_info {
    UINT64 processor_id;   /* x86: the local APIC's ID */
    UINT32 status_flag;    /* MP_* */
    UINT32 location[3];    /* package, core, thread */
    UINT32 location2[6];   /* since PI 1.7, only where it is asked for */
};

typedef VOID (EFIAPI *mp_procedure)(VOID *argument);

struct mp_services {
    EFI_STATUS (EFIAPI *get_number)(struct mp_services *self, UINTN *all, UINTN *enabled);
    EFI_STATUS (EFIAPI *get_info)(struct mp_services *self, UINTN number, struct mp_info *info);
    /* `wait` NULL: returns when all have. `timeout` in microseconds; 0: none. `failed`: NULL, or
     * becomes a list of numbers that ends with ~0, from the pool. */
    EFI_STATUS (EFIAPI *start_all)(struct mp_services *self, mp_procedure procedure,
                                   BOOLEAN one_by_one, EFI_EVENT wait, UINTN timeout,
                                   VOID *argument, UINTN **failed);
    VOID *start_one, *switch_bsp, *enable, *who_am_i; /* not used here */
};

_Static_assert(offsetof(struct mp_info, location) == 12, "PI 1.7, volume 2, 13.4.3");
_Static_assert(offsetof(struct mp_services, start_all) == 16, "PI 1.7, volume 2, 13.4.1");

#endif
