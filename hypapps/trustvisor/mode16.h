/* SPDX-License-Identifier: MIT */
/*
 * PALs of 16-bit code (include/xmhf/image.h, "16-bit PALs"): which selectors their sections have,
 * the private LDT that says so, far pointers, and what is refused. Pure: no guest
 * memory, no hardware.
 *
 * They run in compatibility mode with a code segment whose D and L are 0, on the same 4-level
 * tables as all PALs (SDM vol. 3A, 3.4.5 and 5.2.1; APM vol. 2, 4.8.1). A descriptor of code or
 * data has 8 bytes and a base of 32 bits there too; so all sections lie below 4 GiB.
 *
 * The LDT never changes and its descriptors have their accessed bits set, so the CPU never writes
 * it (SDM vol. 3A, 3.4.5.1) and what a selector means is known without reading it back.
 */
#ifndef TV_MODE16_H
#define TV_MODE16_H

#include "image.h"
#include <hypapp/hypapp.h>

#define MODE16_DESCRIPTORS 512u    /* of an LDT of one page; the first one is never present */
#define MODE16_SEGMENT     0x10000u
#define MODE16_STEP        8u      /* from a selector to the next one's */

/* Segments that code in a PAL can load, in the order of enum segment_index. */
#define MODE16_SEGMENTS 6u

/* TV_OK if the sections, which are checked otherwise, suit 16-bit code. */
enum tv_error mode16_check(const struct tv_image *im);

/* Selector of the first 64 KiB of section number `section`. */
uint16_t mode16_selector(const struct tv_image *im, uint32_t section);

/* Of an entry or of any of the PAL's own addresses: its offset in the segment. */
uint16_t mode16_offset(const struct tv_image *im, uint64_t va);

/* Selector and offset (in bits 31:16 and 15:0) of one of the PAL's own addresses, of which some
 * section has the byte; 0: none has. */
uint32_t mode16_far(const struct tv_image *im, uint64_t va);

/* A far pointer to `bytes` behind one whose offset is 0. */
static inline uint32_t mode16_behind(uint32_t far, uint32_t bytes)
{
    return far + (bytes / MODE16_SEGMENT * MODE16_STEP << 16) + bytes % MODE16_SEGMENT;
}

/* Back: the PAL's own address of a far pointer. False: no selector of the LDT, or beyond its limit.
 * `ldt`: what mode16_ldt made. */
bool mode16_linear(const uint64_t ldt[MODE16_DESCRIPTORS], uint32_t far, uint64_t *va);

/* Where return page number `n` (from 0) is to be mapped: behind a CODE section, in its segment. 0:
 * there are no more. */
uint64_t mode16_return_page(const struct tv_image *im, uint32_t n);

/* Fill the LDT; `ldt` is all zeros before. */
void mode16_ldt(const struct tv_image *im, uint64_t ldt[MODE16_DESCRIPTORS]);

/* What loading `selector` makes: the segment with its hidden part; a null selector's is unusable.
 * False: it would be a fault. */
bool mode16_segment(const uint64_t ldt[MODE16_DESCRIPTORS], uint16_t selector, struct segment *s);

/* The selectors that a call begins with: CS of the entry's section, SS of the STACK section number
 * `stack` among all sections, DS and ES of the first DATA or BSS, FS and GS null. */
void mode16_selectors(const struct tv_image *im, uint64_t entry, uint32_t stack,
                      uint16_t selector[MODE16_SEGMENTS]);

#endif
