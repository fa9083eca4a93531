/* SPDX-License-Identifier: MIT */
/* Where the guest goes on behind an instruction that the core has carried out. */
#include "unit.h"

#include <exit/dispatch.h>
#include <guest/phys.h>
#include <hypapp/hypapp.h>
#include <virt/virt.h>
#include <x86/cpu.h>

static enum cpu_mode mode;
static unsigned shadows_cleared;

static void get_paging(struct vcpu *v, struct guest_paging *p)
{
    (void)v;
    *p = (struct guest_paging){ .mode = mode };
}

static void clear_shadow(struct vcpu *v) { (void)v; shadows_cleared++; }

static const struct virt_ops ops = { .get_paging = get_paging, .clear_shadow = clear_shadow };
const struct virt_ops *virt = &ops;
struct guest_phys_ops guest_phys_ops;

/* No instruction is looked for here. */
enum walk_result guest_walk(const struct guest_phys_ops *m, const struct guest_paging *p, gva_t va,
                            unsigned access, struct walk *w)
{
    (void)m, (void)p, (void)va, (void)access, (void)w;
    abort();
}
void *guest_phys_firmware(const struct walk *w, unsigned r) { (void)w, (void)r; abort(); }
void hyp_inject_fault(struct vcpu *v, const struct gm_fault *f) { (void)v, (void)f; abort(); }
void hyp_inject_gp(struct vcpu *v) { (void)v; abort(); }

static uint64_t behind(enum cpu_mode m, uint64_t rip, unsigned len)
{
    struct vcpu v = { .regs = { .rip = rip, .rflags = RFLAGS_ONE | RFLAGS_RF } };

    mode = m;
    shadows_cleared = 0;
    exit_skip(&v, len);
    assert_int_equal(v.regs.rflags, RFLAGS_ONE);
    assert_int_equal(shadows_cleared, 1);
    return v.regs.rip;
}

/* EIP has 32 bits; RIP goes on (SDM vol. 1, 3.5). */
static void at_4_gib(void **state)
{
    (void)state;
    assert_int_equal(behind(MODE_LONG64, 0x1000, 2), 0x1002);
    assert_int_equal(behind(MODE_LONG64, 0xfffffffe, 2), 0x100000000);
    assert_int_equal(behind(MODE_LONG64, 0xffffffff, 3), 0x100000002);
    assert_int_equal(behind(MODE_LONG64, 0xffffffff81000000, 3), 0xffffffff81000003);
    assert_int_equal(behind(MODE_PROT32, 0xfffffffe, 2), 0);
    assert_int_equal(behind(MODE_PROT32, 0xffffffff, 3), 2);
    assert_int_equal(behind(MODE_PROT32, 0x1000, 3), 0x1003);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(at_4_gib) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
