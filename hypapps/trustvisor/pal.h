/* SPDX-License-Identifier: MIT */
/*
 * A PAL as every file here knows it: its states, its slot in the registry, its calls, its limits.
 *
 * A PAL is found through its slot. Slots live in a static table and are never freed, so
 * a look-up takes no lock: it reads the slot's `life` word and the keys, and its
 * compare-and-exchange on `life` (which carries a generation) succeeds only if the slot
 * still means the same PAL. Everything else of a PAL lies in one page of the protected
 * pool and may be touched only while a reference is held (or under the registry lock
 * while the slot is linked).
 *
 *   EMPTY -> REGISTERING -> LIVE -> LEAVING -> DYING -> EMPTY
 *                  \_________\________________/
 *
 * REGISTERING: steps of TV_HC_REG; a CPU that works on it holds the only reference.
 * LEAVING: steps of TV_HC_UNREG. DYING: unlinked; the last reference hands it to the
 * reaper, which wipes it.
 *
 * Locks: the registry's lock guards chains, the free list and the reap list; it is held
 * for a few hundred instructions and for no guest access, and the pool's lock is never taken
 * inside it. `adding`, `reaping` and `stepping` are try-locks: who doesn't get one lets the
 * guest try again.
 */
#ifndef TV_PAL_H
#define TV_PAL_H

#include "address_space.h"
#include "identity.h"
#include "pageset.h"
#include <hypapp/hypapp.h>
#include <x86/cpu.h>
#include <xmhf/hypercall.h>

#define TV_SLOTS            1280u  /* PALs at the same time, registering ones included */
#define TV_PALS_PER_PROCESS 256u   /* PALs of one process */
#define TV_COMPARE_MAX      8192u  /* bounds how a new PAL is compared with the others of its
                                      process: their sections, and its own once for each of
                                      them. 256 PALs of 16 sections fit, or 65 of 64 */
#define TV_PENDING_MAX      4u     /* registrations of one process that are under way */
#define TV_ATOMIC_PAGES     128u   /* up to here register and unregister commit in one exit */
#define TV_NONCE_SIZE       16u
#define OWNER_LOOK_MAX      64u    /* bytes by which an owner is known */
#define TV_SEGMENTS         6u     /* ES to GS */
#define TV_PAGE_RIGHTS      (ACCESS_READ | ACCESS_WRITE | ACCESS_USER)

/*
 * For how many TSC ticks a registration may stand still until it is discarded. Nobody tells when a
 * program has given one up, and a thread may only wait for a CPU: the surer it is, the sooner.
 */
#define TV_STALE_TICKS      (1ULL << 26) /* another one of its process is to have its memory, or
                                            the page of its entry is away */
#define TV_SLOW_TICKS       (1ULL << 29) /* its process has begun TV_PENDING_MAX of them */
#define TV_ABANDONED_TICKS  (1ULL << 32) /* memory is short; or it has begun to overwrite, and would
                                            take the owner's contents with it */

/* Pages of PALs of one process, of so many in all: a quarter is for others. */
static inline uint64_t tv_pages_per_process(uint64_t all) { return all - all / 4; }

enum tv_state { TV_EMPTY, TV_REGISTERING, TV_LIVE, TV_LEAVING, TV_DYING };

/* One call of a PAL. */
enum tv_act_state {
    ACT_FREE,
    ACT_RUNNING,       /* owned by the CPU that entered it */
    ACT_INTERRUPTED,   /* waits for its token; PAL registers and FPU state in here */
    ACT_RETURNING,     /* waits for its token; the PAL is done, copy-out met a fault */
    ACT_TELLING,       /* waits for its token; the PAL asks, and telling it met a fault */
    ACT_OCALL,         /* waits for its token, and with it the answer that the PAL wants */
    ACT_CLAIMED,       /* closed by who unregisters or destroys the PAL */
};

