/* SPDX-License-Identifier: MIT */
/* The core's descriptor tables, and which entry a vector has while interrupts are drained. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/cpu.h>
#include <cpu/traps.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <x86/cpu.h>
#include <x86/msr.h>

struct gate {
    uint16_t low, sel;
    uint8_t ist, type;
    uint16_t mid;
    uint32_t high, pad;
};

const uint8_t trap_entries[32 * 16], trap_spurious[1], trap_maybe_sx[1];

/* Two windows, as core.lds gathers them. */
__asm__(".pushsection .rodata\n.balign 8\n"
        ".globl core_windows_start, core_windows_end\ncore_windows_start:\n"
        ".quad 0x1000, 0x1010, 0x1010\n.quad 0x2000, 0x2001, 0x3000\n"
        "core_windows_end:\n.popsection");

const uint64_t core_fixup_start[1], core_fixup_end[1];

static struct vcpu cpu;
static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096)));
static struct hw_table loaded, drained;
static void (*while_open)(void);
static unsigned panics;

uint64_t host_stack_top(uint64_t stacks, unsigned which) { return stacks + 0x8000ULL * which; }
void panic_trap(const struct trap_frame *f) { (void)f; panics++; abort(); }
void hw_lgdt(const struct hw_table *t) { (void)t; }
void hw_lidt(const struct hw_table *t) { loaded = *t; }
void hw_ltr(uint16_t sel) { (void)sel; }
void hw_lldt(uint16_t sel) { (void)sel; }
void hw_load_code_stack(uint16_t code, uint16_t stack) { (void)code, (void)stack; }
void hw_load_data(uint16_t data) { (void)data; }
void *hw_gs_self(void) { return &cpu; }

static jmp_buf panicked;
void panic(const char *fmt, ...)
{
    (void)fmt;
    longjmp(panicked, 1);
}

void hw_interrupt_window(const struct hw_table *meanwhile, const struct hw_table *normal)
{
    assert_memory_equal(normal, &loaded, sizeof(loaded));
    drained = *meanwhile;
    if (while_open) {
        while_open();
    }
}

static int set_up(void **state)
{
    (void)state;
    machine_reset(0);
    machine_set_msr(MSR_GS_BASE, 0);
    memset(&cpu, 0, sizeof(cpu));
    cpu.tables = page;
    while_open = NULL;
    cpu_load(&cpu, 0x10000);
    return 0;
}

static const struct gate *gate_of(const struct hw_table *t, unsigned vector)
{
    assert_int_equal(t->limit, 256 * sizeof(struct gate) - 1);
    return (const struct gate *)(uintptr_t)t->base + vector;
}

static uintptr_t entry_of(const struct gate *g)
{
    return g->low | (uintptr_t)g->mid << 16 | (uintptr_t)g->high << 32;
}

static void drained_vectors(void **state)
{
    (void)state;
    cpu_take_interrupts();
    assert_int_not_equal(drained.base, loaded.base);
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t *entry = i == EXC_NMI || i == EXC_MC ? trap_entries + 16 * i
            : i == EXC_SX ? trap_maybe_sx : trap_spurious;
        const struct gate *g = gate_of(&drained, i);

        assert_int_equal(entry_of(g), (uintptr_t)entry);
        assert_int_equal(g->ist, 0);
        assert_int_equal(g->type, 0x8e);
    }
}

static void normal_vectors(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        const struct gate *g = gate_of(&loaded, i);

        assert_int_equal(entry_of(g), (uintptr_t)(i < 32 ? trap_entries + 16 * i : trap_spurious));
    }
    assert_int_equal(gate_of(&loaded, EXC_NMI)->ist, IST_NMI);
    assert_int_equal(gate_of(&loaded, EXC_MC)->ist, IST_MC);
    assert_int_equal(gate_of(&loaded, EXC_DF)->ist, IST_DF);
}

static void vector_18(void)
{
    struct trap_frame f = { .vector = EXC_MC };

    trap_handle(&f);
}

