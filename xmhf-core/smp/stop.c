/* SPDX-License-Identifier: MIT */
/* Kicks, and stopping the world for a reset or a panic. */
#include <cpu/random.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <hw/apic.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <smp/smp.h>
#include <smp/stop.h>
#include <util/string.h>
#include <virt/virt.h>

static void (*wipe_more)(void);

void stop_init(void (*wipe)(void))
{
    wipe_more = wipe;
}

void kick(struct vcpu *v)
{
    /* At most one kick is under way per CPU, so that each NMI has one meaning. */
    if (atomic_exchange(&v->kicks, 1) == 0) {
        apic_send_nmi(v->apic_id);
    }
}

/*
 * Send the stop's NMI. Some CPUs let software change their xAPIC id (SDM vol. 3, 11.4.6), and the
 * guest can where the APIC page isn't trapped: so it goes to all CPUs by the shorthand, whatever
 * their ids are. But not if there are CPUs that aren't ours: firmware's NMI handler may be gone,
 * and a triple fault there would reset the machine before the wipe.
 */
static void send_stop(const struct vcpu *self)
{
    bool all_ours = !smp_left_out;

    for (unsigned i = 0; i < vcpu_count; i++) {
        all_ours = all_ours && atomic_load(&vcpus[i]->online);
    }
    for (unsigned i = 0; i < vcpu_count; i++) {
        if (vcpus[i] != self && atomic_load(&vcpus[i]->online)) {
            atomic_fetch_or(&vcpus[i]->requests, REQ_STOP);
            atomic_store(&vcpus[i]->kicks, 1);
            if (!all_ours) {
                apic_send_nmi(vcpus[i]->apic_id);
            }
        }
    }
    if (all_ours && vcpu_count > 1) {
        apic_send_nmi_others();
    }
}

void stop_elect(void)
{
    static atomic_uint owner; /* index + 1 */
    unsigned none = 0, self = this_vcpu()->index + 1;

    if (!atomic_compare_exchange_strong(&owner, &none, self) && none != self) {
        stop_self();
    }
}

void stop_other_cpus(void)
{
    struct vcpu *self = this_vcpu();
    const struct wait wait = wait_begin(4000000); /* then go on alone */

    stop_elect();
    send_stop(self);
    for (unsigned i = 0; i < vcpu_count; i++) {
        /* A CPU that waits for a SIPI in the hardware isn't waited for: it runs no guest code, and
         * looks at its requests first when the SIPI comes. */
        while (vcpus[i] != self && atomic_load(&vcpus[i]->online)
               && !atomic_load(&vcpus[i]->stopped) && !atomic_load(&vcpus[i]->waiting)) {
            if (wait_over(&wait)) {
                return;
            }
            hw_pause();
        }
    }
}

static atomic_bool wiped; /* nothing secret is left in memory */

/* Let INITs in again, on a stopped CPU and on the one that wiped. This comes before GIF is set,
 * since with GIF an INIT that was held back is taken. */
static void let_init(void)
{
    if (virt && virt->let_init) {
        virt->let_init();
    }
}

static void after_wipe(void)
{
    let_init(); /* firmware's, to start all CPUs */
    if (virt && virt->smi_open) {
        virt->smi_open();
    }
}

void stop_self(void)
{
    /* A reset drops what only this CPU's caches hold (SDM vol. 3, table 10-1; APM vol. 2,
     * 7.6.2). */
    hw_wbinvd();
    atomic_store(&this_vcpu()->stopped, true);
    hw_stop(&wiped, after_wipe);
}

void stop_wipe(void)
{
    pool_wipe();
    for (unsigned i = 0; i < vcpu_count; i++) {
        if (vcpus[i]->in_sandbox) {
            memset(&vcpus[i]->regs, 0, sizeof(vcpus[i]->regs));
        }
    }
    random_wipe();
    if (wipe_more) {
        wipe_more();
    }
    /* Stacks last: a stopped CPU that an NMI finds without its stack may fault. */
    for (unsigned i = 0; i < vcpu_count; i++) {
        if (atomic_load(&vcpus[i]->online)) { /* its stacks are mapped */
            host_wipe_stacks(i, align_down(hw_rsp(), 8));
        }
    }
    hw_wbinvd(); /* zeros that stay in the caches are gone after a reset, and the old words back */
    atomic_store(&wiped, true);
    let_init();
}

void stop_reset(void)
{
    static const struct hw_table none = { 0, 0 };

    if (virt && virt->smi_open) {
        virt->smi_open(); /* CF9 and 64h may be firmware's */
    }
    hw_wbinvd(); /* whatever was written since the wipe, the crash record too */
    hw_out8(0xcf9, 0x02); /* "full reset" wanted, then the edge */
    hw_out8(0xcf9, 0x06);
    wait_us(50000);
    hw_out8(0x64, 0xfe);
    wait_us(50000);
    hw_lidt(&none);
    hw_trap();
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}

void stop_and_reset(const char *why)
{
    stop_other_cpus();
    stop_wipe();
    log_break_lock(); /* the last line: whatever others hold, and however much was said */
    log_line("%s: protected memory is wiped, resetting", why);
    stop_reset();
}
