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
const struct hypapp hypapp = { .name = "fake", .hypercall = hypercall };

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
bool core_dma_protection(void) { return false; }
size_t pool_total(void) { return 0; }
size_t pool_free_count(void) { return 0; }
unsigned guest_phys_tables(void) { return 0; }
void exit_skip(struct vcpu *v, unsigned len) { v->regs.rip += len; }
void hyp_inject_ud(struct vcpu *v) { (void)v; uds++; }
unsigned exit_fetch(struct vcpu *v, uint8_t *buf, struct guest_paging *p) { (void)v, (void)buf, (void)p; abort(); }

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupts_come_between_tries),
        cmocka_unit_test(other_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
