/* SPDX-License-Identifier: MIT */
/*
 * The VMX back end's own run of things, in a VMCS made of data and with exits out of a list. First
 * everything that looks at MSRs before the guest starts, on all recorded machines of both vendors,
 * where any access to an MSR that isn't there fails the test, guarded or not. Then how a CPU waits
 * for a SIPI in the hardware, which the Intel bench can't show for a guest that sends INIT.
 */
#include "unit.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>

#include "fake/machine.h"
#include <cpu/cpu.h>
#include <cpu/mc.h>
#include <guest/ipi.h>
#include <guest/state.h>
#include <hw/cpu.h>
#include <mm/pool.h>
#include <policy/asked.h>
#include <policy/msr_policy.h>
#include <virt/svm/caps.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define FIELDS 0x7000u

void vmx_park(const atomic_uint *wake, const atomic_uint *nmis_seen);
void vmx_enter(struct vcpu_regs *regs, struct exit *e, const atomic_uint *nmis_seen, bool launched);
void vmx_exited(struct vcpu_regs *regs, struct exit *e, unsigned how);

static uint64_t value[FIELDS];
static bool traps_icr;
static unsigned parked, irets;
static struct vmx_cpu cpu;
static struct vcpu v;
#define FIRMWARES_TRACE 0x2005u /* IA32_RTIT_CTL */

static jmp_buf panicked;
static char panic_text[256];
static uint8_t pages[8][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static unsigned pages_used;

/* --- what the back end stands on ------------------------------------------------------- */

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(panic_text, sizeof(panic_text), fmt, args);
    va_end(args);
    longjmp(panicked, 1);
}

void log_line(const char *fmt, ...) { (void)fmt; }
void log_error(const char *fmt, ...) { (void)fmt; }
void stop_and_reset(const char *why) { fail_msg("reset: %s", why); abort(); }
bool ipi_traps_icr(void) { return traps_icr; }
hpa_t core_hpa(const void *va) { return hpa((uintptr_t)va); }
void state_reset(struct vcpu_state *s) { memset(s, 0, sizeof(*s)); }

void *pool_boot_pages(size_t n)
{
    void *first = pages[pages_used];

    pages_used += (unsigned)n;
    assert_true(pages_used <= ARRAY_SIZE(pages));
    memset(first, 0, n * PAGE_SIZE);
    return first;
}

bool hw_vmxon(uint64_t address) { return address != 0; }
static unsigned vmxoffs;
void hw_vmxoff(void) { vmxoffs++; }
bool hw_vmclear(uint64_t address) { return address != 0; }
bool hw_vmptrld(uint64_t address) { return address != 0; }
bool hw_vmread(uint64_t field, uint64_t *out) { *out = value[field]; return true; }
bool hw_vmwrite(uint64_t field, uint64_t what) { value[field] = what; return true; }
static uint64_t flushed_eptp;
static unsigned flushes;
bool hw_invept(uint64_t type, uint64_t eptp)
{
    (void)type;
    flushed_eptp = eptp;
    flushes++;
    return true;
}

bool hw_invvpid(uint64_t type, uint16_t vpid) { (void)type; (void)vpid; return true; }
void hw_iret(void) { irets++; }
void cpu_take_interrupts(void) { }
void mc_met_core(struct vcpu *w) { (void)w; }
void vmx_park(const atomic_uint *wake, const atomic_uint *nmis_seen)
{
    (void)wake;
    (void)nmis_seen;
    parked++;
}

