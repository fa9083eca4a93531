/* SPDX-License-Identifier: MIT */
/*
 * The states a vCPU starts with, by the manuals: SDM vol. 3, 9.1.1, table 9-1, and APM vol. 2,
 * 14.1.3, tables 14-1 and 14-2 ("the tables" below); Linux' Documentation/arch/x86/boot.rst. First
 * what guest/state.c makes, then what is left of it in a VMCB and in a VMCS that a guest was
 * running in. Numbers are the manuals', not the core's names for them.
 */
#include "unit.h"

#include "fake/machine.h"
#include <debug/log.h>
#include <guest/phys.h>
#include <guest/state.h>
#include <virt/svm/svm.h>
#include <virt/vmx/vmx.h>
#include <x86/cpuid.h>

#define FIELDS    0x7000u
#define SIGNATURE 0x00a20f12u /* extended family and model are told apart */
#define NO_FLAGS  (SEG_ATTR_AVL | SEG_ATTR_L | SEG_ATTR_DB | SEG_ATTR_G)

struct vmx_common vmx_common;
struct guest_phys_ops guest_phys_ops;
static struct vcpu v;
static struct vcpu_state got;      /* the last state that was loaded */
static unsigned loads, breakpoints_cleared;
static uint64_t field[FIELDS];
static struct vmcb vmcb;
static struct svm_cpu svm_cpu;
struct svm_features svm_features;
static struct vmx_cpu vmx_cpu;

/* --- what the code under test stands on ------------------------------------------------- */

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

void hw_clear_breakpoints(void) { breakpoints_cleared++; }
bool hw_vmread(uint64_t f, uint64_t *out) { *out = field[f]; return true; }
bool hw_vmwrite(uint64_t f, uint64_t value) { field[f] = value; return true; }
const char *vmcs_name(uint32_t encoding) { (void)encoding; return "?"; }
void vmx_set_window(struct vmx_cpu *s, uint32_t controls) { s->window = controls; }
bool vmx_inject(struct vcpu *cpu, const struct event *ev) { (void)cpu; (void)ev; return true; }

uint64_t vmx_cap(const struct vmx_caps *c, uint32_t msr) { (void)c; (void)msr; return 0; }

/* CR4.VMXE is the one bit that VMX fixes in CR4 (SDM vol. 3, A.8). */
uint64_t vmx_fixed_cr(const struct vmx_caps *c, unsigned cr, uint64_t value)
{
    (void)c;
    return cr == 4 ? value | BIT(13) : value;
}

static void take_state(struct vcpu *cpu, const struct vcpu_state *s)
{
    assert_ptr_equal(cpu, &v);
    got = *s;
    loads++;
}

static void svm_take_state(struct vcpu *cpu, const struct vcpu_state *s)
{
    take_state(cpu, s);
    svm_set_state(cpu, s);
}

static void vmx_take_state(struct vcpu *cpu, const struct vcpu_state *s)
{
    take_state(cpu, s);
    vmx_set_state(cpu, s);
}

static const struct virt_ops neither = { .set_state = take_state };
static const struct virt_ops amd = { .set_state = svm_take_state, .get_segment = svm_get_segment,
                                     .get_table = svm_get_table };
static const struct virt_ops intel = { .set_state = vmx_take_state, .get_table = vmx_get_table,
                                       .get_segment = vmx_get_segment };
const struct virt_ops *virt;

static int setup(void **state)
{
    (void)state;
    machine_reset(0);
    machine_set_cpuid(0, 0, (struct cpuid_regs){ .eax = 1 });
    machine_set_cpuid(1, 0, (struct cpuid_regs){ SIGNATURE, 0x11111111, 0x22222222, 0x33333333 });
    memset(&got, 0xa5, sizeof(got));
    loads = breakpoints_cleared = 0;
    virt = &neither;
    return 0;
}

/* --- what the tables say, for RESET and INIT alike ---------------------------------------- */

