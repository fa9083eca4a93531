/* SPDX-License-Identifier: MIT */
/* Under the test hypapp (tests/hypapps/testapp): each callback and each service of the hypapp
 * interface. */
#include <policy/answer.h>
#include <xmhf/access.h>
#include "guest.h"
#include "tests/hypapps/testapp/testapp.h"

static uint8_t page[0x1000] __attribute__((aligned(0x1000)));
static unsigned long checks;

static uint64_t call(uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t rax = TESTAPP_HC;
    unsigned vector = hypercall(&rax, op, a, b, c);

    CHECK(vector == VECTOR_DONE, "the hypapp's service %llu: vector %u", (unsigned long long)op,
          vector);
    return rax;
}

static void set(unsigned channel, enum hyp_answer answer, uint64_t value)
{
    (void)call(TA_SET, channel, answer, value);
    (void)call(TA_COUNT, channel, 0, 0);
}

static uint64_t last(unsigned channel, unsigned which) { return call(TA_LAST, channel, which, 0); }

#define WANT(what, got, want) do { \
        uint64_t got_ = (got), want_ = (want); \
        checks++; \
        CHECK(got_ == want_, "%s: %llx, not %llx", what, (unsigned long long)got_, \
              (unsigned long long)want_); \
    } while (0)

/* Asked exactly so often since the last set(). */
#define ASKED(what, channel, n) WANT(what, call(TA_COUNT, channel, 0, 0), n)

static void ports(void)
{
    static const uint8_t text[] = "ab";
    const uint8_t *from;
    uint8_t buf[4] = { 0 }, *to;
    struct exec x = exec_for(0, 64);
    uint64_t n;

    set(TA_IO, HYP_CORE, 0);
    outb(0x70, 0x0d);
    uint8_t cmos = inb(0x71);
    ASKED("CMOS", TA_IO, 2);
    WANT("the last port", last(TA_IO, 0), 0x71 | 1 << 16 | 1 << 24);
    outb(0x70, 0x0d);
    WANT("hyp_port_in", call(TA_PORT, 0x71, 0, 0), cmos);
    set(TA_IO, HYP_CORE, 0x0d); /* another index than the guest's */
    outb(0x70, 0x0e);
    WANT("OUT's value", last(TA_IO, 1), 0x0e);
    WANT("a changed OUT", inb(0x71), cmos);
    set(TA_IO, HYP_DONE, 0xa5a5a5a5);
    WANT("IN of a byte", inb(0x80), 0xa5);
    WANT("IN of two ports of three", inl(0x82), 0xa5a5a5a5);
    ASKED("0x80", TA_IO, 2);
    (void)inb(0x84);
    (void)inb(0x61);
    ASKED("other ports", TA_IO, 0);
    to = buf;
    n = 3;
    __asm__ volatile("cld; rep insb" : "+D"(to), "+c"(n) : "d"(0x80) : "memory");
    WANT("INSB", buf[2] << 8 | buf[3], 0xa500);
    ASKED("INSB", TA_IO, 3);
    from = text;
    n = 2;
    __asm__ volatile("cld; rep outsb" : "+S"(from), "+c"(n) : "d"(0x80) : "memory");
    WANT("OUTSB", last(TA_IO, 1), 'b');
    set(TA_IO, HYP_REFUSE, 0);
    x.gpr[RDX] = 0x80;
    WANT("a refused IN", EXEC(&x, 0xec), 13);
    set(TA_IO, HYP_CORE, 0);
}

static void mmio(void)
{
    volatile uint32_t *select = (volatile uint32_t *)(uintptr_t)TESTAPP_MMIO, *window = select + 4;
    uint64_t value;

    set(TA_MMIO, HYP_CORE, 0);
    *select = 1;
    uint32_t version = *window;
    ASKED("the I/O APIC", TA_MMIO, 2);
    CHECK(version != 0 && version != ~0u, "the I/O APIC's version is %x", version);
    WANT("where", last(TA_MMIO, 0), TESTAPP_MMIO + 0x10);
    WANT("how", last(TA_MMIO, 2), 4);
    set(TA_MMIO, HYP_CORE, 1); /* another register than the guest's */
    *select = 0;
    set(TA_MMIO, HYP_CORE, 0);
    WANT("a changed store", *window, version);
    set(TA_MMIO, HYP_DONE, 0x12345678);
    WANT("the hypapp's value", *window, 0x12345678);
    *select = 5;
    WANT("what was to be stored", last(TA_MMIO, 1), 5);
    set(TA_MMIO, HYP_CORE, 0);
    WANT("the register that was kept", *window, version);
    set(TA_MMIO, HYP_REFUSE, 0);
    WANT("a refused load", try_read64(TESTAPP_MMIO, &value), 13);
    set(TA_MMIO, HYP_CORE, 0);
}

