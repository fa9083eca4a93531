/* SPDX-License-Identifier: MIT */
/* The waking vectors: an OS's stores to the page of the FACS are carried out, but the vectors stay
 * the hypervisor's. With the word `sleep`: a sleep by a way that no hypervisor watches ends in its
 * code. */
#include <acpi/acpi.h>
#include "guest.h"

#define NATIVE_AT 0x20000u
#define PM_FUNCTION 0x80000b00u /* of PIIX4: bus 0, device 1, function 3 */
#define NEW_BASE 0x7000u

extern const uint8_t native_start[], native_end[];

static struct acpi_info acpi;
static volatile uint8_t *facs;

static const void *map(uint64_t addr, size_t len)
{
    return addr < 0xfec00000u && len < 0x10000000u ? (const void *)(uintptr_t)addr : NULL;
}

static void find_facs(void)
{
    const char *why = "";

    CHECK(acpi_read(map, acpi_find_rsdp(map), &acpi, &why) == 0, "ACPI: %s", why);
    if (!acpi.facs[0]) {
        skip("this machine has no FACS");
    }
    facs = (volatile uint8_t *)(uintptr_t)acpi.facs[0];
}

static volatile uint32_t *dword(unsigned at)
{
    return (volatile uint32_t *)(facs + at);
}

/* --- stores ----------------------------------------------------------------------------- */

/* Each at the reserved bytes 40 to 47, which begin as AX's complement; RBX is their address. What
 * memory, RAX, RCX and the flags are then is compared with the bare run. */
static const struct { const char *what; uint8_t len, code[8]; } forms[] = {
    { "mov %cl", 2, { 0x88, 0x0b } },            { "mov %ch", 2, { 0x88, 0x2b } },
    { "mov %cx", 3, { 0x66, 0x89, 0x0b } },      { "mov %ecx", 2, { 0x89, 0x0b } },
    { "mov %rcx", 3, { 0x48, 0x89, 0x0b } },     { "mov %ecx, 1()", 3, { 0x89, 0x4b, 0x01 } },
    { "movb imm", 3, { 0xc6, 0x03, 0x5a } },
    { "movw imm", 5, { 0x66, 0xc7, 0x03, 0x34, 0x92 } },
    { "movl imm", 6, { 0xc7, 0x03, 0x78, 0x56, 0x34, 0x92 } },
    { "movq imm", 7, { 0x48, 0xc7, 0x03, 0x78, 0x56, 0x34, 0x92 } },
    { "movnti", 3, { 0x0f, 0xc3, 0x0b } },       { "xchg %ecx", 2, { 0x87, 0x0b } },
    { "xchg %cl", 2, { 0x86, 0x0b } },           { "lock xadd", 4, { 0xf0, 0x0f, 0xc1, 0x0b } },
    { "lock cmpxchg, equal", 4, { 0xf0, 0x0f, 0xb1, 0x0b } },
    { "lock cmpxchg8b", 4, { 0xf0, 0x0f, 0xc7, 0x0b } },
    { "cmpxchg %cl", 3, { 0x0f, 0xb0, 0x0b } },
    { "lock cmpxchg %rcx", 5, { 0xf0, 0x48, 0x0f, 0xb1, 0x0b } },
    { "lock or", 3, { 0xf0, 0x09, 0x0b } },
    { "lock andl imm8", 4, { 0xf0, 0x83, 0x23, 0xfe } },
    { "add %rcx", 3, { 0x48, 0x01, 0x0b } },     { "adc %cl", 2, { 0x10, 0x0b } },
    { "lock sub", 3, { 0xf0, 0x29, 0x0b } },
    { "sbbw imm", 5, { 0x66, 0x81, 0x1b, 0x34, 0x92 } },
    { "xor", 2, { 0x31, 0x0b } },
    { "lock btsl imm", 5, { 0xf0, 0x0f, 0xba, 0x2b, 0x05 } },
    { "lock btr", 4, { 0xf0, 0x0f, 0xb3, 0x0b } }, { "btc", 3, { 0x0f, 0xbb, 0x0b } },
    { "lock incl", 3, { 0xf0, 0xff, 0x03 } },    { "decb", 2, { 0xfe, 0x0b } },
    { "notq", 3, { 0x48, 0xf7, 0x13 } },         { "negl", 2, { 0xf7, 0x1b } },
    { "stosb", 1, { 0xaa } },                    { "rep stosw", 3, { 0xf3, 0x66, 0xab } },
    { "movsl", 1, { 0xa5 } },                    { "rep movsb", 2, { 0xf3, 0xa4 } },
    { "movsq", 2, { 0x48, 0xa5 } },
};

static void check_forms(void)
{
    static const uint8_t source[64] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        struct exec x = exec_for(0, 64);
        bool string = forms[i].code[forms[i].len - 1] >= 0xa4;
        bool by_bit = (forms[i].code[forms[i].len - 2] & 0xf7) == 0xb3 /* BTR, BTC */;

        *(volatile uint64_t *)(facs + 40) = 0xf0e1d2c3b4a59687ULL;
        *(volatile uint64_t *)(facs + 48) = 0;
        x.gpr[RBX] = x.gpr[RDI] = (uintptr_t)facs + 40;
        x.gpr[RSI] = (uintptr_t)source;
        x.gpr[RAX] = 0xf0e1d2c3b4a59687ULL;
        x.gpr[RDX] = 0x11112222f0e1d2c3ULL;
        x.gpr[RCX] = string ? 6 : by_bit ? 0x25 : 0x0123456789abcde5ULL;
        exec_bytes(&x, forms[i].code, forms[i].len);
        CHECK(x.vector == VECTOR_DONE, "%s: vector %llu", forms[i].what,
              (unsigned long long)x.vector);
        same("%s: %llx %llx rax %llx rcx %llx rdx %llx rdi +%llu flags %llx", forms[i].what,
             (unsigned long long)*(volatile uint64_t *)(facs + 40),
             (unsigned long long)*(volatile uint64_t *)(facs + 48), (unsigned long long)x.gpr[RAX],
             (unsigned long long)x.gpr[RCX], (unsigned long long)x.gpr[RDX],
             (unsigned long long)(x.gpr[RDI] - (uintptr_t)facs),
             (unsigned long long)(x.rflags & 0x8d5));
    }
    *(volatile uint64_t *)(facs + 40) = *(volatile uint64_t *)(facs + 48) = 0;
}

