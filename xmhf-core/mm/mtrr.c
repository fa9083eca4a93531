/* SPDX-License-Identifier: MIT */
/* Memory types from the fixed, variable and default MTRRs, with the SDM's overlap rules. */
#include <hw/insn.h>
#include <mm/mtrr.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define FIXED_END 0x100000ULL

static void read_fixed(struct mtrr *m)
{
    static const uint32_t msrs[] = {
        0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
    };

    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
        uint64_t value = 0;

        if (!hw_rdmsr_safe(msrs[i], &value)) {
            m->fixed_enabled = false;
        }
        for (unsigned byte = 0; byte < 8; byte++) {
            m->fixed[8 * i + byte] = (uint8_t)(value >> (8 * byte));
        }
    }
}

static void read_variable(struct mtrr *m, unsigned count)
{
    for (unsigned i = 0; i < count && i < MTRR_VAR_MAX; i++) {
        uint64_t base, mask;

        if (hw_rdmsr_safe(MSR_IA32_MTRR_PHYSBASE0 + 2 * i, &base)
            && hw_rdmsr_safe(MSR_IA32_MTRR_PHYSMASK0 + 2 * i, &mask) && (mask & BIT(11))) {
            m->var[m->var_count].base = base & ~PAGE_MASK;
            m->var[m->var_count].mask = mask & ~PAGE_MASK;
            m->var[m->var_count++].type = (uint8_t)base;
        }
    }
}

void mtrr_read(struct mtrr *m)
{
    uint64_t cap, def;

    *m = (struct mtrr){ .enabled = true, .default_type = MT_WB };
    if (!(hw_cpuid(CPUID_FEATURES, 0).edx & CPUID_1_EDX_MTRR)
        || !hw_rdmsr_safe(MSR_IA32_MTRRCAP, &cap)
        || !hw_rdmsr_safe(MSR_IA32_MTRR_DEF_TYPE, &def)) {
        return;
    }
    m->enabled = def & BIT(11);
    m->fixed_enabled = (cap & BIT(8)) && (def & BIT(10));
    m->default_type = (uint8_t)def;
    if (m->fixed_enabled) {
        read_fixed(m);
    }
    read_variable(m, (unsigned)(cap & 0xff));
}

/* A type that a register can't hold counts as UC: the careful reading. */
static enum mem_type valid(uint8_t type)
{
    switch (type) {
    case MT_WC:
    case MT_WT:
    case MT_WP:
    case MT_WB: return (enum mem_type)type;
    default: return MT_UC;
    }
}

static enum mem_type fixed_type(const struct mtrr *m, uint64_t addr)
{
    if (addr < 0x80000) {
        return valid(m->fixed[addr >> 16]);
    }
    if (addr < 0xc0000) {
        return valid(m->fixed[8 + (addr - 0x80000) / 0x4000]);
    }
    return valid(m->fixed[24 + (addr - 0xc0000) / 0x1000]);
}

/* Two ranges on one address (12.11.4.1): UC wins, WT beats WB, anything else is undefined and
 * taken as UC. */
static enum mem_type combine(enum mem_type a, enum mem_type b)
{
    if (a == b) {
        return a;
    }
    if ((a == MT_WT && b == MT_WB) || (a == MT_WB && b == MT_WT)) {
        return MT_WT;
    }
    return MT_UC;
}

bool mtrr_uniform(const struct mtrr *m, uint64_t start, uint64_t size, enum mem_type *type)
{
    bool any = false, partial = false;

    *type = MT_UC;
    if (!m->enabled) {
        return true; /* all memory is UC (12.11.2.1) */
    }
    if (m->fixed_enabled && start < FIXED_END) {
        *type = fixed_type(m, start);
        return size <= PAGE_SIZE;
    }
    for (unsigned i = 0; i < m->var_count; i++) {
        uint64_t mask = m->var[i].mask;

        /* The mask of an MTRR may have holes, so the range isn't just a start and a length. */
        if ((start ^ m->var[i].base) & mask & ~(size - 1)) {
            continue; /* no address of the block matches */
        }
        if (mask & (size - 1)) {
            partial = true;
            continue;
        }
        *type = any ? combine(*type, valid(m->var[i].type)) : valid(m->var[i].type);
        any = true;
    }
    if (any && *type == MT_UC) {
        return true; /* whatever else covers parts of it */
    }
    if (!any) {
        *type = valid(m->default_type);
    }
    return !partial;
}

enum mem_type mtrr_type(const struct mtrr *m, uint64_t addr)
{
    enum mem_type type;

    (void)mtrr_uniform(m, align_down(addr, PAGE_SIZE), PAGE_SIZE, &type);
    return type;
}