static void msrs(void)
{
    uint64_t value = 0;

    set(TA_MSR, HYP_CORE, 0);
    WANT("LSTAR", try_wrmsr(0xc0000082, 0x123456789), VECTOR_DONE);
    WANT("its value", rdmsr(0xc0000082), 0x123456789);
    ASKED("LSTAR", TA_MSR, 2);
    WANT("hyp_msr_value", call(TA_MSR_VALUE, 0xc0000082, 0, 0), 0x123456789);
    WANT("SFMASK", try_wrmsr(0xc0000084, 0x47700), VECTOR_DONE);
    WANT("its value", rdmsr(0xc0000084), 0x47700);
    WANT("STAR", try_wrmsr(0xc0000081, 0x23001000000000), VECTOR_DONE);
    WANT("its value", rdmsr(0xc0000081), 0x23001000000000);
    /* An emulator has no #GP for those. */
    WANT("no such MSR", try_rdmsr(TESTAPP_MSR, &value), try_rdmsr(TESTAPP_MSR + 1, &value));
    set(TA_MSR, HYP_DONE, 0xfedcba9876543210);
    WANT("the hypapp's MSR", try_rdmsr(TESTAPP_MSR, &value), VECTOR_DONE);
    WANT("its value", value, 0xfedcba9876543210);
    WANT("a write that is dropped", try_wrmsr(0xc0000082, 1), VECTOR_DONE);
    set(TA_MSR, HYP_CORE, 0x5555);
    WANT("a write that is changed", try_wrmsr(0xc0000082, 1), VECTOR_DONE);
    set(TA_MSR, HYP_CORE, 0);
    WANT("its value", rdmsr(0xc0000082), 0x5555);
    set(TA_MSR, HYP_REFUSE, 0);
    WANT("a refused write", try_wrmsr(0xc0000082, 1), 13);
    (void)rdmsr(0x1b);
    ASKED("LSTAR, and no other", TA_MSR, 1);
    set(TA_MSR, HYP_CORE, 0);
}

static void control_registers(void)
{
    const uint64_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();
    struct exec x = exec_for(0, 64);

    set(TA_CR, HYP_CORE, 0);
    WANT("CR0.WP", try_write_cr(0, cr0 ^ CR0_WP), VECTOR_DONE);
    WANT("CR0", read_cr0(), cr0 ^ CR0_WP);
    ASKED("CR0.WP", TA_CR, 1);
    WANT("which", last(TA_CR, 0), 0);
    WANT("its value", last(TA_CR, 1), cr0 ^ CR0_WP);
    write_cr0(cr0);
    write_cr0(cr0 ^ CR0_AM);
    write_cr0(cr0);
    ASKED("CR0.WP, and not AM", TA_CR, 1);
    write_cr0(cr0 | CR0_TS);
    __asm__ volatile("clts");
    WANT("CLTS", read_cr0(), cr0 & ~CR0_TS);
    ASKED("TS", TA_CR, 2);
    __asm__ volatile("lmsw %w0" : : "r"((uint32_t)cr0 | (uint32_t)CR0_TS));
    WANT("LMSW", read_cr0(), cr0 | CR0_TS);
    __asm__ volatile("clts");
    WANT("bad CR0: PG without PE", try_write_cr(0, (cr0 ^ CR0_WP) & ~CR0_PE), 13);
    WANT("bad CR0: NW without CD", try_write_cr(0, (cr0 ^ CR0_WP) | CR0_NW), 13);
    ASKED("what the CPU takes", TA_CR, 2);
    WANT("CR3", try_write_cr(3, cr3), VECTOR_DONE);
    WANT("CR3", last(TA_CR, 0) << 32 | last(TA_CR, 1), 3ULL << 32 | cr3);
    WANT("a bad CR3", try_write_cr(3, cr3 | 1ULL << 62), 13);
    WANT("CR4.PGE", try_write_cr(4, cr4 ^ CR4_PGE), VECTOR_DONE);
    WANT("CR4", read_cr4(), cr4 ^ CR4_PGE);
    write_cr4(cr4);
    ASKED("CR3, CR4", TA_CR, 3);
    set(TA_CR, HYP_REFUSE, 0);
    WANT("a refused CR0", try_write_cr(0, cr0 ^ CR0_WP), 13);
    WANT("a refused CR3", try_write_cr(3, cr3), 13);
    WANT("a refused CR4", try_write_cr(4, cr4 ^ CR4_PGE), 13);
    WANT("other bits of CR4", try_write_cr(4, cr4 ^ CR4_DE), VECTOR_DONE);
    write_cr4(cr4);
    set(TA_CR, HYP_DONE, 0);
    WANT("a dropped CR0", try_write_cr(0, cr0 ^ CR0_WP), VECTOR_DONE);
    WANT("CR0 stays", read_cr0(), cr0);
    set(TA_CR, HYP_CORE, 0);
    x = exec_for(3, 64);
    WANT("CLTS in ring 3", EXEC(&x, 0x0f, 0x06), 13);
    ASKED("ring 3", TA_CR, 0);
}

