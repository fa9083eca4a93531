/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<math.h> is not for PALs:" \
    "libpal-rt has no mathematics; a library's sources can be compiled into the PAL"