/* The caller's registers that a return restores. Of a 64-bit caller's only those that a
 * function preserves are kept, and RSP. R8-R15 of 32-bit code, which can't reach them, are
 * kept for the 64-bit code of the same thread: Windows has its own state there. */
struct tv_caller {
    uint64_t rip;                     /* return address */
    struct vcpu_regs regs;
};

/* What a PAL asks its program, as it is kept in between. */
struct tv_ocall {
    uint64_t caller;                  /* GVA of the caller's struct xmhf_ocall */
    uint64_t buffer;                  /* the PAL's own address */
    uint32_t function, bytes;         /* of the request */
    uint32_t room;                    /* bytes of an answer, at most */
};

struct tv_activation {
    _Atomic uint32_t state;           /* enum tv_act_state */
    _Atomic uint64_t token_low;       /* 0: no token is out */
    _Atomic uint64_t token_high;
    /* Its STACK and PARAM section, fixed when the PAL goes live. */
    uint8_t *stack_top;               /* core pointer: first byte above the usable stack ... */
    uint64_t stack_va;                /* ... and its GVA */
    uint8_t *param_page;              /* core pointer: first page of the PARAM section; NULL: */
    uint64_t param_va;                /* ... there is none. GVA and page index of it */
    uint32_t param_first;
    const struct tv_entry *left_by;   /* of an image: the entry called last, or NULL; and for each
                                         of its parameters the bytes there that may be other than
                                         zero since */
    uint32_t left[XMHF_IMAGE_ENTRY_PARAMS];
    /* The call. */
    const struct tv_entry *entry;
    struct tv_caller caller;
    uint64_t args[XMHF_MODULE_PARAMS];   /* as the caller gave them */
    uint16_t slots;                   /* TV_WAY_SLOTS: words of the PAL's stack that they take; */
    bool fits;                        /* and NARROW: does each machine word fit the PAL's? */
    uint64_t result;                  /* RAX, in ACT_RETURNING */
    struct tv_ocall ocall;            /* in ACT_TELLING and ACT_OCALL */
    _Atomic uint64_t fs_base, gs_base; /* of the thread that has the token: who it is */
    uint64_t interruptions;           /* of this call so far */
    uint64_t ticks;                   /* that it ran before the last interruption */
    uint64_t since;                   /* TSC when it ran again; both only with a budget */
    struct vcpu_regs regs;            /* the PAL's, in ACT_INTERRUPTED and the last two */
    uint16_t selector[TV_SEGMENTS];   /* and, of 16-bit code, its segments', in the order of enum
                                         segment_index; */
    uint64_t code_base;               /* and CS's base, 0 of all other code */
    struct segment begins[SANDBOX_OWN_SEGMENTS]; /* what a call of 16-bit code begins with */
    void *xstate;                     /* and its FPU state */
    bool xstate_used;
    /* Statistics; written by who owns it. */
    _Atomic uint64_t calls, interrupted, others;
    struct walk_memo nonce_memo;      /* walks of the last call, to the nonce ... */
    struct walk_memo stack_memo;      /* ... and to the caller's stack */
};

enum tv_phase {
    PHASE_COMPARE, PHASE_ROOM, PHASE_COPY, PHASE_MEASURE, PHASE_RECHECK, PHASE_OVERWRITE,
};

/* Progress of TV_HC_REG. */
struct tv_registration {
    uint64_t token;        /* in the caller's RDX between steps */
    uint64_t rdx;          /* the caller's own RDX */
    uint64_t last_step;    /* TSC; also of TV_HC_UNREG, once all is handed back */
    uint32_t phase;        /* enum tv_phase */
    uint32_t page;         /* next one of this phase */
    uint32_t compared;     /* pairs of sections that were compared in this exit ... */
    uint32_t beside;       /* ... and PALs, and links to them, that were gone through */
    bool judged;           /* it was compared with the others of its process; changed while
                              adding (registry.c) */
    uint32_t need;         /* pages that its space may need (space_need) */
    struct tv_pageset seen; /* pages of the caller, against duplicates */
    struct sha256 hash;
};

