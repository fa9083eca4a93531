/* SPDX-License-Identifier: MIT */
/*
 * Software walk of the guest's page tables. On the path of CPUID and PAL calls, so there
 * is a short walk for the common case (4 levels, everything allowed, no bit to set); what
 * it can't say yes to, the full walk does again: one loop for all formats with 8-byte
 * entries, one for those with 4-byte entries.
 */
#include <guest/walk.h>
#include <stdatomic.h>
#include <x86/cpu.h>

/* How often entries may change under one walk before it gives up. */
#define WALK_RETRIES 64u

/* Bits 2:1 and 8:6 (SDM vol. 3, table 4-8). Bit 5 is reserved too, but QEMU's page walk
 * sets it as if it were an accessed bit, and then a guest that runs must not fault here
 * (notes/bugs/pae-pdpte-accessed.md). */
#define PAE_PDPTE_RSVD 0x1c6ULL
#define PDE32_ADDR_HIGH 0x1fe000ULL   /* PSE-36: bits 20:13 are address bits 39:32 */

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* One walk. `acc` has PTE_RW, PTE_US and (inverted, so that all three are permissions)
 * PTE_NX of all levels so far, ANDed. */
struct state {
    const struct guest_phys_ops *phys;
    const struct guest_paging *p;
    struct walk *out;
    uint64_t va;
    uint64_t acc;
    uint64_t rsvd;        /* bits reserved in every entry of this format */
    unsigned access;      /* ACCESS_*, with ACCESS_USER settled */
    unsigned retries;
    uint64_t fixed;       /* the entry being looked at, + 1, if it mustn't be written; else 0 */
    /* an entry, + 1, in which a bit should have been set, and wasn't; else 0 */
    uint64_t denied;
};

/* SDM vol. 3, 4.7; APM vol. 2, 8.4.2. */
static enum walk_result fault(struct state *s, uint32_t error)
{
    if (s->access & ACCESS_WRITE) {
        error |= PF_WRITE;
    }
    if (s->access & ACCESS_USER) {
        error |= PF_USER;
    }
    if ((s->access & ACCESS_EXEC)
        && ((s->p->cr4 & CR4_SMEP) || ((s->p->cr4 & CR4_PAE) && (s->p->efer & EFER_NXE)))) {
        error |= PF_FETCH;
    }
    s->out->error = error;
    return WALK_FAULT;
}

static enum walk_result not_ram(struct state *s, uint64_t at)
{
    s->out->gpa = gpa(at);
    s->out->beside_ram = false;
    return WALK_NOT_RAM;
}

/* `finish` has found no such page. */
static enum walk_result no_page(struct state *s)
{
    s->out->beside_ram = !s->out->ptr;
    return WALK_NOT_RAM;
}

/* Core pointer to the table entry at `at`; NULL: it isn't the guest's to read. */
static void *entry_at(struct state *s, uint64_t at, size_t size)
{
    void *entry = s->phys->map(gpa(at), size);

    if (unlikely(s->phys->rights) && entry) {
        unsigned rights = s->phys->rights(gpa(at & ~PAGE_MASK));

        s->fixed = rights & ACCESS_WRITE ? 0 : at + 1;
        return rights & ACCESS_READ ? entry : NULL;
    }
    return entry;
}

/* True if bits are to stay as they are: nobody asks for them, or the page mustn't be written. */
static bool stays(struct state *s)
{
    if (unlikely(s->fixed != 0) && !(s->access & ACCESS_NO_AD)) {
        s->denied = s->fixed;
    }
    return s->fixed != 0 || (s->access & ACCESS_NO_AD);
}

/*
 * Set `bits` in the entry at `e`, known to be `*old`. False if it changed: `*old` then
 * has the new value, and the caller judges that one. Gives up by clearing PTE_P in *old,
 * which reads as an absent page.
 */
