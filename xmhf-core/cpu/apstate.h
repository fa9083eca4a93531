/* SPDX-License-Identifier: MIT */
/*
 * The INIT/SIPI state machine of one vCPU (SDM vol. 3, 9.4; APM vol. 2, 15.27.8).
 * INIT and SIPI reach it from any source: an ICR write of another vCPU, or an exit.
 * It is unlimited: any number of INIT-SIPI-SIPI rounds works.
 */
#ifndef XMHF_CPU_APSTATE_H
#define XMHF_CPU_APSTATE_H

#include <stdatomic.h>
#include <xmhf/types.h>

enum ap_state {
    AP_RUNNING,       /* executing guest code */
    AP_WAIT_SIPI,     /* after INIT: parked until a SIPI comes */
};

enum ap_action {
    AP_NOTHING,       /* go on as before */
    AP_RESET,         /* load the INIT state and wait for a SIPI */
    AP_START,         /* start at vector << 12 */
};

/*
 * `pending` is one word that other CPUs set atomically: bit 31 INIT, bit 30 SIPI,
 * bits 7:0 the SIPI's vector. An INIT posted after a SIPI cancels that SIPI; a second
 * SIPI posted before the first is taken is ignored, as a CPU does that left
 * wait-for-SIPI with the first.
 */
#define AP_PENDING_INIT 0x80000000u
#define AP_PENDING_SIPI 0x40000000u

struct vcpu_ap {
    _Atomic uint32_t pending;  /* (any CPU) */
    enum ap_state state;       /* owner only */
};

/* Start in `state`, nothing pending. */
void ap_init(struct vcpu_ap *ap, enum ap_state state);

/* Any CPU: post an INIT or a SIPI with start page `vector` (0..255). Lock-free. */
void ap_post_init(struct vcpu_ap *ap);
void ap_post_sipi(struct vcpu_ap *ap, uint8_t vector);

/*
 * Owner: take one pending signal and say what to do. With INIT and SIPI both pending
 * the INIT is taken first and the SIPI stays for the next call. A SIPI in AP_RUNNING
 * is dropped. `*vector` is set for AP_START only. Changes `state` as the action says.
 */
enum ap_action ap_take(struct vcpu_ap *ap, uint8_t *vector);

#endif
