/* SPDX-License-Identifier: MIT */
/* IPIs that the guest sends, and the INIT and SIPI signals that reach a vCPU. */
#include <cpu/mc.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <facts/facts.h>
#include <guest/apic_mode.h>
#include <guest/flush.h>
#include <guest/icr.h>
#include <guest/ipi.h>
#include <guest/state.h>
#include <hw/apic.h>
#include <hw/insn.h>
#include <smp/smp.h>
#include <smp/stop.h>
#include <virt/virt.h>
#include <x86/msr.h>

/* Each CPU's logical id and format as its guest last wrote them, for matching. */
static _Atomic uint32_t ldr[CPU_MAX], dfr[CPU_MAX];

bool ipi_traps_icr(void)
{
    /* CPUs that aren't ours have no vCPU whose exits could stop a start-up IPI. */
    return virt->traps_icr() || core_options()->trap_icr || smp_left_out;
}

static void signal_cpu(struct vcpu *t, const struct icr *icr)
{
    switch (icr->delivery) {
    case ICR_INIT:
        if (!icr->deassert) {
            ap_post_init(&t->ap);
            atomic_fetch_or(&t->requests, REQ_INIT_SIPI);
        }
        break;
    case ICR_SIPI:
        ap_post_sipi(&t->ap, icr->vector);
        atomic_fetch_or(&t->requests, REQ_INIT_SIPI);
        break;
    default:
        atomic_store(&t->guest_nmis, 1); /* one NMI can be latched, as in the CPU */
        atomic_fetch_or(&t->requests, REQ_NMI);
        break;
    }
}

/* In x2APIC mode the logical id follows from the id, and nobody writes it (SDM vol. 3, 11.12.10.2;
 * notes/bugs/x2apic-logical-nmi.md). */
static uint32_t x2apic_ldr(uint32_t id)
{
    return id >> 4 << 16 | 1u << (id & 15);
}

/* True if `icr` is one of those that we carry out. */
static bool carry_out(struct vcpu *v, const struct icr *icr, bool x2apic)
{
    if (icr->delivery != ICR_INIT && icr->delivery != ICR_SIPI && icr->delivery != ICR_NMI) {
        return false;
    }
    for (unsigned i = 0; i < vcpu_count; i++) {
        struct vcpu *t = vcpus[i];
        if (atomic_load(&t->apic_off)) {
            continue; /* no IPI reaches it */
        }
        const struct icr_target target = {
            t->apic_id, x2apic ? x2apic_ldr(t->apic_id) : ldr[i], dfr[i] ? dfr[i] : 0xffffffff,
        };
        if (icr_matches(icr, v->apic_id, &target, x2apic)) {
            signal_cpu(t, icr);
            if (t != v) {
                kick(t);
            }
        }
    }
    return true;
}

/* Entries with a delivery mode: CMCI, sensor, counters, LINT0, LINT1, and AMD's extended ones (APM
 * vol. 2, 16.4). */
static bool is_lvt(unsigned offset)
{
    return offset == APIC_CMCI || (offset > APIC_TIMER && offset < APIC_LVT_ERROR)
        || (offset >= APIC_EXT_LVT && offset < APIC_EXT_LVT + 0x100);
}

void ipi_guest_xapic(struct vcpu *v, unsigned offset, uint32_t value)
{
    if (apic_is_x2apic() || atomic_load(&v->apic_off)) {
        return; /* the page is no APIC then: the store goes nowhere (SDM vol. 3, 11.12.2, 11.4.3) */
    }
    if (offset <= APIC_ID) {
        return; /* kicks go by the id; the two before it are reserved, and an MSI to QEMU */
    }
    if (offset == APIC_ICR) {
        struct icr icr = icr_decode_xapic(value, apic_read(APIC_ICR2));
        if (carry_out(v, &icr, false)) {
            return;
        }
    } else if (offset == APIC_LDR) {
        ldr[v->index] = value;
    } else if (offset == APIC_DFR) {
        dfr[v->index] = value;
    } else if (is_lvt(offset)) {
        value = icr_lvt_without_init(value);
    }
    apic_write(offset, value);
}

