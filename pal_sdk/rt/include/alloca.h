/* SPDX-License-Identifier: MIT */
/* <alloca.h> for PALs: memory of the stack, whose need no one checks when the image is made. */
#ifndef PAL_RT_ALLOCA_H
#define PAL_RT_ALLOCA_H

#define alloca(n) __builtin_alloca(n)

#endif