/* Files that have tests of their own. */
void vmx_write_controls(const struct vmx_controls *c) { (void)c; }
void vmx_write_host_state(struct vcpu *c) { (void)c; }
void vmx_write_zero_fields(void) { }
void vmx_set_state(struct vcpu *c, const struct vcpu_state *s) { (void)c; (void)s; }
void vmx_get_paging(struct vcpu *c, struct guest_paging *p) { (void)c; (void)p; }
uint64_t vmx_get_cr4(struct vcpu *c) { (void)c; return 0; }
void vmx_get_segment(struct vcpu *c, enum segment_index i, struct segment *s)
{
    (void)c;
    (void)i;
    (void)s;
}
bool vmx_state_msr_read(struct vcpu *c, uint32_t msr, uint64_t *x)
{
    (void)c;
    (void)x;
    return !msr;
}
bool vmx_state_msr_write(struct vcpu *c, uint32_t msr, uint64_t x)
{
    (void)c;
    (void)x;
    return !msr;
}
void vmx_get_table(struct vcpu *c, enum table_register w, uint64_t *b, uint32_t *l)
{
    (void)c;
    (void)w;
    (void)b;
    (void)l;
}
void vmx_set_table(struct vcpu *c, enum table_register w, uint64_t b, uint32_t l)
{
    (void)c;
    (void)w;
    (void)b;
    (void)l;
}
void vmx_set_segment(struct vcpu *c, enum segment_index i, const struct segment *s)
{
    (void)c;
    (void)i;
    (void)s;
}
bool vmx_set_cr3(struct vcpu *c, uint64_t x) { (void)c; (void)x; return true; }
void vmx_load_task(struct vcpu *c, const struct task_state *t) { (void)c; (void)t; }
bool vmx_set_cr(struct vcpu *c, unsigned cr, uint64_t x)
{
    (void)c;
    (void)cr;
    (void)x;
    return true;
}
uint64_t vmx_get_cr(struct vcpu *c, unsigned cr) { (void)c; (void)cr; return 0; }
void vmx_sandbox_init(struct vcpu *c) { (void)c; }
void vmx_sandbox_enter(struct vcpu *c, const struct sandbox *sb) { (void)c; (void)sb; }
void vmx_sandbox_leave(struct vcpu *c) { (void)c; }
void vmx_sandbox_forget(struct vcpu *c, uint64_t tag) { (void)c; (void)tag; }

/* --- every recorded machine ------------------------------------------------------------- */

/* Dumps of the notes have no CPUID, and most have few MSRs: those that exist by the manual's rules
 * are added. Bochs' CPUID shows
 * counters without their MSRs. */
static bool load(const char *path)
{
    char line[512];
    bool complete = false;
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        complete |= strncmp(line, "# complete: yes", 15) == 0;
    }
    fclose(f);
    machine_reset(0);
    machine_load(path);
    if (machine.cpuid_count == 0) {
        machine_set_cpuid(CPUID_BASIC, 0, (struct cpuid_regs){ .eax = 1 });
        machine_set_cpuid(CPUID_FEATURES, 0, (struct cpuid_regs){ .ecx = CPUID_1_ECX_VMX });
    }
    if ((hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_VMX)
        && !machine_msr(MSR_IA32_FEATURE_CONTROL)) {
        machine_set_msr(MSR_IA32_FEATURE_CONTROL, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
    }
    if (hw_cpuid(CPUID_EXTENDED, 0).eax >= CPUID_SVM
        && (hw_cpuid(CPUID_EXT_AMD, 0).ecx & CPUID_8_1_ECX_SVM) && !machine_msr(MSR_AMD_VM_CR)) {
        machine_set_msr(MSR_AMD_VM_CR, 0);
    }
    if (strstr(path, "/bochs-")) {
        machine.may_fault = MSR_IA32_PERF_GLOBAL_CTRL;
    } else if (hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_PERFMON
               && (hw_cpuid(CPUID_PERFMON, 0).eax & 0xff) >= 2) {
        machine_set_msr(MSR_IA32_PERF_GLOBAL_CTRL, 0);
    }
    machine_set_msr(MSR_IA32_RTIT_CTL, FIRMWARES_TRACE);
    machine.no_faults = true;
    return complete;
}

