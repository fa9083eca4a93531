/* SPDX-License-Identifier: MIT */
/* MISTAKE undeclared parameter: the result's type. */
/* REFUSED: incompatible|conver */
#include "host_interface.h"

uint32_t use(struct pal_handle *pal);

uint32_t use(struct pal_handle *pal)
{
    uint32_t list[16] = { 1, 2, 3 }, result = 0;
    uint8_t key[64] = { 0 };
    struct corner c = { 0, { 0 } };
    uint64_t wide = 0;
    host_sum(pal, &result, list, 16);
    host_mark(pal, &result, &key, &c);
    host_say(pal, "text");
    host_sum(pal, &wide, list, 16); /* HERE */
    return result + c.x;
}
