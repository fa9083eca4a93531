/* SPDX-License-Identifier: MIT */
/* Turning the APIC off and on, and leaving x2APIC mode, with the hardware's APIC on. */
#include <debug/log.h>
#include <guest/apic_mode.h>
#include <guest/ipi.h>
#include <guest/phys.h>
#include <hw/apic.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <smp/stop.h>
#include <virt/virt.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define LVT_EXTINT 0x700u
#define LVT_NMI    0x400u
#define SVR_ON     0x1ffu
#define XAPIC_ID_MAX 254u /* 255 is everybody */

#define MODE_BITS (APIC_BASE_EN | APIC_BASE_EXTD)

uint64_t apic_mode_read(const struct vcpu *v, uint64_t now)
{
    return atomic_load(&v->apic_off) ? now & ~APIC_BASE_EN : now;
}

static void take_interrupts(void *v)
{
    virt->take_interrupts(v);
}

/* A CPU without an APIC has its INTR and NMI pins where LINT0 and LINT1 are (11.5.1). */
static void pass_pins_on(void)
{
    apic_write(APIC_SVR, SVR_ON);
    apic_write(APIC_LINT0, LVT_EXTINT);
    apic_write(APIC_LINT1, LVT_NMI);
}

void apic_mode_after_init(struct vcpu *v)
{
    if (atomic_load(&v->apic_off)) {
        pass_pins_on();
    }
}

/* An APIC that is turned on again is as after a reset; so it is when it goes off. */
static void turn(struct vcpu *v, bool off)
{
    apic_soft_reset(take_interrupts, v);
    ipi_forget_ids(v);
    atomic_store(&v->apic_off, off);
    virt->set_root(v, guest_phys_root(off));
    apic_mode_after_init(v);
}

/*
 * Does the hardware's APIC come back when it is turned off and on? Intel's CPUs that can be locked
 * in x2APIC mode say whether they are (SDM vol. 4, IA32_XAPIC_DISABLE_STATUS), older ones don't;
 * AMD's come back (APM vol. 2, 16.9). Emulators and other hypervisors: some never turn it on again.
 */
static bool comes_back(void)
{
    uint64_t caps = 0, status = 0;
    struct cpuid_regs r = hw_cpuid(CPUID_FEATURES, 0);

    if (r.ecx & CPUID_1_ECX_HYPERVISOR) {
        return false;
    }
    if (hw_rdmsr_safe(MSR_IA32_ARCH_CAPABILITIES, &caps) && (caps & ARCH_CAP_XAPIC_DISABLE)) {
        return hw_rdmsr_safe(MSR_IA32_XAPIC_DISABLE_STATUS, &status)
            && !(status & XAPIC_DISABLE_LEGACY);
    }
    return virt->apic_returns;
}

/* A kick that comes while the APIC is off would be lost, and as long as it counts as under way no
 * other is sent. So keep others from sending one, and wait for one that is under way. True: the
 * caller lets kicks go again afterwards. */
static bool hold_kicks(struct vcpu *v)
{
    const struct wait wait = wait_begin(1000);

    if (atomic_exchange(&v->kicks, 1) == 0) {
        return true;
    }
    while (!atomic_load(&v->nmis_seen) && !wait_over(&wait)) {
        if (virt->smi_open) { /* AMD: GIF holds NMIs back too */
            virt->smi_open();
            virt->smi_close();
        }
        hw_pause();
    }
    return !atomic_load(&v->nmis_seen);
}

/* From x2APIC to xAPIC, through off. What others ask for meanwhile is in v->requests, which are
 * looked at before the next entry. */
static bool leave_x2apic(struct vcpu *v, uint64_t base)
{
    if (atomic_load(&v->apic_id) > XAPIC_ID_MAX || !comes_back()) {
        log_line("x2APIC mode can't be left: the APIC might not come back");
        return false;
    }
    bool held = hold_kicks(v);
    bool off = hw_wrmsr_safe(MSR_IA32_APIC_BASE, base & ~MODE_BITS);
    if (off && !hw_wrmsr_safe(MSR_IA32_APIC_BASE, (base & ~MODE_BITS) | APIC_BASE_EN)) {
        stop_and_reset("the APIC doesn't come back");
    }
    if (off) {
        atomic_store(&v->apic_id, apic_id());
    }
    if (held) {
        atomic_store(&v->kicks, 0);
    }
    return off;
}

static bool enter_x2apic(struct vcpu *v, uint64_t value)
{
    if (!hw_wrmsr_safe(MSR_IA32_APIC_BASE, value)) {
        return false;
    }
    /* In x2APIC mode it is the one that the CPU had at reset, all of it (SDM vol. 3, 11.12.5.1). */
    atomic_store(&v->apic_id, apic_id());
    return true;
}

bool apic_mode_write(struct vcpu *v, uint64_t value)
{
    uint64_t base = hw_rdmsr(MSR_IA32_APIC_BASE), now = apic_mode_read(v, base);
    bool x2apic = base & APIC_BASE_EXTD;

    if ((value ^ now) & ~MODE_BITS) {
        return false;
    }
    switch (value & MODE_BITS) {
    case 0:
        if (x2apic && !leave_x2apic(v, base)) {
            return false;
        }
        if (now & APIC_BASE_EN) {
            turn(v, true);
        }
        return true;
    case APIC_BASE_EN:
        if (!x2apic && !(now & APIC_BASE_EN)) {
            turn(v, false);
        }
        return !x2apic;
    case MODE_BITS:
        return (now & APIC_BASE_EN) && enter_x2apic(v, value);
    default:
        return false; /* x2APIC without EN */
    }
}
