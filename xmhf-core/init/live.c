/* SPDX-License-Identifier: MIT */
/*
 * The way in for CPUs that are already running (xmhf/core_image.h): all of them, or none. Until
 * the decision everything that is done to a CPU can be undone, and is if the answer is no.
 */
#include <cpu/clock.h>
#include <cpu/cpu.h>
#include <cpu/needs.h>
#include <cpu/random.h>
#include <cpu/vcpus.h>
#include <cpu/width.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <exit/dispatch.h>
#include <guest/ipi.h>
#include <guest/live.h>
#include <guest/phys.h>
#include <hw/apic.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <init/init.h>
#include <mm/host_map.h>
#include <policy/cr.h>
#include <smp/spinlock.h>
#include <smp/stop.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define NEXT_ONE_US      5000000 /* from one CPU to the next: many on a slow machine aren't stuck */
#define ALL_TOGETHER_US 20000000 /* from the first to the last; firmware's own wait is longer */

uint64_t live_entry(struct boot_info *bi, const struct live_cpu *live, uint64_t efer);
uint64_t live_take(void *unused, const struct live_cpu *live, uint64_t efer);

extern uint8_t boot_stack_top[];

_Static_assert(offsetof(struct boot_info, start) == 108 && BOOT_START_LIVE == 3, "init/entry.S");

static struct live_state natives[CPU_MAX]; /* by vcpu->index; each its own */
static struct boot_info *caller;           /* where the refusal goes */
static char refusal[BOOT_REFUSAL_MAX];

static unsigned expected;                  /* CPUs that will be handed over besides the boot CPU */
static atomic_bool ready;                  /* core_take may be called */
static atomic_bool called[CPU_MAX];        /* by vcpu->index: it was */
static atomic_uint arrived;                /* that are ready to become guests */
static _Atomic uint64_t decided_at;        /* the clock of who decided */
static struct spinlock one_by_one = SPINLOCK_INIT; /* CPUs bring themselves up in turn */

/* One word, changed once. */
enum decision { OPEN, GO, DECLINED };
static atomic_uint decision;

static void decide(unsigned answer)
{
    unsigned open = OPEN;

    (void)atomic_compare_exchange_strong(&decision, &open, answer);
}

/* --- natively -------------------------------------------------------------------------------- */

/* What the core is about to change. */
static void note_native(struct live_state *n, const struct live_cpu *live, uint64_t efer)
{
    n->cpu = *live;
    n->efer = efer;
    n->gs_base = hw_rdmsr(MSR_GS_BASE);
}

/* What it leaves alone. With the core's IDT: a register that isn't there reads as 0. */
static void note_rest(struct live_state *n)
{
    const struct { uint32_t msr; uint64_t *to; } msrs[] = {
        { MSR_FS_BASE, &n->fs_base }, { MSR_IA32_PAT, &n->pat },
        { MSR_IA32_DEBUGCTL, &n->debugctl }, { MSR_STAR, &n->msrs.star },
        { MSR_LSTAR, &n->msrs.lstar }, { MSR_CSTAR, &n->msrs.cstar },
        { MSR_SFMASK, &n->msrs.sfmask }, { MSR_KERNEL_GS_BASE, &n->msrs.kernel_gs_base },
        { MSR_IA32_SYSENTER_CS, &n->msrs.sysenter_cs },
        { MSR_IA32_SYSENTER_ESP, &n->msrs.sysenter_esp },
        { MSR_IA32_SYSENTER_EIP, &n->msrs.sysenter_eip },
    };

    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
        *msrs[i].to = 0;
        (void)hw_rdmsr_safe(msrs[i].msr, msrs[i].to);
    }
    n->dr6 = hw_read_dr6();
    n->dr7 = hw_read_dr7();
}

/* Back to where this CPU came from, which has the index `i`. From any point after note_native, on a
 * stack of the core's. */
static _Noreturn void return_natively(unsigned i, uint64_t answer)
{
    const struct live_state *n = &natives[i];

    if (virt && i < vcpu_count) {
        virt->cpu_off(vcpus[i]);
    }
    if (i < vcpu_count) {
        atomic_store(&vcpus[i]->online, false);
    }
    hw_write_cr3(n->cpu.shared_cr3);
    if (answer != 0) {
        memcpy(caller->refusal, refusal, sizeof(refusal));
    }
    hw_write_cr4(n->cpu.cr4);
    hw_write_cr0(n->cpu.cr0);
    hw_write_cr2(n->cpu.cr2);
    hw_wrmsr(MSR_GS_BASE, n->gs_base);
    hw_native_return(&n->cpu, n->efer, answer);
}

/* Keep the last error's text for the caller, if it is the first. */
static void note_refusal(void)
{
    if (refusal[0] == '\0') {
        log_last_error(refusal, sizeof(refusal));
    }
}

/* launch_refuse, while only the boot CPU is here. */
static void refuse_on_boot_cpu(void)
{
    note_refusal();
    return_natively(0, 1);
}

/* --- a CPU's state --------------------------------------------------------------------------- */

