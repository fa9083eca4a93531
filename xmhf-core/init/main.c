/* SPDX-License-Identifier: MIT */
/* Starts everything, in order: from the boot stage to the guest's first instruction. */
#include <acpi/acpi.h>
#include <cpu/clock.h>
#include <cpu/cpu.h>
#include <cpu/needs.h>
#include <cpu/random.h>
#include <cpu/rate.h>
#include <cpu/vcpus.h>
#include <cpu/width.h>
#include <debug/crash.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <debug/serial.h>
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <exit/guarded.h>
#include <facts/facts.h>
#include <guest/boot.h>
#include <guest/facs.h>
#include <guest/ipi.h>
#include <guest/phys.h>
#include <guest/task.h>
#include <hw/apic.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <hypapp/ask_state.h>
#include <hypapp/hypapp.h>
#include <hypapp/sandbox_state.h>
#include <init/init.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <policy/asked.h>
#include <policy/io_policy.h>
#include <policy/regions.h>
#include <smp/low_page.h>
#include <smp/smp.h>
#include <smp/stop.h>
#include <util/e820.h>
#include <util/picture.h>
#include <util/screen.h>
#include <virt/virt.h>
#include <x86/msr.h>

static struct boot_info info;
static struct acpi_info acpi;
static _Atomic uint64_t start_guest; /* the clock at the start; 0: not yet */
static atomic_bool dismissed; /* there will be none */

static void log_options(void)
{
    struct options options;
    struct options_bad bad;

    options_parse(info.cmdline, hypapp.options, &options, &bad);
    facts_set(&options, info.protected_size);
    serial_init(options.com);
    log_set_quiet(options.quiet);
    log_line("XMHF hypervisor with %s", hypapp.name);
    for (unsigned i = 0; i < bad.count; i++) {
        log_error("option not understood: %s (%s%s)", bad.word[i], bad.why[i], bad.values[i]);
    }
}

/* Before the first use of any of it. The multiboot stage has looked too; others may not. */
static void check_cpu(void)
{
    const char *missing = cpu_lacks(hw_cpuid);

    if (missing) {
        log_error("cannot start: this CPU lacks %s", missing);
        launch_refuse();
    }
}

/* The HPET's registers, or NULL. Firmware's word: not where RAM is, nor beyond what every CPU
 * has. */
static volatile void *map_hpet(void)
{
    const struct boot_mem at = { .start = acpi.hpet, .size = 0x400 };

    if (at.start == 0 || at.start % at.size != 0 || at.start >= GIB(4)
        || e820_is_usable(info.mem, info.mem_count, at.start, 1)) {
        return NULL;
    }
    return host_map_mmio(at.start);
}

/* Of what the firmware has measured: the front end's word, or else the ACPI tables'. */
static void take_event_log(void)
{
    if (info.log.format == BOOT_LOG_NONE) {
        info.log = acpi.log;
    }
    if (info.log.format != BOOT_LOG_NONE) {
        log_line("TPM: the firmware's event log is at 0x%llx, %llu KiB, %s",
                 (unsigned long long)info.log.base, (unsigned long long)info.log.size >> 10,
                 info.log.format == BOOT_LOG_AGILE ? "a digest for each bank" : "SHA-1 only");
    }
}

