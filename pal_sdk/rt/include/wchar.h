/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<wchar.h> is not for PALs:" \
    "libpal-rt knows ASCII only"
