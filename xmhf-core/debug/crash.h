/* SPDX-License-Identifier: MIT */
/*
 * The crash record: what a panic leaves for the next boot, in two places, because firmware
 * and loaders overwrite parts of memory on a warm reset. It holds no guest registers and no
 * data words: only the panic's text, our own RIP, RSP and control registers, words of our
 * stack that are addresses in the core's code, and the last exits' reasons.
 *
 * The places are in guest-visible memory (reserved in its map), so the next boot reads the
 * record as hostile input.
 */
#ifndef XMHF_DEBUG_CRASH_H
#define XMHF_DEBUG_CRASH_H

#include <xmhf/boot_info.h>

#define CRASH_MAGIC    0x4853415243484d58ULL /* "XMHCRASH" */
#define CRASH_VERSION  1
#define CRASH_COPIES   2
#define CRASH_STACK    48
#define CRASH_EXITS    16
#define CRASH_TEXT     160
#define CRASH_BUILD_ID 20

struct crash_exit { uint64_t raw; uint32_t kind; uint32_t reserved; };

struct crash_record {
    uint64_t magic;
    uint32_t version;
    uint32_t size;                  /* sizeof(struct crash_record) */
    uint64_t checksum;              /* FNV-1a, 64 bits, over all that follows */
    uint8_t build_id[CRASH_BUILD_ID];
    uint32_t cpu;
    uint32_t has_trap;              /* the next two are valid */
    uint32_t vector;
    uint64_t error;
    uint64_t rip, rsp, cr0, cr3, cr4;
    uint32_t stack_count, exit_count;
    uint64_t stack[CRASH_STACK];    /* addresses in the core's code, innermost first */
    struct crash_exit exit[CRASH_EXITS]; /* newest first */
    char text[CRASH_TEXT];          /* NUL-terminated */
};
_Static_assert(sizeof(struct crash_record) <= 4096, "one page");

/* Choose the two places in the firmware's map; pages, 0 = none. The same map gives the same
 * places in every boot. */
void crash_places(const struct boot_mem *map, unsigned count, uint64_t place[CRASH_COPIES]);

/* True if `r` (a page of hostile bytes) is a whole record. */
bool crash_valid(const struct crash_record *r);

/* Fill in magic, sizes and checksum. */
void crash_seal(struct crash_record *r);

/* Log a valid record's lines ("crash: ..."), printable characters only. */
void crash_print(const struct crash_record *r);

/* Boot: remember the places, print and clear what an earlier boot left. */
void crash_init(const struct boot_info *bi);
extern uint64_t crash_place[CRASH_COPIES];

/* Panic path: write the record to both places. Takes no lock. */
struct trap_frame;
void crash_write(const char *text, const struct trap_frame *trap);

#endif