static void assert_real_mode(const struct segment *s, uint16_t selector, uint64_t base)
{
    assert_int_equal(s->selector, selector);
    assert_int_equal(s->base, base);
    assert_int_equal(s->limit, 0xffff);
    assert_int_equal(s->attr & (SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DPL), SEG_ATTR_P | SEG_ATTR_S);
    assert_int_equal(s->attr & NO_FLAGS, 0);
}

/* Data: read/write (14-2); accessed too (9-1), without which VMX doesn't enter (27.3.1.2). */
static void assert_data(const struct segment *s, uint16_t selector, uint64_t base)
{
    assert_real_mode(s, selector, base);
    assert_int_equal(s->attr & SEG_ATTR_TYPE, 3);
}

/* Code: executable and readable (14-2), accessed (9-1). */
static void assert_code(const struct segment *s, uint16_t selector, uint64_t base)
{
    assert_real_mode(s, selector, base);
    assert_int_equal(s->attr & SEG_ATTR_TYPE, 11);
}

static void assert_system(const struct segment *s, unsigned type)
{
    assert_int_equal(s->selector, 0);
    assert_int_equal(s->base, 0);
    assert_int_equal(s->limit, 0xffff);
    assert_int_equal(s->attr, SEG_ATTR_P | type);
}

/* LDTR and TR. A busy TSS; table 14-2 makes it one of 16 bits (3), but with that an Intel CPU
 * refuses to go to long mode (SDM vol. 2, MOV to control registers). */
static void assert_system_segments(const struct vcpu_state *s)
{
    assert_system(&s->seg[SEG_LDTR], 2);
    assert_system(&s->seg[SEG_TR], 11);
}

/* What no way to start differs in. */
static void assert_common(const struct vcpu_state *s)
{
    assert_int_equal(s->regs.rflags, 2);
    assert_int_equal(s->cr2, 0);
    assert_int_equal(s->cr3, 0);
    assert_int_equal(s->cr4, 0);
    assert_int_equal(s->efer, 0);
    assert_int_equal(s->dr6, 0xffff0ff0);
    assert_int_equal(s->dr7, 0x400);
    assert_int_equal(s->gdt_base, 0);
    assert_int_equal(s->gdt_limit, 0xffff);
    assert_int_equal(s->idt_base, 0);
    assert_int_equal(s->pat, 0x0007040600070406); /* SDM vol. 3, 12.12.4; APM vol. 2, 7.8.2 */
    assert_system_segments(s);
}

/* All general registers but EDX are 0; that is CPUID 1's EAX. */
static void assert_registers(const struct vcpu_state *s)
{
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(s->regs.gpr[i], i == GPR_RDX ? SIGNATURE : 0);
    }
}

static void assert_table(const struct vcpu_state *s, uint16_t cs, uint64_t cs_base, uint64_t rip)
{
    static const enum segment_index data[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

    assert_common(s);
    assert_registers(s);
    assert_int_equal(s->cr0, 0x60000010);
    assert_int_equal(s->idt_limit, 0xffff);
    assert_code(&s->seg[SEG_CS], cs, cs_base);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        assert_data(&s->seg[data[i]], 0, 0);
    }
    assert_int_equal(s->regs.rip, rip);
}

static void reset(void **state)
{
    (void)state;
    state_reset(&got);
    assert_table(&got, 0xf000, 0xffff0000, 0xfff0);
    assert_false(got.by_init);
    assert_int_equal(loads, 0); /* it is asked for a CPU that another will start */
    assert_int_equal(breakpoints_cleared, 0);
}

static void init(void **state)
{
    (void)state;
    state_init(&v);
    assert_int_equal(loads, 1);
    assert_table(&got, 0xf000, 0xffff0000, 0xfff0);
    assert_true(got.by_init);
    assert_int_equal(breakpoints_cleared, 1); /* DR0 to DR3 are 0 (9-1) */
}

/* The vector is bits 19:12 of the first instruction's address (SDM vol. 3, 11.6.1; APM vol. 2,
 * 16.5): CS:IP = VV00:0000. All else is as INIT left it. */
