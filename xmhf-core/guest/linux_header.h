/* SPDX-License-Identifier: MIT */
/* Offsets in a Linux set-up header (Linux' Documentation/arch/x86/boot.rst). */
#ifndef XMHF_GUEST_LINUX_HEADER_H
#define XMHF_GUEST_LINUX_HEADER_H

#define HDR_START            0x1f1
#define HDR_SETUP_SECTS      0x1f1
#define HDR_BOOT_FLAG        0x1fe
#define HDR_JUMP_LEN         0x201 /* of the jump over the header: tells its end */
#define HDR_MAGIC            0x202
#define HDR_VERSION          0x206
#define HDR_TYPE_OF_LOADER   0x210
#define HDR_LOADFLAGS        0x211
#define HDR_CODE32_START     0x214
#define HDR_RAMDISK_IMAGE    0x218
#define HDR_RAMDISK_SIZE     0x21c
#define HDR_HEAP_END         0x224 /* a word, offset from the set-up area */
#define HDR_CMD_LINE_PTR     0x228
#define HDR_INITRD_ADDR_MAX  0x22c
#define HDR_KERNEL_ALIGNMENT 0x230
#define HDR_RELOCATABLE      0x234
#define HDR_CMDLINE_SIZE     0x238
#define HDR_SETUP_DATA       0x250 /* from 2.09: the first of a list of blocks */
#define HDR_PREF_ADDRESS     0x258 /* from 2.10 */
#define HDR_INIT_SIZE        0x260 /* from 2.10 */
#define HDR_END_MAX          0x290 /* what follows in boot_params */

#define LOADED_HIGH   0x01
#define CAN_USE_HEAP  0x80
#define LOADER_OTHER  0xff

#endif
