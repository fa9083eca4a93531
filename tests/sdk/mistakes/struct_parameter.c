/* SPDX-License-Identifier: MIT */
/* MISTAKE struct by value: one that goes in and comes out, of fixed-width types. */
/* INTERFACE: struct_interface.h */
/* WORKS turn i12 o12: 3 out=fffefdfc000000000b0a0908 */
#include "struct_interface.h"

uint32_t turn(const struct corner *before, struct corner *after)
{
    after->x = ~before->x;
    after->tag[0] = before->tag[3];
    after->tag[1] = before->tag[2];
    after->tag[2] = before->tag[1];
    after->tag[3] = before->tag[0];
    return before->x & 0xff ? 0 : 3;
}