/* A CPU that goes back to where it came from, and is taken all the same later. */
static void off_and_on(struct vcpu *c)
{
    const bool traces = hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES
        && (hw_cpuid(CPUID_EXT_FEATURES, 0).ebx & CPUID_7_0_EBX_PT);

    vmxoffs = 0;
    assert_int_equal(*machine_msr(MSR_IA32_RTIT_CTL), traces ? 0 : FIRMWARES_TRACE);
    vmx_ops.cpu_off(c);
    vmx_ops.cpu_off(c);
    assert_int_equal(vmxoffs, 1);
    assert_int_equal(*machine_msr(MSR_IA32_RTIT_CTL), FIRMWARES_TRACE);
    assert_true(vmx_ops.cpu_on(c) && vmx_ops.cpu_on(c) && vmx(c)->on);
    assert_int_equal(*machine_msr(MSR_IA32_RTIT_CTL), traces ? 0 : FIRMWARES_TRACE);
}

static unsigned with_user_exec; /* CPUs that can let pages be executable for ring 3 alone */

static void bring_up(const char *name)
{
    static struct vcpu first;

    pages_used = 0;
    assert_int_equal(vmx_ops.init(hpa(MIB(1))), 0);
    if (vmx_ops.cpu_init(&first) != 0) {
        fail_msg("%s: can't be set up", name);
    }
    off_and_on(&first);
    if (vmx_ops.probe()) { /* as the next CPU, which is the same */
        fail_msg("%s: another CPU of it lacks %s", name, vmx_ops.probe());
    }
    if (vmx_ops.user_exec()) {
        with_user_exec++;
        assert_true(vmx_common.os.word[VMX_PROC2] >> PROC2_EXEC_BY_MODE & 1);
        assert_null(vmx_ops.probe());
        /* another kind of CPU */
        *machine_msr(MSR_IA32_VMX_PROCBASED_CTLS2) &= ~BIT(32 + PROC2_EXEC_BY_MODE);
        assert_non_null(strstr(vmx_ops.probe(), "mode-based"));
        vmx_common.os.word[VMX_PROC2] &= ~(1u << PROC2_EXEC_BY_MODE);
    }
}

/* As init/main.c does: each back end probes each CPU. */
static unsigned probe_all(const char *vendor, unsigned *with_vmx, unsigned *with_svm)
{
    struct vectors files = vectors_of(vendor);
    unsigned machines = 0;

    while (vectors_next(&files)) {
        if (!load(files.path) && strcmp(vendor, "vmx") == 0) {
            continue;
        }
        machines++;
        *with_svm += svm_missing() == NULL;
        memset(&vmx_common, 0, sizeof(vmx_common));
        if (!vmx_ops.probe()) {
            (*with_vmx)++;
            bring_up(files.name);
        }
    }
    return machines;
}

static void every_machine(void **state)
{
    unsigned vmx_usable = 0, svm_usable = 0, none = 0;

    (void)state;
    if (setjmp(panicked) != 0) {
        fail_msg("panic: %s", panic_text);
    }
    unsigned intel = probe_all("vmx", &vmx_usable, &none);
    assert_int_equal(none, 0);
    unsigned amd = probe_all("svm", &none, &svm_usable);
    assert_int_equal(none, 0);
    print_message("%u machines with execution by mode\n", with_user_exec);
    assert_true(with_user_exec >= 5);
    print_message("VMX: %u machines, %u usable; SVM: %u machines, %u usable\n", intel, vmx_usable,
                  amd, svm_usable);
    assert_true(intel >= 31 && vmx_usable >= 22 && amd >= 58 && svm_usable >= 51);
}

/* --- exits ------------------------------------------------------------------------------ */

static struct {
    uint32_t reason;
    uint64_t qualification, rip;
    uint64_t ticks;
    uint32_t blocked;
} next;

static bool last_launched;

