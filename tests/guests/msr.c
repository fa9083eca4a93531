/* SPDX-License-Identifier: MIT */
/* MSRs: every number in the three banks, hidden ones, and values that must be refused. */
#include <policy/msr_policy.h>
#include <x86/msr.h>
#include "guest.h"

static bool is_hidden(uint32_t i)
{
    return (i >= MSR_IA32_VMX_BASIC && i <= MSR_IA32_VMX_EXIT_CTLS2) || i == MSR_AMD_VM_CR
        || (i >= MSR_AMD_VM_HSAVE_PA && i <= 0xc0010119u) || i == MSR_IA32_SMM_MONITOR_CTL
        || i == MSR_AMD_TSC_RATIO || (i >= 0x8c && i <= 0x8f) || i == MSR_IA32_SMBASE;
}

/* Values that run on by themselves, or that the two runs may set up differently. */
static bool is_moving(uint32_t i)
{
    return i == MSR_IA32_TSC || i == MSR_IA32_MPERF || i == MSR_IA32_APERF
        || i == MSR_AMD_MPERF_RO || i == MSR_AMD_APERF_RO || i == 0x8b
        || i == MSR_FS_BASE || i == MSR_GS_BASE || i == MSR_KERNEL_GS_BASE
        || (i >= MSR_IA32_PMC0 && i < MSR_IA32_PMC0 + 8)
        || i == MSR_IA32_APIC_BASE
        || i == MSR_IA32_FEATURE_CONTROL; /* locked, by policy */
}

static unsigned refused_reads, answered_reads, refused_writes;

/* Policy hides it, or answers for the CPU. */
static bool is_ours(uint32_t i)
{
    enum msr_action action = msr_read_action(i);

    return action == MSR_DENY || action == MSR_GUEST_STATE || action == MSR_SPECIAL;
}

/* Which of the others answer must be the same in both runs: told in ranges. */
static void existence(uint32_t i, bool answers, bool last)
{
    static uint32_t first, previous;
    static bool open;

    if (open && (!answers || last)) {
        same("MSRs %x to %x answer", first, previous);
        open = false;
    }
    if (answers && !last) {
        first = open ? first : i;
        previous = i;
        open = true;
    }
}

/* Write back what is there: all that isn't on the list of what an OS may write must refuse. */
static void sweep_writes(uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        uint64_t value = 0;

        if (msr_write_action(i) == MSR_DENY) {
            (void)try_rdmsr(i, &value);
            unsigned vector = try_wrmsr(i, value);
            CHECK(vector == EXC_GP, "WRMSR %x of 0x%llx, what it had: vector %u instead of #GP", i,
                  (unsigned long long)value, vector);
            refused_writes++;
        }
    }
}

/* Each MSR that isn't zero is printed; all others must read 0 or fault in both runs. */
static void sweep(uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        uint64_t value;
        unsigned vector = try_rdmsr(i, &value);

        CHECK(vector == VECTOR_DONE || vector == EXC_GP, "RDMSR %x gave vector %u", i, vector);
        answered_reads += vector == VECTOR_DONE;
        refused_reads += vector == EXC_GP;
        if (!is_hidden(i) && !is_ours(i)) {
            existence(i, vector == VECTOR_DONE, false);
        }
        if (hypervisor && is_hidden(i)) {
            CHECK(vector == EXC_GP, "MSR %x should be hidden, reads 0x%llx", i,
                  (unsigned long long)value);
        } else if (vector == VECTOR_DONE && value && !is_moving(i) && !is_hidden(i)) {
            same("msr %x = %llx", i, (unsigned long long)value);
        }
    }
    existence(0, false, true);
}

struct bad { uint32_t index; uint64_t value; const char *what; };

static void check_refused(const struct bad *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t before = 0, after = 0;
        unsigned readable = try_rdmsr(b[i].index, &before);
        unsigned vector = try_wrmsr(b[i].index, b[i].value);

        CHECK(vector == EXC_GP, "%s (WRMSR %x): vector %u instead of #GP", b[i].what, b[i].index,
              vector);
        CHECK(try_rdmsr(b[i].index, &after) == readable && before == after,
              "%s: the refused write changed the MSR", b[i].what);
    }
}

