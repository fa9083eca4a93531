/* SPDX-License-Identifier: MIT */
/* What a caller asks to register, after it was checked: sections, parameters, entry. */
#ifndef TV_IMAGE_H
#define TV_IMAGE_H

#include <xmhf/image.h>
#include <xmhf/measurement.h>
#include <xmhf/trustvisor.h>
#include <xmhf/types.h>

#define TV_STUB_LEN      3u            /* VMCALL or VMMCALL */
#define TV_STUB_BLOCK    32u           /* resume stub, mark and nonce */
#define TV_USER_END      (1ULL << 47)  /* end of the lower canonical half */
#define TV_USER_END_32   (1ULL << 32)  /* end of what 32-bit code can address */
#define TV_PAGES_MAX     XMHF_IMAGE_PAGES /* of one PAL, of any interface */
#define TV_AREA_MAX      KIB(512)      /* bytes of parameters that one call copies; an image's:
                                          XMHF_IMAGE_AREA */
#define TV_DATA_ALIGN    16u           /* of each POINTER's data, but of the public ABI's */
#define TV_AREA_OFFSET   0x10u         /* of the parameter block in the PARAM section */
#define TV_STACK_SLACK   0x10u         /* left free at the top of the STACK section */
#define TV_REG_ARGS      6u            /* integer arguments in registers (SysV); i386: none */
#define TV_INT3S         0xccccccccccccccccULL /* INT3, eight times */
/* Images of which modes this build has: those of XMHF_FEATURE_MODE_*. */
#define TV_MODES         (XMHF_FEATURE_MODE_16 | XMHF_FEATURE_MODE_32 | XMHF_FEATURE_MODE_64)
#define TV_HEADER        24u           /* bytes of the three words before a parameter's data,
                                          whatever the PAL's machine word is */

struct tv_section {
    uint64_t start;   /* the PAL's own address */
    uint32_t pages;
    uint32_t first;   /* index of its first page among the PAL's pages */
    uint32_t type;    /* enum tv_section_type, or XMHF_SECTION_* */
    bool fresh;       /* begins as zeros: none of the caller's pages is in it */
    uint64_t source;  /* GVA of the caller's pages, unless it is fresh. The same as `start`, but for
                         an image */
};

/* 16 bytes: those of an image fill a page. */
struct tv_param {
    union {
        uint64_t size;           /* as the caller gave it */
        struct {                 /* of an image: */
            uint32_t most;       /* bytes, as the caller gave them; INTEGER: XMHF_INTEGER_* */
            uint16_t counted_by; /* 0, or 1 + number in its entry of the INTEGER that counts ... */
            uint16_t unit;       /* ... things of so many bytes */
        };
    };
    uint32_t offset;             /* public ABI: of its type word; else: of its data. From the start
                                    of the PARAM section */
    uint32_t bytes : 20;         /* of copied data, at most; 0 unless it is a POINTER */
    uint32_t direction : 4;      /* enum xmhf_direction */
    uint32_t type : 8;           /* enum tv_param_type, or XMHF_PARAM_OCALL; a byte of its own,
                                    since each call looks */
};
_Static_assert(sizeof(struct tv_param) == 16, "XMHF_IMAGE_PARAMS in a page");
_Static_assert(TV_AREA_MAX < 1 << 20 && XMHF_IMAGE_AREA < 1 << 20, "bytes fit");

/* How the caller's arguments are taken, and given to the PAL: as a convention says that both have,
 * or by the widths that are declared (slots.h). */
enum tv_way {
    TV_WAY_CDECL = XMHF_CDECL, TV_WAY_SYSV = XMHF_SYSV, TV_WAY_MICROSOFT = XMHF_MICROSOFT,
    TV_WAY_SLOTS = 16,  /* by those widths */
    TV_WAY_NARROW,      /* words, which may be too large for the PAL's */
};

struct tv_entry {
    uint64_t va;      /* the PAL's own address */
    uint16_t first;   /* its first parameter */
    uint16_t params;  /* how many it has */
    uint32_t area : 20;   /* of an image: bytes of the PARAM section that its POINTERs' data
                             takes; */
    uint32_t result : 12; /* and XMHF_INTEGER_* */
};

/* Room for the lists of a PAL of the public ABI, and of any. */
struct tv_public_lists {
    struct tv_section sections[TV_MAX_SECTIONS];
    struct tv_param params[TV_MAX_PARAMS];
    struct tv_entry entries[1];
};

struct tv_module_lists {
    struct tv_section sections[XMHF_MODULE_SECTIONS];
    struct tv_param params[XMHF_MODULE_PARAMS];
    struct tv_entry entries[XMHF_MODULE_ENTRIES];
};

/* Of an image; its parameters have a page of their own. */
struct tv_image_lists {
    struct tv_section sections[XMHF_IMAGE_SECTIONS + 1]; /* and its page of stubs */
    struct tv_entry entries[XMHF_IMAGE_ENTRIES];
};

