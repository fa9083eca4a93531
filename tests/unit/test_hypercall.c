/* SPDX-License-Identifier: MIT */
/* What becomes of a hypercall by the hypapp's answer. */
#include "unit.h"

#include <cpu/vcpus.h>
#include <debug/testpanic.h>
#include <exit/counters.h>
#include <exit/dispatch.h>
#include <facts/facts.h>
#include <guest/phys.h>
#include <hypapp/hypapp.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <xmhf/hypercall.h>

#define RIP 0x401000ULL

static enum hc_result answer;
static unsigned shadows_ended, uds;
static uint64_t rflags;
static struct options options;
struct vcpu *vcpus[CPU_MAX];
unsigned vcpu_count;

static enum hc_result hypercall(struct vcpu *v, uint32_t cmd) { (void)v, (void)cmd; return answer; }
void hyp_inject_gp(struct vcpu *cpu) { (void)cpu; fail_msg("#GP"); }
static struct hypapp fake = { .name = "fake", .hypercall = hypercall };
extern const struct hypapp hypapp __attribute__((alias("fake")));

static void get_paging(struct vcpu *v, struct guest_paging *p)
{
    (void)v;
    *p = (struct guest_paging){ .mode = MODE_LONG64 };
}

static void end_shadow(struct vcpu *v) { (void)v; shadows_ended++; }

static const struct virt_ops ops = { .get_paging = get_paging, .end_shadow = end_shadow };
const struct virt_ops *virt = &ops;

const struct options *core_options(void) { return &options; }
void testpanic(uint64_t kind) { (void)kind; abort(); }
uint64_t exit_count(enum exit_kind kind) { (void)kind; return 0; }
uint64_t exit_longest(enum exit_kind kind) { (void)kind; return 0; }
uint64_t core_protected_size(void) { return 0; }
uint64_t core_boot_ticks(void) { return 0; }
uint64_t random_status(void) { return 0; }
bool core_dma_protection(void) { return false; }
size_t pool_total(void) { return 0; }
size_t pool_free_count(void) { return 0; }
unsigned guest_phys_tables(void) { return 0; }
void exit_skip(struct vcpu *v, unsigned len) { v->regs.rip += len; }
void hyp_inject_ud(struct vcpu *v) { (void)v; uds++; }
static const uint8_t *code; /* at RIP; NULL: it isn't there any more */
static unsigned code_length;

unsigned exit_fetch(struct vcpu *v, uint8_t *buf, struct guest_paging *p)
{
    (void)v, (void)p;
    memcpy(buf, code, code_length);
    return code_length;
}

static struct event injected;
static unsigned injections;
static bool inject(struct vcpu *v, const struct event *ev)
{
    (void)v;
    injected = *ev;
    injections++;
    return true;
}

static uint64_t cr2;
static void set_cr2(struct vcpu *v, uint64_t value) { (void)v; cr2 = value; }

static uint64_t rip_after(enum hc_result r)
{
    struct vcpu v = { .regs = { .rip = RIP } };
    const struct exit e = { .kind = EXIT_HYPERCALL, .insn_len = 3 };

    answer = r;
    shadows_ended = uds = 0;
    exit_hypercall(&v, &e);
    rflags = v.regs.rflags;
    return v.regs.rip;
}

/* Ring 3 can make a shadow: MOV SS. If it stayed, the hypercall would be tried again and again, and
 * the interrupt that leads to the thread that is waited for would never come. */
static void interrupts_come_between_tries(void **state)
{
    (void)state;
    assert_int_equal(rip_after(HC_AGAIN), RIP);
    assert_int_equal(shadows_ended, 1);
    assert_int_equal(uds, 0);
    assert_true(rflags & RFLAGS_RF); /* its code breakpoint isn't met at each try */
}

static void other_answers(void **state)
{
    (void)state;
    assert_int_equal(rip_after(HC_DONE), RIP + 3);
    assert_int_equal(rip_after(HC_SWITCHED), RIP);
    assert_int_equal(uds, 0);
    assert_int_equal(rip_after(HC_UNKNOWN), RIP);
    assert_int_equal(uds, 1);
}

/* A hypapp that has no hypercalls: the guest gets what it gets for one that nobody knows. */
static void no_hypercalls(void **state)
{
    (void)state;
    fake.hypercall = NULL;
    assert_int_equal(rip_after(HC_DONE), RIP);
    assert_int_equal(uds, 1);
    fake.hypercall = hypercall;
}

/* RIP after an exception with these bytes at RIP; other_insn: what the vendor takes for a
 * hypercall. */
static uint64_t after_exception(uint8_t vector, const uint8_t *other_insn, const uint8_t *bytes,
                                unsigned n)
{
    const struct virt_ops vendor = {
        .get_paging = get_paging, .end_shadow = end_shadow, .inject = inject, .set_cr2 = set_cr2,
        .foreign_hypercall = other_insn,
    };
    const struct exit e = { .kind = EXIT_EXCEPTION, .insn_len = 0,
                            .exception = { .vector = vector, .addr = 0x1234 } };
    struct vcpu v = { .regs = { .rip = RIP } };

    virt = &vendor;
    code = bytes;
    code_length = n;
    answer = HC_DONE;
    injections = 0;
    cr2 = 0;
    exit_exception(&v, &e);
    virt = &ops;
    return v.regs.rip;
}

/* The other vendor's instruction is a hypercall where that vendor says so, alone and in full. */
static void the_other_vendors_instruction(void **state)
{
    static const uint8_t other[] = { 0x0f, 0x01, 0xc1 }, own[] = { 0x0f, 0x01, 0xd9 };

    (void)state;
    assert_int_equal(after_exception(EXC_UD, other, other, 3), RIP + 3);
    assert_int_equal(injections, 0);
    assert_int_equal(after_exception(EXC_UD, other, own, 3), RIP);
    assert_true(injections == 1 && injected.vector == EXC_UD);
    assert_int_equal(after_exception(EXC_UD, other, other, 2), RIP); /* the page ends there */
    assert_int_equal(injections, 1);
    /* exit_fetch has a #PF queued */
    assert_int_equal(after_exception(EXC_UD, other, other, 0), RIP);
    assert_int_equal(injections, 0);
    assert_int_equal(after_exception(EXC_UD, NULL, other, 3), RIP);
    assert_true(injections == 1 && injected.vector == EXC_UD);
    assert_int_equal(after_exception(EXC_DB, other, other, 3), RIP);
    assert_true(injections == 1 && injected.vector == EXC_DB && cr2 == 0);
    assert_int_equal(after_exception(EXC_PF, other, other, 3), RIP);
    assert_true(injections == 1 && injected.vector == EXC_PF && cr2 == 0x1234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupts_come_between_tries),
        cmocka_unit_test(other_answers),
        cmocka_unit_test(no_hypercalls),
        cmocka_unit_test(the_other_vendors_instruction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