static void sipi_by_vector(void **state)
{
    (void)state;
    for (unsigned vector = 0; vector < 256; vector++) {
        setup(NULL);
        state_sipi(&v, (uint8_t)vector);
        assert_int_equal(loads, 1);
        assert_table(&got, (uint16_t)(vector * 0x100), vector * 0x1000, 0);
        assert_true(got.by_init);
        assert_int_equal(breakpoints_cleared, 1);
    }
}

/* INIT: "CD and NW are unchanged, bit 4 is 1, all other bits 0"; RESET: 60000010H. */
static void cr0_of_init(void **state)
{
    (void)state;
    state_init(&v);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t kept = (uint64_t)i << 29, now = kept | 0x8005003b;

        got.by_init = true;
        assert_int_equal(state_cr0(&got, now), kept | 0x10);
        assert_int_equal(state_cr0(&got, kept), kept | 0x10);
        got.by_init = false;
        assert_int_equal(state_cr0(&got, now), 0x60000010);
    }
}

/* --- kernels -------------------------------------------------------------------------------- */

static void assert_flat(const struct segment *s, uint16_t selector, unsigned type)
{
    assert_int_equal(s->selector, selector);
    assert_int_equal(s->base, 0);
    assert_int_equal(s->limit, 0xffffffff);
    assert_int_equal(s->attr & ~SEG_ATTR_AVL,
                     SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB | SEG_ATTR_G | type);
}

/*
 * boot.rst, "32-bit Boot Protocol": protected mode without paging; CS is 0x10, DS, ES and SS are
 * 0x18, 4 GiB and flat, execute/read and read/write; interrupts off; ESI has boot_params; EBP, EDI
 * and EBX are 0.
 */
static void linux32(void **state)
{
    static const enum segment_index data[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

    (void)state;
    state_linux32(&got, 0xfedc1000, 0x89ab000);
    assert_common(&got);
    assert_int_equal(got.cr0, 0x11); /* PE and ET: no PG, and caches on, as firmware leaves them */
    assert_int_equal(got.regs.rip, 0xfedc1000);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(got.regs.gpr[i], i == GPR_RSI ? 0x89ab000 : 0);
    }
    assert_flat(&got.seg[SEG_CS], 0x10, 11);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        assert_flat(&got.seg[data[i]], 0x18, 3);
    }
    assert_false(got.by_init);
    assert_int_equal(loads + breakpoints_cleared, 0);
}

/*
 * boot.rst, "Running the Kernel": DS = ES = SS are the start of the real-mode code, FS and GS
 * better too; entered at that segment + 0x20, IP 0; SP is the heap's end, 0xe000; interrupts off.
 * The interrupt table of real mode is 256 entries of 4 bytes at 0 (SDM vol. 3, 21.1.4).
 */
static void linux16(void **state)
{
    static const uint64_t areas[] = { 0x10000, 0x7c00, 0x90000, 0x9e0f0 & ~0xfULL };
    static const enum segment_index data[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(areas); k++) {
        setup(NULL);
        state_linux16(&got, areas[k]);
        assert_common(&got);
        assert_int_equal(got.cr0, 0x10);
        assert_int_equal(got.idt_limit, 0x3ff);
        assert_code(&got.seg[SEG_CS], (uint16_t)(areas[k] / 16 + 0x20), areas[k] + 0x200);
        for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
            assert_data(&got.seg[data[i]], (uint16_t)(areas[k] / 16), areas[k]);
        }
        assert_int_equal(got.regs.rip, 0);
        for (unsigned i = 0; i < 16; i++) {
            assert_int_equal(got.regs.gpr[i], i == GPR_RSP ? 0xe000 : 0);
        }
        assert_false(got.by_init);
        assert_int_equal(loads + breakpoints_cleared, 0);
    }
}

/* --- what a guest finds after it, on both vendors --------------------------------------------- */

#define GARBAGE 0x5bad5bad5bad5badULL

/* Held in the VMCB or the VMCS, and kept by INIT: "other MSRs" in 14-1, "all other MSRs" in 9-1. */
struct kept {
    uint64_t pat, sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base; /* on Intel in the MSRs themselves */
};

