/* SPDX-License-Identifier: MIT */
/* xmhf-stat: what the hypervisor counts, asked for by hypercalls from inside the guest. */
#include <getopt.h>
#include <inttypes.h>
#include <pal/pal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmhf/exits.h>

static const char *const kind_name[] = {
#define X(name, sentence) #name,
    EXIT_KINDS(X)
#undef X
};
static const char *const kind_sentence[] = {
#define X(name, sentence) sentence,
    EXIT_KINDS(X)
#undef X
};

static void cpuid(uint32_t leaf, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(0));
}

static bool hypervisor_there(void)
{
    uint32_t r[4];

    cpuid(1, r);
    if (!(r[2] >> 31)) {
        return false;
    }
    cpuid(XMHF_CPUID_BASE, r);
    return memcmp(&r[1], XMHF_CPUID_SIGNATURE, 12) == 0;
}

/* Names of the sources in `mask`. */
static void print_sources(uint64_t mask)
{
    static const char *const name[] = { "RDSEED", "RDRAND", "timing", "input" };

    for (unsigned i = 0; i < 4; i++) {
        if (mask >> i & 1) {
            printf(" %s", name[i]);
        }
    }
}

static void print_random(void)
{
    uint64_t r = pal_info(XMHF_INFO_RANDOM);

    printf("random         ");
    print_sources(r);
    printf("%s%s", r & XMHF_RANDOM_SEEDED ? "" : " no entropy", r >> 8 & 0xff ? "; failed:" : "");
    print_sources(r >> 8 & 0xff);
    printf("\n");
}

static void print_machine(void)
{
    uint64_t version = pal_info(XMHF_INFO_VERSION);

    printf("interface       %" PRIu64 ".%" PRIu64 "\n", version >> 16, version & 0xffff);
    printf("CPUs            %" PRIu64 "\n", pal_info(XMHF_INFO_CPUS));
    printf("DMA protection  %s\n", pal_info(XMHF_INFO_DMA_PROTECTION) ? "on" : "off");
    printf("protected       %" PRIu64 " KiB\n", pal_info(XMHF_INFO_PROTECTED_SIZE) >> 10);
    print_random();
    printf("PAL pool        %" PRIu64 " of %" PRIu64 " pages free\n", pal_info(XMHF_INFO_POOL_FREE),
           pal_info(XMHF_INFO_POOL_TOTAL));
    printf("boot            %" PRIu64 " TSC ticks from our first instruction to the guest's\n",
           pal_info(XMHF_INFO_BOOT_TICKS));
}

/* One row per kind that happened; with `per_cpu` a column for each CPU. */
static void print_exits(bool per_cpu)
{
    uint64_t cpus = per_cpu ? pal_info(XMHF_INFO_CPUS) : 0;

    printf("\n%-14s %12s", "exits", "all CPUs");
    for (uint64_t c = 0; c < cpus; c++) {
        printf("        CPU%-2" PRIu64, c);
    }
    printf("\n");
    for (unsigned k = 0; k < EXIT_KIND_COUNT; k++) {
        uint64_t all = pal_info(XMHF_INFO_EXITS + k);
        if (all == 0) {
            continue;
        }
        printf("%-14s %12" PRIu64, kind_name[k], all);
        for (uint64_t c = 0; c < cpus; c++) {
            printf(" %12" PRIu64, pal_info((c + 1) << 16 | (XMHF_INFO_EXITS + k)));
        }
        printf("  %s\n", kind_sentence[k]);
    }
}

static void usage(FILE *to)
{
    fputs("usage: xmhf-stat [--per-cpu] [--help]\n\n"
          "Print what the hypervisor counts: CPUs, memory, and exits by reason.\n"
          "Runs inside the guest; no special rights are needed.\n\n"
          "  -c, --per-cpu  exits of each CPU too\n"
          "  -h, --help     this text\n", to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "per-cpu", no_argument, NULL, 'c' }, { "help", no_argument, NULL, 'h' }, { 0 },
    };
    bool per_cpu = false;
    int o;

    while ((o = getopt_long(argc, argv, "ch", options, NULL)) != -1) {
        if (o == 'h') {
            usage(stdout);
            return 0;
        }
        if (o != 'c') {
            usage(stderr);
            return 2;
        }
        per_cpu = true;
    }
    if (!hypervisor_there()) {
        fprintf(stderr, "xmhf-stat: no XMHF hypervisor under this system\n");
        return 1;
    }
    print_machine();
    print_exits(per_cpu);
    return 0;
}