static void read_acpi(void)
{
    const char *why = "";

    if (info.rsdp == 0) {
        info.rsdp = acpi_find_rsdp(host_map_firmware);
    }
    /* nor did the loader have a copy: multiboot 1 can't say that this is UEFI */
    if (info.rsdp == 0) {
        log_error("cannot start: no ACPI root pointer (RSDP) where a BIOS has it; if UEFI "
                  "firmware started the machine: use multiboot2, multiboot 1 doesn't tell of it");
        launch_refuse();
    }
    if (acpi_read(host_map_firmware, info.rsdp, &acpi, &why) != 0) {
        log_error("cannot start: ACPI: %s", why);
        launch_refuse();
    }
    host_unmap_firmware();
    for (unsigned w = 0; w < ACPI_WARNING_COUNT; w++) {
        if (acpi.warnings & BIT(w)) {
            log_line("ACPI: %s; it is taken all the same", acpi_warning_text(w));
        }
    }
    if (acpi.lapic_base != APIC_PAGE
        || (hw_rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDR) != APIC_PAGE) {
        log_error("cannot start: the local APIC isn't at 0xfee00000");
        launch_refuse();
    }
    take_event_log();
    rate_measure(acpi.pm_timer, map_hpet());
    io_policy_init(&acpi);
    if (acpi.sleep.unclear) {
        log_line("ACPI: not all of \\_S1_ to \\_S5_ is understood (0x%x): unknown "
                 "types count as sleep",
                 acpi.sleep.unclear);
    }
}

/* What every CPU does after its descriptor tables are loaded. */
int main_bring_up(struct vcpu *v)
{
    const char *missing = virt->probe();
    unsigned bits;

    if (!missing) {
        missing = phys_width(&bits);
    }
    if (!missing && bits != guest_phys_ops.maxphyaddr) {
        missing = "the boot CPU's width of addresses, or its memory encryption";
    }
    if (missing) {
        log_error("cannot start: CPU with APIC id %u: missing %s", v->apic_id, missing);
        return -1;
    }
    if (virt->cpu_init(v) != 0 || sandbox_cpu_init(v) != 0
        || (hypapp.cpu_init && hypapp.cpu_init(v) != 0)) {
        log_error("cannot start: CPU with APIC id %u can't be set up; %zu pages of "
                  "our memory are free",
                  v->apic_id, pool_free_count());
        return -1;
    }
    return 0;
}

/* The boot CPU will send an INIT, which isn't taken with virtualization on. */
static _Noreturn void leave(struct vcpu *v)
{
    virt->cpu_off(v);
    atomic_store(&v->online, false);
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}

/* An AP: comes up, waits for the launch, then parks as a vCPU that waits for a SIPI. */
static void ap_run(void *arg)
{
    struct vcpu *v = arg;

    random_cpu_init();
    if (main_bring_up(v) != 0) {
        return; /* ->online stays false: the boot CPU refuses the launch */
    }
    atomic_store(&v->online, true);
    while (!atomic_load(&start_guest)) {
        if (atomic_load(&dismissed)) {
            leave(v);
        }
        hw_pause();
    }
    clock_join(atomic_load(&start_guest));
    atomic_fetch_or(&v->requests, REQ_INIT_SIPI); /* park until the guest's SIPI */
    guest_loop(v);
}

/* Whatever way the guest finds to make the machine sleep, it wakes up in our code. */
static void guard_sleep(void)
{
    low_page_fill(&info, core_options()->com);
    const char *why = facs_guard(&acpi);
    if (exit_guarded_init() != 0 || why) {
        log_line("sleep is unguarded: %s", why ? why : "no room for the page of the FACS");
    } else {
        io_policy_no_wake();
    }
}

/* Everything that can fail on the boot CPU, and what is constant once the guest runs. */
static void prepare(struct vcpu *v)
{
    hyp_module_take(&info);
    if (!virt_choose()) {
        launch_refuse();
    }
    facts_vendor(virt->name);
    random_init(hyp_sha256().blocks, acpi.pm_timer);
    random_cpu_init(); /* the hypapp's init may draw */
    if (exit_apic_page_init() != 0 || exit_io_init() != 0) {
        log_error("cannot start: no room in the table of ports and device memory");
        launch_refuse();
    }
    /* What the hypapp asks for to be intercepted, the vendor's bitmaps are made of. */
    if (guest_phys_init(&info, &acpi) != 0 || sandbox_init() != 0
        || (hypapp.init && hypapp.init() != 0) || virt->init(guest_nested.root) != 0
        || main_bring_up(v) != 0) {
        launch_refuse();
    }
    guard_sleep();
    exit_msr_init();
    ipi_on_init(exit_init_event);
    task_on_cr3(exit_task_cr3);
    regions_close();
    asked_close();
}

