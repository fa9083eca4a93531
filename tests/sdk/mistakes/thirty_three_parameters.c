/* SPDX-License-Identifier: MIT */
/* MISTAKE 11 or 33 parameters: 33 are too many for an entry. */
/* INTERFACE: thirty_three_interface.h */
/* REFUSED: 32 */
#include "thirty_three_interface.h"

uint32_t one_more(uint32_t n)
{
    return n + 1;
}
