/* SPDX-License-Identifier: MIT */
/* What a registration leaves in the page of the PAL's entry: stubs, mark and nonce. */
#ifndef TV_STUBS_H
#define TV_STUBS_H

#include "pal.h"

/* Where resume stub and nonce go, from the entry. */
void stubs_place(struct tv_pal *pal);
/* Fill the entry's page. */
void stubs_write(const struct tv_pal *pal, void *page);
enum stubs_answer { STUBS_THERE, STUBS_GONE, STUBS_FAULT };
/* Is the PAL's nonce still where it was put, seen with `c`'s rights? */
enum stubs_answer stubs_check(const struct tv_pal *pal, const struct hyp_caller *c,
                              struct gm_fault *f);
/* The same for who owns the activation: quicker from the second call on. */
enum stubs_answer stubs_check_again(const struct tv_pal *pal, struct tv_activation *act,
                                    const struct hyp_caller *c, struct gm_fault *f);
/* The nonce in a page of stubs of an image, whether it lives or not. False: it can't be read. */
bool stubs_nonce(const struct hyp_caller *c, uint64_t page, uint64_t nonce[TV_NONCE_SIZE / 8]);

enum stubs_found {
    STUBS_COMMAND,   /* a hypercall of a program */
    STUBS_DEAD,      /* a stub, of whatever PAL */
    STUBS_CHANGED,   /* no hypercall instruction any more: another CPU has just overwritten it */
};
/* What is at RIP, where code that tv_caller_check accepts executed a hypercall instruction
 * (notes/bugs/stub-overwritten.md)? */
enum stubs_found stubs_look(const struct hyp_caller *c, uint64_t rip);

#endif
