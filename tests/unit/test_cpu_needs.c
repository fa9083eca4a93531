/* SPDX-License-Identifier: MIT */
/* cpu/needs.c over all recorded machines, each with one thing after the other taken away; and
 * hw/xd_enable.inc. */
#include "unit.h"
#include "vectors.h"

#include <cpu/needs.h>
#include <fake/machine.h>
#include <hw/insn.h>
#include <xmhf/cpu_needs.h>

void run_xd_enable(void);
uint32_t xd_vendor, xd_edx, xd_reads, xd_writes, xd_index;
uint64_t xd_msr;

#define ROW(leaf, reg, bit, name) { leaf, reg, bit, name },
static const struct { uint32_t leaf; unsigned reg, bit; const char *name; } rows[] = {
    CPU_NEEDS(ROW) CPU_NEEDS_NX(ROW)
};

static struct cpuid_regs *leaf_of(uint32_t leaf)
{
    for (unsigned i = 0; i < machine.cpuid_count; i++) {
        if (machine.cpuid[i].leaf == leaf && machine.cpuid[i].sub == 0) {
            return &machine.cpuid[i].r;
        }
    }
    return NULL;
}

/* What is said when row `i` is taken away. */
static const char *without(size_t i)
{
    struct cpuid_regs *range = leaf_of(rows[i].leaf & 0x80000000), *r = leaf_of(rows[i].leaf);
    uint32_t last = range->eax, *reg = &((uint32_t *)r)[rows[i].reg], was = *reg;

    if (rows[i].bit == 32) {
        range->eax = rows[i].leaf - 1;
    } else {
        *reg &= ~(1u << rows[i].bit);
    }
    const char *lacks = cpu_lacks(hw_cpuid);
    range->eax = last;
    *reg = was;
    return lacks;
}

static unsigned check_file(const char *dir, const char *file)
{
    char part[300], path[4096];

    machine_reset(0);
    snprintf(part, sizeof(part), "tests/vectors/%s/%s", dir, file);
    machine_load(unit_source(path, sizeof(path), part));
    if (!leaf_of(1) || !leaf_of(0x80000001) || !leaf_of(0x80000008)
        /* they do lack something */
        || strstr(file, "t2400-yonah") || strstr(file, "penryn-t9600")) {
        return 0;
    }
    if (cpu_lacks(hw_cpuid)) {
        fail_msg("%s lacks %s", part, cpu_lacks(hw_cpuid));
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *lacks = without(i);
        if (!lacks || strcmp(lacks, rows[i].name) != 0) {
            fail_msg("%s without %s: \"%s\"", part, rows[i].name, lacks ? lacks : "nothing");
        }
    }
    return 1;
}

static void names_what_is_missing(void **state)
{
    static const char *const dirs[] = { "svm", "vmx" };
    unsigned n = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        struct vectors files = vectors_of(dirs[i]);

        while (vectors_next(&files)) {
            n += check_file(dirs[i], files.name);
        }
    }
    printf("%u machines lack nothing; each of %zu features is missed by name\n", n,
           ARRAY_SIZE(rows));
    assert_true(n > 100);
}

static void xd(uint32_t vendor, uint32_t edx, uint64_t msr)
{
    xd_vendor = vendor;
    xd_edx = edx;
    xd_msr = msr;
    xd_reads = xd_writes = xd_index = 0;
    run_xd_enable();
}

static void switches_nx_on(void **state)
{
    const uint32_t intel = 0x756e6547, amd = 0x68747541, nx = 1u << 20;

    (void)state;
    xd(intel, ~nx, UINT64_MAX);
    assert_true(xd_writes == 1 && xd_index == 0x1a0 && xd_msr == (UINT64_MAX & ~BIT(34)));
    xd(intel, 0, BIT(34) | 0x850089);
    assert_true(xd_writes == 1 && xd_msr == 0x850089);
    xd(intel, 0, ~BIT(34)); /* it has no NX */
    assert_true(xd_reads == 1 && xd_writes == 0);
    xd(intel, nx, UINT64_MAX); /* nothing to mend */
    assert_true(xd_reads == 0 && xd_writes == 0);
    xd(amd, 0, UINT64_MAX); /* no such MSR */
    assert_true(xd_reads == 0 && xd_writes == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_is_missing),
        cmocka_unit_test(switches_nx_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
