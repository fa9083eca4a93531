/* SPDX-License-Identifier: MIT */
/*
 * TrustVisor inside: PALs, their slots in the registry, and what each file offers.
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
#include <cpu/clock.h>
#include <hw/insn.h>
#include <hypapp/hypapp.h>
#include <x86/cpu.h>
#include <xmhf/hypercall.h>

#define TV_SLOTS            1280u  /* PALs at the same time, registering ones included */
#define TV_PALS_PER_PROCESS 256u   /* PALs of one process */
#define TV_COMPARE_MAX      8192u  /* sections that a new PAL's are compared with, and its own once for
                                      each PAL: 256 PALs of 16 sections each, or 65 of 64 */
#define TV_PENDING_MAX      4u     /* registrations of one process that are under way */
#define TV_ATOMIC_PAGES     128u   /* up to here register and unregister commit in one exit */
#define TV_STALE_TICKS      (1ULL << 26) /* a registration without a step for so long may be
                                            discarded, if nothing is overwritten yet, by one of its
                                            own process at the same place, or if the page of its
                                            entry is gone ... */
#define TV_SLOW_TICKS       (1ULL << 29) /* ... for so long by one elsewhere ... */
#define TV_ABANDONED_TICKS  (1ULL << 32) /* ... and for so long in any case, and by others short
                                            of memory */
#define TV_NONCE_SIZE       16u

/* Pages of PALs of one process, of so many in all: a quarter is for others. */
static inline uint64_t tv_pages_per_process(uint64_t all) { return all - all / 4; }

enum tv_state { TV_EMPTY, TV_REGISTERING, TV_LIVE, TV_LEAVING, TV_DYING };

/* One call of a PAL. */
enum tv_act_state {
    ACT_FREE,
    ACT_RUNNING,       /* owned by the CPU that entered it */
    ACT_INTERRUPTED,   /* waits for its token; PAL registers and FPU state in here */
    ACT_RETURNING,     /* waits for its token; the PAL is done, copy-out met a fault */
    ACT_CLAIMED,       /* closed by who unregisters or destroys the PAL */
};

/* The caller's registers that a return restores. Of a 64-bit caller's only those that a
 * function preserves are kept, and RSP. R8-R15 of 32-bit code, which can't reach them, are
 * kept for the 64-bit code of the same thread: Windows has its own state there. */
struct tv_caller {
    uint64_t rip;                     /* return address */
    struct vcpu_regs regs;
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
    /* The call. */
    const struct tv_entry *entry;
    struct tv_caller caller;
    uint64_t args[XMHF_PAL_PARAMS];   /* as the caller gave them */
    uint64_t result;                  /* RAX, in ACT_RETURNING */
    _Atomic uint64_t fs_base, gs_base; /* of the thread that has the token: who it is */
    uint64_t interruptions;           /* of this call so far */
    uint64_t ticks;                   /* that it ran before the last interruption */
    uint64_t since;                   /* TSC when it ran again; both only with a budget */
    struct vcpu_regs regs;            /* the PAL's, in ACT_INTERRUPTED */
    void *xstate;                     /* and its FPU state */
    bool xstate_used;
    /* Statistics; written by who owns it. */
    _Atomic uint64_t calls, interrupted, others;
    struct walk_memo nonce_memo;      /* walks of the last call, to the nonce ... */
    struct walk_memo stack_memo;      /* ... and to the caller's stack */
};

enum tv_phase { PHASE_ROOM, PHASE_COPY, PHASE_MEASURE, PHASE_RECHECK, PHASE_OVERWRITE };

/* Progress of TV_HC_REG. */
struct tv_registration {
    uint64_t token;        /* in the caller's RDX between steps */
    uint64_t rdx;          /* the caller's own RDX */
    uint64_t last_step;    /* TSC; also of TV_HC_UNREG, once all is handed back */
    uint32_t phase;        /* enum tv_phase */
    uint32_t page;         /* next one of this phase */
    uint32_t compared;     /* pairs of sections that were compared until it was linked */
    uint32_t beside;       /* PALs, and links to them, that were gone through until then */
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
    uint64_t upper[2];                /* in long mode: where the owner's entries that cover 512 GiB and
                                         1 GiB lead, on the way to the nonce */
    uint8_t identity[PAL_ID_SIZE];
    _Atomic uint32_t charge;          /* for its process's quota: pages that it has or, while
                                         it is REGISTERING, may need */
    _Atomic uint64_t death;           /* 0, or death_word() */
    atomic_flag stepping;             /* a CPU works on TV_HC_UNREG */
    uint32_t leaving;                 /* in LEAVING: pages already handed back; beyond the
                                         last one: wiping */
    struct tv_public_lists lists;     /* of a PAL of the public ABI ... */
    struct tv_own_page *own;          /* ... or in a page of their own */
    struct tv_activation act;         /* the first */
    struct tv_registration reg;
};

