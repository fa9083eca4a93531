/* SPDX-License-Identifier: MIT */
/*
 * Switching FPU state, on a CPU that leaves the x87 instruction and data pointers in place when it
 * loads a state (AMD without XSAVEERPTR, which no emulator is): neither side sees the other's.
 */
#include "unit.h"

#include "fake/machine.h"
#include <debug/log.h>
#include <hypapp/hypapp.h>
#include <hypapp/sandbox_state.h>
#include <mm/pool.h>
#include <virt/virt.h>
#include <x86/cpuid.h>

#define OS_BYTE  0x3c
#define PAL_BYTE 0x5e

static uint8_t area[PAGE_SIZE] __attribute__((aligned(64)));
static uint8_t template[PAGE_SIZE] __attribute__((aligned(64)));
static struct vcpu v;

void *pool_boot_pages(size_t n) { return n == 1 ? area : NULL; }
void log_error(const char *fmt, ...) { (void)fmt; }
static void enter(struct vcpu *cpu, const struct sandbox *sb) { (void)cpu; (void)sb; }
static void leave(struct vcpu *cpu) { (void)cpu; }
static const struct virt_ops ops = { .sandbox_enter = enter, .sandbox_leave = leave };
const struct virt_ops *virt = &ops;

static void start(bool amd, bool saves_pointers, bool xsave)
{
    machine_reset(0);
    machine.x87_pointers_stay = amd && !saves_pointers;
    machine_set_cpuid(CPUID_FEATURES, 0,
                      (struct cpuid_regs){ .ecx = xsave ? CPUID_1_ECX_XSAVE : 0 });
    machine_set_cpuid(CPUID_XSTATE, 0, (struct cpuid_regs){ .eax = 7, .ebx = 832, .ecx = 832 });
    machine_set_cpuid(CPUID_EXTENDED, 0,
                      (struct cpuid_regs){ .eax = amd ? CPUID_SVM : 0x80000008 });
    machine_set_cpuid(CPUID_EXT_AMD, 0, (struct cpuid_regs){ .ecx = amd ? CPUID_8_1_ECX_SVM : 0 });
    machine_set_cpuid(CPUID_ADDRESS_SIZES, 0,
                      (struct cpuid_regs){ .ebx = saves_pointers ? CPUID_8_8_EBX_XSAVEERPTR : 0 });
    assert_int_equal(sandbox_init(), 0);
    assert_int_equal(sandbox_cpu_init(&v), 0);
    xstate_init(template);
}

static bool any(uint8_t byte)
{
    return memchr(machine.xstate, byte, xstate_size()) != NULL;
}

static void fill(uint8_t byte)
{
    memset(machine.xstate, byte, xstate_size());
    machine.xstate[2] = 0; /* no x87 exception is pending */
}

static void check(bool amd, bool saves_pointers, bool xsave)
{
    const struct sandbox sb = { .tag = 1 };

    start(amd, saves_pointers, xsave);
    fill(OS_BYTE);
    sandbox_enter(&v, &sb, &v.regs, template);
    assert_false(any(OS_BYTE));
    fill(PAL_BYTE);
    sandbox_leave(&v, NULL, NULL);
    assert_false(any(PAL_BYTE));
    assert_int_equal(machine.xstate[200], OS_BYTE);
}

static void pointers_that_stay(void **state)
{
    (void)state;
    check(true, false, true);
    check(true, false, false);
}

static void pointers_that_are_loaded(void **state)
{
    (void)state;
    check(true, true, true);
    check(false, false, true);
    check(false, false, false);
}

/* An interrupt behind a POPF must not take a flag away: a PAL with TF went on without its #DB. No
 * flag is there that ring 3 can't set, and interrupts are always on. */
static void flags_of_ring_3_come_back(void **state)
{
    const struct sandbox sb = { .tag = 1 };
    struct vcpu_regs regs = { .rflags = ~0ULL };

    (void)state;
    start(true, false, false);
    sandbox_enter(&v, &sb, &regs, template);
    /* CF, 1, PF, AF, ZF, SF, TF, IF, DF, OF, NT, AC and ID (SDM vol. 1, figure 3-8). */
    assert_int_equal(v.regs.rflags, 0x244fd7);
    regs.rflags = 0;
    sandbox_enter(&v, &sb, &regs, template);
    assert_int_equal(v.regs.rflags, 0x202);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointers_that_stay),
        cmocka_unit_test(pointers_that_are_loaded),
        cmocka_unit_test(flags_of_ring_3_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