/* What the guest sees of itself. */
struct seen {
    uint64_t cr0, cr2, cr3, cr4, efer, dr6, dr7;
    uint64_t gdt_base, gdt_limit, idt_base, idt_limit;
    struct kept kept;
};

static void see_amd(struct seen *s)
{
    *s = (struct seen){
        .cr0 = vmcb.cr0, .cr2 = vmcb.cr2, .cr3 = vmcb.cr3, .cr4 = vmcb.cr4,
        .efer = vmcb.efer & ~BIT(12), /* SVME, without which VMRUN fails (APM vol. 2, 15.5.1) */
        .dr6 = vmcb.dr6, .dr7 = vmcb.dr7,
        .gdt_base = vmcb.gdtr.base, .gdt_limit = vmcb.gdtr.limit,
        .idt_base = vmcb.idtr.base, .idt_limit = vmcb.idtr.limit,
        .kept = { vmcb.g_pat, vmcb.sysenter_cs, vmcb.sysenter_esp, vmcb.sysenter_eip, vmcb.star,
                  vmcb.lstar, vmcb.cstar, vmcb.sfmask, vmcb.kernel_gs_base },
    };
}

static void sound_amd(void)
{
    assert_true(vmcb.efer & BIT(12));
    assert_int_equal(vmcb.cpl, 0);
}

/* Bits that a mask names are read from the shadow (SDM vol. 3, 26.3). */
static uint64_t through(uint64_t mask, enum vmcs_field real, enum vmcs_field shadow)
{
    return (field[real] & ~mask) | (field[shadow] & mask);
}

static void see_intel(struct seen *s)
{
    *s = (struct seen){
        .cr0 = through(vmx_common.cr0_mask, VMCS_GUEST_CR0, VMCS_CR0_SHADOW),
        .cr2 = machine.cr2, .cr3 = field[VMCS_GUEST_CR3],
        .cr4 = through(vmx_common.cr4_mask, VMCS_GUEST_CR4, VMCS_CR4_SHADOW),
        .efer = field[VMCS_GUEST_EFER], .dr6 = machine.dr6, .dr7 = field[VMCS_GUEST_DR7],
        .gdt_base = field[VMCS_GUEST_GDTR_BASE], .gdt_limit = field[VMCS_GUEST_GDTR_LIMIT],
        .idt_base = field[VMCS_GUEST_IDTR_BASE], .idt_limit = field[VMCS_GUEST_IDTR_LIMIT],
        .kept = { .pat = field[VMCS_GUEST_PAT], .sysenter_cs = field[VMCS_GUEST_SYSENTER_CS],
                  .sysenter_esp = field[VMCS_GUEST_SYSENTER_ESP],
                  .sysenter_eip = field[VMCS_GUEST_SYSENTER_EIP] },
    };
}

static void sound_intel(void)
{
    assert_int_equal(field[VMCS_ENTRY_CONTROLS] >> 9 & 1, 0); /* "IA-32e mode guest" is EFER.LMA */
    assert_int_equal(field[VMCS_GUEST_ACTIVITY], 0);
    assert_int_equal(field[VMCS_GUEST_INTERRUPTIBILITY], 0); /* no STI's without IF (27.3.1.5) */
    assert_int_equal(field[VMCS_GUEST_PENDING_DEBUG], 0);
    assert_int_equal(field[VMCS_GUEST_CR0] >> 29 & 3, 0);    /* the core needs its caches */
}

static const struct vendor {
    const struct virt_ops *ops;
    void (*see)(struct seen *s);
    void (*sound)(void);       /* what the next entry needs, besides */
} vendors[] = {
    { &amd, see_amd, sound_amd }, { &intel, see_intel, sound_intel },
};