/* Lists of a PAL of our interface, and its activations behind the first, each in a page. */
struct tv_own_page {
    struct tv_own_lists lists;
    struct tv_activation *more[XMHF_PAL_STACKS - 1];
};
_Static_assert(sizeof(struct tv_own_page) <= PAGE_SIZE, "a page");

static inline struct tv_activation *tv_act(struct tv_pal *pal, uint32_t k)
{
    return k == 0 ? &pal->act : pal->own->more[k - 1];
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

/* Of PALs that set no budget themselves: the option palbudget=. Not part of any identity. */
extern uint64_t tv_budget;

/* What one CPU has to do with PALs. */
struct tv_cpu {
    struct tv_slot *running;          /* PAL in the sandbox of this CPU, or NULL */
    struct tv_activation *act;        /* and its activation */
    struct tv_slot *last;             /* slot of the last one; it may mean another PAL by now */
};

/* Which process: the number of its address space, that is what CR3 says about it under this
 * kind of paging. PAE's tables are aligned to 32 bytes only. */
static inline uint64_t tv_owner(const struct guest_paging *p)
{
    if (p->efer & EFER_LMA) {
        return (p->cr3 & 0x000ffffffffff000ULL) >> PAGE_SHIFT;
    }
    return p->cr4 & CR4_PAE ? BIT(40) | (p->cr3 & 0xffffffe0) >> 5
                            : BIT(41) | (p->cr3 & 0xfffff000) >> PAGE_SHIFT;
}

/* Nobody went on with its registration, or with wiping it, for so long? CPUs' TSCs may differ: a step in
 * the future has just been made. */
static inline bool tv_quiet(const struct tv_pal *pal, uint64_t ticks)
{
    return clock_since(pal->reg.last_step) > ticks;
}

static inline bool tv_wide(const struct hyp_caller *c) { return c->paging.mode == MODE_LONG64; }

/* What the caller's code sees in this register. */
static inline uint64_t tv_arg(const struct vcpu *v, const struct hyp_caller *c, enum gpr r)
{
    return tv_wide(c) ? v->regs.gpr[r] : (uint32_t)v->regs.gpr[r];
}

static inline enum tv_state slot_state(uint64_t life) { return (enum tv_state)(life >> 16 & 0xffff); }
static inline unsigned slot_refs(uint64_t life) { return (unsigned)(life & 0xffff); }
#define TV_IN(state) (1u << (state))

/* --- registry.c: finding PALs --------------------------------------------------- */

void registry_init(void);
unsigned registry_index(const struct tv_slot *s);

/* The slot whose stubs lie in the page of `va`, with a reference taken, if its state is
 * one of `states` (TV_IN()); else NULL. Constant time; no lock. `hint`: the slot that it
 * probably is, or NULL. */
struct tv_slot *registry_get(uint64_t owner, uint64_t va, unsigned states, struct tv_slot *hint);
/* The same for a REGISTERING slot that no CPU works on. `*busy`: one is, try again. */
struct tv_slot *registry_get_idle(uint64_t owner, uint64_t va, bool *busy);
/* A reference to slot `index` if its state is one of `states`. */
struct tv_slot *registry_get_index(unsigned index, unsigned states);
/* Give a reference back. The last one of a DYING slot hands it to the reaper. */
void registry_put(struct tv_slot *s);

enum registry_answer {
    REGISTRY_ADDED,
    REGISTRY_CONFLICT,     /* with another PAL of the process */
    REGISTRY_PENDING,      /* too many registrations of the process are under way */
    REGISTRY_QUOTA,        /* this process has too many, or too many with many sections */
    REGISTRY_QUOTA_PAGES,  /* or with this one too many pages */
    REGISTRY_FULL,         /* no slot is free */
    REGISTRY_AGAIN,        /* another CPU is at it: try again */
};
/* Link `pal` (its image filled) as REGISTERING, one reference held, pal->slot set. On a
 * conflict with a PAL of the same process, or with its own surplus of registrations under
 * way, `*other` is that PAL's slot, referenced. */
enum registry_answer registry_add(struct tv_pal *pal, uint64_t owner, struct tv_slot **other);

/* Change the state if it is `from`; the caller holds a reference. */
bool registry_change(struct tv_slot *s, enum tv_state from, enum tv_state to);
/* Make it DYING and unlink it; the caller holds a reference. False: it was already. */
bool registry_kill(struct tv_slot *s);

/* LIVE PALs, of one process or of all. */
#define REGISTRY_ALL UINT64_MAX
unsigned registry_count(uint64_t owner);
/* PALs of a process, in any state, and the pages that its quota is charged with. */
unsigned registry_charge(uint64_t owner, uint64_t *pages);

/* The reap list: dead slots without references. pop: NULL if empty. waits: it isn't. */
bool registry_reap_waits(void);
struct tv_slot *registry_reap_pop(void);
void registry_reap_push(struct tv_slot *s);
/* A wiped slot becomes EMPTY and free. */
void registry_recycle(struct tv_slot *s);

/* --- register.c, unregister.c: TV_HC_REG, TV_HC_UNREG --------------------------- */

/* The next step of a registration, if the caller's registers tell of one. HC_UNKNOWN: not. */
enum hc_result tv_register_step(struct vcpu *v, const struct hyp_caller *c);
/* The first step, by the public ABI and by our interface. */
enum hc_result tv_register(struct vcpu *v, const struct hyp_caller *c);
enum hc_result tv_register_own(struct vcpu *v, const struct hyp_caller *c);
/* Is it being registered, and its owner's memory overwritten, whose contents are in our copy only? The
 * caller holds the only reference. */
bool register_began_overwriting(const struct tv_pal *pal);
/* If it is: the owner may go on at any time, unless it has gone. By the entry's page, the last one, which
 * is as it was. */
bool register_overwrites(struct vcpu *v, const struct tv_pal *pal);
/* TSC ticks spent hashing since boot: benchmarks tell that part from the rest. */
uint64_t register_hash_ticks(void);
enum hc_result tv_unregister(struct vcpu *v, const struct hyp_caller *c);
/* Is a CPU at it just now? The caller holds a reference. */
bool unregister_works(struct tv_pal *pal);

/* --- stubs.c: what a registration leaves in the caller's CODE page -------------- */

/* Where resume stub and nonce go, from the entry. */
void stubs_place(struct tv_pal *pal);
/* Fill the entry's page. */
void stubs_write(const struct tv_pal *pal, void *page);
enum stubs_answer { STUBS_THERE, STUBS_GONE, STUBS_FAULT };
/* Is the PAL's nonce still where it was put, seen with `c`'s rights? */
enum stubs_answer stubs_check(const struct tv_pal *pal, const struct hyp_caller *c,
                              struct gm_fault *f);
/* The same for who owns the activation: quicker from the second call on. */
enum stubs_answer stubs_check_again(const struct tv_pal *pal, struct tv_activation *act,
                                    const struct hyp_caller *c, struct gm_fault *f);
enum stubs_found {
    STUBS_COMMAND,   /* a hypercall of a program */
    STUBS_DEAD,      /* a stub, of whatever PAL */
    STUBS_CHANGED,   /* no hypercall instruction any more: another CPU has just overwritten it */
};
/* What is at RIP, where code that tv_caller_check accepts executed a hypercall instruction? */
enum stubs_found stubs_look(const struct hyp_caller *c, uint64_t rip);

/* --- owner.c: is a PAL's owner still there? -------------------------------------- */

#define OWNER_LOOK_MAX 64u
enum owner_answer {
    OWNER_THERE,    /* with its memory */
    OWNER_AWAY,     /* that memory is away, and may come back */
    OWNER_GONE,     /* for good; or it has put other memory there */
};
/* By `n` bytes (<= OWNER_LOOK_MAX) of memory, within one page at `va`, that are `expected` there. The
 * caller holds a reference to the PAL. At most 2,000 instructions. */
enum owner_answer owner_look(struct vcpu *v, const struct tv_pal *pal, uint64_t va,
                             const void *expected, size_t n);
/* The owner runs, and its memory is there: remember its upper page tables. */
void owner_remember(struct tv_pal *pal);

/* --- marshal.c: arguments ------------------------------------------------------- */

/* Result of touching the caller's memory. BAD_RETURN: its return address isn't canonical. */
enum marshal_answer { MARSHAL_OK, MARSHAL_FAULT, MARSHAL_NOT_RAM, MARSHAL_BAD_RETURN };

/* Take arguments and return address from the caller at the entry stub into `act`, and write
 * its stack and PARAM section. `regs`, the caller's registers, become the PAL's with
 * MARSHAL_OK. */
enum marshal_answer marshal_in(struct tv_pal *pal, struct tv_activation *act,
                               const struct hyp_caller *c, struct vcpu_regs *regs,
                               struct gm_fault *f);
/* The caller's return address at the entry stub: `*to`, with MARSHAL_OK. */
enum marshal_answer marshal_return_address(const struct tv_pal *pal, const struct hyp_caller *c,
                                           const struct vcpu_regs *regs, uint64_t *to,
                                           struct gm_fault *f);
/* Copy the data of POINTERs back, unless they are in only. May be repeated. */
enum marshal_answer marshal_out(struct tv_pal *pal, const struct tv_activation *act,
                                const struct hyp_caller *c, struct gm_fault *f);

/* --- call.c: enter, interrupt, resume, return ----------------------------------- */

bool call_init(void);
/* A control page, with room for the lists of a PAL of our interface (`own`) or of the public
 * ABI. NULL: out of memory. */
struct tv_pal *call_new(bool own);
/* Memory for its activations, with room for FPU state; pal->image.stacks says how many. False:
 * out of memory; call_free is due in both cases. */
bool call_attach(struct tv_pal *pal);
/* Wipe the control page and all that the above took, and give it back. */
void call_free(struct tv_pal *pal);
/* Pages that they take at most. */
uint32_t call_pages(const struct tv_image *im);
/* The PAL is complete: its activations get their stacks. */
void call_ready(struct tv_pal *pal);
/* A hypercall instruction in the stubs' page of the PAL in `s` (referenced; given back
 * here). HC_UNKNOWN: it isn't one of its stubs, or the caller isn't in the PAL's mode. */
enum hc_result call_stub(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s);
/* The slot that this CPU used last, or NULL: probably the one of the next call. */
struct tv_slot *call_hint(const struct vcpu *v);
/* The PAL in this CPU's sandbox. */
const struct tv_slot *call_running(const struct vcpu *v);
/* An exit of the sandbox. */
void call_exit(struct vcpu *v, const struct exit *e);

/* --- death.c: ends of PALs ------------------------------------------------------ */

/* Close the PAL to calls, for good. Otherwise nothing has changed: false, and `*running` tells
 * whether a CPU runs it, or another CPU is closing it just now. */
bool death_claim(struct tv_pal *pal, bool *running);
/* Record and log why, kill; the caller holds a reference and owns an activation. */
void death_of(struct tv_slot *s, enum tv_death why, unsigned vector, uint64_t rip);
/* What a caller is told of it, in RCX and RDX: XMHF_STATUS_*. */
void death_status(const struct tv_pal *pal, uint64_t *rcx, uint64_t *rdx);
/* The last death of a PAL of this process, as XMHF_INFO_LAST_DEATH gives it. */
uint64_t death_last(uint64_t owner);
/* Statistics of a PAL; the caller holds a reference. */
void death_stats(struct tv_pal *pal, struct xmhf_pal_stats *st);
/* Those of the last PAL of this process that died, if its entry was this one. */
bool death_last_stats(uint64_t owner, uint64_t entry, struct xmhf_pal_stats *st);
/* If the PAL's owner has gone for good, or put other memory where the stubs were, kill it. True if so. */
bool death_collect(struct vcpu *v, struct tv_slot *s);
/* Wipe dead PALs, at most `pages` pages of them. True if there is more to do. */
bool death_reap(struct vcpu *v, uint32_t pages);

/* Kill without a record, give the reference back and wipe, at most `pages` pages for now. */
void death_discard(struct vcpu *v, struct tv_slot *s, uint32_t pages);

enum room { ROOM_FOUND, ROOM_AGAIN, ROOM_NONE };
/* Look at up to `looks` PALs, and kill those whose owner is gone. ROOM_NONE: all were looked at
 * since one was found. */
enum room death_look(struct vcpu *v, unsigned looks);
/* Is there memory for `pages`? Looks for dead PALs and dead owners if not. */
enum room death_make_room(struct vcpu *v, size_t pages);

/* --- query.c: XMHF_HC_PAL_LIMITS, XMHF_HC_PAL_STATS ----------------------------- */

enum hc_result tv_limits(struct vcpu *v, const struct hyp_caller *c);
enum hc_result tv_stats(struct vcpu *v, const struct hyp_caller *c);

/* --- tv.c ----------------------------------------------------------------------- */

/* Is it a command of the public ABI? */
bool tv_is_public(uint32_t cmd);
/* TV_OK if the caller may have PALs: ring 3, with paging, and RIP, stack and pointers are
 * linear addresses. */
enum tv_error tv_caller_check(struct vcpu *v, const struct hyp_caller *c);
/* Is [va, va + len) something that the caller's code can address? Else `f` becomes the #GP for
 * it. Page tables know only what lies behind: 64-bit memory, or nothing at all. */
bool tv_reaches(const struct hyp_caller *c, uint64_t va, uint64_t len, struct gm_fault *f);
/* Endings of a hypercall. */
enum hc_result tv_done(struct vcpu *v, enum tv_error e);
enum hc_result tv_fault(struct vcpu *v, const struct gm_fault *f);

#endif
