/* SPDX-License-Identifier: MIT */
/* The list of include/xmhf/cpu_needs.h, asked of one CPU. */
#include <cpu/needs.h>
#include <x86/cpuid.h>
#include <xmhf/cpu_needs.h>

struct need { uint32_t leaf; unsigned reg, bit; const char *name; };

#define ROW(leaf, reg, bit, name) { leaf, reg, bit, name },
static const struct need needs[] = { CPU_NEEDS(ROW) CPU_NEEDS_NX(ROW) };
#undef ROW

static uint32_t register_of(const struct cpuid_regs *r, unsigned reg)
{
    return reg == 0 ? r->eax : reg == 1 ? r->ebx : reg == 2 ? r->ecx : r->edx;
}

static bool has(const struct need *n, struct cpuid_regs (*cpuid)(uint32_t leaf, uint32_t sub))
{
    if (cpuid(n->leaf & CPUID_EXTENDED, 0).eax < n->leaf) {
        return false;
    }
    struct cpuid_regs r = cpuid(n->leaf, 0);
    return n->bit == 32 || (register_of(&r, n->reg) >> n->bit & 1);
}

const char *cpu_lacks(struct cpuid_regs (*cpuid)(uint32_t leaf, uint32_t sub))
{
    for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
        if (!has(&needs[i], cpuid)) {
            return needs[i].name;
        }
    }
    return NULL;
}