static void tables(void)
{
    struct pointer { uint16_t limit; uint64_t base; } __attribute__((packed)) idtr, gdtr, now;
    uint16_t tr, ldt = 0;

    set(TA_TABLE, HYP_CORE, 0);
    __asm__ volatile("sidt %0; sgdt %1; str %2" : "=m"(idtr), "=m"(gdtr), "=r"(tr));
    WANT("hyp_get_idtr", call(TA_TABLES, 0, 0, 0), idtr.base);
    WANT("its limit", call(TA_TABLES, 1, 0, 0), idtr.limit);
    WANT("hyp_get_gdtr", call(TA_TABLES, 2, 0, 0), gdtr.base);
    WANT("its limit", call(TA_TABLES, 3, 0, 0), gdtr.limit);
    ASKED("stores", TA_TABLE, 0);
    __asm__ volatile("lidt %0" : : "m"(idtr));
    WANT("LIDT", last(TA_TABLE, 0) << 32 | last(TA_TABLE, 2), 1ULL << 32 | idtr.limit);
    WANT("its base", last(TA_TABLE, 1), idtr.base);
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
    WANT("LGDT", last(TA_TABLE, 1), gdtr.base);
    __asm__ volatile("lldt %w0" : : "r"(ldt));
    WANT("LLDT", last(TA_TABLE, 0), 2);
    ((volatile uint8_t *)(uintptr_t)gdtr.base)[tr + 5] &= 0xfd; /* not busy */
    __asm__ volatile("ltr %w0" : : "r"(tr));
    WANT("LTR", last(TA_TABLE, 0) << 32 | last(TA_TABLE, 1), 3ULL << 32 | tr);
    WANT("busy", ((volatile uint8_t *)(uintptr_t)gdtr.base)[tr + 5] & 2, 2);
    ASKED("loads", TA_TABLE, 4);
    set(TA_TABLE, HYP_DONE, 0);
    now = (struct pointer){ 0x7f, 0x1000 };
    __asm__ volatile("lidt %0; sidt %0" : "+m"(now));
    WANT("a dropped LIDT", now.base, idtr.base);
    set(TA_TABLE, HYP_REFUSE, 0);
    struct exec x = exec_for(0, 64);
    x.gpr[RBX] = (uintptr_t)&idtr;
    WANT("a refused LIDT", EXEC(&x, 0x0f, 0x01, 0x1b), 13);
    set(TA_TABLE, HYP_CORE, 0);
    x = exec_for(0, 64);
    x.gpr[RBX] = (uintptr_t)&now;
    now.base = 0x8000000000000000;
    WANT("a base that isn't canonical", EXEC(&x, 0x0f, 0x01, 0x1b), 13);
    x = exec_for(3, 64);
    x.gpr[RBX] = (uintptr_t)&idtr;
    WANT("LIDT in ring 3", EXEC(&x, 0x0f, 0x01, 0x1b), 13);
    x = exec_for(0, 64);
    x.gpr[RAX] = tr;
    WANT("LTR of a busy one", EXEC(&x, 0x0f, 0x00, 0xd8) << 16 | x.error, 13 << 16 | tr);
    ASKED("what faults", TA_TABLE, 0);
}

static void rights(uint64_t access)
{
    WANT("hyp_rights", call(TA_RIGHTS, (uintptr_t)page, 1, access), 0);
}