/* A guest in the midst of its life: long mode, an event on its way. */
static void live(const struct vendor *who, uint64_t cr0)
{
    static const struct event event = { .vector = 14, .type = EVENT_EXCEPTION };

    setup(NULL);
    virt = who->ops;
    for (unsigned i = 0; i < FIELDS; i++) {
        field[i] = GARBAGE;
    }
    memset(&vmcb, 0x5b, sizeof(vmcb));
    memset(&v.regs, 0x5b, sizeof(v.regs));
    vmx_common.cr0_mask = BIT(5) | BIT(29) | BIT(30);
    vmx_common.cr4_mask = BIT(13);
    svm_cpu = (struct svm_cpu){ .os = &vmcb, .nmi = NMI_IN_HANDLER,
                                .queued = { event, true } };
    vmx_cpu = (struct vmx_cpu){ .queued = { event, true }, .window = 4 };
    v.vendor = who->ops == &amd ? (void *)&svm_cpu : &vmx_cpu;
    vmcb.cr0 = field[VMCS_CR0_SHADOW] = cr0;
    field[VMCS_GUEST_CR0] = (cr0 & ~vmx_common.cr0_mask) | BIT(5);
    vmcb.efer = field[VMCS_GUEST_EFER] = 0xd01 | BIT(12);
    field[VMCS_ENTRY_CONTROLS] = 0x93ff;
    machine.cr2 = machine.dr6 = GARBAGE;
    machine.xcr0 = 0xe7;
    machine.pkru = 0x55555554;
    memset(machine.xstate, 0x5b, sizeof(machine.xstate));
}

/* Where a vendor keeps IDTR. */
static void assert_idtr(const struct vendor *who)
{
    uint64_t base;
    uint32_t limit;

    vmcb.idtr.base = field[VMCS_GUEST_IDTR_BASE] = 0xfffffe0000000000;
    vmcb.idtr.limit = 0xabc;
    field[VMCS_GUEST_IDTR_LIMIT] = 0xabc;
    who->ops->get_table(&v, TABLE_IDTR, &base, &limit);
    assert_true(base == 0xfffffe0000000000 && limit == 0xabc);
}

static void assert_seen(const struct vendor *who, struct seen *s, uint64_t cr0)
{
    who->see(s);
    who->sound();
    assert_int_equal(s->cr0, cr0);
    assert_int_equal(s->cr2, 0);
    assert_int_equal(s->cr3, 0);
    assert_int_equal(s->cr4, 0);
    assert_int_equal(s->efer, 0);
    assert_int_equal(s->dr6, 0xffff0ff0);
    assert_int_equal(s->dr7, 0x400);
    assert_int_equal(s->gdt_base, 0);
    assert_int_equal(s->gdt_limit, 0xffff);
    assert_int_equal(s->idt_base, 0);
    assert_int_equal(s->idt_limit, 0xffff);
    assert_memory_equal(&v.regs, &got.regs, sizeof(v.regs));
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        struct segment now;

        who->ops->get_segment(&v, (enum segment_index)i, &now);
        assert_memory_equal(&now, &got.seg[i], sizeof(now));
    }
    assert_idtr(who);
}

/* No manual's word: an event that was on its way belongs to the life before; the next entry may
 * not use translations of it. */
static void assert_forgotten(void)
{
    if (virt == &amd) {
        assert_false(svm_cpu.queued.full);
        assert_int_equal(svm_cpu.nmi, NMI_OPEN);
        assert_int_equal(vmcb.interrupt_shadow, 0);
        assert_int_equal(vmcb.v_intr, 0);
        assert_int_equal(vmcb.intercept1, 0x5b5b5b5b & ~(uint32_t)SVM_I1_IRET);
        assert_true(svm_cpu.flush_os);
    } else {
        assert_false(vmx_cpu.queued.full);
        assert_int_equal(vmx_cpu.window, 0);
        assert_true(vmx_cpu.flush_linear);
    }
}

/* FPU and SIMD registers, XCR0 and PKRU: not modified. MSRs neither: the machine has none, and a
 * write would fail the test. */
static void assert_machine_kept(void)
{
    assert_int_equal(machine.xcr0, 0xe7);
    assert_int_equal(machine.pkru, 0x55555554);
    for (unsigned i = 0; i < sizeof(machine.xstate); i++) {
        assert_int_equal(machine.xstate[i], 0x5b);
    }
}

