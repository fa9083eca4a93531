/* SPDX-License-Identifier: MIT */
/* A CPU that waits for a SIPI: whenever the NMI that wakes it came, it starts, the next
 * kick is sent, and a stop is obeyed. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/mc.h>
#include <cpu/vcpus.h>
#include <facts/facts.h>
#include <guest/apic_mode.h>
#include <guest/flush.h>
#include <guest/ipi.h>
#include <guest/state.h>
#include <hw/apic.h>
#include <smp/smp.h>
#include <smp/stop.h>
#include <virt/virt.h>

static struct vcpu v;
struct vcpu *vcpus[CPU_MAX] = { &v };
unsigned vcpu_count = 1;
bool smp_left_out;
static unsigned parks, sent, started;

/* smp/stop.c's rule, and an NMI that the core's handler takes at once. */
void kick(struct vcpu *t)
{
    if (atomic_exchange(&t->kicks, 1) == 0) {
        sent++;
        atomic_fetch_add(&t->nmis_seen, 1);
    }
}

static void start(void)
{
    ap_post_sipi(&v.ap, 0x9a);
    atomic_fetch_or(&v.requests, REQ_INIT_SIPI);
    kick(&v);
}

static void ask_for_flush(struct vcpu *t)
{
    atomic_fetch_or(&t->requests, REQ_FLUSH);
    kick(t);
}

/* Who sleeps with a kick of the past would sleep for ever. */
static unsigned flushes_asked;
static void park(struct vcpu *t)
{
    parks++;
    assert_true(parks < 10);
    assert_int_equal(atomic_load(&t->kicks), 0);
    if (flushes_asked > 0) {
        flushes_asked--;
        ask_for_flush(t);
    } else {
        start();
    }
}

static unsigned flushes;
static void flush_nested(struct vcpu *t) { (void)t; flushes++; }

static bool traps_icr(void) { return true; }
static bool stop_comes, flush_comes;
static void take_interrupts(struct vcpu *t)
{
    if (stop_comes) {
        atomic_fetch_or(&t->requests, REQ_STOP);
        kick(t);
    }
    if (flush_comes) {
        flush_comes = false;
        ask_for_flush(t);
    }
}

static const struct virt_ops ops = { .park = park, .traps_icr = traps_icr,
                                     .take_interrupts = take_interrupts,
                                     .flush_nested = flush_nested };
const struct virt_ops *virt = &ops;
static const struct options options;
const struct options *core_options(void) { return &options; }
void state_init(struct vcpu *t) { (void)t; fail(); }

void state_sipi(struct vcpu *t, uint8_t vector)
{
    (void)t;
    assert_int_equal(vector, 0x9a);
    started++;
}

void apic_mode_after_init(struct vcpu *t) { (void)t; }
void apic_soft_reset(void (*take)(void *), void *arg) { take(arg); }
void mc_forget(void) { fail(); }
static jmp_buf stopped;
void stop_self(void) { assert_true(stop_comes); longjmp(stopped, 1); }
bool apic_is_x2apic(void) { fail(); return false; }
uint32_t apic_read(unsigned reg) { (void)reg; fail(); return 0; }
void apic_write(unsigned reg, uint32_t value) { (void)reg; (void)value; fail(); }

/* The INIT's kick is taken before the CPU knows that it's to wait; the SIPI's while it sleeps. */
static void a_kick_before_the_wait(void **state)
{
    (void)state;
    memset(&v, 0, sizeof(v));
    v.index = 1;
    ap_init(&v.ap, AP_RUNNING);
    for (unsigned round = 0; round < 3; round++) {
        parks = sent = started = 0;
        ap_post_init(&v.ap);
        atomic_fetch_or(&v.requests, REQ_INIT_SIPI);
        kick(&v);
        ipi_take_signals(&v);
        assert_int_equal(parks, 1);
        assert_int_equal(sent, 2);
        assert_int_equal(started, 1);
        assert_int_equal(atomic_load(&v.kicks), 0);
        assert_int_equal(atomic_load(&v.nmis_seen), 0);
    }
}

/* Its kick is dropped with the INIT's: no other would tell of it before the guest runs. */
static void a_stop_during_the_start(void **state)
{
    (void)state;
    memset(&v, 0, sizeof(v));
    v.index = 1;
    ap_init(&v.ap, AP_RUNNING);
    ap_post_init(&v.ap);
    stop_comes = true;
    if (setjmp(stopped) == 0) {
        ipi_take_signals(&v);
        fail();
    }
}

/* A CPU that waits for a SIPI answers who waits for its flush, and sleeps again; so does one whose
 * kick is dropped while it starts. */
static void a_flush_during_the_wait(void **state)
{
    (void)state;
    stop_comes = false;
    for (unsigned asked = 0; asked < 3; asked++) {
        memset(&v, 0, sizeof(v));
        v.index = 1;
        ap_init(&v.ap, AP_RUNNING);
        ap_post_init(&v.ap);
        parks = started = flushes = 0;
        flushes_asked = asked;
        flush_comes = true; /* and once more during the start */
        const uint64_t now = flush_new_generation();
        ipi_take_signals(&v);
        assert_int_equal(parks, asked + 1);
        assert_int_equal(started, 1);
        assert_int_equal(flushes, asked + 1);
        assert_int_equal(atomic_load(&v.requests), 0);
        assert_true(atomic_load(&v.flushed) == now);
    }
}

static unsigned told;
static void tell(struct vcpu *c)
{
    assert_ptr_equal(c, &v);
    assert_int_equal(started, 0);
    told++;
}

/* The hypapp hears of each INIT before anything is reset, and of nothing else. */
static void an_init_is_told(void **state)
{
    (void)state;
    ipi_on_init(tell);
    for (unsigned init = 0; init < 2; init++) {
        memset(&v, 0, sizeof(v));
        v.index = 1;
        ap_init(&v.ap, init ? AP_RUNNING : AP_WAIT_SIPI);
        if (init) {
            ap_post_init(&v.ap);
        }
        told = parks = started = 0;
        ipi_take_signals(&v);
        assert_int_equal(told, init);
        assert_int_equal(started, 1);
    }
    ipi_on_init(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kick_before_the_wait), cmocka_unit_test(a_stop_during_the_start),
        cmocka_unit_test(a_flush_during_the_wait), cmocka_unit_test(an_init_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
