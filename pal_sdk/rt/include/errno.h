/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<errno.h> is not for PALs:" \
    "nothing in a PAL sets errno; functions return their errors"
