/* SPDX-License-Identifier: MIT */
/* MISTAKE helper outside: a variable of the program, not of the PAL. */
/* REFUSED[pe64]: host_counter data_outside.c NOLINE */
/* REFUSED: host_counter */
#include "mistake_interface.h"

extern uint32_t host_counter;

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return host_counter + n; /* HERE */
}
