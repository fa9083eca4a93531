/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<dlfcn.h> is not for PALs:" \
    "a PAL has no loader: give the sources to pal-cc"
