/* SPDX-License-Identifier: MIT */
/* The reference page walk (SDM vol. 3, chapter 4). Every rule is spelled out once. */
#include "walk_ref.h"

#include <string.h>

struct level { unsigned shift, index_bits, entry_bytes; bool pae_pdpte; };

static const struct level levels32[] = { { 22, 10, 4, false }, { 12, 10, 4, false } };
static const struct level levels_pae[] = {
    { 30, 2, 8, true }, { 21, 9, 8, false }, { 12, 9, 8, false },
};
static const struct level levels64[] = {
    { 48, 9, 8, false }, { 39, 9, 8, false }, { 30, 9, 8, false }, { 21, 9, 8, false },
    { 12, 9, 8, false },
};

enum mode { NONE, BITS32, PAE, LONG4, LONG5 };

static bool bit(uint64_t v, unsigned n)
{
    return v >> n & 1;
}

/* Bits high..low of v, moved down. */
static uint64_t field(uint64_t v, unsigned high, unsigned low)
{
    return v >> low & ((2ULL << (high - low)) - 1);
}

static enum mode mode_of(const struct guest_paging *p)
{
    if (!bit(p->cr0, 31)) {
        return NONE;
    }
    if (bit(p->efer, 10)) {
        return bit(p->cr4, 12) ? LONG5 : LONG4;
    }
    return bit(p->cr4, 5) ? PAE : BITS32;
}

/* Is this present entry the last one? */
static bool is_leaf(enum mode m, const struct guest_paging *p, const struct level *l, uint64_t e)
{
    if (l->shift == 12) {
        return true;
    }
    if (l->pae_pdpte || !bit(e, 7)) {
        return false;
    }
    return m != BITS32 || bit(p->cr4, 4);
}

static bool reserved32(const struct guest_phys_ops *phys, const struct level *l, uint64_t e,
                       bool leaf)
{
    unsigned m = phys->maxphyaddr < 40 ? phys->maxphyaddr : 40;

    if (!leaf || l->shift != 22) {
        return false;
    }
    for (unsigned b = m - 19; b <= 21; b++) { /* table 4-4: 21:(M-19) */
        if (bit(e, b)) {
            return true;
        }
    }
    return false;
}

static bool reserved(enum mode m, const struct guest_phys_ops *phys, const struct guest_paging *p,
                     const struct level *l, uint64_t e, bool leaf)
{
    if (m == BITS32) {
        return reserved32(phys, l, e, leaf);
    }
    for (unsigned b = phys->maxphyaddr; b < 52; b++) {
        if (bit(e, b)) {
            return true;
        }
    }
    if (bit(e, 63) && (!bit(p->efer, 11) || l->pae_pdpte)) {
        return true;
    }
    if (m == PAE && field(e, 62, 52) != 0) {
        return true;
    }
    if (l->pae_pdpte) {
        return field(e, 2, 1) != 0 || field(e, 8, 6) != 0; /* not 5: see walk.c */
    }
    if (leaf && l->shift >= 39) {
        return true; /* PS in a PML4E or PML5E */
    }
    if (leaf && l->shift == 30) {
        return !phys->page1g || field(e, 29, 13) != 0;
    }
    return leaf && l->shift == 21 && field(e, 20, 13) != 0;
}

static uint64_t leaf_base(enum mode m, const struct level *l, uint64_t e)
{
    if (m == BITS32) {
        return l->shift == 12 ? field(e, 31, 12) << 12
                              : field(e, 31, 22) << 22 | field(e, 20, 13) << 32;
    }
    return field(e, 51, l->shift) << l->shift;
}

/* May the access be done? Protection keys apart. */
static bool permitted(const struct guest_paging *p, unsigned access, bool user_access, bool rw,
                      bool us, bool nx)
{
    bool smap = bit(p->cr4, 21), smep = bit(p->cr4, 20), wp = bit(p->cr0, 16);
    bool data = access == 0 || (access & (ACCESS_READ | ACCESS_WRITE))
        || !(access & ACCESS_EXEC);

    if (user_access) {
        return us && (!(access & ACCESS_WRITE) || rw) && (!(access & ACCESS_EXEC) || !nx);
    }
    if (data && us && smap && !p->ac) {
        return false;
    }
    if ((access & ACCESS_WRITE) && !rw && wp) {
        return false;
    }
    return !(access & ACCESS_EXEC) || (!nx && !(us && smep));
}

static bool key_denies(const struct guest_paging *p, unsigned access, bool user_access, bool us,
                       unsigned key)
{
    bool ad = bit(p->pkru, 2 * key), wd = bit(p->pkru, 2 * key + 1);
    bool data = !(access & ACCESS_EXEC) || (access & (ACCESS_READ | ACCESS_WRITE));

    return data && us
        && (ad || (wd && (access & ACCESS_WRITE) && (user_access || bit(p->cr0, 16))));
}

