/* SPDX-License-Identifier: MIT */
/* Checks the structure of a registration by our interface; pure. */
#ifndef TV_CHECK_MODULE_H
#define TV_CHECK_MODULE_H

#include "image.h"

/* Do we know what follows size and version? */
static inline bool tv_known_struct(const struct xmhf_pal *d)
{
    return d->size == sizeof(*d) && d->version == XMHF_PAL_VERSION;
}

/* As tv_check, for our interface, with lists as in struct tv_module_lists. */
enum tv_error tv_check_module(const struct xmhf_pal *d, uint64_t entry, bool is_64,
                           struct tv_image *im);

#endif
