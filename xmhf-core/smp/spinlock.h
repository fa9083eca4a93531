/* SPDX-License-Identifier: MIT */
/* A spinlock on C11 atomics that serves in turn: a CPU waits only for those that came before it.
 * Lock order: notes/smp.md. Never taken in NMI context; never held across a wait for the guest. */
#ifndef XMHF_SMP_SPINLOCK_H
#define XMHF_SMP_SPINLOCK_H

#include <hw/insn.h>
#include <stdatomic.h>

struct spinlock { _Atomic uint32_t next, serving; };
#define SPINLOCK_INIT { 0, 0 }

/* Take it if it is free. */
static inline bool spin_trylock(struct spinlock *l)
{
    uint32_t now = atomic_load_explicit(&l->serving, memory_order_relaxed);

    return atomic_compare_exchange_strong_explicit(&l->next, &now, now + 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void spin_lock(struct spinlock *l)
{
    uint32_t mine = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);

    while (atomic_load_explicit(&l->serving, memory_order_acquire) != mine) {
        hw_pause();
    }
}

static inline void spin_unlock(struct spinlock *l)
{
    uint32_t now = atomic_load_explicit(&l->serving, memory_order_relaxed);

    atomic_store_explicit(&l->serving, now + 1, memory_order_release);
}

#endif
