/* SPDX-License-Identifier: MIT */
/* MISTAKE undeclared parameter: parameters in registers where nobody else has them. */
/* INTERFACE: struct_interface.h */
/* FLAGS: -mregparm=3 */
/* REFUSED: -mregparm */
#include "struct_interface.h"

uint32_t turn(const struct corner *before, struct corner *after)
{
    after->x = before->x;
    return 0;
}