/* Under the caller's page tables, or ones that have all of them. The CPU itself needs its
 * descriptors there, whatever memory it is. */
static bool read_native(uint64_t linear, void *to, size_t len)
{
    const struct guest_paging p = {
        .cr0 = hw_read_cr0(), .cr3 = hw_read_cr3(), .cr4 = CR4_PAE,
        .efer = EFER_LME | EFER_LMA | EFER_NXE, .mode = MODE_LONG64,
    };
    struct walk walk;

    for (size_t i = 0; i < len; i += len - 1) { /* its first byte and its last */
        if (guest_walk(&guest_phys_ops, &p, gva(linear + i), ACCESS_READ, &walk) == WALK_FAULT) {
            return false;
        }
    }
    memcpy(to, (const void *)(uintptr_t)linear, len);
    return true;
}

/* NULL, or why this CPU can't go on as a guest. With its own tables, as read_native. */
static const char *state_of(struct live_state *n, struct vcpu_state *s)
{
    const struct live_limits limits = {
        .cr4 = cr4_visible(hw_cpuid), .efer = efer_supported(hw_cpuid), .beyond = phys_beyond(),
    };
    const uint64_t apic = hw_rdmsr(MSR_IA32_APIC_BASE);

    if (!(apic & APIC_BASE_EN) || (apic & APIC_BASE_ADDR) != APIC_PAGE) {
        return "its local APIC is off, or isn't at 0xfee00000";
    }
    note_rest(n);
    return live_make_state(n, &limits, read_native, s);
}

/* The same before the core has any tables of its own: what would be in its own way. */
static const char *hopeless(const struct live_cpu *live, uint64_t efer)
{
    return live->cr4 & (CR4_LA57 | CR4_CET | CR4_FRED)
            ? "5-level paging, CET or FRED is on (CR4)"
        : live->cr4 & CR4_VMXE ? "VMX is in use already (CR4.VMXE)"
        : efer & EFER_SVME ? "SVM is in use already (EFER.SVME)"
        : live->shared_cr3 & PAGE_MASK ? "the shared page tables aren't aligned" : NULL;
}

/* --- the boot CPU, first time ---------------------------------------------------------------- */

static bool is_offered(const struct boot_info *bi, uint32_t apic_id)
{
    unsigned i = 0;

    while (i < bi->cpu_count && bi->cpu_apic_id[i] != apic_id) {
        i++;
    }
    return i < bi->cpu_count;
}

/* Firmware's MP services and its MADT list the same CPUs; of each one too many the guest could make
 * use without us. */
static bool lists_agree(const struct boot_info *bi)
{
    if (bi->cpu_count > BOOT_OTHER_CPUS_MAX) {
        log_error("cannot start: more than %u CPUs are handed over", BOOT_OTHER_CPUS_MAX);
        return false;
    }
    for (unsigned i = 1; i < vcpu_count; i++) {
        if (!is_offered(bi, vcpus[i]->apic_id)) {
            log_error("cannot start: the MADT lists a CPU with APIC id %u, which firmware's MP "
                      "services don't have", vcpus[i]->apic_id);
            return false;
        }
    }
    if (bi->cpu_count != vcpu_count - 1) {
        log_error("cannot start: firmware's MP services have %u CPUs besides this one, the MADT "
                  "(or cpus=) %u", bi->cpu_count, vcpu_count - 1);
        return false;
    }
    return true;
}

static void enter_main(void *bi)
{
    core_main(bi);
}

uint64_t live_entry(struct boot_info *bi, const struct live_cpu *live, uint64_t efer)
{
    const char *why = hopeless(live, efer);

    if (why || bi->magic != BOOT_INFO_MAGIC || bi->version != BOOT_INFO_VERSION
        || bi->size != sizeof(*bi)) {
        str_copy(bi->refusal, why ? why : "core and boot stage aren't of one version",
                 sizeof(bi->refusal));
        return 1;
    }
    caller = bi;
    note_native(&natives[0], live, efer);
    launch_on_refuse(refuse_on_boot_cpu);
    host_map_share((uint64_t *)(uintptr_t)live->shared_cr3);
    hw_switch_stack((uintptr_t)boot_stack_top, enter_main, bi);
}

void live_ready(struct vcpu *v, const struct boot_info *bi)
{
    struct vcpu_state s;
    const char *why;

    hw_write_cr3(natives[0].cpu.shared_cr3);
    why = state_of(&natives[0], &s);
    hw_write_cr3(host_cr3());
    if (why) {
        log_error("cannot start: the boot CPU: %s", why);
        launch_refuse();
    }
    if (bi->cpu_count != 0 && !lists_agree(bi)) {
        launch_refuse();
    }
    expected = bi->cpu_count;
    for (unsigned i = 1; i <= expected; i++) {
        host_map_stacks(i);
    }
    log_line("ready to take this CPU where it is, and %u others", expected);
    launch_on_refuse(NULL);
    atomic_store(&ready, true);
    return_natively(v->index, 0);
}

/* --- each CPU -------------------------------------------------------------------------------- */