static bool set_bits64(struct state *s, void *e, uint64_t *old, uint64_t bits)
{
    if (likely((*old & bits) == bits) || stays(s)
        || likely(atomic_compare_exchange_strong((_Atomic uint64_t *)e, old, *old | bits))) {
        return true;
    }
    if (++s->retries > WALK_RETRIES) {
        *old = 0;
    }
    return false;
}

static bool set_bits32(struct state *s, void *e, uint32_t *old, uint32_t bits)
{
    if ((*old & bits) == bits || stays(s)
        || atomic_compare_exchange_strong((_Atomic uint32_t *)e, old, *old | bits)) {
        return true;
    }
    if (++s->retries > WALK_RETRIES) {
        *old = 0;
    }
    return false;
}

/* PKRU says no to a data access to a user page with key `key` (SDM vol. 3, 4.6.2). */
static bool pk_denies(const struct state *s, uint64_t acc, unsigned key)
{
    uint32_t bits = s->p->pkru >> (2 * key);
    bool data = !(s->access & ACCESS_EXEC) || (s->access & (ACCESS_READ | ACCESS_WRITE));

    if (!data || !(acc & PTE_US)) {
        return false;
    }
    if (bits & 1u) {
        return true;
    }
    return (bits & 2u) && (s->access & ACCESS_WRITE)
           && ((s->access & ACCESS_USER) || (s->p->cr0 & CR0_WP));
}

/* Permissions (as in state.acc) that a supervisor access needs, apart from SMEP and SMAP. */
static uint64_t supervisor_needs(const struct state *s)
{
    return ((s->access & ACCESS_WRITE) && (s->p->cr0 & CR0_WP) ? PTE_RW : 0) |
           (s->access & ACCESS_EXEC ? PTE_NX : 0);
}

/* SMEP or SMAP forbids this supervisor access to a user page (SDM vol. 3, 4.6.1). */
static bool user_page_denied(const struct state *s)
{
    uint64_t cr4 = s->p->cr4;

    if (s->access & ACCESS_EXEC) {
        if (cr4 & CR4_SMEP) {
            return true;
        }
        if (!(s->access & (ACCESS_READ | ACCESS_WRITE))) {
            return false;
        }
    }
    return (cr4 & CR4_SMAP) && !s->p->ac;
}

/* The leaf is valid and gives permissions `acc`: may the access be done? */
static bool allowed(const struct state *s, uint64_t acc)
{
    uint64_t need;

    if (s->access & ACCESS_USER) {
        need = PTE_US | (s->access & ACCESS_WRITE ? PTE_RW : 0) |
               (s->access & ACCESS_EXEC ? PTE_NX : 0);
        return (need & ~acc) == 0;
    }
    if (supervisor_needs(s) & ~acc) {
        return false;
    }
    return !(acc & PTE_US) || !user_page_denied(s);
}

static uint64_t leaf_bits(const struct state *s)
{
    return s->access & ACCESS_WRITE ? PTE_A | PTE_D : PTE_A;
}

/* Are all rights that the access needs there in the page at `at`? */
static bool page_allows(const struct state *s, uint64_t at, uint64_t acc)
{
    unsigned need = ACCESS_READ | (s->access & (ACCESS_WRITE | ACCESS_EXEC)), rights;

    if (!s->phys->rights) {
        return true;
    }
    rights = s->phys->rights(gpa(at & ~PAGE_MASK));
    return (need & ~access_rights_by(acc & PTE_US, rights)) == 0;
}

/* The translation is `at`: find its memory. False if it isn't RAM. */
static bool finish(struct state *s, uint64_t at, uint64_t acc)
{
    struct walk *out = s->out;

    out->gpa = gpa(at);
    out->rights = ACCESS_READ | (acc & PTE_RW ? ACCESS_WRITE : 0) |
                  (acc & PTE_NX ? ACCESS_EXEC : 0) | (acc & PTE_US ? ACCESS_USER : 0);
    out->ptr = s->phys->map(gpa(at), 1);
    return out->ptr != NULL && page_allows(s, at, acc);
}