static void init_of_a_live_guest(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(vendors) * 4; k++) {
        const struct vendor *who = &vendors[k / 4];
        uint64_t kept = (uint64_t)(k % 4) << 29;
        struct seen before, after;

        for (unsigned sipi = 0; sipi < 2; sipi++) {
            live(who, kept | 0x80050033);
            who->see(&before);
            if (sipi) {
                state_sipi(&v, 0x9a);
            } else {
                state_init(&v);
            }
            assert_seen(who, &after, kept | 0x10);
            assert_memory_equal(&after.kept, &before.kept, sizeof(struct kept));
            assert_forgotten();
            assert_machine_kept();
            assert_int_equal(breakpoints_cleared, 1);
        }
    }
}

/* The first state of a vCPU, in a VMCB or VMCS of garbage: what INIT keeps is 0 here, PAT as the
 * CPU's RESET leaves it. */
static void reset_of_anything(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(vendors); k++) {
        static const struct kept zeros = { .pat = 0x0007040600070406 };
        struct vcpu_state first;
        struct seen after;

        live(&vendors[k], GARBAGE);
        state_reset(&first);
        virt->set_state(&v, &first);
        assert_seen(&vendors[k], &after, 0x60000010);
        assert_memory_equal(&after.kept, &zeros, sizeof(zeros));
        assert_true(virt == &amd || field[VMCS_GUEST_DEBUGCTL] == 0); /* else no entry (27.3.1.1) */
        assert_forgotten();
        assert_machine_kept();
    }
}

/* One that goes on where it is (guest/live.c): nothing of it is as after a reset. */
static void running_of_anything(void **state)
{
    static const struct kept kept = { 0x0007040600070401, 0x10, 0xffffc00000001000,
                                      0xffffffff83000000, 0x23001000000000, 0xffffffff81000000,
                                      0xffffffff82000000, 0x700, 0xffff890000000000 };
    const struct vcpu_state live_cpu = {
        .regs = { .rip = 0x7e123456, .rflags = RFLAGS_ONE, .gpr[GPR_RSP] = 0x7ff00fa0 },
        .seg = { [SEG_CS] = { 0x38, SEG_ATTR_CODE64, 0xffffffff, 0 },
                 [SEG_GS] = { 0, 0, 0, 0xffff880000000000 },
                 [SEG_TR] = { 0x40, SEG_ATTR_TSS_BUSY, 0x67, 0xffffa00012345000 } },
        .gdt_base = 0x7ea1b000, .gdt_limit = 0x5f, .idt_base = 0x7f000000, .idt_limit = 0xfff,
        .cr0 = 0x80010033, .cr2 = 5, .cr3 = 0x7fc01000, .cr4 = 0x668, .efer = 0xd01,
        .dr6 = 0xffff0ff1, .dr7 = 0x455, .pat = kept.pat, .debugctl = 0x1c3,
        .msrs = { kept.star, kept.lstar, kept.cstar, kept.sfmask, kept.kernel_gs_base,
                  kept.sysenter_cs, kept.sysenter_esp, kept.sysenter_eip },
    };

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(vendors); k++) {
        struct seen s;
        struct segment tr, gs;

        live(&vendors[k], GARBAGE);
        virt->set_state(&v, &live_cpu);
        vendors[k].see(&s);
        assert_true(s.cr0 == 0x80010033 && s.cr2 == 5 && s.cr3 == 0x7fc01000 && s.cr4 == 0x668);
        assert_true(s.efer == 0xd01 && s.dr6 == 0xffff0ff1 && s.dr7 == 0x455);
        assert_true(s.gdt_base == 0x7ea1b000 && s.gdt_limit == 0x5f);
        assert_true(s.idt_base == 0x7f000000 && s.idt_limit == 0xfff);
        assert_memory_equal(&s.kept, &kept, virt == &amd ? sizeof(kept)
                                                         : offsetof(struct kept, star));
        assert_true(v.regs.rip == 0x7e123456 && v.regs.gpr[GPR_RSP] == 0x7ff00fa0);
        virt->get_segment(&v, SEG_TR, &tr);
        virt->get_segment(&v, SEG_GS, &gs);
        assert_memory_equal(&tr, &live_cpu.seg[SEG_TR], sizeof(tr));
        assert_true(gs.attr == 0 && gs.base == 0xffff880000000000);
        /* the debug store's bits are hidden */
        assert_true(virt == &amd || field[VMCS_GUEST_DEBUGCTL] == 3);
        assert_true(virt == &amd || (field[VMCS_ENTRY_CONTROLS] >> 9 & 1)); /* IA-32e mode */
        assert_forgotten();
        assert_machine_kept();
    }
}

