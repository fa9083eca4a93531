/* SPDX-License-Identifier: MIT */
/*
 * The order in which the machine ends: others stopped, wiped, caches written back, then the port.
 * That SMIs are let in at each port access, and to CPUs that wait for one, but to none that waits
 * for the wipe; that only one CPU ends it; and that no kick is forgotten.
 */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/vcpus.h>
#include <debug/crash.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <exit/dispatch.h>
#include <exit/string_io.h>
#include <facts/facts.h>
#include <guest/task.h>
#include <guest/flush.h>
#include <guest/ipi.h>
#include <hw/apic.h>
#include <hw/cpu.h>
#include <hw/wait.h>
#include <hypapp/hypapp.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <policy/io_policy.h>
#include <smp/stop.h>
#include <x86/cpu.h>

#define PM1 0x604
#define RESET_REG 0xb2

static struct vcpu cpus[2];
static jmp_buf ended;
static void (*meanwhile)(void); /* what the other CPU does when it is to stop */
static void (*stop_then)(void);
static unsigned nmis_asked;
static unsigned wipes, wiped_at, app_wipes, records, record_at, stacks_wiped;

struct vcpu *vcpus[CPU_MAX] = { &cpus[0], &cpus[1] };
unsigned vcpu_count = 2;
static struct vcpu *me = &cpus[0];
atomic_bool log_waiting;

/* --- the machine's end ------------------------------------------------------------- */

void hw_lidt(const struct hw_table *t) { (void)t; }
void hw_trap(void) { longjmp(ended, 1); }
uint64_t hw_rsp(void) { return 0; }

_Noreturn void hw_stop(const void *wiped, void (*then)(void))
{
    assert_false(machine.gif);
    assert_false(*(const bool *)wiped);
    stop_then = then;
    longjmp(ended, 2);
}

static unsigned inits_let; /* before an INIT that is held back can come */
static void let_init(void) { inits_let += !machine.gif; }
static void open_gif(void) { machine.gif = true; }
static void close_gif(void) { machine.gif = false; }
static void flush_nested(struct vcpu *v);
static unsigned queued, machine_checks;
static uint64_t guest_cr4;
static bool event_queued(struct vcpu *v) { (void)v; return queued > 0 && queued-- > 0; }
static void get_paging(struct vcpu *v, struct guest_paging *p) { (void)v; p->cr4 = guest_cr4; }

/* The third entry ends the test. */
static unsigned entries, kicked_at;
static void run(struct vcpu *v, struct exit *e)
{
    e->kind = EXIT_NONE;
    assert_int_equal(atomic_load(&v->nmis_seen), 0);
    if (entries == kicked_at) { /* taken by the core's handler */
        atomic_store(&v->kicks, 1);
        atomic_store(&v->nmis_seen, 1);
    }
    if (++entries == 3) {
        longjmp(ended, 3);
    }
}

static bool inject(struct vcpu *v, const struct event *ev)
{
    (void)v;
    assert_true(ev->vector == EXC_MC && ev->type == EVENT_EXCEPTION && !ev->has_error);
    machine_checks++;
    return true;
}

static const struct virt_ops intel, amd = {
    .smi_open = open_gif, .smi_close = close_gif, .event_queued = event_queued,
    .get_paging = get_paging, .run = run, .let_init = let_init, .inject = inject,
    .flush_nested = flush_nested,
};
const struct virt_ops *virt = &amd;

struct vcpu *this_vcpu(void) { return me; }

/* The other CPU obeys at once, if it is meant. */
static uint32_t real_id;
static unsigned strangers_hit;
bool smp_left_out;

void apic_send_nmi(uint32_t apic_id)
{
    assert_int_equal(wipes, 0);
    if (meanwhile) {
        void (*once)(void) = meanwhile;
        meanwhile = NULL;
        once();
    } else if (apic_id == real_id) {
        atomic_store(&cpus[1].stopped, true);
    }
}

void apic_send_nmi_others(void)
{
    apic_send_nmi(real_id);
    strangers_hit++;
}

static unsigned random_wipes;
void random_wipe(void) { random_wipes++; }

