/* SPDX-License-Identifier: MIT */
/* MISTAKE two names of a PAL: an ocall that is another one's. */
/* INTERFACE: two_pals_ocall_interface.h */
/* REFUSED: ask mistaken mistake one */
#include "two_pals_ocall_interface.h"

uint32_t run(uint32_t n)
{
    uint32_t answer = 0;

    return ask(&answer, n) == 0 ? answer : 0;
}
