/* SPDX-License-Identifier: MIT */
/* What an image is, for people. */
#ifndef PAL_LINT_LIST_H
#define PAL_LINT_LIST_H

#include "image.h"

#include <stdio.h>

void list_image(FILE *to, const struct image *im);
/* In hexadecimal, without an end of line. */
void list_identity(FILE *to, const uint8_t identity[PAL_ID_SIZE]);

#endif
