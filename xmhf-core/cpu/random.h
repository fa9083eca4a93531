/* SPDX-License-Identifier: MIT */
/*
 * Random bytes. Noise comes from RDSEED, RDRAND and timing, each with its health tests, and goes
 * into one HMAC-DRBG; that gives each CPU a key for a generator of its own. Either the DRBG once
 * got as much entropy as RANDOM_NEED from sources that passed their tests, or nobody gets a byte.
 * notes/random.md explains.
 */
#ifndef XMHF_CPU_RANDOM_H
#define XMHF_CPU_RANDOM_H

#include <sha256/sha256.h>
#include <xmhf/hypercall.h>
#include <xmhf/types.h>

#define RANDOM_NEED 384u /* bits of entropy: of the strength 256, and half of it for a nonce */

/* What XMHF_INFO_RANDOM tells: XMHF_RANDOM_*. */
uint64_t random_status(void);

/*
 * Gather noise and seed. Boot CPU, once, after cpu_load, before the other CPUs and the guest run: a
 * few milliseconds. `blocks`: SHA-256's block function on this machine's CPUs. `pm_timer`: port of
 * the ACPI PM timer, which no guest can write, 0 if there is none. One log line: the sources.
 */
void random_init(sha256_blocks_fn *blocks, uint16_t pm_timer);

/* Stir in `n` bytes (1 to 4096) of another source, a TPM, say, which vouches for `bits` of entropy
 * in them; 0: it doesn't. This CPU has a new key then. Boot CPU, between random_init and the start
 * of the other CPUs. */
void random_add(const void *bytes, size_t n, unsigned bits);

/* Give the CPU that we run on its key. Before the guest. */
void random_cpu_init(void);

/* `n` bytes for the CPU that we run on, without a lock. False: no entropy, nothing is written. Not
 * in NMI context. */
bool random_bytes(void *out, size_t n);

/*
 * Is this CPU's key old? Then stir fresh noise into the DRBG and draw a new one: true, and it has
 * taken about RANDOM_REFRESH_COST instructions, so who has much to do lets the guest try again.
 * Another CPU at the same: the old key will do for now.
 */
bool random_refresh(void);
#define RANDOM_REFRESH_COST 110000u /* with SHA extensions 15,000 */

/* The machine ends: forget all, of all CPUs, which are stopped. No locks. */
void random_wipe(void);

#endif
