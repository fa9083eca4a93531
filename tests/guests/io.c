/* SPDX-License-Identifier: MIT */
/* Ports that the hypervisor watches still work: keyboard controller, PCI configuration. */
#include <acpi/acpi.h>
#include <x86/msr.h>
#include "guest.h"

static void check_pci(void)
{
    outl(0xcf8, 0x80000000u);
    uint32_t id = inl(0xcfc);
    CHECK((id & 0xffff) == 0x8086, "the host bridge reads 0x%x", id);
    same("host bridge %x", id);
    /* Byte 1 of this dword is 06, which at CF9 would be a reset. */
    outl(0xcf8, 0x80000600u);
    CHECK(inl(0xcf8) == 0x80000600u, "CF8 reads 0x%x", inl(0xcf8));
    same("function 6 %x", inl(0xcfc));
    for (unsigned i = 0; i < 32; i++) {
        outl(0xcf8, 0x80000000u | i << 11);
        same("device %u: %x", i, inl(0xcfc));
    }
    outl(0xcf8, 0);
}

/* CF9 without the reset bit. */
static void check_cf9(void)
{
    outb(0xcf9, 0x02);
    CHECK((inb(0xcf9) & 4) == 0, "CF9 reads 0x%x", inb(0xcf9));
    outb(0xcf9, 0);
}

static bool kbd_wait(uint8_t mask, uint8_t want)
{
    for (unsigned i = 0; i < 100000; i++) {
        if ((inb(0x64) & mask) == want) {
            return true;
        }
    }
    return false;
}

static void check_kbd(void)
{
    for (unsigned i = 0; i < 50; i++) {
        CHECK(kbd_wait(2, 0), "the keyboard controller stays busy");
        outb(0x64, 0xaa); /* self-test */
        CHECK(kbd_wait(1, 1), "no answer from the keyboard controller");
        uint8_t answer = inb(0x60);
        CHECK(answer == 0x55, "the keyboard controller's self-test gave 0x%x", answer);
    }
}

/* Address line 20 stays open by whatever way it is asked to close: the core's own addresses
 * would change with the guest's. (Bare it would close, and this program with it.) */
static void check_a20(void)
{
    volatile uint32_t *even = (uint32_t *)0x400600, *odd = (uint32_t *)0x500600;

    for (unsigned way = 0; way < 4; way++) {
        if (way == 0) {
            outb(0x92, (uint8_t)(inb(0x92) & 0xfc));
        } else if (way == 1) {
            CHECK(kbd_wait(2, 0), "the keyboard controller stays busy");
            outb(0x64, 0xdd);
        } else {
            CHECK(kbd_wait(2, 0), "the keyboard controller stays busy");
            outb(0x64, 0xd1);
            CHECK(kbd_wait(2, 0), "the keyboard controller stays busy");
            if (way == 3) { /* QEMU's controller remembers D1 all the same */
                outb(0x64, 0xff);
                CHECK(kbd_wait(2, 0), "the keyboard controller stays busy");
            }
            outb(0x60, 0xcd); /* no reset, A20 off */
        }
        *even = 0x11111111;
        *odd = 0x22222222;
        CHECK(*even == 0x11111111, "A20 was closed by way %u", way);
    }
}

static const void *map(uint64_t addr, size_t len)
{
    return addr < 0xfec00000u && len < 0x10000000u ? (const void *)(uintptr_t)addr : NULL;
}

/* S3 would come back without the hypervisor: it doesn't happen, and the guest goes on. */
static void check_suspend(void)
{
    static struct acpi_info acpi;
    const char *why = "";

    CHECK(acpi_read(map, acpi_find_rsdp(map), &acpi, &why) == 0, "ACPI: %s", why);
    if (!(acpi.sleep.known & BIT(3))) {
        say("this machine has no S3");
        return;
    }
    uint16_t control = inw(acpi.pm1a_cnt);
    unsigned type = (unsigned)__builtin_ctz(acpi.sleep.a[3]);
    for (unsigned i = 0; i < 3; i++) {
        outw(acpi.pm1a_cnt, (uint16_t)((control & 0xc3ff) | type << 10 | 0x2000));
        delay_us(10000);
    }
    CHECK(info(XMHF_INFO_CPUS) == cpu_total(), "after S3 was refused");
    /* Each try is a line in the log, as far as its limit goes: also for who moves the clock. */
    for (unsigned i = 0; i < 1500; i++) {
        wrmsr(MSR_IA32_TSC, rdtsc() + BIT(40));
        outw(acpi.pm1a_cnt, (uint16_t)((control & 0xc3ff) | type << 10 | 0x2000));
    }
    say("S3 by SLP_TYP %u was refused", type);
}

