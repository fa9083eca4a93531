/* SPDX-License-Identifier: MIT */
/* MISTAKE undeclared parameter: one argument too many. */
/* REFUSED: too many|requires|mark */
#include "host_interface.h"

uint32_t use(struct pal_handle *pal);

uint32_t use(struct pal_handle *pal)
{
    uint32_t list[16] = { 1, 2, 3 }, result = 0;
    uint8_t key[64] = { 0 };
    struct corner c = { 0, { 0 } };

    host_sum(pal, &result, list, 16);
    host_mark(pal, &result, &key, &c);
    host_say(pal, "text");
    host_sum(pal, &result, list, 16, 4); /* HERE */
    return result + c.x;
}
