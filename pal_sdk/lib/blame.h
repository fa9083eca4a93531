/* SPDX-License-Identifier: MIT */
/* Which argument of a call is wrong; pure. */
#ifndef PAL_BLAME_H
#define PAL_BLAME_H

#include <pal/host.h>
#include <xmhf/image.h>

struct pal_blamed {
    const struct xmhf_image_param *param; /* n of them, an OCALL perhaps among them */
    const pal_word *args;
    unsigned n;
    const char *const *names;             /* of all but the OCALL; NULL: not known */
};

/* Say in *s, whose error is BAD_COUNT or BAD_ARGUMENT, which of the arguments it is: with BAD_COUNT
 * the first whose count is too large, else the one whose memory s->address is in, or the first that
 * is NULL if that is 0. PAL_OK: the first that is either, and the error is set. If none is, *s
 * stays as it is. */
void pal_blame(struct pal_status *s, const struct pal_blamed *b);

#endif
