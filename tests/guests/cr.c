/* SPDX-License-Identifier: MIT */
/* Control registers: every bit of CR0, CR4, XCR0 and EFER is taken or refused as bare. */
#include <x86/cpuid.h>
#include <x86/msr.h>
#include "guest.h"

/* Bits that every CPU of the benches has. Bare TCG is lost after reserved ones, and always after
 * clearing PAE, where a CPU gives #GP. */
#define CR4_COMMON (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_MCE | CR4_PGE | CR4_PCE \
                    | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE)

#define SEL_ILLEGAL 0x60

/* Bits that no CPU has. */
#define CR4_NO_CPU (BIT(15) | BIT(26) | BIT(29) | BIT(30) | BIT(31) | ~0ULL << 33)

static void each_cr4_bit(void)
{
    uint64_t base = read_cr4();

    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(CR4_COMMON & BIT(bit))) {
            continue;
        }
        CHECK(try_write_cr(4, base ^ BIT(bit)) == VECTOR_DONE && read_cr4() == (base ^ BIT(bit)),
              "CR4 bit %u can't be set", bit);
        write_cr4(base);
    }
    if (hypervisor && word("model=max")) { /* a CPU that has it, hidden by the hypervisor */
        CHECK(!(cpuid(7, 0).ecx & CPUID_7_0_ECX_LA57), "LA57 isn't hidden");
        CHECK(try_write_cr(4, base | CR4_LA57) == EXC_GP, "CR4.LA57 can be set");
        CHECK(try_write_cr(4, base & ~CR4_PAE) == EXC_GP, "CR4.PAE can be cleared in long mode");
        for (unsigned bit = 0; bit < 64; bit++) {
            CHECK(!(CR4_NO_CPU & BIT(bit)) || try_write_cr(4, base | BIT(bit)) == EXC_GP,
                  "CR4 bit %u can be set", bit);
        }
        CHECK(read_cr4() == base, "a refused write changed CR4");
    }
}

static void each_cr0_bit(void)
{
    uint64_t base = read_cr0();

    for (unsigned bit = 0; bit < 64; bit++) {
        if (bit == 0 || bit == 31) {
            /* PE and PG: TCG is lost where a CPU gives #GP; the guest "modes" uses them */
            continue;
        }
        unsigned vector = try_write_cr(0, base ^ BIT(bit));

        same("CR0 bit %u: vector %u, reads %llx", bit, vector, (unsigned long long)read_cr0());
        CHECK(try_write_cr(0, base) == VECTOR_DONE && read_cr0() == base, "CR0 can't be set back");
    }
}

static void each_efer_bit(void)
{
    uint64_t base = rdmsr(MSR_EFER);

    for (unsigned bit = 0; bit < 64; bit++) {
        unsigned vector = try_wrmsr(MSR_EFER, base ^ BIT(bit));
        uint64_t now = rdmsr(MSR_EFER);

        CHECK(vector == EXC_GP || vector == VECTOR_DONE, "EFER bit %u: vector %u", bit, vector);
        CHECK(!hypervisor || !(now & EFER_SVME), "SVME is visible");
        wrmsr(MSR_EFER, base);
        if (hypervisor && bit >= 12) {
            CHECK(vector == EXC_GP || (BIT(bit) & (EFER_FFXSR | EFER_TCE | EFER_AUTO_IBRS)),
                  "EFER bit %u was taken", bit);
        }
    }
    CHECK(rdmsr(MSR_EFER) == base, "EFER changed");
}

static void xcr0(void)
{
    static const uint64_t values[] = { 0, 1, 2, 3, 4, 5, 6, 7, 0x17, 0x1f, 0xe7, 0x27, 0x207,
                                       0x60007, 1ULL << 62 | 7, 1ULL << 63 | 7 };

    if (!(cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)) {
        say("no XSAVE");
        return;
    }
    CHECK(try_xsetbv(0, 7) == EXC_UD, "XSETBV without OSXSAVE");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        same("XCR0 %llx: vector %u", (unsigned long long)values[i], try_xsetbv(0, values[i]));
        struct cpuid r = cpuid(0xd, 0);
        same("  size %u of %u, components %x", r.ebx, r.ecx, r.eax);
    }
    same("XCR1: vector %u", try_xsetbv(1, 1));
    same("XCR 80000000: vector %u", try_xsetbv(0x80000000u, 1));
    struct exec x = exec_for(3, 64);
    x.gpr[RAX] = 3;
    same("XSETBV in ring 3: vector %u", EXEC(&x, 0x0f, 0x01, 0xd1));
    CHECK(try_xsetbv(0, 1) == VECTOR_DONE, "XCR0 can't be set back");
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

