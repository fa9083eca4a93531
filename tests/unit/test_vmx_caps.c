/* SPDX-License-Identifier: MIT */
/*
 * VMX probing over the recorded machines: exactly the MSRs that exist are read, the controls
 * are what the CPU allows, and what is missing is named. A read of an MSR that a machine
 * doesn't have fails the test, guarded or not.
 */
#include "unit.h"
#include "vectors.h"


#include <hw/insn.h>
#include <virt/vmx/caps.h>
#include <x86/cpuid.h>
#include <x86/vmx.h>

#include "fake/machine.h"

/* What the dump says of 0x480..0x493: bit per MSR. */
struct said { bool complete; uint32_t present, absent; };

static struct said load(const char *path)
{
    struct said said = { 0 };
    char line[512];
    FILE *f = fopen(path, "r");

    machine_reset(0);
    machine_load(path);
    while (f && fgets(line, sizeof(line), f)) {
        unsigned msr;

        said.complete |= strncmp(line, "# complete: yes", 15) == 0;
        if (sscanf(line, "absent %x", &msr) == 1 && msr >= 0x480 && msr <= 0x493) {
            said.absent |= 1u << (msr - 0x480);
        } else if (sscanf(line, "msr %x", &msr) == 1 && msr >= 0x480 && msr <= 0x493) {
            said.present |= 1u << (msr - 0x480);
        }
    }
    if (f) {
        fclose(f);
    }
    return said;
}

static void check_controls(const char *name, const struct vmx_caps *c, enum vmx_use use)
{
    struct vmx_controls ctl;

    vmx_controls_choose(c, hw_cpuid, use, &ctl);
    for (unsigned w = 0; w < VMX_CONTROL_WORDS; w++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            bool on = ctl.word[w] >> bit & 1;

            if (on && !vmx_may_set(c, (enum vmx_control)w, bit)) {
                fail_msg("%s: word %u bit %u is set and may not be", name, w, bit);
            }
            if (!on && vmx_must_set(c, (enum vmx_control)w, bit)
                && vmx_may_set(c, (enum vmx_control)w, bit)) {
                fail_msg("%s: word %u bit %u is clear and must not be", name, w, bit);
            }
        }
    }
    assert_true(vmx_missing(c) || !vmx_unlike(c, c, &ctl, &ctl, false));
    for (size_t i = 0; i < vmx_feature_count; i++) {
        unsigned bit = vmx_features[i].proc2_bit;
        bool on = ctl.word[VMX_PROC2] >> bit & 1, shown = false;

        for (size_t j = 0; j < vmx_feature_count; j++) { /* RDTSCP and RDPID share a control */
            const struct vmx_feature *f = &vmx_features[j];
            shown |= f->proc2_bit == bit && (f->use & use) && vmx_feature_shown(f, hw_cpuid);
        }
        assert_int_equal(on, shown && vmx_may_set(c, VMX_PROC2, bit));
    }
}

static void every_machine(void **state)
{
    struct vectors files = vectors_of("vmx");
    unsigned machines = 0, usable = 0;

    (void)state;
    while (vectors_next(&files)) {
        struct vmx_caps c;
        struct said said = load(files.path);

        if (!said.complete) {
            continue;
        }
        machine.no_faults = true;
        vmx_caps_read(&c);
        if (c.present != said.present || (c.present & said.absent) || c.faulted) {
            fail_msg("%s: read %#x, has %#x, lacks %#x", files.name, c.present, said.present,
                     said.absent);
        }
        check_controls(files.name, &c, VMX_FOR_OS);
        check_controls(files.name, &c, VMX_FOR_SANDBOX);
        if (vmx_missing(&c)) {
            print_message("%s: missing %s\n", files.name, vmx_missing(&c));
        }
        machines++;
        usable += !vmx_missing(&c);
    }
    print_message("%u machines, %u usable\n", machines, usable);
    assert_true(machines >= 31 && usable >= 22);
}

static struct vmx_caps probe(const char *name)
{
    char file[256], path[512];
    struct vmx_caps c;

    snprintf(file, sizeof(file), "tests/vectors/vmx/%s.txt", name);
    load(unit_source(path, sizeof(path), file));
    assert_true(machine.msr_count > 0);
    vmx_caps_read(&c);
    return c;
}

