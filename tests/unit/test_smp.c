/* SPDX-License-Identifier: MIT */
/* Which of the CPUs that the MADT lists are taken; and what a refusal recommends is followed
 * here. */
#include "unit.h"

#include <cpu/cpu.h>
#include <cpu/needs.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <facts/options.h>
#include <fake/machine.h>
#include <hw/apic.h>
#include <hw/wait.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <pthread.h>
#include <smp/low_page.h>
#include <smp/smp.h>
#include <unistd.h>
#include <util/fmt.h>

struct vcpu *vcpus[CPU_MAX];
unsigned vcpu_count;

static struct vcpu page[CPU_MAX];
static bool x2apic;
static char error[256];
static unsigned lines;
static uint32_t dead; /* APIC id of a CPU that never wakes */
static uint32_t waking;
static uint32_t poor; /* APIC id of a CPU that wakes without NX; 0: none has that */
static uint8_t low[PAGE_SIZE];

void *pool_boot_need(size_t n)
{
    assert_int_equal(n, 1);
    assert_true(vcpu_count < CPU_MAX);
    memset(&page[vcpu_count], 0, sizeof(page[0]));
    return &page[vcpu_count];
}

void log_line(const char *fmt, ...) { (void)fmt; lines++; }

void log_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fmt_vsnprintf(error, sizeof(error), fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...) { fail_msg("panic: %s", fmt); abort(); }
uint32_t apic_id(void) { return 0; }
bool apic_is_x2apic(void) { return x2apic; }
void ap_init(struct vcpu_ap *ap, enum ap_state s) { (void)ap; (void)s; }

/* --- starting them ------------------------------------------------------------------- */

void apic_send_init(uint32_t dest) { waking = dest; }

extern const uint8_t trampoline_start[], trampoline_params[];

/* The core's entry for CPUs that wake; it never comes back. */
static void *wake(void *v)
{
    uint64_t entry;

    memcpy(&entry, low + (trampoline_params - trampoline_start) + 24, 8);
    ((void (*)(void *))(uintptr_t)entry)(v);
    return NULL;
}

void apic_send_sipi(uint32_t dest, uint8_t vector)
{
    static bool once;
    pthread_t cpu;

    (void)vector;
    if (poor != 0 && dest == poor) {
        if (!once) {
            assert_int_equal(pthread_create(&cpu, NULL, wake, vcpus[1]), 0);
            assert_int_equal(pthread_detach(cpu), 0);
            once = true;
        }
        usleep(100000);
        return;
    }
    for (unsigned i = 0; i < vcpu_count && dest != dead; i++) {
        if (vcpus[i]->apic_id == dest && dest == waking) {
            atomic_store(&vcpus[i]->online, true);
        }
    }
}

uint64_t host_map_stacks(unsigned cpu) { return cpu; }
uint64_t host_stack_top(uint64_t stacks, unsigned which) { return stacks + which; }
uint64_t low_page = 0x9d000;
uint64_t host_cr3(void) { return 0; }
uint64_t host_trampoline_cr3(void) { return 0; }
void *host_phys(uint64_t addr, uint64_t len)
{
    (void)addr;
    assert_int_equal(len, PAGE_SIZE);
    return low;
}
const char *cpu_lacks(struct cpuid_regs (*cpuid)(uint32_t, uint32_t))
{
    (void)cpuid;
    return poor != 0 ? "NX" : NULL; /* asked by CPUs that wake only */
}
void cpu_load(struct vcpu *v, uint64_t stacks) { (void)v; (void)stacks; }

/* --- the tests ------------------------------------------------------------------------ */

static struct acpi_info acpi;

/* `enabled` CPUs with ids from 0 on, then `slots` that are empty. */
static void list(unsigned enabled, unsigned slots)
{
    memset(&acpi, 0, sizeof(acpi));
    for (unsigned i = 0; i < enabled + slots; i++) {
        if (acpi.cpu_count < ACPI_CPU_MAX) {
            acpi.cpu[acpi.cpu_count++] = (struct acpi_cpu){ i, i < enabled };
        }
    }
}

