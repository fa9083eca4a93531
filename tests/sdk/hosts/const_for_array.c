/* SPDX-License-Identifier: MIT */
/* MISTAKE read-only pointer: a const array for what the PAL fills. */
/* REFUSED: loses|incompatible|invalid|matching|discards const */
#include <pal/interface.h>

PAL_ENTRY(host, uint32_t, fill, PAL_OUT_ARRAY(uint8_t, list, 16))

uint32_t use(struct pal_handle *pal);

uint32_t use(struct pal_handle *pal)
{
    static const uint8_t list[16] = { 1 };
    uint32_t result = 0;

    host_fill(pal, &result, &list); /* HERE */
    return result;
}
