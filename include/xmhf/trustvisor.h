/* SPDX-License-Identifier: MIT */
/*
 * The TrustVisor ABI: in-memory structures (bit for bit the public ABI) and the
 * named errors. Layouts are the same for 32-bit and 64-bit callers.
 */
#ifndef XMHF_TRUSTVISOR_H
#define XMHF_TRUSTVISOR_H

#include <stddef.h>
#include <stdint.h>

#define TV_MAX_SECTIONS 10
#define TV_MAX_PARAMS   10

enum tv_section_type {
    TV_SECTION_CODE = 1,
    TV_SECTION_DATA = 2,
    TV_SECTION_PARAM = 3,
    TV_SECTION_STACK = 4,
    TV_SECTION_SHARED_CODE = 5,
};

enum tv_param_type {
    TV_PARAM_INTEGER = 1,
    TV_PARAM_POINTER = 2,
};

struct tv_pal_section {
    uint32_t type;       /* enum tv_section_type */
    uint32_t page_num;   /* pages of 4 KiB */
    uint64_t start_addr; /* GVA, 4 KiB aligned */
} __attribute__((packed));

struct tv_pal_sections {
    uint32_t num_sections;
    uint32_t padding;
    struct tv_pal_section sections[TV_MAX_SECTIONS];
} __attribute__((packed));

struct tv_pal_param {
    uint32_t type;    /* enum tv_param_type */
    uint32_t padding;
    uint64_t size;    /* in machine words of the PAL; ignored for INTEGER */
} __attribute__((packed));

struct tv_pal_params {
    uint32_t num_params;
    uint32_t padding;
    struct tv_pal_param params[TV_MAX_PARAMS];
} __attribute__((packed));

_Static_assert(sizeof(struct tv_pal_section) == 16, "public ABI");
_Static_assert(sizeof(struct tv_pal_sections) == 168, "public ABI");
_Static_assert(sizeof(struct tv_pal_param) == 16, "public ABI");
_Static_assert(sizeof(struct tv_pal_params) == 168, "public ABI");
_Static_assert(offsetof(struct tv_pal_sections, sections) == 8, "public ABI");
_Static_assert(offsetof(struct tv_pal_params, params) == 8, "public ABI");

/*
 * Named errors, the value a failed hypercall leaves in RAX. The public ABI knows
 * only 0 = success and 1 = failure; its programs test for non-zero, so finer codes
 * are compatible. X(name, number, sentence).
 */
#define TV_ERRORS(X) \
    X(OK,              0, "success") \
    X(FAILED,          1, "the call failed") \
    X(UNKNOWN_COMMAND, 2, "no such command; see include/xmhf/hypercall.h") \
    X(BAD_CALLER,      3, "only ring 3 with paging on, in a supported mode, may do this") \
    X(BAD_SECTIONS,    4, "the number of sections must be 1 to 10") \
    X(BAD_SECTION_TYPE,5, "unknown section type") \
    X(MISALIGNED,      6, "a section must start on a 4 KiB page") \
    X(BAD_SIZE,        7, "a section is empty, too large or wraps around") \
    X(OVERLAP,         8, "a section overlaps another one, or one of a registered PAL") \
    X(NOT_RAM,         9, "a page is not ordinary guest RAM (device, ROM or hypervisor memory)") \
    X(DUPLICATE_PAGE, 10, "one physical page appears twice") \
    X(BAD_PARAMS,     11, "the number of parameters must be 1 to 10") \
    X(BAD_PARAM_TYPE, 12, "unknown parameter type") \
    X(PARAMS_TOO_BIG, 13, "the parameters do not fit the PARAM section") \
    X(NO_CODE,        14, "a CODE section is needed") \
    X(NO_STACK,       15, "a STACK section is needed") \
    X(NO_PARAM,       16, "a PARAM section is needed") \
    X(BAD_ENTRY,      17, "the entry point must lie in a CODE section with room for the stubs") \
    X(EXISTS,         18, "a PAL with this entry point is registered already") \
    X(NO_MEMORY,      19, "the PAL pool is full; raise palmem=") \
    X(QUOTA,          20, "too many PALs") \
    X(NOT_FOUND,      21, "this process has no PAL with this entry point") \
    X(BUSY,           22, "a CPU is running this PAL now") \
    X(IN_PAL,         23, "not allowed inside a PAL") \
    X(NOT_SUPPORTED,  24, "this command of the public ABI is not supported here")

enum tv_error {
#define X(name, number, sentence) TV_##name = (number),
    TV_ERRORS(X)
#undef X
};

/* Why a PAL died. X(name, number, sentence). */
#define TV_DEATHS(X) \
    X(ALIVE,        0, "alive") \
    X(EXCEPTION,    1, "the PAL raised an exception") \
    X(FORBIDDEN,    2, "the PAL executed a forbidden instruction") \
    X(ESCAPE,       3, "the PAL left its address space") \
    X(BAD_RETURN,   4, "the return address was not canonical") \
    X(BUDGET,       5, "the PAL used up its budget") \
    X(OWNER_GONE,   6, "the owner's address space no longer holds the PAL's stubs")

enum tv_death {
#define X(name, number, sentence) TV_DEATH_##name = (number),
    TV_DEATHS(X)
#undef X
};

#endif