void pool_wipe(void)
{
    assert_true(atomic_load(&cpus[1].stopped));
    assert_true(!machine.gif || wipes > 0);
    wipes++;
    wiped_at = machine.wbinvds;
}

void host_wipe_stacks(unsigned cpu, uint64_t rsp)
{
    (void)cpu;
    (void)rsp;
    stacks_wiped++;
    wiped_at = machine.wbinvds;
}

static void app_wipe(void) { wiped_at = machine.wbinvds; app_wipes++; }
static unsigned sandboxes_left;
static void sandbox_exit(struct vcpu *v, const struct exit *e)
{
    (void)v;
    sandboxes_left += e->kind == EXIT_INTR;
}

static unsigned resets_told, power_offs_told;
static void guest_event(struct vcpu *v, enum hyp_event what)
{
    assert_ptr_equal(v, me);
    assert_int_equal(wipes, 0);
    resets_told += what == HYP_RESET;
    power_offs_told += what == HYP_POWER_OFF;
}

const struct hypapp hypapp = { .name = "test", .sandbox_exit = sandbox_exit,
                               .guest_event = guest_event };
void exit_string_io(struct vcpu *v, const struct exit *e, hyp_io_fn *fn)
{
    (void)v, (void)e, (void)fn;
    fail();
}

/* --- what is not asked for here ------------------------------------------------------ */

void crash_collect(const char *text, const struct trap_frame *trap, uint64_t rip, uint64_t rsp)
{
    (void)text, (void)trap, (void)rip, (void)rsp;
    assert_int_equal(wipes, 0);
}

void crash_write(void)
{
    assert_int_equal(wipes, 1);
    records++;
    record_at = machine.wbinvds;
}

void log_line(const char *fmt, ...) { (void)fmt; }
void log_break_lock(void) { }
void log_drain(void) { }
static const struct options options;
const struct options *core_options(void) { return &options; }
void hyp_inject_gp(struct vcpu *v) { (void)v; fail(); }
void hyp_inject_ud(struct vcpu *v) { (void)v; fail(); }
void ipi_take_signals(struct vcpu *v) { (void)v; }
void exit_skip(struct vcpu *v, unsigned len) { v->regs.rip += len; }
#define OTHER(name) void name(struct vcpu *v, const struct exit *e) { (void)v; (void)e; fail(); }
OTHER(exit_cpuid) OTHER(exit_rdmsr) OTHER(exit_wrmsr) OTHER(exit_nested_fault) OTHER(exit_hypercall)
OTHER(exit_table) OTHER(exit_exception) OTHER(exit_cr_write) OTHER(exit_xsetbv)
OTHER(exit_entry_failed) OTHER(task_switch)

void exit_nmi(struct vcpu *v)
{
    nmis_asked++;
    if (atomic_exchange(&v->nmis_seen, 0)) {
        atomic_store(&v->kicks, 0);
    }
}

void exit_nmi_window(struct vcpu *v) { (void)v; }

/* --- the tests ------------------------------------------------------------------------ */

static int setup(void **state)
{
    struct acpi_info acpi = { .pm1a_cnt = PM1, .has_reset_reg = true, .reset_space = 1,
                              .reset_addr = RESET_REG, .reset_value = 7,
                              .sleep = { .a = { [5] = 1 } } };

    (void)state;
    machine_reset(0);
    wait_set_khz(1000);
    memset(cpus, 0, sizeof(cpus));
    atomic_store(&cpus[0].online, true);
    atomic_store(&cpus[1].online, true);
    cpus[1].index = 1;
    cpus[1].apic_id = real_id = 7;
    smp_left_out = false;
    strangers_hit = 0;
    me = &cpus[0];
    virt = &amd;
    nmis_asked = 0;
    stop_then = NULL;
    meanwhile = NULL;
    inits_let = 0;
    kicked_at = 9;
    resets_told = power_offs_told = 0;
    random_wipes = wipes = wiped_at = app_wipes = records = record_at = stacks_wiped = 0;
    stop_init(app_wipe);
    io_policy_init(&acpi);
    assert_int_equal(exit_io_init(), 0);
    return 0;
}