/* The guest runs for `ticks` and then exits. */
void vmx_enter(struct vcpu_regs *regs, struct exit *e, const atomic_uint *nmis_seen, bool launched)
{
    (void)nmis_seen;
    last_launched = launched;
    machine.tsc += next.ticks;
    value[VMCS_EXIT_REASON] = next.reason;
    value[VMCS_EXIT_QUALIFICATION] = next.qualification;
    value[VMCS_GUEST_RIP] = next.rip;
    value[VMCS_GUEST_INTERRUPTIBILITY] |= next.blocked;
    vmx_exited(regs, e, 0);
}

static void start(void)
{
    memset(value, 0, sizeof(value));
    memset(&cpu, 0, sizeof(cpu));
    memset(&next, 0, sizeof(next));
    machine_reset(0);
    v = (struct vcpu){ .vendor = &cpu, .regs = { .rip = 0x1000, .rflags = RFLAGS_ONE } };
    traps_icr = false;
    parked = 0;
}

/* Run the guest at `from` until an exit at `to`. */
static struct exit run(uint32_t reason, uint64_t from, uint64_t to, uint64_t ticks)
{
    struct exit e = { 0 };

    next.reason = reason;
    next.rip = to;
    next.ticks = ticks;
    v.regs.rip = from;
    vmx_ops.run(&v, &e);
    assert_int_equal(v.regs.rip, to);
    return e;
}

static struct exit sipi(uint8_t vector)
{
    next.qualification = vector;
    return run(VMX_EXIT_SIPI, 0, 0, 100);
}

/* The first entry is a VMLAUNCH, and so is the next after one that failed; then it is VMRESUME. */
static void failed_launch(void **state)
{
    (void)state;
    start();
    run(VMX_EXIT_ENTRY_MC | VMX_ENTRY_FAILED, 0x1000, 0x1000, 100);
    assert_false(last_launched);
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    assert_false(last_launched);
    run(VMX_EXIT_ENTRY_MC | VMX_ENTRY_FAILED, 0x1002, 0x1002, 100);
    assert_true(last_launched);
    run(VMX_EXIT_CPUID, 0x1002, 0x1004, 100);
    assert_true(last_launched);
}

/* A refused entry has delivered nothing: the event waits, and isn't left in the VMCS, where the
 * entry after a repair would find it (27.8). */
static void a_refused_entry_keeps_the_event(void **state)
{
    static const struct event interrupt = { .vector = 0x30, .type = EVENT_INTR };

    (void)state;
    start();
    assert_true(vmx_ops.inject(&v, &interrupt));
    assert_int_equal(run(VMX_EXIT_BAD_GUEST_STATE | VMX_ENTRY_FAILED, 0x1000, 0x1000, 100).kind,
                     EXIT_ENTRY_FAILED);
    assert_int_equal(value[VMCS_ENTRY_INTR_INFO], 0);
    assert_true(vmx_ops.event_queued(&v));
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    assert_false(vmx_ops.event_queued(&v));
}

/* The root that the OS is in is flushed before it is entered, once; a sandbox's entry flushes
 * nothing of it; and a root that comes back is flushed, for what the CPU remembers of it may be
 * old. */
static void a_flush_reaches_the_os(void **state)
{
    (void)state;
    start();
    vmx_ops.set_root(&v, hpa(0x5000));
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    flushes = 0;
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    assert_int_equal(flushes, 0);
    vmx_ops.flush_nested(&v);
    v.in_sandbox = true;
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    assert_int_equal(flushes, 0);
    v.in_sandbox = false;
    for (unsigned i = 0; i < 3; i++) {
        run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
        assert_int_equal(flushes, 1);
        assert_true(flushed_eptp == vmx_eptp(hpa(0x5000)));
    }
    vmx_ops.set_root(&v, hpa(0x9000));
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    assert_true(flushes == 2 && flushed_eptp == vmx_eptp(hpa(0x9000)));
    vmx_ops.flush_nested(&v);
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    assert_true(flushes == 3 && flushed_eptp == vmx_eptp(hpa(0x9000)));
    vmx_ops.set_root(&v, hpa(0x5000));
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    assert_true(flushes == 4 && flushed_eptp == vmx_eptp(hpa(0x5000)));
}