/* A leaf `*e`, read at `entry`, of a page of 2^shift bytes. */
static enum walk_result leaf64(struct state *s, void *entry, uint64_t *e, unsigned shift,
                               bool *again)
{
    uint64_t offset = (1ULL << shift) - 1;
    uint64_t acc = s->acc & (*e ^ PTE_NX);
    bool pk = s->p->pkru != 0 && (s->p->efer & EFER_LMA)
              && pk_denies(s, acc, (unsigned)(*e >> PTE_PK_SHIFT) & 0xfu);

    if (unlikely(!allowed(s, acc) || pk)) {
        return fault(s, PF_PRESENT | (pk ? PF_PK : 0));
    }
    if (unlikely(!finish(s, (*e & PTE_ADDR & ~offset) | (s->va & offset), acc))) {
        return no_page(s);
    }
    *again = !set_bits64(s, entry, e, leaf_bits(s));
    return WALK_OK;
}

/* Bits that must be 0 in a leaf of 2^shift bytes besides s->rsvd: address bits below its
 * size, or the size bit itself where no such page exists (SDM vol. 3, tables 4-16, 4-18). */
static uint64_t large_leaf_rsvd(const struct state *s, unsigned shift)
{
    if (shift > 30 || (shift == 30 && !s->phys->page1g)) {
        return PTE_PS;
    }
    return ((1ULL << shift) - 1) & PTE_ADDR & ~PTE_PAT_LARGE;
}

/* Levels with 8-byte entries, from the table at `table`, whose index is at va[shift]. */
static enum walk_result walk64(struct state *s, uint64_t table, unsigned shift)
{
    for (;; shift -= 9) {
        uint64_t at = table + ((s->va >> shift) & 0x1ff) * 8;
        void *entry = entry_at(s, at, 8);
        uint64_t e;
        bool leaf, again;

        if (unlikely(!entry)) {
            return not_ram(s, at);
        }
        e = atomic_load_explicit((_Atomic uint64_t *)entry, memory_order_relaxed);
        do {
            again = false;
            if (unlikely(!(e & PTE_P))) {
                return fault(s, 0);
            }
            leaf = shift == PAGE_SHIFT || (e & PTE_PS);
            if (unlikely(e & (leaf && shift != PAGE_SHIFT ? s->rsvd | large_leaf_rsvd(s, shift)
                                                          : s->rsvd))) {
                return fault(s, PF_PRESENT | PF_RSVD);
            }
            if (leaf) {
                enum walk_result r = leaf64(s, entry, &e, shift, &again);
                if (r != WALK_OK || !again) {
                    return r;
                }
            }
        } while (unlikely(leaf || !set_bits64(s, entry, &e, PTE_A)));
        s->acc &= e ^ PTE_NX;
        table = e & PTE_ADDR;
    }
}

/* The PDPTE of PAE paging: no permissions, no accessed bit (SDM vol. 3, 4.4.1). */
static enum walk_result walk_pae(struct state *s)
{
    uint64_t at = (s->p->cr3 & 0xffffffe0u) + ((s->va >> 30) & 3) * 8;
    void *entry = entry_at(s, at, 8);
    uint64_t e;

    if (!entry) {
        return not_ram(s, at);
    }
    e = atomic_load_explicit((_Atomic uint64_t *)entry, memory_order_relaxed);
    if (!(e & PTE_P)) {
        return fault(s, 0);
    }
    if (e & (s->rsvd | PAE_PDPTE_RSVD | PTE_NX)) {
        return fault(s, PF_PRESENT | PF_RSVD);
    }
    return walk64(s, e & PTE_ADDR, 21);
}

/* A leaf of 32-bit paging. `acc` as state.acc; `offset` of va in the page at `base`. */
static enum walk_result leaf32(struct state *s, void *entry, uint32_t *e, uint64_t at,
                               bool *again)
{
    uint64_t acc = s->acc & (*e | PTE_NX); /* everything may be executed */

    if (!allowed(s, acc)) {
        return fault(s, PF_PRESENT);
    }
    if (!finish(s, at, acc)) {
        return no_page(s);
    }
    *again = !set_bits32(s, entry, e, (uint32_t)leaf_bits(s));
    return WALK_OK;
}

