/* SPDX-License-Identifier: MIT */
/*
 * A PAL as an image of its own: what registration version 2 takes, what an image file holds, and
 * what the identity of such a PAL is made of. All three are one layout, little-endian, without
 * gaps:
 *
 *   magic                      XMHF_IMAGE_MAGIC, 8 bytes
 *   struct xmhf_image          in a file `stubs` and `caller` are 0
 *   struct xmhf_image_section  sections times, lowest address first; in a file `source` is 0
 *   struct xmhf_image_param    params times: those of the first entry, of the second, ...
 *   struct xmhf_image_entry    entries times
 *   contents                   of each section that has some, in order: pages x 4096 bytes
 *
 * The identity is SHA-256 of exactly these bytes, as they are in the file: the hypervisor hashes
 * the sections as it copied them, and the structure with `stubs`, `caller` and `source` as 0.
 * Behind them a file has notes (struct xmhf_image_notes), which nobody measures.
 *
 * A section has two addresses: the PAL's own, where the image is linked, the same in every process;
 * and the caller's, where the bytes come from and zeros go. CODE, RODATA and DATA have contents.
 * BSS, STACK and PARAM begin as zeros: they have no source, and nothing of them is hashed but that
 * they are there. Between any two sections at least one page stays unmapped.
 *
 * The stubs lie in one page of the caller's, which is no section: entry number i is called at
 * XMHF_IMAGE_STUB(stubs, i). The page's last bytes are the resume stub and the nonce.
 */
#ifndef XMHF_IMAGE_H
#define XMHF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xmhf/trustvisor.h>

#define XMHF_IMAGE_MAGIC   "XMHFPAL\3" /* the last byte is the version of this encoding */
#define XMHF_IMAGE_MAGIC_SIZE 8u
#define XMHF_IMAGE_VERSION 2u

#define XMHF_IMAGE_SECTIONS     64u
#define XMHF_IMAGE_ENTRIES      64u
#define XMHF_IMAGE_ENTRY_PARAMS 32u   /* of one entry */
#define XMHF_IMAGE_PARAMS       256u  /* of all entries */
#define XMHF_IMAGE_PAGES        65536u /* of all sections together: 256 MiB */
#define XMHF_IMAGE_AREA         0x40000u /* bytes that one call's POINTERs have together, each
                                            begun at a multiple of 16; and that an OCALL has */
#define XMHF_IMAGE_STACKS       30u   /* each has a STACK and a PARAM section, and four others
                                         are CODE, RODATA, DATA and BSS */
#define XMHF_IMAGE_STUB_SIZE    16u   /* bytes from one entry's stub to the next one's */
#define XMHF_IMAGE_STUB(stubs, i) ((stubs) + (uint64_t)(i) * XMHF_IMAGE_STUB_SIZE)

/* Section types are those of the module interface, and: */
#define XMHF_SECTION_BSS 17u  /* zeros that the PAL can write */

/* Parameter types are INTEGER and POINTER, and: */
#define XMHF_PARAM_OCALL 3u   /* where an ocall is told: a struct xmhf_ocall with `size` bytes of
                                 data behind it, in the caller's memory. The PAL gets 0 for it. At
                                 most one of an entry */

#define XMHF_IMAGE_DEBUG  1u  /* may be read by its process (XMHF_HC_PAL_READ) */
#define XMHF_IMAGE_TILED  2u  /* of 16-bit code RODATA, DATA, BSS and PARAM may exceed 64 KiB */

/*
 * 16-bit PALs. All sections lie below 4 GiB.
 *
 * XMHF_PASCAL16 and XMHF_CDECL16: each section is a segment of its own, which begins with it.
 * Selectors are counted in the order of the sections, one for each 64 KiB that a section begins:
 * XMHF_SELECTOR_16(1) is the first section's, and a block of more than 64 KiB goes on 8 behind each
 * selector. A call begins with CS of its entry's section, SS of its stack, DS and ES of the first
 * DATA or BSS section (null if there is neither), FS and GS null; registers that hold no argument
 * are 0. Frames are near: the return address has 16 bits, an integer one word or two, a pointer two
 * (offset, then selector). A POINTER's data begins at a multiple of 16 bytes, and is in one segment
 * if it has at most 64 KiB, else at the beginning of one. The result is DX:AX.
 *
 * XMHF_CDECL: all sections lie below XMHF_RETURN_PAGE_16, in one segment with base 0, and CS, SS,
 * DS and ES begin with it. As gcc -m16 has it, arguments and return address take 32 bits, pointers
 * are offsets, and the result is EAX.
 *
 * CODE and STACK have at most 60 KiB. The last page of CODE's 64 KiB is the return page, to whose
 * offset XMHF_RETURN_16 the first near return goes. Nothing else may lie in those 64 KiB.
 */
