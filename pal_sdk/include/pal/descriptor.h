/* SPDX-License-Identifier: MIT */
/*
 * What the sources of a PAL tell the tools about its image: records in the section `.pal.entries`
 * of the linked file, which is no part of the image. The macros of an interface write them,
 * pal-lint reads them.
 *
 * A record begins at a multiple of 8 bytes; zeros between records are skipped, so a compiler may
 * align them as it likes. All is little-endian. PAL code and tools share this header, as C.
 */
#ifndef PAL_DESCRIPTOR_H
#define PAL_DESCRIPTOR_H

#include <stdint.h>
#include <xmhf/image.h>

#define PAL_DESCRIPTOR_SECTION ".pal.entries"
#define PAL_DESCRIPTOR_MAGIC   0x444c4150u /* "PALD" */
#define PAL_DESCRIPTOR_NAME    64u         /* bytes of a name, with the zero at its end */
#define PAL_DESCRIPTOR_OCALLS  1024u       /* numbers that an ocall may have */

/* Before a record's definition. */
#define PAL_DESCRIPTOR_PLACE __attribute__((section(PAL_DESCRIPTOR_SECTION), used, aligned(8)))

enum pal_descriptor_kind {
    PAL_DESCRIPTOR_ENTRY = 1,
    PAL_DESCRIPTOR_OCALL = 2,
    PAL_DESCRIPTOR_OPTION = 3,
};

struct pal_descriptor {
    uint32_t magic;  /* PAL_DESCRIPTOR_MAGIC */
    uint32_t kind;   /* enum pal_descriptor_kind */
    /* ENTRY: entries are numbered 0, 1, ... in the order of these numbers, which may have gaps
     * (__COUNTER__). OCALL: the number that the PAL passes, below PAL_DESCRIPTOR_OCALLS; gaps have
     * no name. OPTION: 0. */
    uint32_t number;
    uint32_t params; /* how many of `param`. ENTRY: those of the function; pal-lint adds the place
                        for ocalls. OCALL: 1, the place that it needs. OPTION: 0 */
    uint32_t line;   /* of the source, for messages; 0: not known */
    uint32_t reserved;
    /* ENTRY: the function that the stub calls, in the image's convention. OPTION: `value`. */
    union {
        const void *function;
        void (*code)(void);
        uint64_t value;
    } address;
    /* A C identifier: of the entry or ocall. OPTION: "stack" (bytes of one), "stacks" (how many),
     * "budget" (TSC ticks), "debug" (1). What pal-cc is told on its command line counts more. */
    char name[PAL_DESCRIPTOR_NAME];
    char pal[PAL_DESCRIPTOR_NAME]; /* that it is of, as the macro says; empty: not known */
    struct xmhf_image_param param[XMHF_IMAGE_ENTRY_PARAMS];
};

#endif