/* Every OUT since `first` came when the caches had been written back after the last wipe, and
 * the last ones are the reset. */
static void check_end(unsigned first, unsigned ways)
{
    assert_int_equal(wipes, ways);
    assert_int_equal(app_wipes, ways);
    assert_int_equal(random_wipes, ways);
    assert_true(machine.out_count > first);
    for (unsigned i = first; i < machine.out_count; i++) {
        assert_true(machine.out[i].wbinvds > wiped_at);
        assert_true(machine.out[i].gif);
        assert_true(records == 0 || machine.out[i].wbinvds > record_at);
    }
    assert_int_equal(machine.out[machine.out_count - 1].port, 0x64);
}

static void write_port(uint16_t port, uint8_t size, uint32_t value)
{
    struct exit e = { .kind = EXIT_IO, .insn_len = 1, .io = { .port = port, .size = size } };

    cpus[0].regs.gpr[GPR_RAX] = value;
    if (setjmp(ended) == 0) {
        exit_dispatch(&cpus[0], &e);
        fail_msg("port %#x: still running", port);
    }
    check_end(0, 1);
    assert_int_equal(resets_told, port != PM1); /* the hypapp knew before */
    assert_int_equal(power_offs_told, port == PM1);
    assert_int_equal(machine.out[0].port, port);
    assert_int_equal(machine.out[0].value, value);
}

static void a_port_resets_after_the_wipe_is_in_memory(void **state)
{
    static const struct { uint16_t port; uint8_t size; uint32_t value; } ways[] = {
        { 0x64, 1, 0xfe }, { 0x92, 1, 0x03 }, { 0xcf9, 1, 0x06 }, { 0xcf9, 1, 0x0e },
        { RESET_REG, 1, 7 }, { PM1, 2, 0x2000 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        setup(state);
        write_port(ways[i].port, ways[i].size, ways[i].value);
    }
}

static void a_triple_fault_too(void **state)
{
    const struct exit ends[] = { { .kind = EXIT_SHUTDOWN } };

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        setup(state);
        if (setjmp(ended) == 0) {
            exit_dispatch(&cpus[0], &ends[i]);
            fail();
        }
        check_end(0, 1);
        assert_int_equal(stacks_wiped, 2);
        assert_int_equal(resets_told, 1);
    }
}

static void the_owners_panic(void) { panic("first"); }

/* A panic's record is written behind the wipe and is in memory too, also if it's of the CPU that
 * stops the others. One that faults on its way wipes again, or at least resets. */
static void a_panic_too(void **state)
{
    (void)state;
    meanwhile = the_owners_panic;
    if (setjmp(ended) == 0) {
        stop_and_reset("test");
    }
    check_end(0, 1);
    assert_int_equal(records, 1);
    volatile unsigned first = machine.out_count;
    if (setjmp(ended) == 0) {
        panic("second");
    }
    check_end(first, 2);
    first = machine.out_count;
    if (setjmp(ended) == 0) {
        panic("third");
    }
    check_end(first, 2);
}

static void not_yet_stopped(void)
{
    assert_false(atomic_load(&cpus[1].stopped));
}

/* A CPU that stops has written its own caches back before it says so. */
static void a_stopping_cpu_too(void **state)
{
    (void)state;
    me = &cpus[1];
    machine.on_wbinvd = not_yet_stopped;
    int how = setjmp(ended);
    if (how == 0) {
        stop_self();
    }
    assert_int_equal(how, 2);
    assert_int_equal(machine.wbinvds, 1);
    assert_true(atomic_load(&cpus[1].stopped));
    assert_false(machine.gif);
    stop_then(); /* firmware starts all CPUs with an INIT */
    assert_int_equal(inits_let, 1);
    assert_true(machine.gif);
}