/* Two CPUs add to the global lock's word: no locked access is lost. */
#define ROUNDS 20000u

static void add_many(struct cpu *c)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        __atomic_fetch_add(dword(16), 4, __ATOMIC_SEQ_CST);
    }
    c->count[0] = 1;
}

static void check_lock(void)
{
    uint32_t before = *dword(16);
    uint32_t expected = before;

    CHECK(__atomic_compare_exchange_n(dword(16), &expected, before | 2, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST), "the global lock isn't taken");
    CHECK(*dword(16) == (before | 2), "the global lock reads 0x%x", *dword(16));
    *dword(16) = 0;
    if (cpu_total() > 1) {
        CHECK(ap_run(1, add_many), "CPU 1 doesn't start");
        add_many(cpu_of(0));
        while (!*(volatile uint64_t *)&cpu_of(1)->count[0]) {
            __asm__ volatile("pause");
        }
        CHECK(*dword(16) == 8 * ROUNDS, "%u locked additions were lost",
              2 * ROUNDS - *dword(16) / 4);
    }
    *dword(16) = before;
}

/* The vectors stay; what is written around them by the same instruction arrives. */
static void check_vectors(void)
{
    uint32_t vector = *dword(12);
    uint64_t at = (uintptr_t)facs + 8, before;

    CHECK(vector && !*dword(24) && !*dword(28), "the vectors are %x and %x:%x", vector, *dword(28),
          *dword(24));
    before = *dword(8);
    CHECK(try_write64(at, 0x4444444455555555ULL) == VECTOR_DONE,
          "a store across the vector faults");
    CHECK(*dword(8) == 0x55555555 && *dword(12) == vector, "the vector reads 0x%x", *dword(12));
    *dword(8) = (uint32_t)before;
    for (unsigned i = 0; i < 16; i++) {
        unsigned off = i < 4 ? 12 + i : i < 12 ? 20 + i : i - 12; /* vectors, signature */
        uint8_t old = facs[off];

        facs[off] = (uint8_t)~old;
        __atomic_fetch_xor(facs + off, 0x55, __ATOMIC_SEQ_CST);
        CHECK(facs[off] == old, "byte %u of the FACS is now 0x%x", off, facs[off]);
    }
    uint32_t expected = vector;
    (void)__atomic_compare_exchange_n(dword(12), &expected, NATIVE_AT, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST);
    CHECK(*dword(12) == vector, "a locked store changed the vector");
    /* It leads into memory that isn't ours to see. */
    volatile uint8_t *low = (volatile uint8_t *)(uintptr_t)vector;
    CHECK(vector < 0xa0000 && !low[0] && !low[1] && !low[2], "the wake code can be read");
    CHECK(try_write64(vector, 0) == EXC_GP, "the wake code can be written");
    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);
        CHECK(e.type != 1 || vector < e.start || vector >= e.start + e.size,
              "its page is in the map");
    }
}

/* --- sleep ------------------------------------------------------------------------------- */

static void pci_write(unsigned reg, uint32_t value)
{
    outl(0xcf8, PM_FUNCTION | reg);
    outl(0xcfc, value);
}

static uint8_t rtc(unsigned reg)
{
    outb(0x70, (uint8_t)reg);
    return inb(0x71);
}

static void rtc_write(unsigned reg, uint8_t value)
{
    outb(0x70, (uint8_t)reg);
    outb(0x71, value);
}

/* The PM block moves by PCI configuration, an alarm of the clock wakes the machine. */
static void sleep_elsewhere(void)
{
    outl(0xcf8, PM_FUNCTION);
    if (inl(0xcfc) != 0x71138086 || !(acpi.sleep.known & BIT(3))) {
        skip("no PIIX4 with S3");
    }
    memcpy((void *)(uintptr_t)NATIVE_AT, native_start, (size_t)(native_end - native_start));
    *dword(12) = NATIVE_AT;
    *dword(24) = *dword(28) = 0;
    pci_write(0x40, NEW_BASE | 1);
    pci_write(0x80, 1);
    CHECK(inw(NEW_BASE + 4) != 0xffff, "the PM block didn't move");
    for (unsigned reg = 1; reg <= 5; reg += 2) {
        rtc_write(reg, 0xff); /* any second, minute, hour */
    }
    rtc_write(0x0b, rtc(0x0b) | 0x20);
    (void)rtc(0x0c);
    outw(NEW_BASE, 0xffff);
    outw(NEW_BASE + 2, 1u << 10); /* RTC_EN */
    say("RESET by the waking vector");
    outw(NEW_BASE + 4, (uint16_t)(0x2000 | __builtin_ctz(acpi.sleep.a[3]) << 10));
    delay_us(5000000);
    fail("it doesn't sleep");
}

void guest_main(void)
{
    find_facs();
    if (word("sleep")) {
        sleep_elsewhere();
    }
    check_forms();
    check_lock();
    if (hypervisor) {
        check_vectors();
    }
    pass("%zu forms of stores to the FACS, the global lock on %u CPUs; the vectors stay",
         ARRAY_SIZE(forms), cpu_total());
}
