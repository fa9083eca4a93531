/*
 * Holds a 32-byte secret in its memory, for testing memsearch: a search that
 * has never found anything proves nothing.
 *
 * SPDX-License-Identifier: MIT
 *
 * usage: holdsecret N   prints "ready", then holds the secret until a line
 * arrives on standard input. The secret is that of demo_pal --secret-seed N.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static volatile uint8_t secret[4096] __attribute__((aligned(4096)));

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)atoi(argv[1]) : 0;

    for (unsigned i = 0; i < 32; i++)
        secret[i] = (uint8_t)(0xA5 ^ ((seed * 31 + i * 7) & 0xff));
    puts("ready");
    fflush(stdout);
    (void)getchar();
    return 0;
}