static bool has(const struct vmx_caps *c, uint32_t msr)
{
    return c->present >> (msr - MSR_IA32_VMX_BASIC) & 1;
}

/* The laptop that died on RDMSR 0x491: it has BASIC[55] and lacks VM functions. */
static void hp_2540p(void **state)
{
    struct vmx_caps c = probe("notes-hp-2540p-i5-540m");
    struct vmx_controls ctl;

    (void)state;
    assert_true(has(&c, MSR_IA32_VMX_TRUE_ENTRY_CTLS));
    assert_false(has(&c, MSR_IA32_VMX_VMFUNC));
    assert_false(has(&c, MSR_IA32_VMX_PROCBASED_CTLS3));
    assert_false(has(&c, MSR_IA32_VMX_EXIT_CTLS2));
    assert_int_equal(c.faulted, 0);
    assert_null(vmx_missing(&c));
    assert_true(vmx_may_set(&c, VMX_PROC, PROC_MTF));
    assert_true(vmx_may_set(&c, VMX_PROC, PROC_NMI_WINDOW));
    assert_true(vmx_may_set(&c, VMX_PROC2, PROC2_RDTSCP));
    assert_false(vmx_may_set(&c, VMX_PROC2, PROC2_INVPCID));
    assert_false(vmx_may_set(&c, VMX_PROC2, PROC2_XSAVES));
    assert_false(vmx_may_set(&c, VMX_PROC2, PROC2_VMFUNC));
    uint64_t ept = vmx_cap(&c, MSR_IA32_VMX_EPT_VPID_CAP);
    assert_true(ept & EPT_CAP_2M);
    assert_false(ept & EPT_CAP_1G);
    /* CR3 accesses don't exit, which only the TRUE MSRs allow */
    vmx_controls_choose(&c, hw_cpuid, VMX_FOR_OS, &ctl);
    assert_false(ctl.word[VMX_PROC] >> PROC_CR3_LOAD_EXITING & 1);
    assert_true(vmx_cap(&c, MSR_IA32_VMX_PROCBASED_CTLS) >> PROC_CR3_LOAD_EXITING & 1);
}

static void nested_kvm(void **state)
{
    struct vmx_caps c = probe("notes-nested-kvm-haswell");

    (void)state;
    assert_true(has(&c, MSR_IA32_VMX_VMFUNC));
    assert_true(vmx_may_set(&c, VMX_PROC2, PROC2_INVPCID));
    assert_true(vmx_cap(&c, MSR_IA32_VMX_EPT_VPID_CAP) & EPT_CAP_1G);
    assert_false(vmx_cap(&c, MSR_IA32_VMX_EPT_VPID_CAP) & EPT_CAP_UC);
    assert_false(vmx_cap(&c, MSR_IA32_VMX_MISC) & VMX_MISC_WAIT_FOR_SIPI);
    assert_string_equal(vmx_missing(&c), "64-bit host"); /* its CPU was a 32-bit one */
}

/* A cloud host without NMI windows: the design of NMIs here has no use for it. */
static void no_nmi_window(void **state)
{
    struct vmx_caps c = probe("notes-nested-kvm-haswell");

    (void)state;
    c.value[MSR_IA32_VMX_PROCBASED_CTLS - MSR_IA32_VMX_BASIC] = 0xf7b9fffe0401e172;
    c.value[MSR_IA32_VMX_TRUE_PROCBASED_CTLS - MSR_IA32_VMX_BASIC] = 0xf7b9fffe04006172;
    assert_false(vmx_may_set(&c, VMX_PROC, PROC_MTF));
    assert_string_equal(vmx_missing(&c), "NMI-window exiting");
}