/* Address of the 4 MiB page in PDE `e`, with PSE-36 (SDM vol. 3, table 4-4). False if
 * reserved bits are set: bit 21, and address bits that this CPU hasn't. */
static bool page_4m(const struct state *s, uint32_t e, uint64_t *base)
{
    *base = (e & 0xffc00000u) | (e & PDE32_ADDR_HIGH) << 19;
    return !(e & BIT(21)) && *base >> s->phys->maxphyaddr == 0;
}

/* 32-bit paging (SDM vol. 3, 4.3): level 2 = directory, 1 = table. */
static enum walk_result walk32(struct state *s)
{
    uint64_t table = s->p->cr3 & 0xfffff000u;

    for (unsigned shift = 22;; shift = 12) {
        uint64_t at = table + ((s->va >> shift) & 0x3ff) * 4;
        void *entry = entry_at(s, at, 4);
        bool leaf, again;
        uint32_t e;

        if (!entry) {
            return not_ram(s, at);
        }
        e = atomic_load_explicit((_Atomic uint32_t *)entry, memory_order_relaxed);
        do {
            uint64_t base = e & 0xfffff000u;

            again = false;
            if (!(e & PTE_P)) {
                return fault(s, 0);
            }
            leaf = shift == 12 || ((e & PTE_PS) && (s->p->cr4 & CR4_PSE));
            if (leaf && shift == 22 && !page_4m(s, e, &base)) {
                return fault(s, PF_PRESENT | PF_RSVD);
            }
            if (leaf) {
                enum walk_result r = leaf32(s, entry, &e, base | (s->va & ((1u << shift) - 1)),
                                            &again);
                if (r != WALK_OK || !again) {
                    return r;
                }
            }
        } while (leaf || !set_bits32(s, entry, &e, PTE_A));
        s->acc &= e | PTE_NX;
        table = e & 0xfffff000u;
    }
}

/* Bits reserved in every 8-byte entry. */
static inline uint64_t reserved_bits(const struct guest_phys_ops *phys,
                                     const struct guest_paging *p)
{
    return (~0ULL << phys->maxphyaddr & PTE_ADDR) | (p->efer & EFER_NXE ? 0 : PTE_NX);
}

static enum walk_result walk_long(struct state *s)
{
    bool five = (s->p->cr4 & CR4_LA57) != 0;

    s->out->canonical = is_canonical(s->va, five ? 57 : 48);
    if (unlikely(!s->out->canonical)) {
        s->out->error = 0;
        return WALK_FAULT;
    }
    return walk64(s, s->p->cr3 & CR3_ADDR, five ? 48 : 39);
}

/* By the paging mode. */
static enum walk_result walk_in_mode(struct state *s)
{
    if ((s->p->cr0 & CR0_PG) && (s->p->efer & EFER_LMA)) {
        return walk_long(s);
    }
    s->out->canonical = s->va >> 32 == 0;
    if (!s->out->canonical) {
        s->out->error = 0;
        return WALK_FAULT;
    }
    if (!(s->p->cr0 & CR0_PG)) {
        return finish(s, s->va, s->acc) ? WALK_OK : no_page(s);
    }
    if (s->p->cr4 & CR4_PAE) {
        s->rsvd |= 0x7ff0000000000000ULL; /* bits 62:52 (SDM vol. 3, tables 4-8 to 4-11) */
        return walk_pae(s);
    }
    return walk32(s);
}

__attribute__((noinline))
static enum walk_result full_walk(const struct guest_phys_ops *phys,
                                  const struct guest_paging *p, uint64_t va, unsigned access,
                                  struct walk *out)
{
    struct state s = {
        .phys = phys, .p = p, .out = out, .va = va, .acc = PTE_RW | PTE_US | PTE_NX,
        .rsvd = reserved_bits(phys, p), .access = access,
    };
    enum walk_result r = walk_in_mode(&s);

