/* SPDX-License-Identifier: MIT */
/* Recorded machines, judged by the core's own rules, which read them by hw/insn.h's names. */
#include <probe/vector.h>

#include <cpu/needs.h>
#include <cpu/width.h>
#include <hw/insn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <virt/svm/caps.h>
#include <virt/vmx/caps.h>
#include <x86/cpuid.h>
#include <x86/msr.h>
#include <x86/vmx.h>

static const struct vector *now;   /* what hw_cpuid and hw_rdmsr_safe read */
static char not_recorded[80];      /* the first thing that a rule needed in vain; or "" */
static const char *assumed;        /* an MSR that is taken to be as it should */

/* --- what the rules read ---------------------------------------------------------------- */

static void __attribute__((format(printf, 1, 2))) lacks_record(const char *fmt, ...)
{
    va_list ap;

    if (!not_recorded[0]) {
        va_start(ap, fmt);
        vsnprintf(not_recorded, sizeof(not_recorded), fmt, ap);
        va_end(ap);
    }
}

struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t sub)
{
    const struct vector_cpuid *c = vector_find_cpuid(now, leaf, sub);
    struct cpuid_regs r = { 0, 0, 0, 0 };

    if (c) {
        return c->r;
    }
    if (leaf == CPUID_FEATURES && vector_find_msr(now, MSR_IA32_VMX_BASIC)) {
        r.ecx = CPUID_1_ECX_VMX; /* a record of MSRs alone */
    } else {
        lacks_record("CPUID leaf %x", leaf);
    }
    return r;
}

/* Whether firmware has switched the feature off is often not in a dump, and can be changed. */
bool hw_rdmsr_safe(uint32_t msr, uint64_t *value)
{
    const struct vector_msr *m = vector_find_msr(now, msr);

    if (m) {
        *value = m->value;
        return !m->absent;
    }
    if (msr == MSR_IA32_FEATURE_CONTROL || msr == MSR_AMD_VM_CR) {
        assumed = msr == MSR_AMD_VM_CR ? "VM_CR" : "IA32_FEATURE_CONTROL";
        *value = 0;
        return true;
    }
    if (msr == MSR_IA32_TME_ACTIVATE) {
        *value = 0; /* not activated */
        return true;
    }
    /* From 0x491 on nothing that is mandatory depends on the value. */
    if (msr < MSR_IA32_VMX_VMFUNC) {
        lacks_record("MSR %x", msr);
    }
    return false;
}

static void read_from(const struct vector *v)
{
    now = v;
    not_recorded[0] = 0;
    assumed = NULL;
}

/* --- judging ------------------------------------------------------------------------------ */

static const char *vmx_lacks(void)
{
    const char *missing = vmx_switched_off();
    struct vmx_caps caps;

    if (!missing) {
        vmx_caps_read(&caps);
        missing = vmx_missing(&caps);
    }
    return missing;
}

static enum judgement say_runs(const char *how, char *out, size_t size)
{
    if (assumed) {
        snprintf(out, size, "would run on %s, if its firmware leaves that switched on (%s is not "
                 "recorded)", how, assumed);
    } else {
        snprintf(out, size, "would run on %s", how);
    }
    return RUNS;
}

static enum judgement say_lacks(const char *missing, char *out, size_t size)
{
    bool inside = vector_cpuid(now, CPUID_FEATURES, 0).ecx & CPUID_1_ECX_HYPERVISOR;

    if (not_recorded[0]) {
        snprintf(out, size, "can't tell: %s is not recorded", not_recorded);
        return UNKNOWN;
    }
    snprintf(out, size, "would not run: missing %s%s", missing,
             inside ? " (this is inside of a hypervisor, which may hide it)" : "");
    return LACKS;
}

/* Does the recorded CPU hide NX because firmware has set IA32_MISC_ENABLE[34]? We clear that. */
static bool xd_disabled(const struct vector *v)
{
    static const char why[] = "whether IA32_MISC_ENABLE[34] hides NX, which is missing,";
    const struct vector_msr *m = vector_find_msr(v, MSR_IA32_MISC_ENABLE);

    if (!vector_is_intel(v)
        || (vector_cpuid(v, CPUID_EXT_AMD, 0).edx & CPUID_8_1_EDX_NX)) {
        return false;
    }
    if (!m) {
        lacks_record("%s", why);
    }
    return m && !m->absent && (m->value & MISC_ENABLE_XD_DISABLE);
}