static int take(const char *options)
{
    struct options o;
    struct options_bad bad;

    options_parse(options, NULL, &o, &bad);
    assert_int_equal(bad.count, 0);
    vcpu_count = 0;
    smp_left_out = false;
    error[0] = '\0';
    lines = 0;
    return smp_init(&acpi, o.cpus);
}

/* The option in the last error, as one would type it. */
static const char *advice(void)
{
    static char option[32];
    unsigned n;
    const char *at = strstr(error, "cpus=");

    assert_non_null(at);
    assert_int_equal(sscanf(at, "cpus=%u", &n), 1);
    snprintf(option, sizeof(option), "cpus=%u", n);
    return option;
}

static void empty_slots_are_no_cpus(void **state)
{
    (void)state;
    list(2, 300);
    x2apic = true;
    assert_int_equal(take(""), 0);
    assert_int_equal(vcpu_count, 2);
    assert_true(smp_left_out);
    assert_int_equal(take("cpus=2"), 0);
    assert_int_equal(take("cpus=64"), 0);
    assert_int_equal(vcpu_count, 2);
    list(2, 0);
    assert_int_equal(take(""), 0);
    assert_false(smp_left_out);
}

static void the_advice_for_too_many_helps(void **state)
{
    (void)state;
    x2apic = true;
    for (unsigned n = 0; n < 4; n++) {
        static const unsigned counts[] = { CPU_MAX + 1, 255, 256, 400 };
        list(counts[n], n == 2 ? 100 : 0);
        assert_int_equal(take(""), -1);
        assert_int_equal(take(advice()), 0);
        assert_int_equal(vcpu_count, CPU_MAX);
        assert_true(smp_left_out);
        assert_in_range(lines, 1, 10); /* not one for each of hundreds */
        assert_int_equal(take("cpus=100"), -1); /* ours is the same limit */
        assert_int_equal(take(advice()), 0);
    }
    list(CPU_MAX, 100);
    assert_int_equal(take(""), 0);
    assert_int_equal(vcpu_count, CPU_MAX);
}

static void out_of_reach_is_left_out(void **state)
{
    (void)state;
    list(2, 0);
    acpi.cpu[acpi.cpu_count++] = (struct acpi_cpu){ 255, true };
    acpi.cpu[acpi.cpu_count++] = (struct acpi_cpu){ 0x100, true }; /* its low byte is ours */
    acpi.cpu[acpi.cpu_count++] = (struct acpi_cpu){ 254, true };
    x2apic = false;
    assert_int_equal(take(""), 0);
    assert_int_equal(vcpu_count, 3);
    assert_int_equal(vcpus[2]->apic_id, 254);
    assert_true(smp_left_out);
    x2apic = true;
    assert_int_equal(take(""), 0);
    assert_int_equal(vcpu_count, 5);
}

static void the_advice_for_a_dead_cpu_helps(void **state)
{
    (void)state;
    machine_reset(0);
    wait_set_khz(1000);
    x2apic = true;
    for (dead = 1; dead < 5; dead += 3) {
        list(5, 0);
        assert_int_equal(take(""), 0);
        assert_int_equal(smp_start(NULL), -1);
        assert_int_equal(take(advice()), 0);
        assert_int_equal(smp_start(NULL), 0);
        assert_int_equal(vcpu_count, dead);
    }
}

/* A CPU that wakes and can't do without something says what; the boot CPU prints it. */
static void what_a_cpu_lacks_is_named(void **state)
{
    (void)state;
    machine_reset(0);
    machine.port[0x61] = 0x20;
    dead = 0;
    poor = 1;
    list(2, 0);
    assert_int_equal(take(""), 0);
    assert_int_equal(smp_start(NULL), -1);
    assert_string_equal(error,
                        "cannot start: CPU with APIC id 1 lacks NX (cpus=1 would leave it out)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_slots_are_no_cpus),
        cmocka_unit_test(the_advice_for_too_many_helps),
        cmocka_unit_test(out_of_reach_is_left_out),
        cmocka_unit_test(the_advice_for_a_dead_cpu_helps),
        cmocka_unit_test(what_a_cpu_lacks_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
