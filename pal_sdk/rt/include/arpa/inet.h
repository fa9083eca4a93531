/* SPDX-License-Identifier: MIT */
/* Not for PALs; says why. */
#error "<arpa/inet.h> is not for PALs:" \
    "a PAL has no network; htobe32() and its like of endian.h swap bytes"