#define XMHF_SELECTOR_16(n)  (((n) << 3) | 7u)
#define XMHF_RETURN_PAGE_16  0xf000u
#define XMHF_RETURN_16       0xf010u

struct xmhf_image {
    uint32_t size;        /* bytes of this structure and the three lists */
    uint32_t version;     /* XMHF_IMAGE_VERSION */
    uint32_t mode;        /* enum pal_id_mode: bits of the PAL's code, whatever its caller's */
    uint32_t convention;  /* enum xmhf_convention of the PAL's code */
    uint32_t flags;       /* XMHF_IMAGE_*, or 0 */
    uint32_t stacks;      /* calls at the same time */
    uint32_t sections, params, entries;  /* how many */
    uint32_t caller;      /* enum xmhf_convention of the code that calls. 0: the PAL's, if that is
                             of the caller's width; else cdecl or System V */
    uint64_t budget;      /* TSC ticks that one call may run; 0: no limit */
    uint64_t stubs;       /* GVA of the caller's page of stubs */
};

struct xmhf_image_section {
    uint32_t type;
    uint32_t pages;       /* of 4 KiB */
    uint64_t address;     /* the PAL's own, 4 KiB aligned */
    uint64_t source;      /* GVA in the caller, 4 KiB aligned; 0 without contents */
};

/*
 * How wide an INTEGER is, and the result: what caller and PAL of different widths agree upon.
 * XMHF_INTEGER_WORD is the machine word, each side's own, unsigned; anything else is so many
 * bytes, 1, 2, 4 or 8, perhaps with XMHF_INTEGER_SIGNED. What is in a wider place than it needs
 * is sign- or zero-extended there, as that says; bits that the caller's own place has beyond it
 * don't count. With words of 4 bytes 8 bytes take two slots, and a result is in EDX:EAX (of a
 * 64-bit PAL its machine word, too). A WORD that the PAL's isn't wide enough for: the call isn't
 * begun (XMHF_STATUS_BAD_VALUE). Of images whose widths are all WORD, called by code of their own
 * width, arguments pass as they are.
 */