/* An interrupt with the vector of #MC, on CPUs with and without the MSR. */
static void drained_mc_vector(void **state)
{
    (void)state;
    while_open = vector_18;
    cpu_take_interrupts();
    machine_set_msr(MSR_IA32_MCG_STATUS, 0);
    cpu_take_interrupts();
    assert_false(cpu.drained_mc);
    assert_false(cpu.draining);
}

static void drained_mc(void **state)
{
    (void)state;
    machine_set_msr(MSR_IA32_MCG_STATUS, MCG_STATUS_MCIP);
    while_open = vector_18;
    if (setjmp(panicked) == 0) {
        cpu_take_interrupts();
        fail_msg("a machine check went unnoticed");
    }
}

/* One that the interrupted code may go on after is the guest's, drained or not. */
static void survived_mc(void **state)
{
    struct trap_frame f = { .vector = EXC_MC };

    (void)state;
    machine_set_msr(MSR_IA32_MCG_CAP, 0);
    machine_set_msr(MSR_IA32_MCG_STATUS, MCG_STATUS_MCIP | MCG_STATUS_RIPV);
    trap_handle(&f);
    assert_int_equal(atomic_exchange(&cpu.requests, 0), REQ_MC);
    while_open = vector_18;
    cpu_take_interrupts();
    assert_int_equal(atomic_load(&cpu.requests), REQ_MC);
}

/* #SX for an INIT that met the core: the vCPU gets it. */
static void redirected_init(void **state)
{
    struct trap_frame f = { .vector = EXC_SX, .error = 1 };
    uint8_t vector;

    (void)state;
    ap_init(&cpu.ap, AP_RUNNING);
    trap_handle(&f);
    assert_int_equal(atomic_load(&cpu.requests), REQ_INIT_SIPI);
    assert_int_equal(ap_take(&cpu.ap, &vector), AP_RESET);
}

static void drained_nmi(void)
{
    struct trap_frame f = { .vector = EXC_NMI };

    trap_handle(&f);
}

static void nmi_counts(void **state)
{
    (void)state;
    while_open = drained_nmi;
    cpu_take_interrupts();
    assert_int_equal(atomic_load(&cpu.nmis_seen), 1);
}

/* An NMI between a look for requests and the end of looking returns to where the code gives up;
 * so do a machine check that is survived and an INIT by #SX. Elsewhere it returns to where it
 * came. */
static void nmis_leave_windows(void **state)
{
    static const struct { uint64_t from, to; } row[] = {
        { 0x0fff, 0x0fff }, { 0x1000, 0x1010 }, { 0x100f, 0x1010 }, { 0x1010, 0x1010 },
        { 0x1fff, 0x1fff }, { 0x2000, 0x3000 }, { 0x2001, 0x2001 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        struct trap_frame nmi = { .vector = EXC_NMI, .rip = row[i].from };
        struct trap_frame init = { .vector = EXC_SX, .error = SX_INIT, .rip = row[i].from };
        struct trap_frame own = { .vector = EXC_NMI, .rip = row[i].from };

        trap_handle(&nmi);
        assert_int_equal(nmi.rip, row[i].to);
        assert_int_equal(cpu.nmi_rip, own.rip);
        trap_handle(&init);
        assert_int_equal(init.rip, row[i].to);
    }
    assert_int_equal(atomic_load(&cpu.nmis_seen), ARRAY_SIZE(row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(drained_vectors, set_up),
        cmocka_unit_test_setup(normal_vectors, set_up),
        cmocka_unit_test_setup(drained_mc_vector, set_up),
        cmocka_unit_test_setup(drained_mc, set_up),
        cmocka_unit_test_setup(nmi_counts, set_up),
        cmocka_unit_test_setup(survived_mc, set_up),
        cmocka_unit_test_setup(redirected_init, set_up),
        cmocka_unit_test_setup(nmis_leave_windows, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