/* RAX keeps what IN doesn't write; all encodings go on behind themselves. */
static void check_forms(void)
{
    static const struct { uint8_t len, bytes[4]; uint64_t keeps; } forms[] = {
        { 2, { 0xe4, 0x64 }, ~0xffULL }, { 1, { 0xec }, ~0xffULL }, { 2, { 0x48, 0xec }, ~0xffULL },
        { 2, { 0x66, 0xed }, ~0xffffULL }, { 3, { 0x66, 0xe5, 0x64 }, ~0xffffULL },
        { 1, { 0xed }, 0 }, { 2, { 0xe5, 0x64 }, 0 }, { 2, { 0x48, 0xed }, 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        struct exec x = exec_for(0, 64);

        x.gpr[RAX] = 0x1122334455667788ULL;
        x.gpr[RDX] = 0x64;
        exec_bytes(&x, forms[i].bytes, forms[i].len);
        CHECK(x.vector == VECTOR_DONE && x.rip == x.start + forms[i].len + 2u,
              "IN form %u: vector %llu at +%llu", i, (unsigned long long)x.vector,
              (unsigned long long)(x.rip - x.start));
        CHECK((x.gpr[RAX] & forms[i].keeps) == (0x1122334455667788ULL & forms[i].keeps)
              && (forms[i].keeps || !(x.gpr[RAX] >> 32)), "IN form %u: RAX is 0x%llx", i,
              (unsigned long long)x.gpr[RAX]);
    }
}

/* String forms: on ports nobody watches they work, on watched ones they may be refused. */
static void check_strings(void)
{
    static uint8_t buffer[64];
    struct exec x = exec_for(0, 64);

    x.gpr[RDX] = 0x80;
    x.gpr[RSI] = (uintptr_t)buffer;
    x.gpr[RCX] = sizeof(buffer);
    CHECK(EXEC(&x, 0xf3, 0x6e) == VECTOR_DONE && x.gpr[RCX] == 0, "REP OUTSB to port 80");
    for (unsigned in = 0; in < 2; in++) {
        x = exec_for(0, 64);
        x.gpr[RDX] = in ? 0x64 : 0xcf9;
        x.gpr[RSI] = x.gpr[RDI] = (uintptr_t)buffer;
        x.gpr[RCX] = 4;
        EXEC(&x, 0xf3, (uint8_t)(in ? 0x6c : 0x6e));
        CHECK(x.vector == VECTOR_DONE || x.vector == EXC_GP, "string I/O: vector %llu",
              (unsigned long long)x.vector);
    }
}

/* Ring 3 without the right is #GP, whether the port is watched or not. */
static void check_ring3(void)
{
    static const uint16_t ports[] = { 0x64, 0xcf9, 0xcf8, 0x80, 0x3f8 };

    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
        for (unsigned out = 0; out < 2; out++) {
            struct exec x = exec_for(3, 64);

            x.gpr[RDX] = ports[i];
            x.gpr[RAX] = 0xfe;
            EXEC(&x, (uint8_t)(out ? 0xee : 0xec));
            CHECK(x.vector == EXC_GP && at_start(&x), "port 0x%x from ring 3: vector %llu",
                  ports[i], (unsigned long long)x.vector);
        }
    }
}

void guest_main(void)
{
    check_pci();
    check_cf9();
    check_kbd();
    check_forms();
    check_strings();
    check_ring3();
    if (hypervisor) {
        check_a20();
        check_suspend();
    }
    pass("PCI configuration, keyboard controller, CF9 without reset, 8 IN forms, ring 3");
}
