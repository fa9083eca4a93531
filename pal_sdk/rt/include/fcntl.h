/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<fcntl.h> is not for PALs:" \
    "a PAL makes no system calls; declare an ocall (pal/interface.h)"
