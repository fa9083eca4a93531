/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<signal.h> is not for PALs:" \
    "a PAL has no signals; a fault is its death, which the caller is told"
