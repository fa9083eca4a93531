/* SPDX-License-Identifier: MIT */
/*
 * What a PAL's identity is made of. The identity is SHA-256 over, without gaps and
 * little-endian:
 *
 *   struct pal_id_header
 *   struct pal_id_entry    header.entries times
 *   struct pal_id_section  header.sections times, in the order of registration; without
 *                          those that have no pages, which only the public ABI accepts
 *   struct pal_id_param    header.params times, first parameter first
 *   the contents of each section, in the same order, header/section pages x 4096 bytes
 *
 * All parts have fixed widths and every count comes before what it counts, so two
 * different PALs never give the same bytes. Anyone can compute it from the PAL's files:
 * tools and the core share this header.
 */
#ifndef XMHF_MEASUREMENT_H
#define XMHF_MEASUREMENT_H

#include <stddef.h>
#include <stdint.h>
#include <xmhf/assert.h>

#define PAL_ID_MAGIC "XMHFPAL\2" /* the last byte is the version of this encoding */
#define PAL_ID_SIZE  32          /* bytes of an identity */

/* Bits of the PAL's code. Its caller's are not part of it. */
enum pal_id_mode { PAL_ID_MODE_16 = 16, PAL_ID_MODE_32 = 32, PAL_ID_MODE_64 = 64 };

enum pal_id_convention {
    PAL_ID_CDECL = 1,       /* i386 cdecl */
    PAL_ID_SYSV = 2,        /* x86-64 System V */
    PAL_ID_MICROSOFT = 3,   /* x86-64 Microsoft */
    PAL_ID_CDECL16 = 4,     /* 16-bit, of images only */
    PAL_ID_PASCAL16 = 5,
};

/* 1 is kept for debug PALs, which would tell addresses of faults; there are none yet. */
#define PAL_ID_FLAG_PIC     2u  /* position-independent: `base` is 0 */
#define PAL_ID_FLAG_LEGACY  4u  /* registered by the public ABI */

#define PAL_ID_READ   1u
#define PAL_ID_WRITE  2u
#define PAL_ID_EXEC   4u

enum pal_id_direction { PAL_ID_IN = 1, PAL_ID_OUT = 2, PAL_ID_INOUT = 3 };

struct pal_id_header {
    uint8_t magic[8];
    uint32_t mode;        /* enum pal_id_mode */
    uint32_t convention;  /* enum pal_id_convention */
    uint32_t flags;       /* PAL_ID_FLAG_* */
    uint32_t stacks;      /* calls that can run at the same time */
    uint32_t entries;
    uint32_t sections;
    uint32_t params;
    uint32_t reserved;    /* 0 */
    uint64_t base;        /* lowest section address; 0 with PAL_ID_FLAG_PIC */
    uint64_t budget;      /* TSC ticks of one call; 0: no limit */
};

struct pal_id_entry {
    uint64_t offset;      /* from the lowest section address */
    uint32_t first_param; /* its parameters: the first one's number, */
    uint32_t params;      /* and how many */
};

struct pal_id_section {
    uint32_t type;        /* enum tv_section_type, or XMHF_SECTION_RODATA */
    uint32_t rights;      /* PAL_ID_READ | ... */
    uint64_t pages;       /* of 4 KiB */
    uint64_t offset;      /* from the lowest section address */
};

struct pal_id_param {
    uint32_t type;        /* enum tv_param_type */
    uint32_t direction;   /* enum pal_id_direction */
    uint64_t size;        /* as declared: bytes; with PAL_ID_FLAG_LEGACY machine words */
};

XMHF_ASSERT(sizeof(struct pal_id_header) == 56, "hashed");
XMHF_ASSERT(offsetof(struct pal_id_header, base) == 40, "hashed");
XMHF_ASSERT(sizeof(struct pal_id_entry) == 16, "hashed");
XMHF_ASSERT(sizeof(struct pal_id_section) == 24, "hashed");
XMHF_ASSERT(sizeof(struct pal_id_param) == 16, "hashed");

#endif