/* All that an entry into wait-for-SIPI can't have is gone (27.3.1.5). */
static void park_waits_in_the_guest(void **state)
{
    (void)state;
    start();
    const struct event page_fault = { .vector = EXC_PF, .type = EVENT_EXCEPTION };
    assert_true(vmx_ops.inject(&v, &page_fault));
    vmx_ops.want_nmi_window(&v);
    value[VMCS_GUEST_INTERRUPTIBILITY] = BLOCKED_BY_STI | BLOCKED_BY_NMI;
    value[VMCS_GUEST_PENDING_DEBUG] = PENDING_DEBUG_BS;
    vmx_ops.park(&v);
    assert_int_equal(parked, 0);
    assert_int_equal(value[VMCS_GUEST_ACTIVITY], ACTIVITY_WAIT_SIPI);
    assert_int_equal(value[VMCS_GUEST_INTERRUPTIBILITY], 0);
    assert_int_equal(value[VMCS_GUEST_PENDING_DEBUG], 0);
    assert_false(vmx_ops.event_queued(&v));
    assert_false(vmx_ops.nmi_ready(&v));
    assert_true(atomic_load(&v.waiting));
    irets = 0;
    struct exit e = sipi(0x9a);
    assert_int_equal(irets, 1); /* kicks come again */
    assert_int_equal(value[VMCS_ENTRY_INTR_INFO], 0);
    assert_false(value[VMCS_PROC_CONTROLS] >> PROC_NMI_WINDOW & 1);
    assert_int_equal(e.kind, EXIT_SIPI);
    assert_int_equal(e.sipi.vector, 0x9a);
    assert_false(atomic_load(&v.waiting));
}

static void park_sleeps_in_the_core(void **state)
{
    (void)state;
    start();
    traps_icr = true;
    vmx_ops.park(&v);
    assert_int_equal(parked, 1);
    assert_int_equal(value[VMCS_GUEST_ACTIVITY], ACTIVITY_ACTIVE);
    assert_false(atomic_load(&v.waiting));
}

/* "Blocked by SMI", once seen at a SIPI exit, is cleared after each exit; never touched else. */
static void stuck_smi_bit(void **state)
{
    (void)state;
    start();
    vmx_ops.park(&v);
    next.blocked = BLOCKED_BY_SMI;
    sipi(1);
    for (unsigned i = 0; i < 3; i++) {
        value[VMCS_GUEST_INTERRUPTIBILITY] |= BLOCKED_BY_NMI;
        run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
        assert_int_equal(value[VMCS_GUEST_INTERRUPTIBILITY], BLOCKED_BY_NMI);
    }
    start();
    vmx_ops.park(&v);
    sipi(1);
    next.blocked = BLOCKED_BY_SMI;
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    run(VMX_EXIT_CPUID, 0x1000, 0x1002, 100);
    assert_true(value[VMCS_GUEST_INTERRUPTIBILITY] & BLOCKED_BY_SMI);
}

/* An INIT directly behind the SIPI that answered it is dropped, and so is one behind that. */
static void stale_init(void **state)
{
    (void)state;
    start();
    vmx_ops.park(&v);
    sipi(0x10);
    assert_int_equal(run(VMX_EXIT_INIT, 0x10000, 0x10000, 100).kind, EXIT_NONE);
    assert_int_equal(run(VMX_EXIT_INIT, 0x10000, 0x10000, 100).kind, EXIT_NONE);
    assert_int_equal(run(VMX_EXIT_CPUID, 0x10000, 0x10004, 100).kind, EXIT_CPUID);
    assert_int_equal(run(VMX_EXIT_INIT, 0x10006, 0x10006, 100).kind, EXIT_INIT);
}