    return r == WALK_OK && unlikely(s.denied != 0) ? not_ram(&s, s.denied - 1) : r;
}

/* All entries of a walk: ANDed, ORed, and the last one. */
struct descent { uint64_t all, any, last; };

/* Core pointer to the guest RAM at `at`. No calls here: they would cost the short walk more
 * than it does. */
static inline bool find(const struct guest_phys_ops *phys, uint64_t at, void **p)
{
    *p = (void *)(uintptr_t)(phys->base + at);
    return likely(at - phys->window[0].start < phys->window[0].size)
           || at - phys->window[1].start < phys->window[1].size
           || at - phys->window[2].start < phys->window[2].size;
}

/* The entry is read, and judged at the end: until then nothing is written. */
static inline void note(const void *entry, struct descent *d)
{
    d->last = atomic_load_explicit((const _Atomic uint64_t *)entry, memory_order_relaxed);
    d->all &= d->last;
    d->any |= d->last;
}

/* One level down, from the table that d->last points to. What isn't RAM isn't read. */
static inline bool step(const struct guest_phys_ops *phys, uint64_t va, unsigned shift,
                        struct descent *d)
{
    void *entry;

    if (!find(phys, (d->last & PTE_ADDR) | (va >> (shift - 3) & 0xff8), &entry)) {
        return false;
    }
    note(entry, d);
    return true;
}

/*
 * What makes a walk plain sailing, by access: all entries present and accessed, nothing to set
 * in the leaf, and rights that no rule about supervisors can take away: a user page for ring 3
 * and none for the others, writable even without CR0.WP. Reserved address bits need no look:
 * there is no RAM at such addresses.
 */
#define PLAIN(access) { \
    PTE_P | PTE_A | ((access) & ACCESS_WRITE ? PTE_RW : 0) \
        | ((access) & ACCESS_USER ? PTE_US : 0), \
    (access) & ACCESS_EXEC ? PTE_NX : 0, (access) & ACCESS_WRITE ? PTE_D : 0 }
static const struct { uint64_t need, forbid, dirty; } plain_rules[16] = {
    PLAIN(0), PLAIN(1), PLAIN(2), PLAIN(3), PLAIN(4), PLAIN(5), PLAIN(6), PLAIN(7),
    PLAIN(8), PLAIN(9), PLAIN(10), PLAIN(11), PLAIN(12), PLAIN(13), PLAIN(14), PLAIN(15),
};

static inline bool plain(const struct guest_paging *p, unsigned access, const struct descent *d)
{
    __typeof__(&plain_rules[0]) r = &plain_rules[access & 15];

    if (unlikely(((d->all ^ r->need) & (r->need | PTE_US)) | (d->any & r->forbid) |
                 (~d->last & r->dirty))) {
        return false;
    }
    return likely(p->pkru == 0) || !(p->pkru >> (d->last >> (PTE_PK_SHIFT - 1) & 0x1e) & 3u);
}

/* A leaf of 2 MiB: no reserved bit is set; and what it says about `va`. */
static inline bool large_good(uint64_t leaf)
{
    return (leaf & (PAGE_SIZE_2M - 1) & PTE_ADDR & ~PTE_PAT_LARGE) == 0;
}

static inline uint64_t large_at(uint64_t leaf, uint64_t va)
{
    return (leaf & PTE_ADDR & ~(PAGE_SIZE_2M - 1)) | (va & (PAGE_SIZE_2M - 1));
}

/* Four levels to a 4K or 2M page. False if the full walk must decide. `anywhere`: in smaller pieces
 * of RAM too, which takes a call. */
