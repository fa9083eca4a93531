/* SPDX-License-Identifier: MIT */
/* The pages that a PAL's control structures take. */
#ifndef TV_MEMORY_H
#define TV_MEMORY_H

#include "pal.h"

enum memory_kind { MEMORY_PUBLIC, MEMORY_MODULE, MEMORY_IMAGE };
/* A control page, with room for the lists of a PAL of the public ABI, of the module interface or of
 * an image. NULL: out of memory. */
struct tv_pal *memory_new(enum memory_kind kind);
/* Memory for its activations, with room for FPU state; pal->image.stacks says how many. False:
 * out of memory; memory_free is due in both cases. */
bool memory_attach(struct tv_pal *pal);
/* Wipe the control page and all that the above took, and give it back. */
void memory_free(struct tv_pal *pal);
/* Pages that they take at most. */
uint32_t memory_pages(const struct tv_image *im);
/* The PAL is complete: its activations get their stacks. */
void memory_ready(struct tv_pal *pal);

#endif
