/* SPDX-License-Identifier: MIT */
/* MISTAKE size in wrong unit: a pragma that packs the structures of the interface, here only. */
/* INTERFACE: struct_interface.h */
/* REFUSED: corner pack */
#pragma pack(1)
#include "struct_interface.h"

uint32_t turn(const struct corner *before, struct corner *after)
{
    after->x = before->x;
    return 0;
}
