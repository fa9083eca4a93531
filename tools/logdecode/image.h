/* SPDX-License-Identifier: MIT */
/* What the core's ELF file tells about an address: symbols, source lines, frames (libdw). */
#ifndef XMHF_TOOLS_LOGDECODE_IMAGE_H
#define XMHF_TOOLS_LOGDECODE_IMAGE_H

#include <xmhf/types.h>

struct image;

#define IMAGE_INLINED_MAX 16

/* One function that an address is in: the innermost inlined one first. */
struct source_frame {
    char name[96], file[160];
    int line;              /* 0: unknown */
    bool inlined;          /* into the next one */
    uint64_t offset;       /* from the start of the function, if !inlined */
};

/* The image in `dir` (*.elf) whose build id is `build_id`, in hexadecimal; NULL if there is
 * none. `seen`: how many images were looked at. */
struct image *image_find(const char *dir, const char *build_id, unsigned *seen);
void image_close(struct image *img);
const char *image_name(const struct image *img);

/* Bytes of the image's code at `addr`; returns how many there are, up to n. */
size_t image_bytes(const struct image *img, uint64_t addr, uint8_t *buf, size_t n);

/* The functions that `addr` is in; returns how many. */
unsigned image_frames(const struct image *img, uint64_t addr, struct source_frame *out,
                      unsigned max);

/* Start of the function that `addr` is in, or 0. */
uint64_t image_function(const struct image *img, uint64_t addr);

/* If RSP at `addr` tells where the frame ends (DWARF's call frame information): the return
 * address is at RSP + *offset. */
bool image_return_slot(const struct image *img, uint64_t addr, uint64_t *offset);

/* Does a call end just before `addr`? Its target, or 0 for an indirect one. */
bool image_after_call(const struct image *img, uint64_t addr, uint64_t *target);

#endif