int main_start_others(void)
{
    return smp_start(ap_run);
}

/* Each has left what it was in, or never came; an INIT makes it wait for firmware's or the OS's
 * SIPI. */
void main_dismiss_others(void)
{
    const struct wait wait = wait_begin(1000000);

    atomic_store(&dismissed, true);
    for (unsigned i = 1; i < vcpu_count; i++) {
        while (atomic_load(&vcpus[i]->online) && !wait_over(&wait)) {
            hw_pause();
        }
    }
    wait_us(1000); /* from ->online to HLT */
    for (unsigned i = 1; i < vcpu_count; i++) {
        apic_send_init(vcpus[i]->apic_id);
    }
    wait_us(10000);
}

void main_log_what_there_is(void)
{
    log_line("up on %u CPU%s, %s", vcpu_count, vcpu_count == 1 ? "" : "s", virt->name);
    log_line("DMA protection: %s", core_dma_protection() ? "on" : "off");
    log_line("protected range: %llu KiB at 0x%llx, %zu pages for %s",
             (unsigned long long)info.protected_size >> 10,
             (unsigned long long)info.protected_base, pool_total(), hypapp.name);
}

void main_start_guest(struct vcpu *v, const struct vcpu_state *s)
{
    facs_take(low_page_vector());
    virt->set_state(v, s);
    hyp_module_close();
    facts_boot_ticks(clock_now() - info.tsc_start);
    log_line("starting the guest after %llu ticks", (unsigned long long)core_boot_ticks());
    log_guest_started();
    atomic_store(&start_guest, clock_now() | 1);
    guest_loop(v);
}

/* On the boot CPU's final stack. */
static void main_on_stack(void *arg)
{
    struct vcpu *v = arg;
    struct vcpu_state s;

    prepare(v);
    atomic_store(&v->online, true);
    if (info.start == BOOT_START_LIVE) {
        live_ready(v, &info);
    }
    if (main_start_others() != 0) {
        launch_refuse();
    }
    main_log_what_there_is();
    if (guest_boot_load(&info, &s) != 0) {
        launch_refuse();
    }
    main_start_guest(v, &s);
}

/* Until we have tables of our own memory below 4 GiB is where it is. */
static void find_screen(void)
{
    const uint64_t picture = info.framebuffer.base, size = picture_bytes(&info.framebuffer);

    screen_init(&info.screen, (volatile void *)(uintptr_t)info.screen.base);
    picture_init(&info.framebuffer, picture <= GIB(4) - size ? (volatile void *)(uintptr_t)picture
                                                             : NULL);
}

static void find_screen_again(void)
{
    const struct boot_screen *s = &info.screen;

    screen_init(s, host_phys(s->base, 2u * s->columns * s->rows));
    picture_init(&info.framebuffer, host_map_picture(&info, info.framebuffer.base,
                                                     picture_bytes(&info.framebuffer)));
}

void core_main(const struct boot_info *from)
{
    info = *from;
    pool_init(info.protected_base, align_up(info.core_image_size, PAGE_SIZE),
              info.protected_size);
    find_screen();
    log_options();
    check_cpu();
    host_map_init(&info);
    find_screen_again();
    stop_init(hypapp.wipe);
    crash_init(&info);
    apic_init(host_map_mmio(APIC_PAGE));
    read_acpi();
    if (low_page_choose(&info, crash_place, CRASH_COPIES) != 0
        || smp_init(&acpi, core_options()->cpus) != 0) {
        launch_refuse();
    }
    uint64_t stacks = host_map_stacks(0);
    if (info.start == BOOT_START_LIVE) {
        cpu_load_early(vcpus[0], stacks);
    } else {
        cpu_load(vcpus[0], stacks);
    }
    hw_switch_stack(host_stack_top(stacks, 0), main_on_stack, vcpus[0]);
}
