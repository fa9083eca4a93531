/* SPDX-License-Identifier: MIT */
/* The local APIC of the CPU we run on (SDM vol. 3, chapter 11; APM vol. 2, chapter 16). */
#include <hw/apic.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <x86/msr.h>

volatile uint8_t *apic_page;

void apic_init(volatile void *mapped)
{
    apic_page = mapped;
}

bool apic_is_x2apic(void)
{
    return hw_rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD;
}

uint32_t apic_read(unsigned reg)
{
    if (apic_is_x2apic()) {
        uint64_t v = 0;
        (void)hw_rdmsr_safe(MSR_X2APIC_FIRST + reg / 16, &v);
        return (uint32_t)v;
    }
    return hw_mmio_read32(apic_page + reg);
}

void apic_write(unsigned reg, uint32_t value)
{
    if (apic_is_x2apic()) {
        (void)hw_wrmsr_safe(MSR_X2APIC_FIRST + reg / 16, value);
    } else {
        hw_mmio_write32(apic_page + reg, value);
    }
}

uint32_t apic_id(void)
{
    uint32_t id = apic_read(APIC_ID);

    return apic_is_x2apic() ? id : id >> 24;
}

static void wait_idle(void)
{
    const struct wait wait = wait_begin(20000);

    while ((hw_mmio_read32(apic_page + APIC_ICR) & BIT(12)) && !wait_over(&wait)) {
        hw_pause();
    }
}

static void send(uint32_t dest, uint32_t command)
{
    if (apic_is_x2apic()) {
        (void)hw_wrmsr_safe(MSR_X2APIC_ICR, (uint64_t)dest << 32 | command);
        return;
    }
    uint32_t guest_dest = hw_mmio_read32(apic_page + APIC_ICR2);
    wait_idle();
    hw_mmio_write32(apic_page + APIC_ICR2, dest << 24);
    hw_mmio_write32(apic_page + APIC_ICR, command);
    wait_idle();
    hw_mmio_write32(apic_page + APIC_ICR2, guest_dest);
}

void apic_send_nmi(uint32_t dest) { send(dest, 0x4400); }
void apic_send_nmi_others(void) { send(0, 0xc4400); }
void apic_send_init(uint32_t dest) { send(dest, 0x4500); }
void apic_send_sipi(uint32_t dest, uint8_t vector) { send(dest, 0x4600u | vector); }

/* Any bit set in the 256 bits from register `first`? */
static bool any_vector(unsigned first)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < 8; i++) {
        bits |= apic_read(first + 0x10 * i);
    }
    return bits != 0;
}

void apic_soft_reset(void (*take)(void *arg), void *arg)
{
    for (unsigned reg = APIC_TIMER; reg <= 0x370; reg += 0x10) {
        apic_write(reg, 0x10000);
    }
    apic_write(APIC_TPR, 0);
    apic_write(APIC_SVR, 0x1ff); /* a disabled APIC gives out nothing */
    for (unsigned i = 0; i < 256 && (any_vector(APIC_IRR) || any_vector(APIC_ISR)); i++) {
        take(arg);
        apic_write(APIC_EOI, 0);
    }
    apic_write(APIC_SVR, 0xff);
    if (!apic_is_x2apic()) {
        apic_write(APIC_LDR, 0);
        apic_write(APIC_DFR, 0xffffffff);
    }
    apic_write(0x380, 0);
    apic_write(0x3e0, 0);
}
