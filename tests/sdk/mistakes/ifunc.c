/* SPDX-License-Identifier: MIT */
/* MISTAKE ifunc: a loader would have to choose. */
/* REFUSED[elf32]: ifunc chosen NOLINE */
/* REFUSED: ifunc */
#include "mistake_interface.h"

static uint32_t plain(uint32_t n)
{
    return n + 1;
}

static void *choose(void) /* HERE */
{
    return (void *)plain; /* HERE */
}

uint32_t chosen(uint32_t n) __attribute__((ifunc("choose"))); /* HERE */

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return chosen(n);
}
