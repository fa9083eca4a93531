/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<pthread.h> is not for PALs:" \
    "a PAL has no threads of its own; its entries may run in several of the caller's"