static enum walk_result fault(struct walk *out, const struct guest_paging *p, unsigned access,
                              bool user_access, uint32_t error)
{
    bool fetch_known = bit(p->cr4, 20) || (bit(p->cr4, 5) && bit(p->efer, 11));

    out->error = error | (access & ACCESS_WRITE ? PF_WRITE : 0) | (user_access ? PF_USER : 0) |
                 ((access & ACCESS_EXEC) && fetch_known ? PF_FETCH : 0);
    return WALK_FAULT;
}

static void set(void *entry, unsigned bytes, uint64_t value)
{
    uint32_t low = (uint32_t)value;

    if (bytes == 4) {
        memcpy(entry, &low, 4);
    } else {
        memcpy(entry, &value, 8);
    }
}

static uint64_t get(const void *entry, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, entry, bytes); /* little endian */
    return value;
}

static enum walk_result not_ram(struct walk *out, uint64_t at)
{
    out->gpa = gpa(at);
    out->beside_ram = false;
    return WALK_NOT_RAM;
}

static const struct level *top_of(enum mode m)
{
    return m == BITS32 ? levels32 : m == PAE ? levels_pae : m == LONG5 ? levels64 : levels64 + 1;
}

static uint64_t root_of(enum mode m, uint64_t cr3)
{
    return m == BITS32 ? field(cr3, 31, 12) << 12
        : m == PAE ? field(cr3, 31, 5) << 5 : field(cr3, 51, 12) << 12;
}

static enum walk_result translate(enum mode m, const struct guest_phys_ops *phys,
                                  const struct guest_paging *p, uint64_t va, unsigned access,
                                  struct walk *out)
{
    const struct level *l = top_of(m);
    uint64_t table = root_of(m, p->cr3);
    bool user_access = (access & ACCESS_USER) || p->cpl == 3;
    bool rw = true, us = true, nx = false;

    for (;; l++) {
        uint64_t at = table + field(va, l->shift + l->index_bits - 1, l->shift) * l->entry_bytes, e;
        void *entry = phys->map(gpa(at), l->entry_bytes);
        bool leaf, pk;

        if (!entry) {
            return not_ram(out, at);
        }
        e = get(entry, l->entry_bytes);
        if (!bit(e, 0)) {
            return fault(out, p, access, user_access, 0);
        }
        leaf = is_leaf(m, p, l, e);
        if (reserved(m, phys, p, l, e, leaf)) {
            return fault(out, p, access, user_access, PF_PRESENT | PF_RSVD);
        }
        if (!l->pae_pdpte) {
            rw = rw && bit(e, 1);
            us = us && bit(e, 2);
            nx = nx || (m != BITS32 && bit(e, 63));
        }
        if (!leaf) {
            set(entry, l->entry_bytes, l->pae_pdpte ? e : e | 1u << 5);
            table = field(e, m == BITS32 ? 31 : 51, 12) << 12;
            continue;
        }
        pk = m >= LONG4 && key_denies(p, access, user_access, us, (unsigned)field(e, 62, 59));
        if (pk || !permitted(p, access, user_access, rw, us, nx)) {
            return fault(out, p, access, user_access, PF_PRESENT | (pk ? PF_PK : 0));
        }
        out->rights = ACCESS_READ | (rw ? ACCESS_WRITE : 0) | (nx ? 0 : ACCESS_EXEC)
            | (us ? ACCESS_USER : 0);
        out->gpa = gpa(leaf_base(m, l, e) + field(va, l->shift - 1, 0));
        out->ptr = phys->map(out->gpa, 1);
        out->beside_ram = !out->ptr;
        if (out->ptr) {
            set(entry, l->entry_bytes, e | 1u << 5 | (access & ACCESS_WRITE ? 1u << 6 : 0));
        }
        return out->ptr ? WALK_OK : WALK_NOT_RAM;
    }
}

enum walk_result ref_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                          uint64_t va, unsigned access, struct walk *out)
{
    enum mode m = mode_of(p);
    unsigned bits = m == LONG5 ? 57 : 48;

    if (m >= LONG4) { /* bits 63..bits-1 all equal */
        uint64_t top = field(va, 63, bits - 1);
        out->canonical = top == 0 || top == field(~0ULL, 63, bits - 1);
    } else {
        out->canonical = va <= 0xffffffff;
    }
    if (!out->canonical) {
        out->error = 0;
        return WALK_FAULT;
    }
    if (m != NONE) {
        return translate(m, phys, p, va, access, out);
    }
    out->gpa = gpa(va);
    out->rights = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC | ACCESS_USER;
    out->ptr = phys->map(out->gpa, 1);
    out->beside_ram = !out->ptr;
    return out->ptr ? WALK_OK : WALK_NOT_RAM;
}
