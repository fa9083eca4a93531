/* SPDX-License-Identifier: MIT */
/*
 * The crash record: what a panic prints, and leaves for the next boot in two places, because
 * firmware and loaders overwrite parts of memory on a warm reset. It holds no guest registers
 * and no data words: only the panic's text, our own RIP, RSP and control registers, the MSR's
 * number if an MSR access of ours faulted, words of our stack that are addresses in the core's
 * code, and the last exits' reasons. tools/logdecode makes a call stack of it.
 *
 * The places are in guest-visible memory (reserved in its map), so the next boot reads the
 * record as hostile input.
 */
#ifndef XMHF_DEBUG_CRASH_H
#define XMHF_DEBUG_CRASH_H

#include <util/keep.h>

#define CRASH_MAGIC    0x4853415243484d58ULL /* "XMHCRASH" */
#define CRASH_VERSION  3
#define CRASH_COPIES   KEEP_CRASH
#define CRASH_STACK    48 /* words kept: */
#define CRASH_INNER    32 /*   the innermost; the rest are the outermost, ending in the last */
#define CRASH_EXITS    16
#define CRASH_OTHERS   63 /* other CPUs, with */
#define CRASH_OTHER_EXITS 2 /*   their last exits */
#define CRASH_TEXT     160
#define CRASH_BUILD_ID 20
#define CRASH_VIRT     16

/* What is valid beyond the registers. */
#define CRASH_TRAP  1u /* vector, error; RIP is of the instruction, not a return address */
#define CRASH_MSR   2u /* msr: #GP at an RDMSR or WRMSR */
#define CRASH_FAULT 4u /* fault: #PF at an address that can't be data */

struct crash_exit { uint64_t raw; uint32_t kind; uint32_t reserved; };
struct crash_word { uint64_t value; uint32_t offset; uint32_t reserved; }; /* at RSP + offset */

/* What is known of another CPU. Where its core was when it took its last NMI there (0: it never
 * took one) is kept for a CPU that doesn't answer, and for one that the stop's NMI met in the
 * core. */
enum crash_state { CRASH_STOPPED, CRASH_WAITS, CRASH_SILENT, CRASH_OFF, CRASH_STATES };
struct crash_other {
    uint8_t cpu, state, exit_count, kind[CRASH_OTHER_EXITS], reserved[3];
    uint64_t rip, rsp, raw[CRASH_OTHER_EXITS]; /* exits: newest first */
};

struct crash_record {
    uint64_t magic;
    uint32_t version;
    uint32_t size;                  /* sizeof(struct crash_record) */
    uint64_t checksum;              /* FNV-1a, 64 bits, over all that follows */
    uint8_t build_id[CRASH_BUILD_ID];
    uint32_t cpu;
    uint32_t flags;                 /* CRASH_* */
    uint32_t vector, msr;
    uint64_t error, fault;
    uint64_t rip, rsp, cr0, cr3, cr4;
    uint32_t stack_count, stack_skipped; /* skipped: left out after the first CRASH_INNER */
    uint32_t exit_count, other_count;
    struct crash_word stack[CRASH_STACK]; /* addresses in the core's code, innermost first */
    struct crash_exit exit[CRASH_EXITS]; /* newest first */
    struct crash_other other[CRASH_OTHERS]; /* by number */
    char virt[CRASH_VIRT];          /* whose exit codes these are; NUL-terminated */
    char text[CRASH_TEXT];          /* NUL-terminated */
};
_Static_assert(sizeof(struct crash_record) <= 4096, "one page");

/* True if `r` (a page of hostile bytes) is a whole record. */
bool crash_valid(const struct crash_record *r);

/* Fill in magic, sizes and checksum. */
void crash_seal(struct crash_record *r);

/* Log a valid record's lines ("crash: ..."), printable characters only. The last line has
 * CRASH_SUM_* over the lines' texts behind "crash: ", so that a reader can tell damage. */
void crash_print(const struct crash_record *r);
#define CRASH_SUM_START 0x811c9dc5u /* FNV-1a, 32 bits */
#define CRASH_SUM_PRIME 0x01000193u

/* Boot: remember the places, print and clear what an earlier boot left. */
void crash_init(const struct boot_info *bi);
extern uint64_t crash_place[CRASH_COPIES];

/* Panic path: first look (the stacks are wiped later), then write the record to both places
 * and print it. No locks. `rip`, `rsp`: a return address, and RSP after that return, where
 * there is no `trap`. */
struct trap_frame;
void crash_collect(const char *text, const struct trap_frame *trap, uint64_t rip, uint64_t rsp);
void crash_write(void);

#endif
