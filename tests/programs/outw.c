/* SPDX-License-Identifier: MIT */
/* Write a word to a port, as ring 0 would: outw PORT VALUE. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
    if (argc != 3 || iopl(3) != 0) {
        fprintf(stderr, "usage: outw PORT VALUE, as root\n");
        return 2;
    }
    outw((unsigned short)strtoul(argv[2], NULL, 0), (unsigned short)strtoul(argv[1], NULL, 0));
    return 0;
}