static void *map_low(gpa_t at, size_t len) { return machine_phys(at.a, len); }

/* With EPT the VMCS holds a PAE guest's four page-directory pointers: a change of CR4 by software
 * loads them, once, or is refused as a whole (SDM vol. 3, 4.4.1). */
static void pdptes_are_loaded_or_refused(void **state)
{
    static const struct { uint64_t pdpte; bool good; } cases[] = {
        /* not present: anything */
        { 0x5001, true }, { 0x5019, true }, { 0x1e6, true }, { ~1ULL, true },
        { 0x5003, false }, { 0x5005, false }, { 0x5021, false }, { 0x5101, false },
        { 1ULL << 36 | 1, false }, { 1ULL << 63 | 1, false },
    };
    uint64_t *table;

    (void)state;
    machine_reset(0x10000);
    machine_set_cpuid(0x80000000, 0, (struct cpuid_regs){ .eax = 0x80000008 });
    machine_set_cpuid(0x80000008, 0, (struct cpuid_regs){ .eax = 36 });
    guest_phys_ops.map = map_low;
    table = machine_phys(0x4020, 32);
    v.vendor = &vmx_cpu;
    for (unsigned i = 0; i < ARRAY_SIZE(cases) * 4; i++) {
        memset(field, 0, sizeof(field));
        field[VMCS_GUEST_CR0] = CR0_PE | CR0_PG;
        field[VMCS_GUEST_CR3] = 0x4020;
        table[0] = table[1] = table[2] = table[3] = 0x6001;
        table[i % 4] = cases[i / 4].pdpte;
        assert_int_equal(vmx_set_cr(&v, 4, CR4_PAE), cases[i / 4].good);
        assert_int_equal(field[VMCS_GUEST_PDPTE0 + i % 4 * 2],
                         cases[i / 4].good ? cases[i / 4].pdpte : 0);
        assert_int_equal(field[VMCS_GUEST_CR4] & CR4_PAE, cases[i / 4].good ? CR4_PAE : 0);
    }
    field[VMCS_GUEST_EFER] = EFER_LME | EFER_LMA; /* long mode has none */
    assert_true(vmx_set_cr(&v, 4, CR4_PAE | CR4_PGE));
    guest_phys_ops.map = NULL;
}

/* A task switch by software loads all of it into the VMCS (SDM vol. 3, 8.3): usable segments and
 * others, TS, no local breakpoints, NMIs blocked or not. */
