/* SPDX-License-Identifier: MIT */
/*
 * Finding crash records in a serial log. The log is hostile: a guest writes to the same line,
 * and characters get lost. Pure: no file, no allocation, everything bounded.
 */
#ifndef XMHF_TOOLS_LOGDECODE_PARSE_H
#define XMHF_TOOLS_LOGDECODE_PARSE_H

#include <debug/crash.h>

#define LOGDECODE_RECORDS 32
#define LOGDECODE_NOTES   64
#define LOGDECODE_LINE    400 /* characters of a line that are looked at */
#define LOGDECODE_CPUS    256

/* Which parts of a record came through. */
#define REC_BUILD (1u << 0)
#define REC_TEXT  (1u << 1)
#define REC_TRAP  (1u << 2)
#define REC_MSR   (1u << 3)
#define REC_FAULT (1u << 4)
#define REC_REGS  (1u << 5)
#define REC_END   (1u << 6)

struct log_word { uint64_t value, offset; bool after_gap; };
struct log_exit { char kind[24]; uint64_t raw; };

struct log_other {
    unsigned cpu, exits;
    char state[12];
    uint64_t rip, rsp;
    struct log_exit exit[CRASH_OTHER_EXITS];
};

struct log_record {
    unsigned line;             /* of the log, from 1 */
    bool at_boot;              /* printed by the boot after the crash, from memory */
    bool guest_could;          /* printed where a guest could have written it */
    bool intact;               /* the sum at its end is right */
    unsigned same_as;          /* number, from 1, of an earlier record that says the same; or 0 */
    unsigned damaged;          /* lines of it that make no sense */
    unsigned has;              /* REC_* */
    char build_id[2 * CRASH_BUILD_ID + 1];
    char text[CRASH_TEXT], virt[CRASH_VIRT];
    unsigned cpu, vector, skipped;
    uint32_t msr, sum;
    uint64_t error, fault, rip, rsp, cr0, cr3, cr4;
    unsigned words, exits, others;
    struct log_other other[CRASH_OTHERS];
    struct log_word word[CRASH_STACK];
    struct log_exit exit[CRASH_EXITS];
};

/* A line outside of records that says that something went wrong. */
struct log_note { unsigned line; bool guest_could; char text[160]; };

struct log_file {
    unsigned lines;            /* in all */
    unsigned guest_start;      /* from this line on a guest could write; 0: there is none */
    unsigned records, records_lost, notes, notes_lost; /* lost: beyond the limits */
    struct log_record record[LOGDECODE_RECORDS];
    struct log_note note[LOGDECODE_NOTES];
};

/* Fill `out` from the log's bytes. Whatever they are, all strings in `out` are printable ASCII
 * and terminated. */
void log_parse(const char *data, size_t size, struct log_file *out);

#endif
