/* SPDX-License-Identifier: MIT */
/* MISTAKE read-only pointer: a const buffer for what the PAL fills. */
/* REFUSED: discards|invalid|matching const */
#include <pal/interface.h>

PAL_ENTRY(host, uint32_t, fill, PAL_OUT(uint8_t, list, n, 16), PAL_VALUE(uint32_t, n))

uint32_t use(struct pal_handle *pal, const uint8_t *list);

uint32_t use(struct pal_handle *pal, const uint8_t *list)
{
    uint32_t result = 0;

    host_fill(pal, &result, list, 16); /* HERE */
    return result;
}
