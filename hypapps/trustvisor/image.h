/* SPDX-License-Identifier: MIT */
/* What a caller asks to register, after it was checked: sections, parameters, entry. */
#ifndef TV_IMAGE_H
#define TV_IMAGE_H

#include <xmhf/trustvisor.h>
#include <xmhf/types.h>

#define TV_STUB_LEN      3u            /* VMCALL or VMMCALL */
#define TV_USER_END      (1ULL << 47)  /* end of the lower canonical half */
#define TV_USER_END_32   (1ULL << 32)  /* end of what 32-bit code can address */
#define TV_PAGES_MAX     65536u        /* of one PAL: 256 MiB */
#define TV_AREA_MAX      KIB(512)      /* bytes of parameters that one call copies */
#define TV_AREA_OFFSET   0x10u         /* of the parameter block in the PARAM section */
#define TV_STACK_SLACK   0x10u         /* left free at the top of the STACK section */
#define TV_REG_ARGS      6u            /* integer arguments in registers (SysV); i386: none */
#define TV_HEADER        24u           /* bytes of the three words before a parameter's data,
                                          whatever the PAL's machine word is */

struct tv_section {
    uint64_t start;   /* GVA */
    uint32_t pages;
    uint32_t first;   /* index of its first page among the PAL's pages */
    uint32_t type;    /* enum tv_section_type as the caller gave it */
};

struct tv_param {
    uint32_t type;    /* enum tv_param_type */
    uint64_t words;   /* as the caller gave it */
    uint32_t offset;  /* of its type word, from the start of the PARAM section */
    uint32_t bytes;   /* of copied data; 0 for INTEGER */
};

struct tv_image {
    uint64_t entry;              /* GVA */
    uint64_t lowest;             /* lowest section address */
    uint32_t pages;              /* of all sections */
    uint32_t section_count;
    uint32_t param_count;
    bool wide;                   /* 64-bit code, by the System V convention; else i386 cdecl */
    uint8_t word;                /* bytes of the PAL's machine word */
    uint8_t code, stack, param;  /* indexes of the entry's CODE, the STACK and the PARAM section */
    bool has_data;               /* some POINTER has a size */
    struct tv_section sections[TV_MAX_SECTIONS];
    struct tv_param params[TV_MAX_PARAMS];
};

/*
 * Check what a caller asks for and fill `im`; `wide`: the caller is 64-bit code. `s` and `p`
 * are private copies of the caller's structures; only the first num_* entries are looked at.
 * Returns the name of the first thing wrong, or TV_OK. Touches no guest memory.
 */
enum tv_error tv_check(const struct tv_pal_sections *s, const struct tv_pal_params *p,
                       uint64_t entry, bool wide, struct tv_image *im);

static inline bool tv_is_code(uint32_t type)
{
    return type == TV_SECTION_CODE || type == TV_SECTION_SHARED_CODE;
}

static inline uint64_t tv_section_end(const struct tv_section *s)
{
    return s->start + s->pages * PAGE_SIZE;
}

/* True if a section of `a` and one of `b` share a page. */
bool tv_images_overlap(const struct tv_image *a, const struct tv_image *b);

/* The section that holds page `index` (< im->pages). */
const struct tv_section *tv_section_of(const struct tv_image *im, uint32_t index);

/* The section that holds the address, or NULL. */
const struct tv_section *tv_section_at(const struct tv_image *im, uint64_t va);

#endif
