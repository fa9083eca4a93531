/* SPDX-License-Identifier: MIT */
/* Ways to reset or power off the machine: each must wipe first. One way per run. */
#include <acpi/acpi.h>
#include "guest.h"

static struct acpi_info acpi;

static const void *map(uint64_t addr, size_t len)
{
    return addr < 0xfec00000u && len < 0x10000000u ? (const void *)(uintptr_t)addr : NULL;
}

static void need_acpi(void)
{
    const char *why = "";
    uint64_t rsdp;

    memcpy(&rsdp, boot_params + 0x70, 8);
    if (!rsdp) {
        rsdp = acpi_find_rsdp(map);
    }
    CHECK(acpi_read(map, rsdp, &acpi, &why) == 0, "ACPI: %s", why);
}

static void kbd(void) { outb(0x64, 0xfe); }
static void kbd_ring_word(void) { outw(0x63, 0xfe00); }

static void kbd_output(void)
{
    outb(0x64, 0xd1); /* write the output port, whose bit 0 is the reset line */
    delay_us(1000);
    outb(0x60, 0xfe);
}

/* Another command in between: QEMU's controller remembers the first one. */
static void kbd_late(void)
{
    outb(0x64, 0xd1);
    outb(0x64, 0xff);
    outb(0x60, 0xfe);
}

static void cf9(void) { outb(0xcf9, 0x02); outb(0xcf9, 0x06); }
static void cf9_hot(void) { outb(0xcf9, 0x04); }
static void port92(void)
{
    outb(0x92, (uint8_t)(inb(0x92) & ~1u));
    outb(0x92, (uint8_t)(inb(0x92) | 1u));
}

static void triple(void)
{
    static const struct { uint16_t limit; uint64_t base; } __attribute__((packed)) none = { 0, 0 };

    __asm__ volatile("lidt %0; ud2" :: "m"(none));
}

/* The boot CPU goes on in the BIOS then, which resets the machine. It has interrupts with the
 * vectors of all exceptions pending; a PIC's come from vector 8 on. */
static void init_boot_cpu(void)
{
    for (unsigned vector = 0; vector < 33; vector++) {
        ipi(0, 0x4000 | vector);
    }
    outb(0x21, 0xfe);
    ipi(0, 0x4500);
}

/* An IDT in the protected range reads as zeros: no gate is present. */
static void hidden_idt(void)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) idtr = { 0xfff, 0 };
    uint64_t size = info(XMHF_INFO_PROTECTED_SIZE);

    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);
        idtr.base = e.type == 2 && e.size == size ? e.start : idtr.base;
    }
    CHECK(idtr.base, "no hole in the map");
    __asm__ volatile("lidt %0; ud2" :: "m"(idtr));
}

/* A stack in the protected range, for every vector. */
static void hidden_stack(void)
{
    uint64_t size = info(XMHF_INFO_PROTECTED_SIZE);

    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);
        if (e.type == 2 && e.size == size) {
            this_cpu()->tss.ist[0] = e.start + 0x2000;
        }
    }
    __asm__ volatile("ud2");
}

static void acpi_reset(void)
{
    need_acpi();
    if (!acpi.has_reset_reg || acpi.reset_space != 1) {
        skip("this machine has no ACPI reset register in I/O space");
    }
    say("reset register: port 0x%x, value 0x%x", (unsigned)acpi.reset_addr, acpi.reset_value);
    outb((uint16_t)acpi.reset_addr, acpi.reset_value);
}

static void power_off(void)
{
    need_acpi();
    CHECK(acpi.pm1a_cnt, "no PM1a_CNT");
    outw(acpi.pm1a_cnt, 0x2000); /* SLP_TYP 0 is S5 on both of QEMU's machines */
}

/* The same by its bytes: the second one has SLP_EN. */
static void power_off_bytes(void)
{
    need_acpi();
    outb(acpi.pm1a_cnt, 0);
    outb((uint16_t)(acpi.pm1a_cnt + 1), 0x20);
}

static const struct { const char *name; void (*act)(void); } ways[] = {
    { "kbd", kbd }, { "kbd-output", kbd_output }, { "kbd-word", kbd_ring_word },
    { "kbd-late", kbd_late }, { "cf9", cf9 }, { "cf9-hot", cf9_hot },
    { "port92", port92 }, { "triple", triple }, { "hidden-idt", hidden_idt },
    { "hidden-stack", hidden_stack }, { "acpi", acpi_reset }, { "off", power_off },
    { "off-bytes", power_off_bytes }, { "init", init_boot_cpu },
};

static void act(const char *from)
{
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        if (word(ways[i].name)) {
            say("RESET %s%s", ways[i].name, from);
            ways[i].act();
            delay_us(2000000);
            fail("%s did nothing", ways[i].name);
        }
    }
    fail("which way?");
}

static void spin(struct cpu *c)
{
    for (;;) {
        c->count[0]++;
    }
}

static void from_ap(struct cpu *c)
{
    (void)c;
    act(" by an AP");
}

/* The other CPUs spin with interrupts off, halt, or were never started. */
void guest_main(void)
{
    if (cpu_total() > 2) {
        CHECK(ap_run(2, spin), "CPU 2 doesn't start");
    }
    if (word("from-ap")) {
        CHECK(cpu_total() > 1 && ap_run(1, from_ap), "CPU 1 doesn't start");
        spin(cpu_of(0));
    }
    act("");
}
