/* SPDX-License-Identifier: MIT */
/*
 * The TrustVisor ABI: in-memory structures (bit for bit the public ABI), those of the module
 * interface, which is ours, and the named errors. Layouts are the same for 32-bit and 64-bit
 * callers. notes/public-abi.md has the public ABI's facts, notes/pal-lifecycle.md what becomes of
 * a PAL.
 */
#ifndef XMHF_TRUSTVISOR_H
#define XMHF_TRUSTVISOR_H

#include <stddef.h>
#include <stdint.h>
#include <xmhf/assert.h>

#define TV_MAX_SECTIONS 10
#define TV_MAX_PARAMS   10

enum tv_section_type {
    TV_SECTION_CODE = 1,
    TV_SECTION_DATA = 2,
    TV_SECTION_PARAM = 3,
    TV_SECTION_STACK = 4,
    TV_SECTION_SHARED_CODE = 5,  /* a copy; the process goes on using its own */
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

XMHF_ASSERT(sizeof(struct tv_pal_section) == 16, "public ABI");
XMHF_ASSERT(sizeof(struct tv_pal_sections) == 168, "public ABI");
XMHF_ASSERT(sizeof(struct tv_pal_param) == 16, "public ABI");
XMHF_ASSERT(sizeof(struct tv_pal_params) == 168, "public ABI");
XMHF_ASSERT(offsetof(struct tv_pal_sections, sections) == 8, "public ABI");
XMHF_ASSERT(offsetof(struct tv_pal_params, params) == 8, "public ABI");

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
    X(BAD_SECTIONS,    4, "the number of sections must be 1 to 10, of a module or image 1 to 64") \
    X(BAD_SECTION_TYPE,5, "unknown section type") \
    X(MISALIGNED,      6, "a section must start on a 4 KiB page") \
    X(BAD_SIZE,        7, "a section is empty, too large, wraps around or ends behind what " \
                          "code of its mode can address") \
    X(OVERLAP,         8, "a section overlaps another one, or one of a registered PAL") \
    X(NOT_RAM,         9, "a page is not ordinary guest RAM (device, ROM or hypervisor memory)") \
    X(DUPLICATE_PAGE, 10, "one physical page appears twice") \
    X(BAD_PARAMS,     11, "the number of parameters must be 1 to 10, of a module 0 to 32, of " \
                          "an image 0 to 256") \
    X(BAD_PARAM_TYPE, 12, "unknown parameter type") \
    X(PARAMS_TOO_BIG, 13, "the parameters do not fit the PARAM section") \
    X(NO_CODE,        14, "a CODE section is needed") \
    X(NO_STACK,       15, "a STACK section is needed") \
    X(NO_PARAM,       16, "a PARAM section is needed") \
    X(BAD_ENTRY,      17, "the entry point must lie in a CODE section with room for the stubs") \
    X(EXISTS,         18, "a PAL with this entry point is registered already") \
    X(NO_MEMORY,      19, "the PAL pool is full; raise palmem=") \
    X(QUOTA,          20, "this process has too many PALs, or too many sections in them") \
    X(NOT_FOUND,      21, "this process has no PAL with this entry point") \
    X(BUSY,           22, "a CPU is running this PAL now") \
    X(IN_PAL,         23, "not allowed inside a PAL") \
    X(NOT_SUPPORTED,  24, "this command of the public ABI is not supported here") \
    X(BAD_STRUCT,     25, "this hypervisor doesn't know the structure's size or version") \
    X(BAD_CONVENTION, 26, "unknown calling convention, or none of the code's mode") \
    X(BAD_FLAGS,      27, "unknown flags, or a reserved field that is not 0") \
    X(BAD_DIRECTION,  28, "a pointer must be in, out or in-out; an integer in, of a module with " \
                          "size 0") \
    X(BAD_STACKS,     29, "the STACK and PARAM sections don't fit the number of stacks") \
    X(BAD_ENTRIES,    30, "1 to 16 entries, different multiples of 16 in one page of CODE, not " \
                          "in its last 32 bytes, with declared parameters") \
    X(QUOTA_PAGES,    31, "this process has too much memory in PALs") \
    X(QUOTA_ALL,      32, "the hypervisor has no slot for another PAL") \
    X(NO_ENTROPY,     33, "the hypervisor has no source of random numbers that works") \
    X(BAD_MODE,       34, "an image's mode is 16, 32 or 64") \
    X(BAD_LISTS,      35, "an image's size must be that of its structure and its three lists") \
    X(IMAGE_ENTRIES,  36, "an image has 1 to 64 entries in CODE, with at most 32 parameters " \
                          "each, in all as many as it declares") \
    X(NO_GAP,         37, "an image's sections must ascend, with an unmapped page before each") \
    X(BAD_SOURCE,     38, "an image's CODE, RODATA and DATA have a source, its other sections " \
                          "have none") \
    X(BAD_STUBS,      39, "an image needs a page of its caller's for its stubs, named in RDI too") \
    X(BAD_COUNT,      40, "a counted pointer needs an integer of its entry, and a unit that its " \
                          "size is a multiple of") \
    X(BAD_OCALL,      41, "an entry has at most one ocall parameter") \
    X(BAD_ADDRESS,    42, "not all of it is in the PAL's own writable sections") \
    X(TOO_LONG,       43, "more bytes than the limit of this hypercall, or than fit") \
    X(NO_OCALL,       44, "this call has no ocall argument") \
    X(NOT_DEBUG,      45, "this PAL is not a debug PAL: nobody reads it") \
    X(NO_MODE,        46, "there are no PALs of this mode here; XMHF_HC_PAL_LIMITS tells which " \
                          "there are") \
    X(BAD_INTEGER,    47, "an integer's, or a result's, size is 0, or 1, 2, 4 or 8 bytes, " \
                          "perhaps signed") \
    X(SEGMENT_SIZE,   48, "a section of 16-bit code has at most 64 KiB, CODE and STACK 60 KiB; " \
                          "the flag TILED allows more of data, one segment takes 60 KiB in all") \
    X(SEGMENTS,       49, "16-bit code has at most 511 selectors, one for each 64 KiB of a section")

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

/*
 * --- the module interface ----------------------------------------------------------
 *
 * Ours, beside the public ABI. One structure describes a PAL. Entries of its lists beyond the
 * counts are not looked at. `size` and `version` are judged first; reserved fields are 0.
 *
 * As many calls can be under way at once as there are stacks: the k-th STACK section and the
 * k-th PARAM section, in the order of the list, belong to the same call. Without any POINTER
 * no PARAM section is needed.
 *
 * All entries lie in one page of CODE: a table of jumps, usually.
 */
#define XMHF_MODULE_VERSION     1u
#define XMHF_MODULE_SECTIONS    64
#define XMHF_MODULE_PARAMS      32
#define XMHF_MODULE_ENTRIES     16
#define XMHF_MODULE_STACKS      32
#define XMHF_MODULE_ENTRY_ALIGN 16  /* bytes */

/* Section types are those of the public ABI, less SHARED_CODE, and: */
#define XMHF_SECTION_RODATA 16u  /* data that the PAL can't write */

enum xmhf_convention {
    XMHF_CDECL = 1,      /* i386: 32-bit callers */
    XMHF_SYSV = 2,       /* x86-64 System V */
    XMHF_MICROSOFT = 3,  /* x86-64 Microsoft */
    XMHF_CDECL16 = 4,    /* 16-bit code, of images only: near, caller clears the stack ... */
    XMHF_PASCAL16 = 5,   /* ... and near, first argument pushed first, callee clears it */
};

enum xmhf_direction { XMHF_IN = 1, XMHF_OUT = 2, XMHF_INOUT = 3 };

#define XMHF_MODULE_PIC 2u  /* position-independent: the identity leaves the base out */

struct xmhf_module_section {
    uint32_t type;
    uint32_t reserved;
    uint64_t pages;       /* of 4 KiB */
    uint64_t start;       /* GVA, 4 KiB aligned */
};

struct xmhf_module_param {
    uint32_t type;        /* enum tv_param_type */
    uint32_t direction;   /* enum xmhf_direction */
    uint64_t size;        /* of what a POINTER points to, in bytes; INTEGER: 0 */
};

struct xmhf_module_entry {
    uint64_t address;     /* GVA */
    uint32_t first_param; /* its parameters are param[first_param], ... */
    uint32_t params;      /* ... so many */
};

struct xmhf_module {
    uint32_t size;        /* sizeof(struct xmhf_module) */
    uint32_t version;     /* XMHF_MODULE_VERSION */
    uint32_t convention;  /* enum xmhf_convention */
    uint32_t flags;       /* XMHF_MODULE_PIC, or 0 */
    uint32_t sections, params, entries, stacks;  /* how many */
    uint64_t budget;      /* TSC ticks that one call may run, interruptions not counted;
                             0: no limit */
    uint64_t reserved;
    struct xmhf_module_section section[XMHF_MODULE_SECTIONS];
    struct xmhf_module_param param[XMHF_MODULE_PARAMS];
    struct xmhf_module_entry entry[XMHF_MODULE_ENTRIES];
};

XMHF_ASSERT(sizeof(struct xmhf_module_section) == 24, "our ABI");
XMHF_ASSERT(sizeof(struct xmhf_module_param) == 16, "our ABI");
XMHF_ASSERT(sizeof(struct xmhf_module_entry) == 16, "our ABI");
XMHF_ASSERT(sizeof(struct xmhf_module) == 2352, "our ABI");
XMHF_ASSERT(offsetof(struct xmhf_module, section) == 48, "our ABI");
XMHF_ASSERT(offsetof(struct xmhf_module, param) == 1584, "our ABI");
XMHF_ASSERT(offsetof(struct xmhf_module, entry) == 2096, "our ABI");

/*
 * How a call of a PAL that was registered by the module interface ends: RAX is its result. RCX is
 * 0; or the PAL has died in this call, or in another one at the same time: then RAX is 0, RCX
 * tells why and RDX where.
 */
#define XMHF_STATUS_DEATH(rcx)   ((uint32_t)(rcx) & 0xff)         /* enum tv_death; ... */
/* ... or the PAL lives, and the call has not begun: all stacks are in use, one of them by a call
 * of the same thread that was interrupted, by a signal, say: it would wait for its own thread. */
#define XMHF_STATUS_BUSY         0x80u
#define XMHF_BUSY_TEXT "all stacks of the PAL are in use, one of them by this thread"
#define XMHF_STATUS_VECTOR(rcx)  ((uint32_t)(rcx) >> 8 & 0xff)    /* of an exception */
#define XMHF_STATUS_SECTION(rcx) ((uint32_t)(rcx) >> 16 & 0xff)   /* of the instruction; or */
#define XMHF_NO_SECTION          0xffu
/* RDX: offset of the instruction in that section, in bytes */

/* What XMHF_HC_PAL_LIMITS tells. Pages are of 4 KiB and include tables. */
struct xmhf_pal_limits {
    uint32_t version;         /* XMHF_MODULE_VERSION */
    uint32_t features;        /* XMHF_FEATURE_* */
    uint32_t sections, params, entries, stacks;  /* of one PAL, at most */
    uint64_t pages;           /* of one PAL, at most */
    uint64_t area;            /* bytes that one call's pointers may have, at most */
    uint64_t pals_max;                    /* PALs of all processes, at most */
    uint64_t pages_max, pages_free;       /* pages for all of them */
    uint64_t own_pals_max, own_pals;      /* PALs of this process */
    uint64_t own_pages_max, own_pages;    /* pages of this process */
    uint64_t image_area;      /* of an image: as `area`; and bytes of an ocall's data, at most */
};
#define XMHF_PAL_LIMITS_SHORT 96u /* the structure without image_area: may be asked for, too */

#define XMHF_FEATURE_CDECL     (1u << 0)
#define XMHF_FEATURE_SYSV      (1u << 1)
#define XMHF_FEATURE_MICROSOFT (1u << 2)
#define XMHF_FEATURE_BUDGET    (1u << 3)
#define XMHF_FEATURE_STACKS    (1u << 4)
#define XMHF_FEATURE_IMAGE     (1u << 5) /* images, within the limits of xmhf/image.h: those above
                                            are of modules, but for `pages` and `image_area` */
/* Images of which modes there are. Each may be called by 32-bit and by 64-bit code. */
#define XMHF_FEATURE_MODE_16   (1u << 6)
#define XMHF_FEATURE_MODE_32   (1u << 7)
#define XMHF_FEATURE_MODE_64   (1u << 8)

/* What XMHF_HC_PAL_STATS tells, of a PAL of either interface; of the dead the last one only. */
struct xmhf_pal_stats {
    uint32_t version;         /* XMHF_MODULE_VERSION */
    uint32_t stacks;
    uint64_t calls;           /* begun */
    uint64_t interruptions;
    uint64_t exits;           /* from the PAL to the hypervisor, CPUID not counted */
    uint32_t death;           /* enum tv_death */
    uint32_t vector;          /* of the exception */
    uint32_t section;         /* where: number of the section, or XMHF_NO_SECTION */
    uint32_t offset;          /* in bytes */
    uint8_t identity[32];     /* PAL_ID_SIZE: its identity, as it was registered */
    uint64_t address;         /* of an image: as in RAX after its death, of any width */
};
#define XMHF_PAL_STATS_SHORT    48u /* may be asked for, too: the structure without identity ... */
#define XMHF_PAL_STATS_IDENTITY 80u /* ... and without address */

XMHF_ASSERT(sizeof(struct xmhf_pal_limits) == 104, "our ABI");
XMHF_ASSERT(offsetof(struct xmhf_pal_limits, image_area) == XMHF_PAL_LIMITS_SHORT, "our ABI");
XMHF_ASSERT(sizeof(struct xmhf_pal_stats) == 88, "our ABI");
XMHF_ASSERT(offsetof(struct xmhf_pal_stats, address) == XMHF_PAL_STATS_IDENTITY, "our ABI");
XMHF_ASSERT(offsetof(struct xmhf_pal_stats, identity) == XMHF_PAL_STATS_SHORT, "our ABI");

/* Former names of the module interface. */
#define xmhf_pal             xmhf_module
#define xmhf_pal_section     xmhf_module_section
#define xmhf_pal_param       xmhf_module_param
#define xmhf_pal_entry       xmhf_module_entry
#define XMHF_PAL_VERSION     XMHF_MODULE_VERSION
#define XMHF_PAL_SECTIONS    XMHF_MODULE_SECTIONS
#define XMHF_PAL_PARAMS      XMHF_MODULE_PARAMS
#define XMHF_PAL_ENTRIES     XMHF_MODULE_ENTRIES
#define XMHF_PAL_STACKS      XMHF_MODULE_STACKS
#define XMHF_PAL_ENTRY_ALIGN XMHF_MODULE_ENTRY_ALIGN
#define XMHF_PAL_FLAG_PIC    XMHF_MODULE_PIC

#endif
