/* SPDX-License-Identifier: MIT */
/* Writes to the xAPIC page in every form of MOV, and in forms that aren't supported. */
#include "guest.h"

#include <x86/cpuid.h>
#include <x86/msr.h>

#define TPR 0xfee00080u
#define TIMER_VECTOR 0x40

struct form { const char *name; uint8_t bits, len, bytes[16]; };

/* RCX holds TPR's address, RAX, RDX and R9 the value 0x50, RBX 0x10. */
static const struct form supported[] = {
    { "mov %eax,(%rcx)", 64, 2, { 0x89, 0x01 } },
    { "mov %edx,(%rcx)", 64, 2, { 0x89, 0x11 } },
    { "mov %r9d,(%rcx)", 64, 3, { 0x44, 0x89, 0x09 } },
    { "movl $0x50,(%rcx)", 64, 6, { 0xc7, 0x01, 0x50, 0, 0, 0 } },
    { "mov %eax,0(%rcx)", 64, 3, { 0x89, 0x41, 0 } },
    { "mov %eax,0L(%rcx)", 64, 6, { 0x89, 0x81, 0, 0, 0, 0 } },
    { "mov %eax,-0x20(%rcx,%rbx,2)", 64, 4, { 0x89, 0x44, 0x59, 0xe0 } },
    { "mov %eax,moffs64", 64, 9, { 0xa3, 0x80, 0x00, 0xe0, 0xfe, 0, 0, 0, 0 } },
    { "mov %eax,moffs32", 64, 6, { 0x67, 0xa3, 0x80, 0x00, 0xe0, 0xfe } },
    { "addr32 mov %eax,(%ecx)", 64, 3, { 0x67, 0x89, 0x01 } },
    { "mov %eax,%ds:(%rcx)", 64, 3, { 0x3e, 0x89, 0x01 } },
    { "32-bit mov %eax,(%ecx)", 32, 2, { 0x89, 0x01 } },
    { "32-bit mov %eax,moffs", 32, 5, { 0xa3, 0x80, 0x00, 0xe0, 0xfe } },
    { "32-bit movl $0x50,disp32", 32, 10, { 0xc7, 0x05, 0x80, 0, 0xe0, 0xfe, 0x50, 0, 0, 0 } },
};

/* What the hypervisor needn't carry out: the CPU may, or the guest gets a fault. */
static const struct form unsupported[] = {
    { "orl", 64, 3, { 0x83, 0x09, 0x50 } },
    { "xchg", 64, 2, { 0x87, 0x01 } },
    { "lock addl", 64, 4, { 0xf0, 0x83, 0x01, 0x10 } },
    { "incl", 64, 2, { 0xff, 0x01 } },
    { "movb", 64, 2, { 0x88, 0x01 } },
    { "movw", 64, 3, { 0x66, 0x89, 0x01 } },
    { "movq", 64, 3, { 0x48, 0x89, 0x01 } },
    { "movq imm", 64, 7, { 0x48, 0xc7, 0x01, 0x50, 0, 0, 0 } },
    { "movnti", 64, 3, { 0x0f, 0xc3, 0x01 } },
    { "movbe", 64, 4, { 0x0f, 0x38, 0xf1, 0x01 } },
    { "stosl", 64, 1, { 0xab } },
    { "rep stosl", 64, 7, { 0xb9, 1, 0, 0, 0, 0xf3, 0xab } },
    { "pushq", 64, 2, { 0xff, 0x31 } },
    { "popq (%rcx)", 64, 2, { 0x8f, 0x01 } },
    { "cmpxchg", 64, 3, { 0x0f, 0xb1, 0x01 } },
    { "xaddl", 64, 3, { 0x0f, 0xc1, 0x01 } },
    { "btsl", 64, 4, { 0x0f, 0xba, 0x29, 0x05 } },
    { "setc", 64, 3, { 0x0f, 0x92, 0x01 } },
    { "sgdt", 64, 3, { 0x0f, 0x01, 0x01 } },
    { "mov misaligned", 64, 3, { 0x89, 0x41, 0x01 } },
    { "mov across the page's start", 64, 3, { 0x89, 0x41, 0x7e } },
    { "lcall", 64, 2, { 0xff, 0x19 } },
};