/* The id that the CPU has had from reset on: the APIC's page isn't there yet. */
static struct vcpu *by_cpuid(void)
{
    uint32_t id = hw_cpuid(CPUID_FEATURES, 0).ebx >> 24;

    if (hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_TOPOLOGY) {
        struct cpuid_regs r = hw_cpuid(CPUID_TOPOLOGY, 0);
        id = r.ebx & 0xffff ? r.edx : id;
    }
    for (unsigned i = 0; i < vcpu_count; i++) {
        if (vcpus[i]->apic_id == id) {
            return vcpus[i];
        }
    }
    return NULL;
}

/* Under the caller's tables; those of the core are the CPU's afterwards. */
static bool bring_up(struct vcpu *v, struct vcpu_state *s)
{
    const char *why = cpu_lacks(hw_cpuid);

    why = why ? why : state_of(&natives[v->index], s);
    hw_write_cr3(host_cr3());
    if (!why && apic_id() != v->apic_id) {
        why = "its APIC's id was changed";
    }
    if (why) {
        log_error("cannot start: CPU with APIC id %u: %s", v->apic_id, why);
    } else {
        random_cpu_init();
    }
    if (why || main_bring_up(v) != 0) {
        note_refusal();
        return false;
    }
    return true;
}

/* The guest's from here on. */
static void become_guest(struct vcpu *v)
{
    cpu_load_rest();
    if (!virt->cpu_on(v)) {
        stop_and_reset("virtualization can't be turned on again");
    }
    v->ap.state = AP_RUNNING;
    ipi_take_ids(v);
}

/* True: all are here, and will be guests. */
static bool wait_for_all(void)
{
    const struct wait all = wait_begin(ALL_TOGETHER_US);
    struct wait next = wait_begin(NEXT_ONE_US);
    unsigned seen = 0;

    if (atomic_fetch_add(&arrived, 1) + 1 == expected) {
        atomic_store(&decided_at, hw_rdtsc());
        decide(GO);
    }
    while (atomic_load(&decision) == OPEN) {
        const unsigned here = atomic_load(&arrived);

        if (here != seen) {
            seen = here;
            next = wait_begin(NEXT_ONE_US);
        }
        if (wait_over(&next) || wait_over(&all)) {
            decide(DECLINED);
        }
        hw_pause();
    }
    return atomic_load(&decision) == GO;
}

static void take_other(void *arg)
{
    struct vcpu *v = arg;
    struct vcpu_state s;

    spin_lock(&one_by_one);
    bool up = atomic_load(&decision) == OPEN && bring_up(v, &s);
    atomic_store(&v->online, up);
    if (!up) {
        decide(DECLINED);
    }
    spin_unlock(&one_by_one);
    if (!up || !wait_for_all()) {
        return_natively(v->index, 1);
    }
    become_guest(v);
    clock_join(atomic_load(&decided_at));
    virt->set_state(v, &s);
    guest_loop(v);
}

/* All others are guests, or wait for their SIPI, or there are none. */
static bool take_boot_cpu(struct vcpu *v, struct vcpu_state *s)
{
    const char *why = state_of(&natives[v->index], s);

    hw_write_cr3(host_cr3());
    if (why) {
        log_error("cannot start: the boot CPU: %s", why);
        return false;
    }
    return expected != 0 || main_start_others() == 0;
}

static void take_boot(void *arg)
{
    struct vcpu *v = arg;
    struct vcpu_state s;

    if (!take_boot_cpu(v, &s) || !virt->cpu_on(v)) {
        if (expected != 0) {
            stop_and_reset("the boot CPU can't be taken, and the others have been");
        }
        note_refusal();
        main_dismiss_others();
        return_natively(v->index, 1);
    }
    launch_on_refuse(NULL);
    atomic_store(&v->online, true);
    become_guest(v);
    main_log_what_there_is();
    main_start_guest(v, &s);
}

/* The others haven't all been taken. */
static uint64_t decline(void)
{
    decide(DECLINED);
    if (refusal[0] == '\0') {
        log_error("cannot start: of %u other CPUs only %u have come in time", expected,
                  atomic_load(&arrived));
        note_refusal();
    }
    memcpy(caller->refusal, refusal, sizeof(refusal));
    return 1;
}

uint64_t live_take(void *unused, const struct live_cpu *live, uint64_t efer)
{
    struct vcpu *v = atomic_load(&ready) ? by_cpuid() : NULL;
    const char *why = hopeless(live, efer);

    (void)unused;
    if (!v || atomic_exchange(&called[v->index], true)) {
        return 1;
    }
    if (why) {
        log_error("cannot start: CPU with APIC id %u: %s", v->apic_id, why);
        note_refusal();
        decide(DECLINED);
    }
    if (why || (v->index == 0 && expected != 0 && atomic_load(&decision) != GO)) {
        return v->index == 0 ? decline() : 1;
    }
    note_native(&natives[v->index], live, efer);
    cpu_load_early(v, host_stacks(v->index));
    hw_switch_stack(host_stack_top(host_stacks(v->index), 0), v->index ? take_other : take_boot, v);
}
