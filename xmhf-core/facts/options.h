/* SPDX-License-Identifier: MIT */
/* The hypervisor's command line. Each option is listed once, in OPTIONS. */
#ifndef XMHF_FACTS_OPTIONS_H
#define XMHF_FACTS_OPTIONS_H

#include <xmhf/types.h>

struct options {
    uint64_t palmem;      /* bytes for the pool; 0 = default (RAM/64, 2..64 MiB in all) */
    unsigned cpus;        /* 0 = all that the MADT lists */
    uint16_t com;         /* I/O port of the log's UART; 0 = none; default 0x3f8 */
    bool testpanic;
    bool measure;         /* remember the longest handling of each exit kind */
    bool trap_icr;        /* INIT and SIPI by trapping the APIC even where they could exit */
    bool quiet;           /* only errors on the serial line */
};

/* The core and its pool are mapped within 1 GiB. */
#define PALMEM_MAX_MIB 1000
#define CPUS_MAX       256

#define OPTIONS_TEXT_(x) #x
#define OPTIONS_TEXT(x)  OPTIONS_TEXT_(x)

/* X(name, argument, values, help): what the option is called, what it takes ("": nothing), which
 * values that may have, for the log, and what it is for. No code uses `help`: it is for readers,
 * as README.md's table is. */
#define OPTIONS(X) \
    X("palmem", "MiB", "1 to " OPTIONS_TEXT(PALMEM_MAX_MIB) " MiB", \
      "memory for the hypapp (default: RAM/64 less the core, at least 2)") \
    X("cpus", "N", "1 to " OPTIONS_TEXT(CPUS_MAX), \
      "take N CPUs; INIT and start-up IPIs to the others are dropped") \
    X("com", "PORT|off", "off, or 1 to fff8, hexadecimal", \
      "UART of the log, hexadecimal port (default 3f8)") \
    X("testpanic", "", "", "for tests only: hypercall 0x1ff makes the hypervisor panic") \
    X("measure", "", "", "for tests only: keep the longest duration of each kind of exit") \
    X("trap-icr", "", "", \
      "VMX: see INIT and start-up IPIs at their sender (for emulators; always on AMD)") \
    X("quiet", "", "", "errors only on the UART")

#define OPTIONS_BAD_MAX 8

/* What was not understood, for the log: up to OPTIONS_BAD_MAX words, truncated, and of each why not
 * and which values there are, two constant strings. */
struct options_bad {
    unsigned count;
    char word[OPTIONS_BAD_MAX][32];
    const char *why[OPTIONS_BAD_MAX], *values[OPTIONS_BAD_MAX];
};

/* An option of somebody else: the hypapp. */
struct option_more {
    const char *name;
    const char *values;               /* as in OPTIONS: "" if it takes none */
    bool (*set)(const char *value);   /* false, and nothing has changed: none of its values */
};

/* Parse `cmdline` (words split by spaces). `more` is asked about words that aren't ours; its last
 * element has no name; NULL: nobody is. Unknown words and bad values go to `bad` and leave the
 * default. Never fails. */
void options_parse(const char *cmdline, const struct option_more *more, struct options *out,
                   struct options_bad *bad);

/* Read a number in [min, max], base 10 or 16, that takes up the whole of `s`. False if `s` is no
 * such number; then nothing is written. */
bool options_number(const char *s, unsigned base, unsigned min, unsigned max, unsigned *out);

#endif
