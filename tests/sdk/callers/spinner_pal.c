/* SPDX-License-Identifier: MIT */
/* The second PAL of callers.c. */
#include "spinner_interface.h"

/* Never ends; every so many times it asks the program. 0: never. */
void spin(uint32_t times)
{
    for (volatile uint32_t i = 1;; i = i + 1) {
        if (times != 0 && i % times == 0) {
            (void)turn();
        }
    }
}