static void refused_by_name(void **state)
{
    static const struct { const char *machine, *missing; } cases[] = {
        { "inst-00006f6-conroe", "secondary VMX controls" },
        { "inst-0020661-tunnelcreek", "secondary VMX controls" },
        { "inst-0010676-yorkfield", "EPT" },
        { "vbox-106e5-i7-870", "unrestricted guest" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vmx_caps c = probe(cases[i].machine);

        assert_non_null(vmx_missing(&c));
        assert_string_equal(vmx_missing(&c), cases[i].missing);
    }
}

/* An MSR that should exist and faults all the same is no panic: it counts as absent. */
static void fault_where_it_should_exist(void **state)
{
    struct vmx_caps c = probe("notes-hp-2540p-i5-540m");

    (void)state;
    assert_null(vmx_missing(&c));
    for (unsigned i = 0; i < machine.msr_count; i++) {
        if (machine.msr[i].index == MSR_IA32_VMX_EPT_VPID_CAP) {
            machine.msr[i].index = 0xdead0000;
        }
    }
    vmx_caps_read(&c);
    assert_int_equal(c.faulted, 1u << (MSR_IA32_VMX_EPT_VPID_CAP - MSR_IA32_VMX_BASIC));
    assert_string_equal(vmx_missing(&c), "EPT with 4 levels");
}

/* VMXE and NE are forced, PE and PG among them: the caller exempts an unrestricted guest. */
static void fixed_bits(void **state)
{
    struct vmx_caps c = probe("notes-hp-2540p-i5-540m");

    (void)state;
    assert_int_equal(vmx_fixed_cr(&c, 0, 0x60000010), 0xe0000031);
    assert_int_equal(vmx_fixed_cr(&c, 4, 0), 0x2000);
    assert_int_equal(vmx_fixed_cr(&c, 4, 1ull << 20), 0x2000); /* no SMEP here */
}

#define EPT_VPID MSR_IA32_VMX_EPT_VPID_CAP

static uint64_t *cap(struct vmx_caps *c, uint32_t msr)
{
    return &c->value[msr - MSR_IA32_VMX_BASIC];
}

static bool takes_vpid(const struct vmx_caps *c, enum vmx_use use)
{
    struct vmx_controls ctl;

    vmx_controls_choose(c, hw_cpuid, use, &ctl);
    return ctl.word[VMX_PROC2] >> PROC2_VPID & 1;
}

/* A VPID that nothing can flush, and EPT that nothing can flush. */
static void no_flush(void **state)
{
    static const struct { uint64_t lacks; bool vpid; const char *missing; } cases[] = {
        { 0, true, NULL },
        { VPID_CAP_INVVPID, false, NULL },
        { VPID_CAP_SINGLE, true, NULL },
        { VPID_CAP_ALL, true, NULL },
        { VPID_CAP_SINGLE | VPID_CAP_ALL, false, NULL },
        { EPT_CAP_INVEPT_SINGLE, true, NULL },
        { EPT_CAP_INVEPT_ALL, true, NULL },
        { EPT_CAP_INVEPT, true, "INVEPT" },
        { EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL, true, "INVEPT of one or of all contexts" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vmx_caps c = probe("notes-hp-2540p-i5-540m");

        *cap(&c, EPT_VPID) &= ~cases[i].lacks;
        assert_int_equal(takes_vpid(&c, VMX_FOR_OS), cases[i].vpid);
        assert_int_equal(takes_vpid(&c, VMX_FOR_SANDBOX), cases[i].vpid);
        if (!cases[i].missing) {
            assert_null(vmx_missing(&c));
        } else {
            assert_non_null(vmx_missing(&c));
            assert_string_equal(vmx_missing(&c), cases[i].missing);
        }
    }
}

/* Which types are used: one context where there is a choice, and no INVVPID without VPIDs. */
static void flush_types(void **state)
{
    struct vmx_caps c = probe("notes-hp-2540p-i5-540m");
    struct vmx_controls ctl;

    (void)state;
    vmx_controls_choose(&c, hw_cpuid, VMX_FOR_OS, &ctl);
    assert_int_equal(vmx_ept_use(&c, &ctl), EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE
                                                | VPID_CAP_INVVPID | VPID_CAP_SINGLE);
    *cap(&c, EPT_VPID) &= ~(EPT_CAP_INVEPT_SINGLE | VPID_CAP_SINGLE);
    *cap(&c, EPT_VPID) |= EPT_CAP_1G;
    assert_int_equal(vmx_ept_use(&c, &ctl), EPT_CAP_1G | EPT_CAP_INVEPT | EPT_CAP_INVEPT_ALL
                                                | VPID_CAP_INVVPID | VPID_CAP_ALL);
    ctl.word[VMX_PROC2] &= ~(1u << PROC2_VPID);
    assert_int_equal(vmx_ept_use(&c, &ctl), EPT_CAP_1G | EPT_CAP_INVEPT | EPT_CAP_INVEPT_ALL);
}

/* Another CPU that lacks what the boot CPU has is refused by that name, if it is used. */
static void other_cpu(void **state)
{
    static const struct {
        uint32_t msr;
        uint64_t boot_lacks, lacks;
        bool waits;
        const char *missing;
    } cases[] = {
        { EPT_VPID, 0, 0, true, NULL },
        { EPT_VPID, 0, EPT_CAP_1G, true, "EPT pages of 1 GiB" },
        { EPT_VPID, EPT_CAP_1G, EPT_CAP_1G, true, NULL },
        { EPT_VPID, 0, EPT_CAP_INVEPT_SINGLE, true, "INVEPT of one context" },
        { EPT_VPID, 0, EPT_CAP_INVEPT_ALL, true, NULL },
        { EPT_VPID, EPT_CAP_INVEPT_SINGLE, EPT_CAP_INVEPT_ALL, true, "INVEPT of all contexts" },
        { EPT_VPID, 0, VPID_CAP_INVVPID, true, "INVVPID" },
        { EPT_VPID, 0, VPID_CAP_SINGLE, true, "INVVPID of one context" },
        { EPT_VPID, VPID_CAP_SINGLE, VPID_CAP_ALL, true, "INVVPID of all contexts" },
        { EPT_VPID, VPID_CAP_INVVPID, VPID_CAP_INVVPID | VPID_CAP_SINGLE, true, NULL },
        { MSR_IA32_VMX_MISC, 0, VMX_MISC_WAIT_FOR_SIPI, true, "wait-for-SIPI as a guest state" },
        { MSR_IA32_VMX_MISC, 0, VMX_MISC_WAIT_FOR_SIPI, false, NULL },
        { MSR_IA32_VMX_BASIC, 0, 1, true, "the boot CPU's VMCS revision" },
        { MSR_IA32_VMX_PROCBASED_CTLS2, 0, BIT(PROC2_VPID + 32), true, "VPID" },
        { MSR_IA32_VMX_PROCBASED_CTLS2, 0, BIT(PROC2_RDTSCP + 32), true, "RDTSCP" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vmx_caps boot = probe("notes-hp-2540p-i5-540m"), other = boot;
        struct vmx_controls ctl;

        machine_set_cpuid(0x80000000, 0, (struct cpuid_regs){ .eax = 0x80000008 });
        machine_set_cpuid(CPUID_EXT_AMD, 0, (struct cpuid_regs){ .edx = CPUID_8_1_EDX_RDTSCP });
        *cap(&boot, EPT_VPID) |= EPT_CAP_1G;
        *cap(&other, EPT_VPID) |= EPT_CAP_1G;
        *cap(&boot, cases[i].msr) &= ~cases[i].boot_lacks;
        *cap(&other, cases[i].msr) &= ~cases[i].lacks;
        vmx_controls_choose(&boot, hw_cpuid, VMX_FOR_OS, &ctl);
        assert_null(vmx_unlike(&boot, &boot, &ctl, &ctl, cases[i].waits));
        const char *missing = vmx_unlike(&other, &boot, &ctl, &ctl, cases[i].waits);
        if (cases[i].missing ? !missing || strcmp(missing, cases[i].missing) != 0 : !!missing) {
            fail_msg("case %zu: \"%s\", expected \"%s\"", i, missing ? missing : "nothing",
                     cases[i].missing ? cases[i].missing : "nothing");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_machine),
        cmocka_unit_test(hp_2540p),
        cmocka_unit_test(nested_kvm),
        cmocka_unit_test(no_nmi_window),
        cmocka_unit_test(refused_by_name),
        cmocka_unit_test(fault_where_it_should_exist),
        cmocka_unit_test(fixed_bits),
        cmocka_unit_test(no_flush),
        cmocka_unit_test(flush_types),
        cmocka_unit_test(other_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