#define XMHF_INTEGER_WORD   0u
#define XMHF_INTEGER_SIGNED 0x100u
#define XMHF_INTEGER_BYTES(size) ((size) & 0xffu)
static inline bool xmhf_integer_good(uint32_t size)
{
    const uint32_t bytes = size & ~XMHF_INTEGER_SIGNED;

    return size == XMHF_INTEGER_WORD || bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

struct xmhf_image_param {
    uint32_t type;        /* enum tv_param_type, or XMHF_PARAM_OCALL */
    uint32_t direction;   /* enum xmhf_direction; INTEGER: XMHF_IN, OCALL: XMHF_INOUT */
    uint32_t size;        /* bytes, at most; INTEGER: XMHF_INTEGER_* */
    uint16_t counted_by;  /* 0: always `size` bytes. Else 1 + number, in this entry, of the INTEGER
                             that counts what the POINTER points to */
    uint16_t unit;        /* bytes of each counted thing; without counted_by 0 */
};

struct xmhf_image_entry {
    uint64_t address;     /* the PAL's own, in CODE */
    uint32_t params;      /* so many of params[], behind the entry before */
    uint32_t result;      /* XMHF_INTEGER_*; XMHF_INTEGER_WORD: the PAL's machine word */
};

XMHF_ASSERT(sizeof(struct xmhf_image) == 56, "our ABI");
XMHF_ASSERT(offsetof(struct xmhf_image, budget) == 40, "our ABI");
XMHF_ASSERT(sizeof(struct xmhf_image_section) == 24, "our ABI");
XMHF_ASSERT(sizeof(struct xmhf_image_param) == 16, "our ABI");
XMHF_ASSERT(sizeof(struct xmhf_image_entry) == 16, "our ABI");

#define XMHF_IMAGE_SIZE(sections, params, entries) \
    (sizeof(struct xmhf_image) + (sections) * sizeof(struct xmhf_image_section) + \
     (params) * sizeof(struct xmhf_image_param) + (entries) * sizeof(struct xmhf_image_entry))

/*
 * How a call of such a PAL ends: as with the module interface (XMHF_STATUS_*), and:
 * after a death RAX is the address that a page fault touched (without XMHF_IMAGE_DEBUG only its
 * page), else 0; 32-bit callers get its lower half, and XMHF_HC_PAL_STATS has all of it.
 */
#define XMHF_STATUS_BAD_COUNT 0x81u /* not begun: a count says more than is declared */
#define XMHF_STATUS_OCALL     0x82u /* the PAL waits for an answer; the OCALL argument tells */
#define XMHF_STATUS_BAD_VALUE 0x83u /* not begun: an argument is too large for the PAL's word */

/*
 * An ocall: a PAL asks its own program to do something. Inside the PAL: XMHF_HC_OCALL with
 * RCX = function's number (32 bits), RDX = address of a buffer in its writable sections, RSI =
 * bytes of the request there, RDI = bytes that fit the buffer; RAX = bytes of the answer there, or
 * -enum tv_error, as a signed word: TV_NO_OCALL, TV_TOO_LONG (request or answer; of an answer that
 * is too long nothing is copied), TV_BAD_ADDRESS.
 * The caller sees its call return with XMHF_STATUS_OCALL, writes the answer into the same place,
 * and calls the resume stub with the token in the registers of an interrupted call (RAX, RDX; with
 * 32 bits EAX, EDX, ECX, EBX). That returns as the first call would have. Until then the
 * activation stays taken, and the thread's other calls of this PAL end with XMHF_STATUS_BUSY.
 * If the PAL has died meanwhile it returns too, and tells that.
 * Caller's registers, stack pointer and return address are those at the resume stub from then on,
 * and any thread of the process may bring the answer. The structure must stay where it was.
 */
struct xmhf_ocall {
    uint64_t token[2];
    uint32_t function;
    uint32_t bytes;       /* of the data behind: of the request, then of the answer */
};
XMHF_ASSERT(sizeof(struct xmhf_ocall) == 24, "our ABI");

/* Inside any PAL, of public ABI and module interface too, XMHF_HC_RANDOM: RCX = address in its
 * writable sections, RDX = bytes, at most XMHF_RANDOM_MAX; RAX = TV_OK, or TV_NO_ENTROPY,
 * TV_TOO_LONG or TV_BAD_ADDRESS, and then nothing is written. */
#define XMHF_RANDOM_MAX 256u

/*
 * XMHF_HC_PAL_READ, RCX: this structure. A process reads a PAL of its own that has
 * XMHF_IMAGE_DEBUG; of all others, of whatever interface: TV_NOT_DEBUG. TV_OK, and it is there; a
 * page that it goes to may give a #PF first. Nothing is told of a PAL that has died, and no FPU
 * state.
 */
#define XMHF_READ_MEMORY    1u  /* `bytes` of its memory at `address`, its own, of any section;
                                   else TV_BAD_ADDRESS. More than XMHF_READ_MAX: TV_TOO_LONG */
#define XMHF_READ_REGISTERS 2u  /* a struct xmhf_pal_registers, of call number `address`, which is
                                   less than its stacks; else TV_BAD_STACKS */
#define XMHF_READ_MAX       4096u
struct xmhf_pal_read {
    uint32_t size;        /* of this structure */
    uint32_t what;        /* XMHF_READ_* */
    uint64_t stubs;       /* which PAL */
    uint64_t address;
    uint64_t to;          /* GVA in the caller */
    uint32_t bytes;
    uint32_t reserved;
};
XMHF_ASSERT(sizeof(struct xmhf_pal_read) == 40, "our ABI");

/* What a call of a PAL does just now. */
#define XMHF_CALL_NONE        0u
#define XMHF_CALL_RUNNING     1u  /* on some CPU, or about to */
#define XMHF_CALL_INTERRUPTED 2u
#define XMHF_CALL_OCALL       3u  /* waits for an answer, or for its request to be told */
#define XMHF_CALL_DONE        4u  /* the PAL has returned, its caller hasn't got all of it yet */
struct xmhf_pal_registers {
    uint32_t state;       /* XMHF_CALL_*; the rest is 0 but of calls interrupted or in an ocall */
    uint32_t reserved;
    uint64_t gpr[16];     /* RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15 */
    uint64_t rip, rflags;
};
XMHF_ASSERT(sizeof(struct xmhf_pal_registers) == 152, "our ABI");

/* Notes in a file: what tools and the host's library want to know, and nobody measures. */
#define XMHF_NOTES_MAGIC "XMHFNOTE"
struct xmhf_image_notes {
    uint8_t magic[8];
    uint32_t size;        /* bytes, with the strings */
    uint32_t ocalls;      /* functions that the PAL may call */
    uint64_t gate;        /* the PAL's own address of the one hypercall instruction of libpal-rt,
                             which native mode replaces; 0: none */
    /* Then strings, each ended by a zero byte: the name of the image, of each entry, each ocall. */
};
XMHF_ASSERT(sizeof(struct xmhf_image_notes) == 24, "our ABI");

#endif
