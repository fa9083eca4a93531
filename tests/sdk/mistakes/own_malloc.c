/* SPDX-License-Identifier: MIT */
/* MISTAKE malloc of its own: half of it, and the other half is libpal-rt's. */
/* REFUSED: malloc libpal-rt PAL_HEAP */
#include "mistake_interface.h"
#include <stdlib.h>

static uint8_t heap[4096];
static size_t used;

void *malloc(size_t n) /* HERE */
{
    used += n; /* HERE */
    return heap + used - n;
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint8_t *copy = malloc(n);

    (void)in;
    (void)out;
    free(copy);
    return n;
}
