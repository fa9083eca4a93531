/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<time.h> is not for PALs:" \
    "a PAL has no clock that it can trust; take the time as a parameter, and know who gave it"