struct tv_image {
    uint64_t entry;              /* GVA of the first one's stub: without an image its own */
    uint64_t lowest;             /* lowest section address */
    uint64_t budget;             /* TSC ticks of one call; 0: no limit */
    uint32_t pages;              /* of all sections */
    uint32_t section_count, param_count, entry_count;
    uint32_t sources;            /* sections with pages of the caller; an image's page of stubs
                                    counts as one, sections[section_count], behind all pages */
    uint32_t stacks;             /* calls at the same time */
    uint32_t flags;              /* PAL_ID_FLAG_*, or of an image XMHF_IMAGE_* */
    uint8_t convention;          /* enum xmhf_convention, of the PAL ... */
    uint8_t caller;              /* ... and of its caller */
    uint8_t takes, gives;        /* enum tv_way */
    enum pal_id_mode mode;       /* of the PAL's code */
    bool caller_64;            /* who registers it is 64-bit code; nobody else may call it */
    bool module;                 /* not registered by the public ABI: by the module interface ... */
    bool image;                  /* ... or as an image */
    bool has_ocall;              /* some entry has an OCALL parameter */
    uint8_t quick;               /* caller_64; or 2, of an image: no call of it is the usual
                                    case */
    bool has_counts;             /* some POINTER is counted */
    bool converts;               /* results, and perhaps arguments, aren't just machine words of one
                                    width */
    bool is_sized;               /* some INTEGER or result is no XMHF_INTEGER_WORD */
    uint8_t word;                /* bytes of the PAL's machine word ... */
    uint8_t caller_word;         /* ... and of its caller's */
    uint8_t code;                /* index of the entries' CODE section */
    bool has_data;               /* some POINTER has a size */
    bool ends_otherwise;         /* has_data, or several stacks, or converts: what the end of a
                                    call looks at */
    uint8_t order[XMHF_IMAGE_SECTIONS + 1]; /* the `sources` ones by the caller's address: indexes
                                               in sections[] */
    struct tv_section *sections; /* in memory that the owner of this provides */
    struct tv_param *params;
    struct tv_entry *entries;
};

/* Forget all but where the lists are. The PAL's mode is its caller's (`is_64`: 64-bit code). */
void tv_image_begin(struct tv_image *im, bool is_64);
/* Both have this convention. */
void tv_image_convention(struct tv_image *im, uint32_t convention);
/* What the caller's code sees of a register. */
static inline uint64_t tv_visible(const struct tv_image *im, uint64_t value)
{
    return im->caller_64 ? value : (uint32_t)value;
}
/* Check the next section and add it to the list, which has room; its type is the caller's
 * business. */
enum tv_error tv_image_section(struct tv_image *im, uint32_t type, uint64_t start, uint64_t pages);
/* Put the section behind the ones counted so far among those with pages of the caller. False: it
 * shares a page with one. */
bool tv_image_source(struct tv_image *im, uint32_t index);
/* The k-th section of type `type` (from 0), or NULL. */
const struct tv_section *tv_section_nth(const struct tv_image *im, uint32_t type, uint32_t k);

static inline bool tv_is_code(uint32_t type)
{
    return type == TV_SECTION_CODE || type == TV_SECTION_SHARED_CODE;
}

/* The PAL can't write it. */
static inline bool tv_is_constant(uint32_t type)
{
    return tv_is_code(type) || type == XMHF_SECTION_RODATA;
}

/* The owner goes on using it, and so may its other PALs: each PAL has a copy, and the owner's pages
 * are only read. */
static inline bool tv_is_shared(uint32_t type)
{
    return type == TV_SECTION_SHARED_CODE;
}

/* Its pages of the caller are the PAL's: they are overwritten. */
static inline bool tv_is_taken(const struct tv_section *s)
{
    return !tv_is_shared(s->type) && !s->fresh;
}

static inline uint64_t tv_section_end(const struct tv_section *s)
{
    return s->start + s->pages * PAGE_SIZE;
}

static inline uint64_t tv_source_end(const struct tv_section *s)
{
    return s->source + s->pages * PAGE_SIZE;
}

/* Where the caller has page `index`, which is in this section. */
static inline uint64_t tv_source_va(const struct tv_section *s, uint32_t index)
{
    return s->source + (uint64_t)(index - s->first) * PAGE_SIZE;
}

/* Pages of the caller's, and of sections that are fresh: their indexes end here. */
static inline uint32_t tv_source_pages(const struct tv_image *im)
{
    return im->pages + im->image;
}

/* The caller's page, by index, that holds the stubs. */
static inline uint32_t tv_stub_page(const struct tv_image *im)
{
    const struct tv_section *s = &im->sections[im->image ? im->section_count : im->code];

    return s->first + (uint32_t)((im->entry - s->source) >> PAGE_SHIFT);
}

/* GVA of an entry's stub. */
static inline uint64_t tv_stub_va(const struct tv_image *im, const struct tv_entry *e)
{
    return im->image ? XMHF_IMAGE_STUB(im->entry, e - im->entries) : e->va;
}

/* True if `a` and `b` share a page of the caller's, unless it is SHARED_CODE of both. Takes as many
 * steps as both have sections. */
bool tv_images_overlap(const struct tv_image *a, const struct tv_image *b);

/* The section that holds page `index` (< im->pages). */
const struct tv_section *tv_section_of(const struct tv_image *im, uint32_t index);

/* The same for a page of the caller's: an image's page of stubs is among them. */
const struct tv_section *tv_source_of(const struct tv_image *im, uint32_t index);

/* The section that holds the PAL's own address, or NULL. */
const struct tv_section *tv_section_at(const struct tv_image *im, uint64_t va);

#endif
