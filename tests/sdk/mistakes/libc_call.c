/* SPDX-License-Identifier: MIT */
/* MISTAKE libc call: those of <string.h> are libpal-rt's. */
/* WORKS 5: 5 out=3031323334 */
/* WORKS 0: 0 */
#include "mistake_interface.h"
#include <string.h>

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    char text[16];

    memset(text, 0, sizeof(text));
    memcpy(text, in + '0', n & 15);
    memmove(out, text, strlen(text));
    return memcmp(text, in + '0', n & 15) == 0 ? (uint32_t)strlen(text) : 99;
}