bool ipi_guest_x2apic(struct vcpu *v, uint64_t value)
{
    struct icr icr = icr_decode_x2apic(value);

    if (!apic_is_x2apic()) {
        return false;
    }
    if (carry_out(v, &icr, true)) {
        return true;
    }
    return hw_wrmsr_safe(MSR_X2APIC_ICR, value);
}

void ipi_take_ids(struct vcpu *v)
{
    if (!apic_is_x2apic()) {
        atomic_store(&ldr[v->index], apic_read(APIC_LDR));
        atomic_store(&dfr[v->index], apic_read(APIC_DFR));
    }
}

void ipi_forget_ids(struct vcpu *v)
{
    atomic_store(&ldr[v->index], 0);
    atomic_store(&dfr[v->index], 0);
}

static void take_interrupts(void *v)
{
    virt->take_interrupts(v);
}

/*
 * A CPU that waits for a SIPI has no use for NMIs, but it must not leave `kicks` set when
 * the kick was taken outside EXIT_NMI: the next kick would not be sent, and never wake it
 * (notes/bugs/lost-kick.md).
 */
static void drop_nmis(struct vcpu *v)
{
    if (atomic_exchange(&v->nmis_seen, 0) != 0) {
        atomic_store(&v->kicks, 0);
    }
}

/* Nor has it any use for a machine check: no code of the guest could look at it. */
static void drop_requests(struct vcpu *v)
{
    if (atomic_fetch_and(&v->requests, ~(REQ_NMI | REQ_MC)) & REQ_MC) {
        mc_forget();
    }
}

static void reset_apic(struct vcpu *v)
{
    apic_soft_reset(take_interrupts, v);
    apic_mode_after_init(v);
    drop_nmis(v);
    drop_requests(v);
    atomic_store(&v->guest_nmis, 0);
}

/* An INIT takes the boot CPU to its reset vector. */
static void restart_boot_cpu(struct vcpu *v)
{
    reset_apic(v);
    state_init(v);
    v->ap.state = AP_RUNNING;
}

static void (*tell_init)(struct vcpu *v);

void ipi_on_init(void (*told)(struct vcpu *v))
{
    tell_init = told;
}

void ipi_take_signals(struct vcpu *v)
{
    for (;;) {
        uint8_t vector = 0;

        if (atomic_load(&v->requests) & REQ_STOP) { /* its NMI may have been dropped */
            stop_self();
        }
        if (atomic_load(&v->requests) & REQ_FLUSH) { /* others wait for it */
            flush_take(v);
        }
        atomic_fetch_and(&v->requests, ~REQ_INIT_SIPI);
        switch (ap_take(&v->ap, &vector)) {
        case AP_RESET:
            if (tell_init) {
                tell_init(v);
            }
            ipi_forget_ids(v);
            /* All work on another CPU than the boot CPU is done by then: its state can't be seen
             * until its SIPI, which may follow within microseconds and is lost if the CPU isn't
             * waiting yet. */
            if (v->index == 0) {
                restart_boot_cpu(v);
            }
            continue;
        case AP_START:
            v->exit_began = 0; /* the wait is no handler's time */
            reset_apic(v);
            state_sipi(v, vector);
            continue;
        case AP_NOTHING:
            break;
        }
        if (v->ap.state == AP_RUNNING) {
            return;
        }
        drop_requests(v); /* see drop_nmis */
        if (!ipi_traps_icr()) {
            virt->park(v); /* the wait is in the guest, where a SIPI exits */
            return;
        }
        for (drop_nmis(v); !atomic_load(&v->requests); drop_nmis(v)) {
            virt->park(v);
        }
    }
}