/* What the CPU itself refuses too, wherever it runs. */
static const struct bad architectural[] = {
    { MSR_IA32_PAT, 0x0007040600070402ULL, "PAT type 2" },
    { MSR_IA32_PAT, 0x0307040600070406ULL, "PAT type 3" },
    { MSR_IA32_PAT, 0x0007048800070406ULL, "PAT type 88" },
    { MSR_EFER, EFER_SCE | EFER_NXE | EFER_LMA, "LME cleared under paging" },
    { MSR_EFER, EFER_LME | EFER_LMA | BIT(1), "EFER reserved bit 1" },
    { MSR_EFER, EFER_LME | EFER_LMA | BIT(63), "EFER reserved bit 63" },
};

/* What only the hypervisor refuses. */
static const struct bad ours[] = {
    { MSR_EFER, EFER_LME | EFER_LMA | EFER_SVME, "EFER.SVME" },
    { MSR_IA32_APIC_BASE, 0xfee00900ULL ^ 0x1000, "APIC moved" },
    { MSR_IA32_APIC_BASE, 0xfee00500ULL, "x2APIC without the APIC" },
    { MSR_IA32_APIC_BASE, 0x1fee00900ULL, "APIC moved above 4 GiB" },
    { MSR_AMD_VM_CR, 0, "VM_CR" },
    { MSR_AMD_VM_HSAVE_PA, 0, "VM_HSAVE_PA" },
    { MSR_AMD_VM_HSAVE_PA, 0x100000, "VM_HSAVE_PA" },
    { MSR_AMD_SYSCFG, 0, "SYSCFG" },
    { MSR_AMD_TOP_MEM, 0x1000000, "TOP_MEM" },
    { MSR_AMD_IORR_BASE0, 0, "IORR" },
    { MSR_AMD_SMM_CTL, 0, "SMM_CTL" },
    { 0xc0010111u, 0x100000, "SMM_BASE" },
    { MSR_AMD_PSTATE0, 0, "PSTATE0" },
    { 0x12345678u, 0, "an MSR outside the bitmaps" },
    { 0x40000000u, 1, "another hypervisor's MSR" },
    { 0x4b564d00u, 0x1000, "another hypervisor's MSR" },
    { MSR_IA32_XSS, 1, "IA32_XSS" },
    { MSR_IA32_DS_AREA, 0x100000, "DS_AREA" },
    { MSR_IA32_RTIT_CTL, 1, "RTIT_CTL" },
    { MSR_IA32_SMRR_PHYSBASE, 0, "SMRR" },
    { 0x7ff, 0, "an unlisted MSR" },
    { MSR_IA32_FEATURE_CONTROL, 5, "FEATURE_CONTROL" },
    { 0x150, 0, "overclocking mailbox" },
};

/* Writes that an OS makes and that must be taken, and read back. */
static void check_taken(void)
{
    static const struct { uint32_t index; uint64_t value; } good[] = {
        { MSR_STAR, 0x0023001000000000ULL }, { MSR_LSTAR, 0xffffffff80000000ULL },
        { MSR_CSTAR, 0x1234 }, { MSR_SFMASK, 0x47700 }, { MSR_KERNEL_GS_BASE, 0x7777777 },
        { MSR_FS_BASE, 0x123456789000ULL }, { MSR_IA32_SYSENTER_CS, 0x10 },
        { MSR_IA32_SYSENTER_EIP, 0xffffffff81000000ULL }, { MSR_IA32_SYSENTER_ESP, 0x9000 },
        { MSR_IA32_PAT, 0x0007010600070106ULL }, { MSR_IA32_PAT, 0x0007040600070406ULL },
        { MSR_EFER, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE }, { MSR_EFER, EFER_LME | EFER_LMA },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        uint64_t value = 0;
        unsigned vector = try_wrmsr(good[i].index, good[i].value);

        CHECK(vector == VECTOR_DONE, "WRMSR %x gave vector %u", good[i].index, vector);
        CHECK(try_rdmsr(good[i].index, &value) == VECTOR_DONE && value == good[i].value,
              "MSR %x reads 0x%llx after a write of 0x%llx", good[i].index,
              (unsigned long long)value, (unsigned long long)good[i].value);
    }
}

