/* SPDX-License-Identifier: MIT */
/* Taking every CPU that the MADT lists: a CPU that doesn't come up refuses the launch. */
#include <cpu/cpu.h>
#include <cpu/needs.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <hw/apic.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <smp/low_page.h>
#include <smp/smp.h>
#include <util/string.h>

struct trampoline_params { uint64_t cr3, vcpu, stack, entry; };

extern const uint8_t trampoline_start[], trampoline_end[], trampoline_params[];

bool smp_left_out;

static void (*cpu_main)(void *);
static uint64_t ap_stacks; /* of the CPU that is starting; one starts at a time */
static _Atomic(const char *) ap_lacks; /* what it hasn't got and can't do without */

static struct vcpu *new_vcpu(uint32_t apic_id)
{
    _Static_assert(sizeof(struct vcpu) <= PAGE_SIZE, "one page");
    struct vcpu *v = pool_boot_need(1);

    v->self = v;
    v->tables = pool_boot_need(1);
    v->index = vcpu_count;
    v->apic_id = apic_id;
    ap_init(&v->ap, vcpu_count == 0 ? AP_RUNNING : AP_WAIT_SIPI);
    vcpus[vcpu_count++] = v;
    return v;
}

/* Can this CPU not be reached in xAPIC mode? Firmware that wants a CPU with such an id used has
 * switched all APICs to x2APIC mode (ACPI 6.5, 5.2.12.12). */
static bool out_of_reach(const struct acpi_cpu *c)
{
    return c->apic_id > 0xfe && !apic_is_x2apic();
}

/* Count and log a CPU that isn't taken, the `count`th. A server can have hundreds of them, so only
 * some are named. */
static void leave_out(const struct acpi_cpu *c, unsigned limit, unsigned count)
{
    const unsigned named = 8;

    smp_left_out = true;
    if (count > named) {
        return;
    }
    if (out_of_reach(c)) {
        log_line("CPU with APIC id %u is left out and stays dead: xAPIC mode can't reach it",
                 c->apic_id);
    } else {
        log_line("cpus=%u: CPU with APIC id %u is left out and stays dead", limit, c->apic_id);
    }
    if (count == named) {
        log_line("more CPUs that are left out aren't named");
    }
}

int smp_init(const struct acpi_info *acpi, unsigned limit)
{
    /* A MADT with more CPUs than `acpi` can list has more than we take, or one that is left out:
     * either is told. */
    _Static_assert(ACPI_CPU_MAX > CPU_MAX, "a CPU that isn't listed is left out, and must be told");
    uint32_t self = apic_id();
    unsigned left_out = 0;

    new_vcpu(self);
    for (unsigned i = 0; i < acpi->cpu_count; i++) {
        const struct acpi_cpu *c = &acpi->cpu[i];
        if (!c->enabled || c->apic_id == self) {
            smp_left_out |= !c->enabled;
            continue;
        }
        if (out_of_reach(c) || (limit && vcpu_count >= limit)) {
            leave_out(c, limit, ++left_out);
            continue;
        }
        if (vcpu_count == CPU_MAX) {
            log_error("cannot start: more than %u CPUs; give cpus=%u", CPU_MAX, CPU_MAX);
            return -1;
        }
        new_vcpu(c->apic_id);
    }
    return 0;
}

/* First C code of an AP; %gs isn't set yet. */
static _Noreturn void ap_main(struct vcpu *v)
{
    const char *missing = cpu_lacks(hw_cpuid);

    hw_write_cr3(host_cr3());
    if (missing) {
        atomic_store(&ap_lacks, missing);
    } else {
        cpu_load(v, ap_stacks);
        cpu_main(v);
    }
    for (;;) {
        hw_hlt();
    }
}

static bool start_one(struct vcpu *v, uint8_t *tramp)
{
    struct trampoline_params *p =
        (void *)(tramp + (trampoline_params - trampoline_start));

    ap_stacks = host_map_stacks(v->index);
    p->cr3 = host_trampoline_cr3();
    p->vcpu = (uintptr_t)v;
    p->stack = host_stack_top(ap_stacks, 0);
    p->entry = (uintptr_t)ap_main;
    atomic_thread_fence(memory_order_seq_cst);
    apic_send_init(v->apic_id);
    wait_us(10000);
    for (unsigned sipi = 0; sipi < 2 && !atomic_load(&v->online); sipi++) {
        apic_send_sipi(v->apic_id, (uint8_t)(low_page >> PAGE_SHIFT));
        wait_us(200);
    }
    /* An emulated CPU can be slow to wake. */
    const struct wait wait = wait_begin(3000000);
    while (!atomic_load(&v->online) && !wait_over(&wait)) {
        hw_pause();
    }
    return atomic_load(&v->online);
}

int smp_start(void (*main)(void *vcpu))
{
    cpu_main = main;
    if (vcpu_count == 1) {
        return 0;
    }
    uint8_t *tramp = host_phys(low_page, PAGE_SIZE);
    memcpy(tramp, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    for (unsigned i = 1; i < vcpu_count; i++) {
        if (!start_one(vcpus[i], tramp)) {
            const char *missing = atomic_load(&ap_lacks);
            log_error("cannot start: CPU with APIC id %u %s%s (cpus=%u would leave it out)",
                      vcpus[i]->apic_id, missing ? "lacks " : "doesn't come up",
                      missing ? missing : "", i);
            return -1;
        }
    }
    return 0;
}