/* Every form of MOV to CR4 and CR0, by register. */
static void each_register(void)
{
    uint64_t base = read_cr4();

    for (unsigned r = 0; r < 16; r++) {
        struct exec x = exec_for(0, 64);

        if (r == RSP) {
            continue;
        }
        x.gpr[r] = base | CR4_TSD;
        EXEC(&x, (uint8_t)(r >= 8 ? 0x41 : 0x40), 0x0f, 0x22, (uint8_t)(0xe0 | (r & 7)));
        CHECK(x.vector == VECTOR_DONE && read_cr4() == (base | CR4_TSD), "MOV from register %u", r);
        write_cr4(base);
    }
}

/* What a CPU refuses with #GP, and QEMU takes or answers with "the guest's state is refused": a
 * fault, or the guest goes on; never a reset. */
static void refused(void)
{
    uint64_t base = read_cr4();

    for (unsigned bit = 0; bit < 64; bit++) {
        CHECK(!(CR4_NO_CPU & BIT(bit)) || try_write_cr(4, base | BIT(bit)) == EXC_GP,
              "CR4 bit %u can be set", bit);
    }
    CHECK(read_cr4() == base, "a refused write changed CR4");
    CHECK(try_write_cr(3, read_cr3() | BIT(51)) == EXC_GP, "CR3 bit 51 can be set");
}

/* Code that leaves an illegal state behind, and then exits. */
static void illegal_states(void)
{
    uint64_t cr0 = read_cr0();
    struct exec x = exec_for(0, 64);

    x.gpr[RAX] = cr0 | CR0_NW; /* mov %rax, %cr0; cpuid; cpuid */
    EXEC(&x, 0x0f, 0x22, 0xc0, 0x0f, 0xa2, 0x0f, 0xa2);
    CHECK(x.vector == EXC_GP || x.vector == VECTOR_DONE, "CR0.NW: vector %llu",
          (unsigned long long)x.vector);
    write_cr0(cr0);
    this_cpu()->gdt[SEL_ILLEGAL / 8] = 0x00ef9b000000ffff; /* L and D; lretq there; cpuid */
    x = exec_for(0, 64);
    EXEC(&x, 0x6a, SEL_ILLEGAL, 0x48, 0x8d, 0x05, 3, 0, 0, 0, 0x50, 0x48, 0xcb, 0x0f, 0xa2);
    CHECK(x.vector == EXC_GP || x.vector == VECTOR_DONE, "CS with L and D: vector %llu",
          (unsigned long long)x.vector);
}

static const uint8_t kernel_entry[] = { 0x0f, 0xa2, 0x0f, 0xa2, 0xcd, VECTOR_DONE };

/* An unprivileged program, single-stepped: QEMU's SYSENTER leaves CS with L and D. */
static void sysenter(void)
{
    for (unsigned step = 0; step < 2; step++) {
        struct exec x = exec_for(3, 32);

        wrmsr(MSR_IA32_SYSENTER_CS, SEL_CODE64);
        wrmsr(MSR_IA32_SYSENTER_ESP, x.rsp - 0x400);
        wrmsr(MSR_IA32_SYSENTER_EIP, (uintptr_t)kernel_entry);
        x.rflags |= step ? RFLAGS_TF : 0;
        EXEC(&x, 0x0f, 0x34);
        same("SYSENTER, TF %u: vector %llu at +%lld", step, (unsigned long long)x.vector,
             (long long)(x.rip - (uintptr_t)kernel_entry));
    }
}

void guest_main(void)
{
    sysenter();
    if (hypervisor) {
        refused();
        illegal_states();
    }
    each_cr4_bit();
    each_register();
    each_cr0_bit();
    each_efer_bit();
    xcr0();
    pass("every bit of CR0, CR4 and EFER, and 16 values of XCR0");
}
