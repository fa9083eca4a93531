/* SPDX-License-Identifier: MIT */
/* MISTAKE size in wrong unit: a PAL that takes elements for pages, and leaves what it was given. */
/* INTERFACE: counted_interface.h */
/* DIES sum 16 w16: vector=14 */
#include "counted_interface.h"

uint32_t sum(uint32_t n, const uint32_t *list)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < n * 4096; i++) {
        total += list[i];
    }
    return total;
}