static struct cpuid_regs cpuid_with_nx(uint32_t leaf, uint32_t sub)
{
    struct cpuid_regs r = hw_cpuid(leaf, sub);

    r.edx |= leaf == CPUID_EXT_AMD ? CPUID_8_1_EDX_NX : 0;
    return r;
}

/* A record of MSRs alone says nothing of it; that the vendor's feature is there has to do. */
static const char *common_lacks(const struct vector *v)
{
    if (v->cpuids == 0) {
        return NULL;
    }
    return cpu_lacks(xd_disabled(v) ? cpuid_with_nx : hw_cpuid);
}

/* Of a CPU that runs: the width of addresses, less what memory encryption takes of it. */
static const char *width_lacks(const struct vector *v, unsigned *bits)
{
    *bits = 0;
    return v->cpuids ? phys_width(bits) : NULL;
}

/* As guest/map.c:take_width. */
static const char *ram_lacks(const struct vector *v)
{
    unsigned bits;
    const char *missing = width_lacks(v, &bits);

    for (unsigned i = 0; !missing && bits && i < v->mems; i++) {
        const struct boot_mem *m = &v->mem[i];
        if (m->type == BOOT_MEM_USABLE && m->start + m->size > BIT(bits)) {
            missing = "address bits: RAM lies above what CPUID 8000_0008 and memory encryption "
                      "(IA32_TME_ACTIVATE, SYSCFG) leave of them";
        }
    }
    return missing;
}

/* As init/main.c chooses: SVM first. What is said to be missing is of the vendor's feature that
 * CPUID shows. */
static enum judgement judge_cpu(const struct vector *v, char *out, size_t size)
{
    read_from(v);
    const char *svm = svm_missing();
    if (!svm) {
        const char *missing = common_lacks(v);
        return missing ? say_lacks(missing, out, size) : say_runs("AMD SVM", out, size);
    }
    if (vector_cpuid(v, CPUID_EXT_AMD, 0).ecx & CPUID_8_1_ECX_SVM) {
        return say_lacks(svm, out, size);
    }
    read_from(v);
    const char *vmx = vmx_lacks();
    if (!vmx) {
        const char *missing = common_lacks(v);
        return missing ? say_lacks(missing, out, size) : say_runs("Intel VMX", out, size);
    }
    if (hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_VMX) {
        return say_lacks(vmx, out, size);
    }
    (void)svm_missing(); /* for what isn't recorded */
    return say_lacks("both VMX (CPUID 1:ECX[5]) and SVM (CPUID 8000_0001:ECX[2])", out, size);
}

enum judgement vector_judge(const struct vector *v, char *out, size_t size)
{
    enum judgement j = judge_cpu(v, out, size);
    const char *missing = j == RUNS ? ram_lacks(v) : NULL;

    if (j == LACKS) {
        return j;
    }
    if (!missing) {
        missing = vector_map_lacks(v);
    }
    if (missing) {
        snprintf(out, size, "would not run: missing %s", missing);
        return LACKS;
    }
    return j;
}

/* The boot CPU's controls must work everywhere: cores of one machine may differ. */
enum judgement vector_judge_other(const struct vector *boot, const struct vector *v, char *out,
                                  size_t size)
{
    struct vmx_controls os, sandbox;
    struct vmx_caps first, caps;
    enum judgement j = judge_cpu(v, out, size);
    unsigned bits, boot_bits;

    if (j == RUNS) {
        const char *missing = width_lacks(v, &bits);
        read_from(boot);
        if (!missing && !width_lacks(boot, &boot_bits) && bits != boot_bits) {
            missing = "the boot CPU's width of addresses, or its memory encryption";
        }
        if (missing) {
            return say_lacks(missing, out, size);
        }
    }
    read_from(boot);
    if (j != RUNS || !svm_missing()) {
        return j;
    }
    vmx_caps_read(&first);
    vmx_controls_choose(&first, hw_cpuid, VMX_FOR_OS, &os);
    vmx_controls_choose(&first, hw_cpuid, VMX_FOR_SANDBOX, &sandbox);
    read_from(v);
    vmx_caps_read(&caps);
    bool waits = vmx_cap(&first, MSR_IA32_VMX_MISC) & VMX_MISC_WAIT_FOR_SIPI;
    const char *missing = vmx_unlike(&caps, &first, &os, &sandbox, waits);
    return missing ? say_lacks(missing, out, size) : RUNS;
}