/* Every other INIT is a real one. */
static void real_init(void **state)
{
    (void)state;
    start();
    assert_int_equal(run(VMX_EXIT_INIT, 0x10000, 0x10000, 100).kind, EXIT_INIT);
    start();
    vmx_ops.park(&v);
    sipi(0x10);
    assert_int_equal(run(VMX_EXIT_INIT, 0x10000, 0x10002, 100).kind, EXIT_INIT); /* it ran */
    start();
    vmx_ops.park(&v);
    sipi(0x10);
    assert_int_equal(run(VMX_EXIT_INIT, 0x10000, 0x10000, 1000000).kind, EXIT_INIT); /* it hung */
    start();
    vmx_ops.park(&v);
    sipi(0x10);
    assert_int_equal(run(VMX_EXIT_EXTERNAL_INTR, 0x10000, 0x10000, 100).kind, EXIT_INTR);
    assert_int_equal(run(VMX_EXIT_INIT, 0x10000, 0x10000, 100).kind, EXIT_INIT);
}

/* An address that the CPU can't take: a fault for the guest, no panic. */
static void ept_misconfiguration(void **state)
{
    (void)state;
    start();
    value[VMCS_GUEST_PHYSICAL] = 0x123456000;
    struct exit e = run(VMX_EXIT_EPT_MISCONFIG, 0x1000, 0x1000, 100);
    assert_true(e.kind == EXIT_NESTED_FAULT && e.fault.reserved && e.fault.addr.a == 0x123456000);
}

/* --- what the hypapp asked for ---------------------------------------------------------------- */

static void coffee_lake(void)
{
    char path[512];

    (void)load(unit_source(path, sizeof(path), "tests/vectors/vmx/vbox-906ea-i7-8750h.txt"));
    memset(&vmx_common, 0, sizeof(vmx_common));
    memset(value, 0, sizeof(value));
    memset(pages, 0, sizeof(pages));
    assert_null(vmx_ops.probe());
    bring_up("8750H");
}

static unsigned more_msrs(const uint8_t *before, unsigned *at)
{
    const uint8_t *after = (const uint8_t *)(uintptr_t)vmx_common.msr_bitmap.a;
    unsigned n = 0;

    for (unsigned i = 0; i < PAGE_SIZE * 8; i++) {
        if ((before[i / 8] ^ after[i / 8]) >> (i % 8) & 1) {
            assert_true(after[i / 8] >> (i % 8) & 1);
            *at = i;
            n++;
        }
    }
    return n;
}

/* Reads of the low and of the high range, then writes. */
static void bitmap_is_the_policy(const uint8_t *msrs)
{
    for (uint32_t i = 0; i < 0x4000; i++) {
        const uint32_t msr = i < 0x2000 ? i : 0xc0000000 + i - 0x2000;

        assert_int_equal(msrs[i / 8] >> (i % 8) & 1, msr_read_action(msr) != MSR_PASS);
        if (msr != MSR_X2APIC_ICR) {
            assert_int_equal(msrs[0x800 + i / 8] >> (i % 8) & 1,
                             msr_write_action(msr) != MSR_PASS);
        }
    }
}