static inline __attribute__((always_inline))
bool short_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                              uint64_t va, unsigned access, bool anywhere, struct walk *out)
{
    struct descent d = { .all = ~0ULL, .any = 0, .last = p->cr3 };
    uint64_t at;

    if (!step(phys, va, 39, &d) || !step(phys, va, 30, &d) || (d.any & PTE_PS)
        || !step(phys, va, 21, &d)) {
        return false;
    }
    if (d.last & PTE_PS) {
        if (!large_good(d.last)) {
            return false;
        }
        at = large_at(d.last, va);
    } else if (step(phys, va, PAGE_SHIFT, &d)) {
        at = (d.last & PTE_ADDR) | (va & PAGE_MASK);
    } else {
        return false;
    }
    if (!plain(p, access, &d)) {
        return false;
    }
    out->gpa = gpa(at);
    out->rights = ACCESS_READ | (unsigned)(d.all & PTE_RW) | (unsigned)(d.all & PTE_US) << 1 |
                  (unsigned)(~d.any >> 63) << 2;
    out->canonical = true;
    if (anywhere && !phys->rights) {
        out->ptr = phys->map(gpa(at), 1);
        return out->ptr != NULL;
    }
    return find(phys, at, &out->ptr);
}

_Static_assert(PTE_RW == ACCESS_WRITE && PTE_US << 1 == ACCESS_USER && ACCESS_EXEC == 1 << 2,
               "short_walk moves permissions without looking at each");

/* Paging that the short walk knows, and an address that it can take. */
static inline bool usual(const struct guest_paging *p, uint64_t va)
{
    const uint64_t efer = EFER_LMA | EFER_NXE;

    return (p->efer & efer) == efer && (p->cr0 & CR0_PG) && !(p->cr4 & CR4_LA57)
           && is_canonical(va, 48);
}

/* Apart from guest_walk, which saves no registers. */
__attribute__((noinline))
static enum walk_result other_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                                   uint64_t va, unsigned access, struct walk *out)
{
    if (usual(p, va) && short_walk(phys, p, va, access, true, out)) {
        return WALK_OK;
    }
    return full_walk(phys, p, va, access, out);
}

enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out)
{
    if (p->cpl == 3) {
        access |= ACCESS_USER;
    }
    if (likely(usual(p, va.a) && short_walk(phys, p, va.a, access, false, out))) {
        return WALK_OK;
    }
    return other_walk(phys, p, va.a, access, out);
}

/* For a memo: it may be made while rights are judged, and shows what can be read. */
static bool find_readable(const struct guest_phys_ops *phys, uint64_t at, void **p)
{
    if (likely(!phys->rights) && likely(find(phys, at, p))) {
        return true;
    }
    *p = phys->map(gpa(at), 1);
    return *p != NULL
        && (!phys->rights || (phys->rights(gpa(at & ~PAGE_MASK)) & ACCESS_READ));
}

void walk_remember(const struct guest_phys_ops *phys, const struct guest_paging *p, gva_t va,
                   unsigned access, struct walk_memo *m)
{
    struct descent d = { .all = ~0ULL, .any = 0, .last = p->cr3 };
    void *entry = NULL, *bytes;
    bool large = false;

    m->bytes = NULL;
    if (!usual(p, va.a) || (access != 0 && p->pkru != 0)) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        unsigned shift = 39 - 9 * i;
        /* A large page has one entry less: its last one is kept twice, so that four are compared
         * always. */
        if (!large) {
            if (!find_readable(phys, (d.last & PTE_ADDR) | (va.a >> (shift - 3) & 0xff8), &entry)) {
                return;
            }
            note(entry, &d);
            if (i < 2 && (d.last & PTE_PS)) {
                return;
            }
        }
        m->entry[i] = entry;
        m->value[i] = d.last;
        large = large || (i == 2 && (d.last & PTE_PS));
    }
    if ((large && !large_good(d.last)) || (access != 0 && !plain(p, access | ACCESS_USER, &d))
        || !find_readable(phys, large ? large_at(d.last, va.a & ~PAGE_MASK) : d.last & PTE_ADDR,
                       &bytes)) {
        return;
    }
    m->page = va.a >> PAGE_SHIFT;
    m->cr3 = p->cr3;
    m->cr4 = p->cr4;
    m->efer = p->efer;
    m->bytes = bytes;
}
