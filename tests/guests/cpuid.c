/* SPDX-License-Identifier: MIT */
/* CPUID: our leaves, hidden features, bits that follow CR4, lengths with prefixes. */
#include <x86/cpuid.h>
#include <x86/msr.h>
#include "guest.h"

static void check_ours(void)
{
    struct cpuid r = cpuid(XMHF_CPUID_BASE, 0);

    CHECK(r.eax == XMHF_CPUID_BASE + 1 && r.ebx == 0x46484d58 && r.ecx == r.ebx && r.edx == r.ebx,
          "leaf 40000000 is %x %x %x %x", r.eax, r.ebx, r.ecx, r.edx);
    CHECK(cpuid(XMHF_CPUID_BASE + 1, 0).eax == XMHF_VERSION, "leaf 40000001 isn't the version");
    for (uint32_t leaf = XMHF_CPUID_BASE + 2; leaf < XMHF_CPUID_BASE + 0x300; leaf++) {
        r = cpuid(leaf, 0);
        CHECK((r.eax | r.ebx | r.ecx | r.edx) == 0, "leaf %x isn't zero", leaf);
    }
    CHECK(cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR, "no hypervisor bit");
}

static void check_hidden(void)
{
    struct cpuid r = cpuid(0x80000001, 0), svm = cpuid(CPUID_SVM, 0);

    CHECK(!(r.ecx & (CPUID_8_1_ECX_SVM | CPUID_8_1_ECX_SKINIT)), "SVM or SKINIT is visible");
    /* On a CPU without the leaf it shows the highest basic one's values (SDM vol. 2, CPUID). */
    CHECK(cpuid(0x80000000, 0).eax < CPUID_SVM || (svm.eax | svm.ebx | svm.ecx | svm.edx) == 0,
          "leaf 8000000A isn't zero");
    CHECK(!(cpuid(1, 0).ecx & (CPUID_1_ECX_VMX | CPUID_1_ECX_SMX)), "VMX or SMX is visible");
}

/* Bits that mirror CR4 (SDM vol. 2, CPUID; APM vol. 3, appendix E). */
static void check_mirrors(void)
{
    uint64_t cr4 = read_cr4();

    if (cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE) {
        CHECK(!(cpuid(1, 0).ecx & CPUID_1_ECX_OSXSAVE), "OSXSAVE with CR4.OSXSAVE clear");
        write_cr4(cr4 | CR4_OSXSAVE);
        CHECK(cpuid(1, 0).ecx & CPUID_1_ECX_OSXSAVE, "no OSXSAVE with CR4.OSXSAVE set");
        write_cr4(cr4);
        CHECK(!(cpuid(1, 0).ecx & CPUID_1_ECX_OSXSAVE), "OSXSAVE stays");
    }
    if (cpuid(7, 0).ecx & CPUID_7_0_ECX_PKU) {
        CHECK(!(cpuid(7, 0).ecx & CPUID_7_0_ECX_OSPKE), "OSPKE with CR4.PKE clear");
        write_cr4(cr4 | CR4_PKE);
        CHECK(cpuid(7, 0).ecx & CPUID_7_0_ECX_OSPKE, "no OSPKE with CR4.PKE set");
        write_cr4(cr4);
    }
}

/* Whatever prefixes it has, CPUID runs and the next instruction is the right one. */
static void check_prefixes(void)
{
    static const struct { uint8_t len, bytes[8]; } forms[] = {
        { 2, { 0x0f, 0xa2 } }, { 3, { 0x66, 0x0f, 0xa2 } }, { 3, { 0x48, 0x0f, 0xa2 } },
        { 3, { 0xf2, 0x0f, 0xa2 } }, { 3, { 0xf3, 0x0f, 0xa2 } }, { 3, { 0x67, 0x0f, 0xa2 } },
        { 4, { 0x66, 0x4f, 0x0f, 0xa2 } }, { 4, { 0x2e, 0x65, 0x0f, 0xa2 } },
        { 6, { 0x66, 0x67, 0xf2, 0x3e, 0x0f, 0xa2 } },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        for (unsigned bits = 32; bits <= 64; bits += 32) {
            struct exec x = exec_for(i & 1 ? 3 : 0, bits);

            if (bits == 32 && (forms[i].bytes[0] & 0xf0) == 0x40) {
                continue; /* REX is INC or DEC there */
            }
            if (bits == 32 && forms[i].bytes[1] == 0x4f) {
                continue;
            }
            exec_bytes(&x, forms[i].bytes, forms[i].len);
            CHECK(x.vector == VECTOR_DONE && x.rip == x.start + forms[i].len + 2,
                  "form %u, %u bits: vector %llu at +%llu", i, bits,
                  (unsigned long long)x.vector, (unsigned long long)(x.rip - x.start));
            CHECK(x.gpr[RAX] == cpuid(0, 0).eax, "form %u, %u bits: EAX is 0x%llx", i, bits,
                  (unsigned long long)x.gpr[RAX]);
        }
    }
}

