/* SPDX-License-Identifier: MIT */
/* MISTAKE entry outside: the interface has one that the PAL lacks. */
/* REFUSED: run */
#include "mistake_interface.h"

uint32_t walk(uint32_t n);

uint32_t walk(uint32_t n)
{
    return n + 1;
}
