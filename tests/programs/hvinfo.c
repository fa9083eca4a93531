/* SPDX-License-Identifier: MIT */
/*
 * What the hypervisor tells about itself:
 *   hvinfo            all numbers, one "NAME VALUE" a line
 *   hvinfo NAME       one of them
 *   hvinfo call N     makes hypercall N
 */
#include "hypercall.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmhf/exits.h>
#include <xmhf/hypercall.h>

static const struct { const char *name; uint64_t which; } items[] = {
    { "cpus", XMHF_INFO_CPUS },
    { "pool-total", XMHF_INFO_POOL_TOTAL },
    { "pool-free", XMHF_INFO_POOL_FREE },
    { "pals", XMHF_INFO_PALS },
#define X(name, sentence) { "exits-" #name, XMHF_INFO_EXITS + EXIT_##name },
    EXIT_KINDS(X)
#undef X
#define X(name, sentence) { "longest-" #name, XMHF_INFO_LONGEST + EXIT_##name },
    EXIT_KINDS(X)
#undef X
};

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "call") == 0) {
        printf("%llu\n", (unsigned long long)hypercall(strtoul(argv[2], NULL, 0), 0, 0, 0, 0));
        return 0;
    }
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        unsigned long long value;
        if (argc > 1 && strcmp(argv[1], items[i].name) != 0) {
            continue;
        }
        value = hypercall(XMHF_HC_INFO, items[i].which, 0, 0, 0);
        if (argc > 1) {
            printf("%llu\n", value);
            return 0;
        }
        printf("%s %llu\n", items[i].name, value);
    }
    return argc > 1;
}
