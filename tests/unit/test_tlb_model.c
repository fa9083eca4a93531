/* SPDX-License-Identifier: MIT */
/*
 * The sandboxes' ASIDs and VPIDs against TLBs that forget nothing unless they are told to:
 * PALs come and go, are entered on several CPUs, and sometimes left before they ran. A PAL
 * must never run where translations of another one are left.
 */
#include "unit.h"

#include "fake/machine.h"
#include <virt/svm/svm.h>
#include <virt/vmx/vmx.h>
#include <x86/msr.h>

#define CPUS   3u
#define PALS   150u   /* live ones, more than there are ASIDs */
#define ROOTS  200u   /* pages for the roots of nested tables, used again and again */
#define ROUNDS 60000u
#define VPIDS  64u

/* What one CPU remembers: the tag whose translations are there; 0: none. */
struct tlb {
    uint64_t asid[64];        /* SVM: by ASID */
    uint64_t linear[VPIDS];   /* VMX: by VPID; that the root counts too is not relied on */
    uint64_t physical[ROOTS]; /* VMX: by root */
};

struct pal { uint64_t tag; unsigned root; };

static struct vcpu cpus[CPUS];
static struct tlb tlbs[CPUS];
static struct svm_cpu svm_cpus[CPUS];
static struct vmcb os_vmcb[CPUS], sandbox_vmcb[CPUS];
static struct vmx_cpu vmx_cpus[CPUS];
static struct pal pals[PALS];
static bool root_used[ROOTS];
static uint64_t next_tag, seed;
static unsigned stale, runs;
static bool deaf;                  /* the control: TLBs that don't listen to flushes */
static unsigned current;           /* the CPU that executes */
static uint64_t field_vpid[CPUS], field_eptp[CPUS]; /* each CPU has a VMCS of its own */

struct svm_features svm_features;
hpa_t svm_iopm, svm_msrpm, svm_nested_root;
struct vmx_common vmx_common;

static hpa_t root_page(unsigned root) { return hpa(MIB(1) + root * PAGE_SIZE); }
static unsigned root_of(uint64_t eptp) { return (unsigned)((eptp - MIB(1)) / PAGE_SIZE); }

/* The translations at `at` may be used by `tag` now, and are left there afterwards. */
static void use(uint64_t *at, uint64_t tag)
{
    stale += *at != 0 && *at != tag;
    *at = tag;
}

/* --- what the VMX back end reaches ------------------------------------------------ */

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

bool hw_vmptrld(uint64_t address) { return address != 0; }
bool hw_vmread(uint64_t field, uint64_t *value) { (void)field; *value = 0; return true; }
const char *vmcs_name(uint32_t encoding) { (void)encoding; return "?"; }
void vmx_write_controls(const struct vmx_controls *c) { (void)c; }
void vmx_write_host_state(struct vcpu *v) { (void)v; }
void vmx_write_zero_fields(void) { }
uint64_t vmx_eptp(hpa_t root) { return root.a; }

void vmx_write_segment(enum segment_index i, const struct segment *s)
{
    (void)i;
    (void)s;
}

uint64_t vmx_fixed_cr(const struct vmx_caps *c, unsigned cr, uint64_t value)
{
    (void)c;
    (void)cr;
    return value;
}

bool hw_vmwrite(uint64_t field, uint64_t value)
{
    if (field == VMCS_VPID) {
        field_vpid[current] = value;
    } else if (field == VMCS_EPTP) {
        field_eptp[current] = value;
    }
    return true;
}

void vmx_flush_ept(uint64_t eptp)
{
    tlbs[current].physical[root_of(eptp)] *= deaf;
}

void vmx_flush_vpid(uint16_t vpid)
{
    assert_in_range(vpid, VMX_VPID_OS + 1, VPIDS - 1);
    tlbs[current].linear[vpid] *= deaf;
}

/* --- running ----------------------------------------------------------------------- */

/* VMRUN, and what svm.c:run does behind it. */
static void svm_run(const struct pal *p)
{
    struct vmcb *c = &sandbox_vmcb[current];
    struct tlb *t = &tlbs[current];

    assert_in_range(c->asid, SVM_ASID_OS + 1, svm_features.asids - 1);
    if (c->tlb_control == SVM_TLB_FLUSH_ALL && !deaf) {
        memset(t->asid, 0, sizeof(t->asid));
    } else if (c->tlb_control == SVM_TLB_FLUSH_ASID && !deaf) {
        t->asid[c->asid] = 0;
    }
    c->tlb_control = SVM_TLB_NOTHING;
    use(&t->asid[c->asid], p->tag);
}

static void vmx_run(const struct pal *p)
{
    struct tlb *t = &tlbs[current];
    bool vpids = vmx_common.sandbox.word[VMX_PROC2] >> PROC2_VPID & 1;

    if (!vpids) { /* every entry forgets these (SDM vol. 3, 29.4.3.1) */
        t->linear[0] = 0;
    } else {
        assert_in_range(field_vpid[current], VMX_VPID_OS + 1, VPIDS - 1);
    }
    use(&t->linear[vpids ? field_vpid[current] : 0], p->tag);
    use(&t->physical[root_of(field_eptp[current])], p->tag);
}

struct back_end {
    void (*enter)(struct vcpu *v, const struct sandbox *sb);
    void (*run)(const struct pal *p);
    void (*leave)(struct vcpu *v);
    void (*forget)(struct vcpu *v, uint64_t tag);
};

