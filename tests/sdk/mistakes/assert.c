/* SPDX-License-Identifier: MIT */
/* MISTAKE assert: it ends the PAL, and says where in its code. */
/* WORKS 3: 6 */
/* DIES 64: vector=6 CODE */
#include "mistake_interface.h"
#include <assert.h>

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    assert(n < 64);
    return in[n] * 2u;
}
