/* SPDX-License-Identifier: MIT */
/* Checks the structure of a registration by the module interface; pure. */
#ifndef TV_CHECK_MODULE_H
#define TV_CHECK_MODULE_H

#include "image.h"

/* Do we know what follows size and version? */
static inline bool tv_known_struct(const struct xmhf_module *d)
{
    return d->size == sizeof(*d) && d->version == XMHF_MODULE_VERSION;
}

/* As tv_check, for the module interface, with lists as in struct tv_module_lists. */
enum tv_error tv_check_module(const struct xmhf_module *d, uint64_t entry, bool is_64,
                           struct tv_image *im);

#endif