static struct exec prepared(const struct form *f, unsigned ring)
{
    struct exec x = exec_for(ring, f->bits);

    x.gpr[RCX] = x.gpr[RDI] = TPR;
    x.gpr[RAX] = x.gpr[RDX] = x.gpr[R9] = 0x50;
    x.gpr[RBX] = 0x10;
    return x;
}

static void check_supported(unsigned ring)
{
    for (unsigned i = 0; i < ARRAY_SIZE(supported); i++) {
        const struct form *f = &supported[i];
        struct exec x = prepared(f, ring);

        apic_write(0x80, 0);
        exec_bytes(&x, f->bytes, f->len);
        CHECK(x.vector == VECTOR_DONE && x.rip == x.start + f->len + 2u,
              "%s: vector %llu at +%llu", f->name, (unsigned long long)x.vector,
              (unsigned long long)(x.rip - x.start));
        CHECK(apic_read(0x80) == 0x50, "%s: TPR reads 0x%x", f->name, apic_read(0x80));
        CHECK(x.gpr[RAX] == 0x50 && x.gpr[RCX] == TPR, "%s changed registers", f->name);
    }
    apic_write(0x80, 0);
}

static void check_unsupported(void)
{
    unsigned faults = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(unsupported); i++) {
        struct exec x = prepared(&unsupported[i], 0);

        exec_bytes(&x, unsupported[i].bytes, unsupported[i].len);
        CHECK(x.vector == VECTOR_DONE || x.vector == EXC_GP || x.vector == EXC_PF
              || x.vector == EXC_UD, "%s: vector %llu", unsupported[i].name,
              (unsigned long long)x.vector);
        faults += x.vector != VECTOR_DONE;
        apic_write(0x80, 0);
    }
    say("%u of %u unsupported forms fault", faults, (unsigned)ARRAY_SIZE(unsupported));
}

/* An INIT as devices send it, stored by a CPU, and the id that kicks go by: nothing happens. */
static void check_messages(void)
{
    static const uint32_t nowhere[] = { 0xfee00000u, 0xfee00010u },
        devices[] = { 0xfee01000u, 0xfeeff000u };
    struct exec x;

    for (unsigned i = 0; i < 4; i++) {
        x = exec_for(0, 64);
        x.gpr[RCX] = i < 2 ? nowhere[i] : devices[i - 2];
        x.gpr[RAX] = 0x500;
        EXEC(&x, 0x89, 0x01);
        CHECK(x.vector == (i < 2 ? VECTOR_DONE : EXC_GP), "a store to 0x%llx: vector %llu",
              (unsigned long long)x.gpr[RCX], (unsigned long long)x.vector);
    }
    apic_write(0x20, 5u << 24);
    CHECK(apic_read(0x20) >> 24 == 0, "the APIC id is %u", apic_read(0x20) >> 24);
}

/* An entry of the local vector table that would send INIT stays masked; others are as written. */
static void check_lvts(void)
{
    static const unsigned lvts[] = { 0x330, 0x340, 0x350, 0x360 };

    for (unsigned i = 0; i < ARRAY_SIZE(lvts); i++) {
        uint32_t before = apic_read(lvts[i]);

        apic_write(lvts[i], 0x400); /* NMI */
        CHECK(!(apic_read(lvts[i]) & 0x10000), "LVT 0x%x is masked", lvts[i]);
        apic_write(lvts[i], 0x10000);
        if (hypervisor) {
            apic_write(lvts[i], 0x500); /* INIT */
            CHECK(apic_read(lvts[i]) & 0x10000, "LVT 0x%x can send INIT", lvts[i]);
        }
        apic_write(lvts[i], before);
    }
}

/* Another linear address for the same page. */
static void check_alias(void)
{
    struct exec x = exec_for(0, 64);

    page_pd[2][0] = 0xfee00000u | 0x9f;
    write_cr3(read_cr3());
    x.gpr[RCX] = 0x80000080u;
    x.gpr[RAX] = 0x30;
    CHECK(EXEC(&x, 0x89, 0x01) == VECTOR_DONE && apic_read(0x80) == 0x30,
          "through another address");
    page_pd[2][0] = 0x80000087u;
    write_cr3(read_cr3());
    apic_write(0x80, 0);
}

