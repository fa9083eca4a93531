/* SPDX-License-Identifier: MIT */
/* What a linked file has that an image can't have. */
#ifndef PAL_LINT_LINKED_H
#define PAL_LINT_LINKED_H

#include "file.h"
#include "problems.h"

void linked_check(const struct file *f, struct problems *p);

#endif
