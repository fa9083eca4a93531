/* SPDX-License-Identifier: MIT */
/* MISTAKE size in wrong unit: a flag that packs structures, where the program's aren't. */
/* INTERFACE: struct_interface.h */
/* FLAGS: -fpack-struct */
/* REFUSED: -fpack-struct */
#include "struct_interface.h"

uint32_t turn(const struct corner *before, struct corner *after)
{
    after->x = before->x;
    return 0;
}
