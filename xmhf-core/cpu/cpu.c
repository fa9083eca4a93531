/* SPDX-License-Identifier: MIT */
/* The core's own CPU environment: GDT, IDT, TSS, IST stacks. */
#include <cpu/cpu.h>
#include <cpu/mc.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

struct tss {
    uint32_t pad0;
    uint64_t rsp[3];
    uint64_t pad1;
    uint64_t ist[7];
    uint64_t pad2;
    uint16_t pad3, iomap;
} __attribute__((packed));

struct gate {
    uint16_t low, sel;
    uint8_t ist, type;
    uint16_t mid;
    uint32_t high, pad;
};

/* Per-CPU tables: one page. */
struct cpu_tables {
    uint64_t gdt[8];
    struct tss tss;
};

extern const uint8_t trap_entries[], trap_spurious[], trap_maybe_sx[];

static struct gate idt[256] __attribute__((aligned(16)));
static struct gate drain_idt[256] __attribute__((aligned(16))); /* see cpu_take_interrupts */
static struct gate early_idt[256] __attribute__((aligned(16))); /* see cpu_load_early */
static const struct hw_table idtr = { sizeof(idt) - 1, (uintptr_t)idt };
static const struct hw_table early_idtr = { sizeof(early_idt) - 1, (uintptr_t)early_idt };
static const struct hw_table drain_idtr = { sizeof(drain_idt) - 1, (uintptr_t)drain_idt };

static void set_gate(struct gate *g, const void *entry, uint8_t ist)
{
    uint64_t a = (uintptr_t)entry;

    *g = (struct gate){
        .low = (uint16_t)a, .mid = (uint16_t)(a >> 16), .high = (uint32_t)(a >> 32),
        .sel = SEL_CODE, .ist = ist, .type = 0x8e,
    };
}

/*
 * In drain_idt no gate switches stacks: an interrupt with vector 2 doesn't block NMIs, so an NMI
 * that comes while it is handled would start at the top of the same stack and overwrite its frame.
 */
static void build_idt(void)
{
    static bool built;

    if (built) {
        return;
    }
    built = true;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t ist = i == EXC_NMI ? IST_NMI : i == EXC_MC ? IST_MC : i == EXC_DF ? IST_DF : 0;
        const uint8_t *drain = i == EXC_NMI || i == EXC_MC ? trap_entries + 16 * i
            : i == EXC_SX ? trap_maybe_sx : trap_spurious;

        set_gate(&idt[i], i < 32 ? trap_entries + 16 * i : trap_spurious, ist);
        set_gate(&early_idt[i], i < 32 ? trap_entries + 16 * i : trap_spurious, 0);
        set_gate(&drain_idt[i], drain, 0);
    }
}

static void build_gdt(struct cpu_tables *t, uint64_t stacks)
{
    uint64_t base = (uintptr_t)&t->tss;

    memset(t, 0, sizeof(*t));
    for (unsigned i = IST_NMI; i <= IST_DF; i++) {
        t->tss.ist[i - 1] = host_stack_top(stacks, i);
    }
    t->tss.rsp[0] = host_stack_top(stacks, 0);
    t->tss.iomap = sizeof(struct tss);
    t->gdt[SEL_CODE / 8] = 0x00af9b000000ffff;
    t->gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
    t->gdt[SEL_TSS / 8] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16
        | 0x89ULL << 40 | (base >> 24 & 0xff) << 56;
    t->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

void cpu_load_early(struct vcpu *v, uint64_t stacks)
{
    struct cpu_tables *t = v->tables;

    build_idt();
    build_gdt(t, stacks);
    const struct hw_table gdtr = { sizeof(t->gdt) - 1, (uintptr_t)t->gdt };
    hw_lgdt(&gdtr);
    hw_load_code_stack(SEL_CODE, SEL_DATA);
    hw_lidt(&early_idtr);
    hw_wrmsr(MSR_GS_BASE, (uintptr_t)v);
    uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_XSAVE) {
        cr4 |= CR4_OSXSAVE;
    }
    if (hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES
        && (hw_cpuid(CPUID_EXT_FEATURES, 0).ecx & CPUID_7_0_ECX_PKU)) {
        cr4 |= CR4_PKE; /* so that the guest's PKRU can be read */
    }
    hw_write_cr4(cr4);
    hw_write_cr0((hw_read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(CR0_EM | CR0_TS | CR0_CD | CR0_NW));
}

void cpu_load_rest(void)
{
    hw_load_data(SEL_DATA);
    hw_lldt(0);
    hw_ltr(SEL_TSS);
    hw_lidt(&idtr);
}

void cpu_load(struct vcpu *v, uint64_t stacks)
{
    cpu_load_early(v, stacks);
    cpu_load_rest();
}

uint64_t cpu_idt(void) { return idtr.base; }

void cpu_take_interrupts(void)
{
    struct vcpu *v = this_vcpu();
    uint64_t status = 0;

    v->draining = true;
    hw_interrupt_window(&drain_idtr, &idtr);
    v->draining = false;
    /* Only a machine check sets MCIP (SDM vol. 3, 16.3.1.2); the guest can't. */
    if (v->drained_mc && hw_rdmsr_safe(MSR_IA32_MCG_STATUS, &status)
        && (status & MCG_STATUS_MCIP)) {
        mc_met_core(v);
    }
    v->drained_mc = false;
}
