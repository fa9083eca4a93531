/* SPDX-License-Identifier: MIT */
/* MISTAKE libc call: its header is missing, and pal-cc knows which one. */
/* REFUSED: htonl arpa/inet.h */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return htonl(n); /* HERE */
}