/* CPU 1 comes to `end` on its own while CPU 0 ends the machine: it stops, as if it were asked. */
static void other_ends(void (*end)(void))
{
    jmp_buf first;

    memcpy(first, ended, sizeof(first));
    atomic_store(&cpus[1].stopped, false);
    me = &cpus[1];
    int how = setjmp(ended);
    if (how == 0) {
        end();
        fail();
    }
    assert_int_equal(how, 2);
    assert_true(atomic_load(&cpus[1].stopped));
    assert_int_equal(machine.out_count, 0);
    me = &cpus[0];
    memcpy(ended, first, sizeof(first));
}

static void end_by(const struct exit *e)
{
    cpus[1].regs.gpr[GPR_RAX] = 6; /* a reset, at CF9 */
    exit_dispatch(&cpus[1], e);
}

static void by_fault(void) { end_by(&(struct exit){ .kind = EXIT_SHUTDOWN }); }
static void by_panic(void) { panic("other"); }

static void by_port(void)
{
    end_by(&(struct exit){ .kind = EXIT_IO, .insn_len = 1, .io = { .port = 0xcf9, .size = 1 } });
}

static void all_ways(void)
{
    other_ends(by_fault);
    other_ends(by_port);
    other_ends(by_panic);
}

/* Before any wipe. One CPU stops the world, whatever the others come to meanwhile. */
static void one_stops_the_world(void **state)
{
    (void)state;
    meanwhile = all_ways;
    if (setjmp(ended) == 0) {
        stop_and_reset("test");
    }
    check_end(0, 1);
}

/* On a CPU with a writable xAPIC id whose page is the guest's. */
static void a_changed_id_is_no_way_out(void **state)
{
    (void)state;
    real_id = 3;
    stop_other_cpus();
    assert_true(atomic_load(&cpus[1].stopped));
    assert_int_equal(atomic_load(&cpus[1].requests), REQ_STOP);
}

/* CPUs that aren't ours get no NMI: after `cpus=`, and while CPUs are started. */
static void strangers_are_left_alone(void **state)
{
    (void)state;
    smp_left_out = true;
    stop_other_cpus();
    assert_true(atomic_load(&cpus[1].stopped));
    setup(state);
    atomic_store(&cpus[1].online, false);
    stop_other_cpus();
    assert_false(atomic_load(&cpus[1].stopped));
    assert_int_equal(strangers_hit, 0);
}

/* Firmware's SMI runs right after the access, and an NMI that came meanwhile is looked for. */
static void an_access_lets_smis_in(void **state)
{
    static const uint16_t ports[] = { 0x60, 0x64, 0x92, 0xcf9, RESET_REG, PM1 };

    for (size_t i = 0; i < 2 * ARRAY_SIZE(ports); i++) {
        struct exit e = { .kind = EXIT_IO, .insn_len = 1,
                          .io = { .port = ports[i / 2], .size = 1, .in = i % 2 } };
        setup(state);
        machine.gif_at_in = false;
        exit_dispatch(&cpus[0], &e);
        assert_int_equal(machine.out_count, !e.io.in);
        assert_true(e.io.in ? machine.gif_at_in : machine.out[0].gif);
        assert_false(machine.gif);
        assert_int_equal(nmis_asked, 1);
    }
}

/* While one CPU's write is under way, firmware may wait in SMM for the other, which wants to
 * write. */
static jmp_buf waited;
static unsigned pauses, open_pauses;

static void look(void)
{
    open_pauses += machine.gif;
    if (++pauses == 10) {
        machine.on_pause = NULL;
        longjmp(waited, 1);
    }
}

static void other_writes(void)
{
    struct exit e = { .kind = EXIT_IO, .insn_len = 1, .io = { .port = RESET_REG, .size = 1 } };

    machine.on_out = NULL;
    machine.on_pause = look;
    if (setjmp(waited) == 0) {
        machine.gif = false; /* this CPU's own */
        exit_dispatch(&cpus[1], &e);
        fail();
    }
}