/* No AMD CPU obeys IA32_MISC_ENABLE: what it makes of a write that turns NX off isn't our
 * business. */
static void check_misc_enable(void)
{
    const bool amd = hypercall_byte() == 0xd9;
    uint64_t before = 0, now = 0;

    if (try_rdmsr(MSR_IA32_MISC_ENABLE, &before) != VECTOR_DONE) {
        return;
    }
    unsigned vector = try_wrmsr(MSR_IA32_MISC_ENABLE, before | MISC_ENABLE_XD_DISABLE);
    (void)try_rdmsr(MSR_IA32_MISC_ENABLE, &now);
    if (amd) {
        same("XD_DISABLE: vector %u, then MISC_ENABLE is %llx", vector, (unsigned long long)now);
        (void)try_wrmsr(MSR_IA32_MISC_ENABLE, before);
    } else if (hypervisor) {
        CHECK(vector == EXC_GP && now == before, "XD_DISABLE is taken");
    }
}

/* Microcode: ignored, whatever it points at; the revision stays. */
static void check_ignored(void)
{
    static const uint64_t values[] = { 0, 0x100000, 0x8000000000000000ULL, ~0ULL };
    uint64_t before = 0, now = 0;
    unsigned there = try_rdmsr(MSR_IA32_BIOS_SIGN_ID, &before); /* not on every CPU */

    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        CHECK(try_wrmsr(MSR_AMD_PATCH_LOADER, values[i]) == VECTOR_DONE, "PATCH_LOADER faults");
        CHECK(try_wrmsr(MSR_IA32_BIOS_UPDT_TRIG, values[i]) == VECTOR_DONE, "UPDT_TRIG faults");
    }
    CHECK(try_rdmsr(MSR_IA32_BIOS_SIGN_ID, &now) == there && before == now,
          "the microcode revision changed to 0x%llx", (unsigned long long)now);
}

/* The result's high halves are zero, and RDMSR and WRMSR are #GP in ring 3. */
static void check_form(void)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RCX] = 0xffffffff00000000ULL | MSR_EFER;
    x.gpr[RAX] = x.gpr[RDX] = ~0ULL;
    EXEC(&x, 0x0f, 0x32);
    CHECK(x.vector == VECTOR_DONE && !(x.gpr[RAX] >> 32) && !(x.gpr[RDX] >> 32),
          "RDMSR leaves high halves");
    for (unsigned i = 0; i < 2; i++) {
        x = exec_for(3, 64);
        x.gpr[RCX] = MSR_EFER;
        EXEC(&x, 0x0f, i ? 0x30 : 0x32);
        CHECK(x.vector == EXC_GP, "in ring 3: vector %llu", (unsigned long long)x.vector);
    }
    CHECK(!(rdmsr(MSR_EFER) & EFER_SVME), "EFER.SVME is visible");
}

void guest_main(void)
{
    sweep(0, 0x2000);
    sweep(0xc0000000u, 0x2000);
    sweep(0xc0010000u, 0x2000);
    say("%u read, %u refused", answered_reads, refused_reads);
    if (hypervisor) {
        sweep_writes(0, 0x2000);
        sweep_writes(0xc0000000u, 0x2000);
        sweep_writes(0xc0010000u, 0x2000);
        check_refused(architectural, ARRAY_SIZE(architectural));
        check_refused(ours, ARRAY_SIZE(ours));
        check_ignored();
        check_form();
    }
    check_taken();
    check_misc_enable();
    pass("24576 reads survived, %u refused, all as bare but the hidden ones; %u writes outside "
         "the list refused, "
         "bad values too, good ones taken", refused_reads, refused_writes);
}
