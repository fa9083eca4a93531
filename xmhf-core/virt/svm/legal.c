/* SPDX-License-Identifier: MIT */
/*
 * Guest states that VMRUN refuses (APM vol. 2, 15.5.1), made legal. A CPU never leaves its guest in
 * one: it refuses the instruction that would. Emulators do, even for ring 3 (QEMU's SYSENTER).
 */
#include <cpu/width.h>
#include <policy/cr.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

static bool mend(uint64_t *reg, uint64_t clear, uint64_t set)
{
    uint64_t value = (*reg & ~clear) | set;
    bool broken = value != *reg;

    *reg = value;
    return broken;
}

static bool paged_long_mode(const struct vmcb *c)
{
    return (c->efer & EFER_LME) && (c->cr0 & CR0_PG);
}

static bool cr0_high(struct vmcb *c) { return mend(&c->cr0, ~0xffffffffULL, 0); }
static bool nw_alone(struct vmcb *c) { return mend(&c->cr0, c->cr0 & CR0_CD ? 0 : CR0_NW, 0); }
static bool dr6_high(struct vmcb *c) { return mend(&c->dr6, ~0xffffffffULL, 0); }
static bool dr7_high(struct vmcb *c) { return mend(&c->dr7, ~0xffffffffULL, 0); }
static bool no_pae(struct vmcb *c) { return mend(&c->cr4, 0, paged_long_mode(c) ? CR4_PAE : 0); }
static bool no_pe(struct vmcb *c) { return mend(&c->cr0, 0, paged_long_mode(c) ? CR0_PE : 0); }

static bool l_and_d(struct vmcb *c)
{
    const uint16_t both = SEG_ATTR_L | SEG_ATTR_DB;
    bool broken = paged_long_mode(c) && (c->cs.attrib & both) == both;

    if (broken) {
        c->cs.attrib &= (uint16_t)~SEG_ATTR_DB;
    }
    return broken;
}

/* This is asked only after a CPU has refused the state: a CPU may have bits that we don't know. */
static bool cr3_bits(struct vmcb *c) { return mend(&c->cr3, phys_beyond(), 0); }
static bool cr4_bits(struct vmcb *c) { return mend(&c->cr4, ~cr4_visible(hw_cpuid), 0); }
static bool no_svme(struct vmcb *c) { return mend(&c->efer, 0, EFER_SVME); }

static const struct {
    const char *rule;
    bool (*mended)(struct vmcb *c);
} rules[] = {
    { "CR0 has bits above 31", cr0_high }, { "CR0.NW without CR0.CD", nw_alone },
    { "DR6 has bits above 31", dr6_high }, { "DR7 has bits above 31", dr7_high },
    { "long mode without CR4.PAE", no_pae }, { "long mode without CR0.PE", no_pe },
    { "CS.L and CS.D are both set", l_and_d }, { "CR3 has reserved bits", cr3_bits },
    { "CR4 has reserved bits", cr4_bits }, { "EFER.SVME is 0", no_svme },
};

const char *svm_legalise(struct vcpu *v)
{
    const char *first = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (rules[i].mended(svm(v)->os) && !first) {
            first = rules[i].rule;
        }
    }
    if (first) {
        svm(v)->flush_os = true;
    }
    return first;
}