static void a_wait_for_the_ports_lets_smis_in(void **state)
{
    struct exit e = { .kind = EXIT_IO, .insn_len = 1, .io = { .port = RESET_REG, .size = 1 } };

    for (unsigned i = 0; i < 2; i++) {
        setup(state);
        virt = i ? &intel : &amd;
        pauses = open_pauses = 0;
        machine.on_out = other_writes;
        exit_dispatch(&cpus[0], &e);
        assert_int_equal(pauses, 10);
        assert_int_equal(open_pauses, i ? 0 : 10);
        exit_dispatch(&cpus[1], &e); /* now it is free */
        assert_int_equal(machine.out_count, 2);
    }
}

static void where_nothing_holds_them_back_nothing_is_done(void **state)
{
    struct exit e = { .kind = EXIT_IO, .insn_len = 1, .io = { .port = 0x64, .size = 1 } };

    (void)state;
    virt = &intel;
    exit_dispatch(&cpus[0], &e);
    assert_int_equal(machine.out_count, 1);
    assert_int_equal(nmis_asked, 0);
}

static int loop(unsigned others, uint64_t cr4)
{
    entries = machine_checks = 0;
    queued = others;
    guest_cr4 = cr4;
    atomic_store(&cpus[0].requests, REQ_MC);
    int how = setjmp(ended);
    if (how == 0) {
        guest_loop(&cpus[0]);
    }
    return how;
}

static unsigned flushes;
static void flush_nested(struct vcpu *v) { (void)v; flushes++; }

/* Other CPUs wait for it; a sandbox has nested tables of its own, and goes on. */
static void a_flush_leaves_no_sandbox(void **state)
{
    setup(state);
    cpus[0].in_sandbox = true;
    const uint64_t now = flush_new_generation();
    queued = entries = flushes = sandboxes_left = 0;
    atomic_store(&cpus[0].requests, REQ_FLUSH);
    if (setjmp(ended) == 0) {
        guest_loop(&cpus[0]);
    }
    assert_int_equal(entries, 3);
    assert_int_equal(flushes, 1);
    assert_int_equal(sandboxes_left, 0);
    assert_true(cpus[0].in_sandbox && atomic_load(&cpus[0].flushed) == now);
    assert_int_equal(atomic_load(&cpus[0].requests), 0);
    cpus[0].in_sandbox = false;
}

/* A machine check that met the core becomes the guest's, once, and after what waits already; one
 * without CR4.MCE would have been shut down. */
static void a_machine_check_is_the_guests(void **state)
{
    for (unsigned others = 0; others < 3; others++) {
        setup(state);
        assert_int_equal(loop(others, 1u << 6), 3);
        assert_int_equal(machine_checks, 1);
        assert_int_equal(atomic_load(&cpus[0].requests), 0);
        assert_int_equal(wipes, 0);
    }
    setup(state);
    assert_int_equal(loop(0, 0), 1);
    check_end(0, 1);
}

/* An NMI that the core took after the guest's exit, wherever: what it means is settled before the
 * next entry, or no kick would come any more. */
static void no_kick_is_forgotten(void **state)
{
    for (unsigned at = 0; at < 2; at++) {
        setup(state);
        kicked_at = at;
        assert_int_equal(loop(0, 1u << 6), 3);
        assert_int_equal(atomic_load(&cpus[0].kicks), 0);
        assert_int_equal(nmis_asked, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_stopping_cpu_too, setup), /* before any wipe */
        cmocka_unit_test_setup(one_stops_the_world, setup),
        cmocka_unit_test_setup(a_port_resets_after_the_wipe_is_in_memory, setup),
        cmocka_unit_test_setup(a_triple_fault_too, setup),
        cmocka_unit_test_setup(a_flush_leaves_no_sandbox, setup),
        cmocka_unit_test_setup(a_machine_check_is_the_guests, setup),
        cmocka_unit_test_setup(a_panic_too, setup),
        cmocka_unit_test_setup(a_changed_id_is_no_way_out, setup),
        cmocka_unit_test_setup(strangers_are_left_alone, setup),
        cmocka_unit_test_setup(an_access_lets_smis_in, setup),
        cmocka_unit_test_setup(a_wait_for_the_ports_lets_smis_in, setup),
        cmocka_unit_test_setup(no_kick_is_forgotten, setup),
        cmocka_unit_test_setup(where_nothing_holds_them_back_nothing_is_done, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