static void faults(void)
{
    volatile uint64_t *word = (volatile uint64_t *)(void *)page;
    const char *from = "0123456789";
    uint8_t *to = page + 0x20;
    uint64_t n = 10;

    *word = 1;
    rights(ACCESS_READ | ACCESS_EXEC);
    set(TA_FAULT, HYP_CORE, 0);
    (void)call(TA_ON_FAULT, FAULT_REFUSE, 0, 0);
    WANT("a store that is refused", try_write64((uintptr_t)page, 2), 13);
    WANT("the fault", last(TA_FAULT, 0), (uintptr_t)page);
    WANT("its kind", last(TA_FAULT, 1), ACCESS_WRITE);
    WANT("reading", *word, 1);
    ASKED("one fault", TA_FAULT, 1);
    (void)call(TA_ON_FAULT, FAULT_CARRY_OUT, 0, 0);
    *word = 3;
    WANT("a store that the hypapp does", *word, 3);
    __asm__ volatile("cld; rep movsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
    WANT("REP MOVSB", memcmp(page + 0x20, "0123456789", 10), 0);
    (void)call(TA_ON_FAULT, FAULT_SKIP, 0, 0);
    *word = 4;
    WANT("one that is skipped", *word, 3);
    WANT("gp_read and gp_write", call(TA_GP, (uintptr_t)page, 5, 0), 3);
    WANT("what gp_write wrote", *word, 5);
    (void)call(TA_ON_FAULT, FAULT_GIVE_BACK, 0, 0);
    *word = 6;
    *word = 7;
    WANT("after the rights are back", *word, 7);
    rights(0);
    (void)call(TA_ON_FAULT, FAULT_REFUSE, 0, 0);
    WANT("no right at all", try_write64((uintptr_t)page, 2), 13);
    rights(ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC);
    WANT("all of them", *word, 7);
    WANT("a device has no RAM's rights", call(TA_RIGHTS, 0xfee00000, 1, ACCESS_READ), 2);
    WANT("gp_read of a device", call(TA_GP, 0xfee00000, 0, 0), ~0ULL);
}

static void services(void)
{
    struct exec x;

    WANT("CPUID", cpuid(TESTAPP_CPUID, 0).eax, TESTAPP_MAGIC);
    WANT("each CPUID", cpuid(TESTAPP_CPUID, 0).ebx, 2);
    WANT("info", info(TESTAPP_INFO), TESTAPP_MAGIC);
    WANT("testapp=", call(TA_OPTION, 0, 0, 0), 77);
    WANT("the module's size", call(TA_MODULE, 0, 0, 0), 9);
    WANT("its bytes", call(TA_MODULE, 1, 0, 0), 't' + 'e' + 's' + 't' + 'm' + 'o' + 'd' + 'u'
         + 'l');
    WANT("cpu_init", call(TA_CPUS, 0, 0, 0), cpu_total());
    *(uint64_t *)(void *)(page + 8) = 0x1122334455667788;
    WANT("gm_read_kernel", call(TA_KERNEL, (uintptr_t)page + 8, 0, 0), 0x1122334455667788);
    WANT("gm_translate", call(TA_TRANSLATE, (uintptr_t)page + 8, 0, 0), (uintptr_t)page + 8);
    WANT("gm_translate of nothing", call(TA_TRANSLATE, 1ULL << 40, 0, 0), ~0ULL);
    WANT("CS", call(TA_SEGMENT, 0, 0, 0), SEL_CODE64);
    WANT("the pool", call(TA_POOL, 0, 0, 0), 1);
    WANT("SHA-256", call(TA_SHA, 0, 0, 0), 1);
    CHECK(call(TA_RANDOM, 0, 0, 0) != call(TA_RANDOM, 0, 0, 0), "random numbers that are the same");
    x = hypercall_in(0, TESTAPP_HC, TA_UD, 0, 0, 0);
    WANT("hyp_inject_ud", x.vector, 6);
    for (unsigned i = 0; i < 100; i++) {
        WANT("the sandbox", call(TA_SANDBOX, 41 + i, 0, 0), 42 + i);
    }
}

static void idle(struct cpu *c) { c->count[0]++; }

/* Another CPU gets an INIT, and works afterwards. */
static void events(void)
{
    set(TA_EVENT, HYP_CORE, 0);
    CHECK(ap_run(1, idle), "CPU 1 doesn't start");
    uint64_t inits = call(TA_COUNT, TA_EVENT, 0, 0);
    CHECK(inits >= 1, "no HYP_INIT of CPU 1");
    WANT("what", last(TA_EVENT, 0), 0);
    WANT("whose", last(TA_EVENT, 1), 1);
    checks++;
}

void guest_main(void)
{
    uint64_t rax = TESTAPP_HC;

    CHECK(hypercall(&rax, TA_CPUS, 0, 0, 0) == VECTOR_DONE, "not under the test hypapp");
    if (word("off")) {
        say("RESET by the keyboard controller, the hypapp told before");
        outb(0x64, 0xfe);
        fail("still running");
    }
    services();
    ports();
    mmio();
    msrs();
    control_registers();
    tables();
    faults();
    events();
    pass("%lu checks of what a hypapp is asked and can do", checks);
}