struct tv_slot;

/* In one page of the pool, zeroed at first. */
struct tv_pal {
    struct tv_slot *slot;
    struct guest_paging owner;        /* the caller's paging at registration */
    struct tv_image image;
    struct tv_space space;
    struct sandbox sandbox;
    uint64_t budget;                  /* TSC ticks of one call; 0: no limit */
    uint64_t resume;                  /* GVA of the resume stub */
    uint64_t nonce_va;
    uint64_t nonce[TV_NONCE_SIZE / 8];
    uint64_t upper[2];                /* in long mode: where the owner's entries that cover
                                         512 GiB and 1 GiB lead, on the way to the nonce */
    uint8_t identity[PAL_ID_SIZE];
    _Atomic uint32_t charge;          /* for its process's quota: pages that it has or, while
                                         it is REGISTERING, may need */
    _Atomic uint64_t death;           /* 0, or death_word() */
    _Atomic uint64_t death_address;   /* that a page fault touched, as far as it is told; else 0 */
    atomic_flag stepping;             /* a CPU works on TV_HC_UNREG */
    uint32_t leaving;                 /* in LEAVING: pages already handed back; beyond the
                                         last one: wiping */
    struct tv_public_lists lists;     /* of a PAL of the public ABI ... */
    struct tv_module_page *module;    /* ... or in a page of their own ... */
    struct tv_param *params;          /* ... and one more, of an image */
    struct tv_activation act;         /* the first */
    struct tv_registration reg;
};

/* Lists of a PAL of the module interface or of an image, and its activations behind the first, each
 * in a page. */
struct tv_module_page {
    union {
        struct tv_module_lists lists;
        struct tv_image_lists image;
    };
    struct tv_activation *more[XMHF_MODULE_STACKS - 1];
    uint8_t kept[OWNER_LOOK_MAX];     /* of an image: what its page of stubs began with */
};
_Static_assert(sizeof(struct tv_module_page) <= PAGE_SIZE, "a page");
_Static_assert(XMHF_IMAGE_PARAMS * sizeof(struct tv_param) <= PAGE_SIZE, "a page");
_Static_assert(XMHF_IMAGE_STACKS <= XMHF_MODULE_STACKS
    && XMHF_IMAGE_ENTRY_PARAMS <= XMHF_MODULE_PARAMS, "one limit for arrays");

static inline struct tv_activation *tv_act(struct tv_pal *pal, uint32_t k)
{
    return k == 0 ? &pal->act : pal->module->more[k - 1];
}

/* `life`: generation in bits 63:32, enum tv_state in 31:16, references in 15:0. */
struct tv_slot {
    _Alignas(64) _Atomic uint64_t life;
    _Atomic uint64_t owner;           /* tv_owner of the process */
    _Atomic uint64_t page;            /* GVA >> 12 of the entry and of all stubs */
    struct tv_pal *pal;
    _Atomic uint16_t next;            /* link in the hash chain, free list or reap list */
    uint16_t prev;                    /* the link back in the hash chain */
    uint16_t next_of_owner, prev_of_owner; /* links in the owner's chain */
};

/* Is its owner's memory being overwritten, whose contents are in our copy only? The caller holds
 * the only reference. */
static inline bool tv_overwrites(const struct tv_pal *pal)
{
    return pal->reg.phase == PHASE_OVERWRITE;
}

/* Was the last step of registering it, or of wiping it, more than `ticks` ago? */
static inline bool tv_quiet(const struct tv_pal *pal, uint64_t ticks)
{
    return clock_since(pal->reg.last_step) > ticks;
}

static inline enum tv_state slot_state(uint64_t life)
{
    return (enum tv_state)(life >> 16 & 0xffff);
}

static inline unsigned slot_refs(uint64_t life) { return (unsigned)(life & 0xffff); }

#define TV_IN(state) (1u << (state))

#endif
