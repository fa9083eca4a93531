/* SPDX-License-Identifier: MIT */
/* MISTAKE size in wrong unit: bytes where elements are counted. */
/* INTERFACE: counted_interface.h */
/* WORKS sum 16 w16: 136 */
/* WORKS sum 3 w3: 6 */
/* WORKS sum 0 w0: 0 */
/* ERROR sum 64 w16: PAL_BAD_COUNT */
/* ERROR sum 17 w17: PAL_BAD_COUNT */
/* ERROR sum 0xffffffff w16: PAL_BAD_COUNT */
#include "counted_interface.h"

uint32_t sum(uint32_t n, const uint32_t *list)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < n; i++) {
        total += list[i];
    }
    return total;
}
