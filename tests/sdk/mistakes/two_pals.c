/* SPDX-License-Identifier: MIT */
/* MISTAKE two names of a PAL: an interface with entries of two. */
/* INTERFACE: two_pals_interface.h */
/* REFUSED: run mistaken mistake one */
#include "two_pals_interface.h"

uint32_t run(uint32_t n)
{
    return n;
}
