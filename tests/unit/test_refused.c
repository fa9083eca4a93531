/* SPDX-License-Identifier: MIT */
/* A guest state that the CPU refuses: mended, or a fault for the guest; without end: its
 * shutdown. */
#include "unit.h"

#include <setjmp.h>

#include <exit/dispatch.h>
#include <hypapp/hypapp.h>
#include <smp/stop.h>
#include <virt/virt.h>

static struct vcpu v;
static const char *rule;
static unsigned mended, gps;
static jmp_buf stopped;

static const char *legalise(struct vcpu *cpu) { assert_ptr_equal(cpu, &v); mended++; return rule; }
static const struct virt_ops ops = { .legalise = legalise };
const struct virt_ops *virt = &ops;

void log_line(const char *fmt, ...) { (void)fmt; }
void hyp_inject_gp(struct vcpu *cpu) { assert_ptr_equal(cpu, &v); gps++; }
static unsigned resets_told;
static void guest_event(struct vcpu *cpu, enum hyp_event what)
{
    assert_ptr_equal(cpu, &v);
    resets_told += what == HYP_RESET;
}
const struct hypapp hypapp = { .name = "test", .guest_event = guest_event };
void exit_skip(struct vcpu *cpu, unsigned len) { (void)cpu, (void)len; fail(); }
void stop_and_reset(const char *why)
{
    (void)why;
    assert_int_equal(resets_told, 1);
    longjmp(stopped, 1);
}

/* As guest_loop has it: each exit is noted before it is handled. */
static void refuse(bool ran)
{
    const struct exit e = { .kind = EXIT_ENTRY_FAILED, .entry = { .ran = ran } };

    v.trace_next++;
    exit_entry_failed(&v, &e);
}

static unsigned refusals_until_stop(bool ran, unsigned others_between, unsigned at_most)
{
    volatile unsigned n = 0;

    v = (struct vcpu){ .trace_next = 1000 };
    mended = gps = resets_told = 0;
    if (setjmp(stopped) != 0) {
        return n;
    }
    while (n < at_most) {
        n++;
        refuse(ran);
        v.trace_next += others_between;
    }
    return 0;
}

static void a_known_rule_is_mended(void **state)
{
    (void)state;
    rule = "some rule";
    assert_int_equal(refusals_until_stop(false, 0, 4), 0);
    assert_int_equal(mended, 4);
    assert_int_equal(gps, 0);
}

static void else_the_guest_gets_a_fault(void **state)
{
    (void)state;
    rule = NULL;
    assert_int_equal(refusals_until_stop(false, 0, 1), 0);
    assert_int_equal(gps, 1);
}

/* Only where nothing runs between, mended or not. */
static void refused_for_ever_is_a_shutdown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        rule = i ? "some rule" : NULL;
        assert_int_equal(refusals_until_stop(false, 0, 100), 5);
        assert_int_equal(refusals_until_stop(false, 1, 100), 0);
        assert_int_equal(refusals_until_stop(true, 0, 100), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_rule_is_mended),
        cmocka_unit_test(else_the_guest_gets_a_fault),
        cmocka_unit_test(refused_for_ever_is_a_shutdown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
