/* SPDX-License-Identifier: MIT */
/* Functions of C's library that a PAL can't have: each use is an error that says why. */
#ifndef PAL_ABSENT_H
#define PAL_ABSENT_H

#define PAL_ABSENT(why) __attribute__((error("not in a PAL: " why)))

#endif