/* Nothing is intercepted for a hypapp that asks for nothing; and then just that. */
static void nothing_that_nobody_asked_for(void **state)
{
    static uint8_t msrs[PAGE_SIZE];
    unsigned at = 0;

    (void)state;
    if (setjmp(panicked) != 0) {
        fail_msg("panic: %s", panic_text);
    }
    coffee_lake();
    memcpy(msrs, (void *)(uintptr_t)vmx_common.msr_bitmap.a, sizeof(msrs));
    bitmap_is_the_policy(msrs);
    const uint32_t proc = vmx_common.os.word[VMX_PROC], proc2 = vmx_common.os.word[VMX_PROC2];
    const uint64_t cr0 = value[VMCS_CR0_MASK], cr4 = value[VMCS_CR4_MASK];
    assert_int_equal(proc >> 15 & 3, 0);  /* CR3 accesses */
    assert_int_equal(proc2 >> 2 & 1, 0);  /* descriptor-table registers */
    assert_int_equal(cr0, CR0_NE | CR0_CD | CR0_NW);
    assert_int_equal(cr4 & (CR4_SMEP | CR4_PGE), 0);
    assert_int_equal(asked_add_msrs(MSR_LSTAR, MSR_LSTAR, ACCESS_WRITE), 0);
    coffee_lake();
    assert_true(vmx_common.os.word[VMX_PROC] == proc && vmx_common.os.word[VMX_PROC2] == proc2);
    assert_int_equal(more_msrs(msrs, &at), 1);
    assert_int_equal(at, 0xc00 * 8 + (MSR_LSTAR - 0xc0000000));
    assert_int_equal(asked_add_cr(0, CR0_WP) | asked_add_cr(4, CR4_SMEP), 0);
    coffee_lake();
    assert_true(vmx_common.os.word[VMX_PROC] == proc && vmx_common.os.word[VMX_PROC2] == proc2);
    assert_true(value[VMCS_CR0_MASK] == (cr0 | CR0_WP) && value[VMCS_CR4_MASK] == (cr4 | CR4_SMEP));
    assert_int_equal(vmx_common.cr4_hidden, cr4);
    assert_int_equal(asked_add_cr(3, 1), 0);
    coffee_lake();
    assert_int_equal(vmx_common.os.word[VMX_PROC], proc | BIT(15));
    assert_int_equal(vmx_common.os.word[VMX_PROC2], proc2);
    assert_int_equal(asked_add_tables(1u << HYP_TR), 0);
    coffee_lake();
    assert_int_equal(vmx_common.os.word[VMX_PROC2], proc2 | BIT(2));
    vmx_common.caps.value[MSR_IA32_VMX_PROCBASED_CTLS2 - MSR_IA32_VMX_BASIC] &= ~BIT(32 + 2);
    pages_used = 0;
    assert_int_equal(vmx_ops.init(hpa(MIB(1))), -1); /* a CPU that can't */
}

/* CVE-2018-12207: only a CPU that says so has large executable pages. */
static void large_pages_that_may_execute(void **state)
{
    static const struct { uint32_t last, edx; bool there; uint64_t arch; bool split; } rows[] = {
        { 6, ~0u, true, ~0ULL, true },                      /* no such leaf */
        { 7, ~CPUID_7_0_EDX_ARCH_CAP, true, ~0ULL, true },
        { 7, CPUID_7_0_EDX_ARCH_CAP, true, ~BIT(6), true },
        { 7, CPUID_7_0_EDX_ARCH_CAP, true, BIT(6), false },
        { 7, CPUID_7_0_EDX_ARCH_CAP, false, 0, true },      /* CPUID shows what isn't there */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        machine_reset(0);
        machine_set_cpuid(0, 0, (struct cpuid_regs){ .eax = rows[i].last });
        machine_set_cpuid(7, 0, (struct cpuid_regs){ .edx = rows[i].edx });
        if (rows[i].there) {
            machine_set_msr(MSR_IA32_ARCH_CAPABILITIES, rows[i].arch);
        }
        assert_int_equal(vmx_ops.split_exec(), rows[i].split);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_machine),
        cmocka_unit_test(a_flush_reaches_the_os),
        cmocka_unit_test(failed_launch), cmocka_unit_test(a_refused_entry_keeps_the_event),
        cmocka_unit_test(park_waits_in_the_guest),
        cmocka_unit_test(park_sleeps_in_the_core),
        cmocka_unit_test(stuck_smi_bit),
        cmocka_unit_test(stale_init),
        cmocka_unit_test(real_init),
        cmocka_unit_test(ept_misconfiguration),
        cmocka_unit_test(large_pages_that_may_execute),
        cmocka_unit_test(nothing_that_nobody_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
