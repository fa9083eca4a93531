/* SPDX-License-Identifier: MIT */
/* The INIT/SIPI state machine of one vCPU: one atomic word, changed by any CPU. */
#include <cpu/apstate.h>

#define AP_PENDING_VECTOR 0xffu

void ap_init(struct vcpu_ap *ap, enum ap_state state)
{
    atomic_init(&ap->pending, 0);
    ap->state = state;
}

/* An INIT takes everything earlier with it: a plain store also cancels a SIPI. */
void ap_post_init(struct vcpu_ap *ap)
{
    atomic_store_explicit(&ap->pending, AP_PENDING_INIT, memory_order_release);
}

void ap_post_sipi(struct vcpu_ap *ap, uint8_t vector)
{
    uint32_t seen = atomic_load_explicit(&ap->pending, memory_order_relaxed);

    do {
        if (seen & AP_PENDING_SIPI) {
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&ap->pending, &seen,
                                                    seen | AP_PENDING_SIPI | vector,
                                                    memory_order_release,
                                                    memory_order_relaxed));
}

/*
 * Take the SIPI in `seen`. False if the word changed meanwhile: only an INIT can do that
 * (it cancels this SIPI), so the caller looks again at most once per INIT posted.
 */
static bool take_sipi(struct vcpu_ap *ap, uint32_t seen)
{
    return atomic_compare_exchange_strong_explicit(&ap->pending, &seen, 0,
                                                   memory_order_acquire, memory_order_relaxed);
}

enum ap_action ap_take(struct vcpu_ap *ap, uint8_t *vector)
{
    uint32_t seen = atomic_load_explicit(&ap->pending, memory_order_acquire);

    if (seen == 0) {
        return AP_NOTHING;
    }
    /* SDM vol. 3, 9.4.3 and APM vol. 2, 15.27.8: a SIPI counts only in wait-for-SIPI. */
    if (!(seen & AP_PENDING_INIT) && take_sipi(ap, seen)) {
        if (ap->state != AP_WAIT_SIPI) {
            return AP_NOTHING;
        }
        ap->state = AP_RUNNING;
        *vector = (uint8_t)(seen & AP_PENDING_VECTOR);
        return AP_START;
    }
    /* An INIT was there, or has just replaced the SIPI. A SIPI after it stays. */
    atomic_fetch_and_explicit(&ap->pending, ~AP_PENDING_INIT, memory_order_acquire);
    ap->state = AP_WAIT_SIPI;
    return AP_RESET;
}