static volatile unsigned ticks;

static void tick(struct trap_frame *f)
{
    (void)f;
    ticks++;
    apic_write(0xb0, 0);
}

/* One-shot, 20 times: each interrupt comes once and its EOI lets the next through. */
static void check_timer(void)
{
    handlers[TIMER_VECTOR] = tick;
    apic_write(0xf0, 0x1ff);
    apic_write(0x3e0, 3);
    apic_write(0x320, TIMER_VECTOR);
    for (unsigned i = 1; i <= 20; i++) {
        apic_write(0x380, 10000);
        sti();
        for (unsigned j = 0; j < 1000 && ticks < i; j++) {
            delay_us(100);
        }
        cli();
        CHECK(ticks == i, "%u timer interrupts instead of %u", ticks, i);
    }
    apic_write(0x320, 0x10000);
}

/* Fixed IPI to itself, and TPR holding it back. */
static void check_tpr(void)
{
    unsigned before = ticks;

    apic_write(0x80, 0xf0);
    ipi(0, 0x4000 | TIMER_VECTOR);
    sti();
    delay_us(2000);
    CHECK(ticks == before, "an interrupt passed TPR f0");
    apic_write(0x80, 0);
    delay_us(2000);
    cli();
    CHECK(ticks == before + 1, "an interrupt that TPR held back: %u", ticks - before);
}

/* Turned off and on again: CPUID and the MSR tell; the next timer interrupt comes. The emulators'
 * own APICs don't come back, so bare this isn't tried. */
static void check_off(void)
{
    uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

    ticks = 0;
    apic_write(0x380, 1000000000); /* it never comes */
    wrmsr(MSR_IA32_APIC_BASE, base & ~APIC_BASE_EN);
    CHECK(rdmsr(MSR_IA32_APIC_BASE) == (base & ~APIC_BASE_EN), "IA32_APIC_BASE reads 0x%llx",
          (unsigned long long)rdmsr(MSR_IA32_APIC_BASE));
    CHECK(!(cpuid(1, 0).edx & CPUID_1_EDX_APIC), "off, and CPUID tells of an APIC");
    for (unsigned at = 0; at < 4096; at += 4) { /* its page is memory now, whatever is stored how */
        *(volatile uint32_t *)(uintptr_t)(0xfee00000u + at) = at * 0x01010101u;
    }
    for (unsigned at = 0; at < 4096; at += 4) {
        CHECK(apic_read(at) == at * 0x01010101u, "off, and at 0x%x there is 0x%x", at,
              apic_read(at));
    }
    ipi(0, 0x4000 | TIMER_VECTOR);
    sti();
    delay_us(2000);
    cli();
    CHECK(ticks == 0, "off, and %u interrupts came", ticks);
    wrmsr(MSR_IA32_APIC_BASE, base);
    CHECK(rdmsr(MSR_IA32_APIC_BASE) == base && (cpuid(1, 0).edx & CPUID_1_EDX_APIC),
          "on again, and it isn't");
    CHECK(apic_read(0xf0) == 0xff && apic_read(0x380) == 0, "on again, and not as after a reset");
    check_timer();
}

void guest_main(void)
{
    check_supported(0);
    check_supported(3);
    check_alias();
    if (hypervisor) {
        check_lvts();
        check_messages();
    }
    check_timer();
    check_tpr();
    if (hypervisor) {
        check_off();
    }
    if (word("bench=vmx")) { /* Bochs itself ends at an access that isn't of four bytes */
        pass("%u forms of MOV work in rings 0 and 3; timer, EOI, TPR",
             (unsigned)ARRAY_SIZE(supported));
    }
    check_unsupported();
    ticks = 0;
    check_timer();
    pass("%u forms of MOV work in rings 0 and 3, %u others do no harm; timer, EOI, TPR",
         (unsigned)ARRAY_SIZE(supported), (unsigned)ARRAY_SIZE(unsupported));
}
