/* SPDX-License-Identifier: MIT */
/* MISTAKE undeclared parameter: the function takes one more than the interface says. */
/* REFUSED: run */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64], uint32_t more) /* HERE */
{
    out[0] = in[0];
    return n + more;
}
