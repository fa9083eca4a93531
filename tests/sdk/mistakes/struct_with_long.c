/* SPDX-License-Identifier: MIT */
/* MISTAKE struct by value: one with a long, whose size isn't the same everywhere. */
/* INTERFACE: struct_long_interface.h */
/* REFUSED: long */
#include "struct_long_interface.h"

uint32_t turn(const struct corner *before)
{
    return (uint32_t)before->x;
}