static const struct back_end svm_end = {
    svm_sandbox_enter, svm_run, svm_sandbox_leave, svm_sandbox_forget,
};
static const struct back_end vmx_end = {
    vmx_sandbox_enter, vmx_run, vmx_sandbox_leave, vmx_sandbox_forget,
};

static void new_pal(struct pal *p)
{
    do {
        p->root = (unsigned)unit_below(&seed, ROOTS);
    } while (root_used[p->root]);
    root_used[p->root] = true;
    p->tag = ++next_tag;
}

/* A call with interruptions; sometimes a request keeps the CPU from running it at all. */
static void call(const struct back_end *b, struct vcpu *v, const struct pal *p)
{
    const struct sandbox sb = { .nested_root = root_page(p->root), .tag = p->tag };

    b->enter(v, &sb);
    for (uint64_t n = unit_below(&seed, 3); n > 0; n--) {
        b->run(p);
        runs++;
    }
    b->leave(v);
}

/* Half of the calls are of few PALs, so that some are still in their ASID. */
static void play(const struct back_end *b)
{
    seed = 88172645463325252ULL;
    stale = runs = 0;
    next_tag = 0;
    memset(tlbs, 0, sizeof(tlbs));
    memset(root_used, 0, sizeof(root_used));
    for (unsigned i = 0; i < PALS; i++) {
        new_pal(&pals[i]);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct pal *p = &pals[unit_below(&seed, i % 2 ? 5 : PALS)];
        current = (unsigned)unit_below(&seed, CPUS);
        if (unit_below(&seed, 8) == 0) {
            b->forget(&cpus[current], p->tag);
            root_used[p->root] = false;
            new_pal(p);
        } else {
            call(b, &cpus[current], p);
        }
    }
    assert_true(runs > ROUNDS / 2);
}

/* --- AMD ------------------------------------------------------------------------------ */

static void svm_machine(uint32_t asids, bool by_asid)
{
    machine_reset(0);
    machine_set_msr(MSR_IA32_DEBUGCTL, 0);
    svm_features = (struct svm_features){ .edx = by_asid ? BIT(6) : 0, .asids = asids };
    memset(svm_cpus, 0, sizeof(svm_cpus));
    memset(sandbox_vmcb, 0, sizeof(sandbox_vmcb));
    for (unsigned i = 0; i < CPUS; i++) {
        svm_cpus[i].os = &os_vmcb[i];
        svm_cpus[i].sandbox = &sandbox_vmcb[i];
        cpus[i] = (struct vcpu){ .index = i, .vendor = &svm_cpus[i] };
    }
}

static void asids_never_show_another_pal(void **state)
{
    static const uint32_t counts[] = { 3, 4, 9, 63, 64 };

    (void)state;
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(counts); i++) {
        svm_machine(counts[i / 2], i % 2);
        play(&svm_end);
        assert_int_equal(stale, 0);
    }
}

static void a_deaf_tlb_is_noticed_amd(void **state)
{
    (void)state;
    deaf = true;
    svm_machine(64, true);
    play(&svm_end);
    deaf = false;
    assert_true(stale > 0);
}

/* A request came between entering and VMRUN: the flush is still owed. */
static void a_flush_is_not_lost_with_its_entry(void **state)
{
    const struct pal first = { 1, 0 }, second = { 63, 1 }; /* the same one of 62 */
    const struct sandbox a = { .tag = first.tag }, b = { .tag = second.tag };

    (void)state;
    svm_machine(64, true);
    memset(tlbs, 0, sizeof(tlbs));
    current = stale = 0;
    svm_sandbox_enter(&cpus[0], &a);
    svm_run(&first);
    svm_sandbox_leave(&cpus[0]);
    svm_sandbox_enter(&cpus[0], &b);
    svm_sandbox_leave(&cpus[0]);
    svm_sandbox_enter(&cpus[0], &b);
    svm_run(&second);
    svm_sandbox_leave(&cpus[0]);
    assert_int_equal(stale, 0);
}

/* --- Intel ---------------------------------------------------------------------------- */

static void vmx_machine(bool vpids)
{
    machine_reset(0);
    memset(&vmx_common, 0, sizeof(vmx_common));
    memset(vmx_cpus, 0, sizeof(vmx_cpus));
    vmx_common.sandbox.word[VMX_PROC2] = vpids ? BIT(PROC2_VPID) : 0;
    for (unsigned i = 0; i < CPUS; i++) {
        vmx_cpus[i].os = vmx_cpus[i].sandbox = 1;
        cpus[i] = (struct vcpu){ .index = i, .vendor = &vmx_cpus[i] };
    }
}

static void vpids_never_show_another_pal(void **state)
{
    (void)state;
    for (unsigned vpids = 0; vpids < 2; vpids++) {
        vmx_machine(vpids);
        play(&vmx_end);
        assert_int_equal(stale, 0);
    }
}

static void a_deaf_tlb_is_noticed_intel(void **state)
{
    (void)state;
    deaf = true;
    vmx_machine(true);
    play(&vmx_end);
    deaf = false;
    assert_true(stale > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asids_never_show_another_pal),
        cmocka_unit_test(a_deaf_tlb_is_noticed_amd),
        cmocka_unit_test(a_flush_is_not_lost_with_its_entry),
        cmocka_unit_test(vpids_never_show_another_pal),
        cmocka_unit_test(a_deaf_tlb_is_noticed_intel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
