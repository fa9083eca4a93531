/* SPDX-License-Identifier: MIT */
/* MISTAKE malloc of its own: all of it, so that strdup uses it, too. */
/* WORKS 5: 5 out=6869 */
#include "mistake_interface.h"
#include <stdlib.h>
#include <string.h>

static uint8_t heap[4096];
static size_t used;

void *malloc(size_t n)
{
    used += n;
    return heap + used - n;
}

void *calloc(size_t count, size_t n) { return malloc(count * n); }
void free(void *p) { (void)p; }

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    char *copy = strdup("hi");
    uint8_t *zeros = calloc(n, 1);

    (void)in;
    memcpy(out, copy, strlen(copy));
    free(copy);
    free(zeros);
    return (uint8_t *)copy >= heap && (uint8_t *)copy < heap + sizeof(heap) ? n + zeros[0] : 0;
}