/* The high halves of the four registers are cleared, as in the CPU, and nothing else changes;
 * also when the question is an old one. */
static void check_registers(void)
{
    struct cpuid first = cpuid(0, 0);

    for (unsigned round = 1; round <= 20; round++) {
        struct exec x = exec_for(0, 64);

        for (unsigned i = 0; i < 16; i++) {
            x.gpr[i] = 0x1122334455667788ULL * (i + round);
        }
        x.gpr[RAX] = 0xffffffff00000000ULL;
        x.rflags |= round & 1 ? RFLAGS_CF | RFLAGS_ZF : 0;
        const uint64_t rflags = x.rflags;
        EXEC(&x, 0x0f, 0xa2);
        CHECK(x.gpr[RAX] == first.eax && x.gpr[RBX] == first.ebx && x.gpr[RCX] == first.ecx
              && x.gpr[RDX] == first.edx, "round %u: leaf 0 changed, or a high half is left",
              round);
        CHECK(x.rflags == rflags, "round %u: RFLAGS changed to 0x%llx", round,
              (unsigned long long)x.rflags);
        for (unsigned i = 5; i < 16; i++) {
            CHECK(x.gpr[i] == 0x1122334455667788ULL * (i + round), "register %u changed", i);
        }
    }
}

/* The sizes of leaf 0xD follow XCR0, whatever was asked before. */
static void check_sizes(void)
{
    static const uint32_t masks[] = { 1, 3, 7, 3, 1 };
    const uint64_t cr4 = read_cr4();

    if (!(cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)) {
        return;
    }
    write_cr4(cr4 | CR4_OSXSAVE);
    for (unsigned i = 0; i < ARRAY_SIZE(masks); i++) {
        if ((cpuid(CPUID_XSTATE, 0).eax & masks[i]) != masks[i]) {
            continue;
        }
        __asm__ volatile("xsetbv" :: "a"(masks[i]), "d"(0), "c"(0));
        for (unsigned again = 0; again < 3; again++) {
            same("with XCR0 = %u: %x, %x", masks[i], cpuid(CPUID_XSTATE, 0).ebx,
                 cpuid(CPUID_XSTATE, 1).ebx);
        }
    }
    write_cr4(cr4);
}

/* With TF the trap comes after CPUID, also where MOV SS has held one back before it. */
static void check_step(void)
{
    struct exec x = exec_for(0, 64);

    x.rflags |= RFLAGS_TF;
    EXEC(&x, 0x0f, 0xa2, 0x90, 0x90);
    CHECK(x.vector == EXC_DB && x.rip == x.start + 2, "with TF: vector %llu at +%llu",
          (unsigned long long)x.vector, (unsigned long long)(x.rip - x.start));
    x = exec_for(0, 64);
    x.rflags |= RFLAGS_TF;
    x.gpr[RCX] = SEL_DATA;
    EXEC(&x, 0x8e, 0xd1, 0x0f, 0xa2, 0x90, 0x90); /* mov ss, ecx */
    same("MOV SS and CPUID with TF: vector %llu at +%llu", (unsigned long long)x.vector,
         (unsigned long long)(x.rip - x.start));
}

/* With DEBUGCTL.BTF too, where the CPU has that, only branches are stepped: none is here. */
static void check_branch_step(void)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RCX] = MSR_IA32_DEBUGCTL;
    x.gpr[RAX] = 2;
    EXEC(&x, 0x0f, 0x30);
    if (x.vector == VECTOR_DONE) {
        x = exec_for(0, 64);
        x.rflags |= RFLAGS_TF;
        EXEC(&x, 0x0f, 0xa2, 0x90, 0x90);
        same("CPUID with TF and BTF: vector %llu at +%llu", (unsigned long long)x.vector,
             (unsigned long long)(x.rip - x.start));
        wrmsr(MSR_IA32_DEBUGCTL, 0);
    }
}

static void print_leaves(void)
{
    static const uint32_t leaves[] = { 0, 0x80000000, 0x80000002, 0x80000003, 0x80000004 };

    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        struct cpuid r = cpuid(leaves[i], 0);
        same("leaf %x: %x %x %x %x", leaves[i], r.eax, r.ebx, r.ecx, r.edx);
    }
}

void guest_main(void)
{
    print_leaves();
    check_mirrors();
    check_prefixes();
    check_registers();
    check_sizes();
    if (hypervisor) {
        check_ours();
        check_hidden();
    } else {
        CHECK((cpuid(0x80000001, 0).ecx & CPUID_8_1_ECX_SVM) || (cpuid(1, 0).ecx & CPUID_1_ECX_VMX),
              "control: the bare CPU has neither SVM nor VMX");
    }
    if (!word("no-step")) {
        check_step();
        check_branch_step();
    }
    pass("leaves, mirrors, 9 prefix forms, registers");
}