static void a_new_task(void **state)
{
    struct task_state t = { .regs = { .rip = 0x7000, .rflags = RFLAGS_ONE | RFLAGS_NT }, .nmi = 1,
                            .debug = true };

    (void)state;
    v.vendor = &vmx_cpu;
    memset(field, 0, sizeof(field));
    field[VMCS_GUEST_CR0] = CR0_PE | CR0_NE;
    field[VMCS_GUEST_DR7] = 0x7ff;
    field[VMCS_GUEST_INTERRUPTIBILITY] = BLOCKED_BY_STI;
    field[VMCS_GUEST_PENDING_DEBUG] = PENDING_DEBUG_BS;
    field[VMCS_GUEST_ACTIVITY] = ACTIVITY_HLT;
    field[VMCS_GUEST_CS_AR] = field[VMCS_GUEST_SS_AR] = 0xc0f3;
    /* couldn't be loaded: as it was, and its ring */
    t.seg[SEG_CS] = (struct segment){ 0x28, 0, 0, 0 };
    t.seg[SEG_SS] = (struct segment){ 0x3b, 0xcf3, 0xffffffff, 0 };
    t.seg[SEG_TR] = (struct segment){ 0x68, SEG_ATTR_TSS_BUSY, 103, 0x5000 };
    vmx_load_task(&v, &t);
    assert_memory_equal(&v.regs, &t.regs, sizeof(t.regs));
    assert_int_equal(field[VMCS_GUEST_CS_SEL], 0x2b);
    assert_int_equal(field[VMCS_GUEST_CS_AR], 0xc0f3);
    assert_int_equal(field[VMCS_GUEST_SS_SEL], 0x3b);
    assert_int_equal(field[VMCS_GUEST_DS_AR], AR_UNUSABLE);
    assert_int_equal(field[VMCS_GUEST_TR_BASE], 0x5000);
    assert_int_equal(field[VMCS_GUEST_TR_AR], 0x8b);
    assert_int_equal(field[VMCS_GUEST_CR0], CR0_PE | CR0_NE | CR0_TS);
    assert_int_equal(field[VMCS_GUEST_DR7], 0x6aa);
    assert_int_equal(field[VMCS_GUEST_INTERRUPTIBILITY], BLOCKED_BY_NMI);
    assert_int_equal(field[VMCS_GUEST_PENDING_DEBUG], 0);
    assert_int_equal(field[VMCS_GUEST_ACTIVITY], ACTIVITY_ACTIVE);
    assert_true(machine.dr6 & DR6_BT);
    t.nmi = 0;
    vmx_load_task(&v, &t);
    assert_int_equal(field[VMCS_GUEST_INTERRUPTIBILITY], BLOCKED_BY_NMI);
    t.nmi = -1;
    vmx_load_task(&v, &t);
    assert_int_equal(field[VMCS_GUEST_INTERRUPTIBILITY], 0);
    vmx_cpu.flush_linear = false;
    assert_true(vmx_set_cr3(&v, 0x9000));
    assert_true(field[VMCS_GUEST_CR3] == 0x9000 && vmx_cpu.flush_linear);
}

/* AMD's DEBUGCTL is not switched: entries of sandboxes look at it once the OS has set a bit. */
static void debugctl_of_amd(void **state)
{
    (void)state;
    v.vendor = &svm_cpu;
    assert_false(svm_state_msr_write(&v, MSR_IA32_DEBUGCTL, 0)); /* a CPU without it */
    machine_set_msr(MSR_IA32_DEBUGCTL, 0);
    assert_true(svm_state_msr_write(&v, MSR_IA32_DEBUGCTL, 0));
    assert_false(svm_cpu.debugs);
    assert_true(svm_state_msr_write(&v, MSR_IA32_DEBUGCTL, DEBUGCTL_BTF));
    assert_true(svm_cpu.debugs && *machine_msr(MSR_IA32_DEBUGCTL) == DEBUGCTL_BTF);
    assert_true(svm_state_msr_write(&v, MSR_IA32_DEBUGCTL, 0));
    assert_true(svm_cpu.debugs); /* for good: that costs less than to be wrong */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reset, setup),
        cmocka_unit_test_setup(init, setup),
        cmocka_unit_test_setup(sipi_by_vector, setup),
        cmocka_unit_test_setup(cr0_of_init, setup),
        cmocka_unit_test_setup(linux32, setup),
        cmocka_unit_test_setup(linux16, setup),
        cmocka_unit_test_setup(init_of_a_live_guest, setup),
        cmocka_unit_test_setup(reset_of_anything, setup),
        cmocka_unit_test_setup(running_of_anything, setup),
        cmocka_unit_test_setup(pdptes_are_loaded_or_refused, setup),
        cmocka_unit_test_setup(a_new_task, setup),
        cmocka_unit_test_setup(debugctl_of_amd, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
