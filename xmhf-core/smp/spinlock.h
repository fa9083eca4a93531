/* SPDX-License-Identifier: MIT */
/* A test-and-set spinlock on C11 atomics. Lock order: notes/smp.md. Never taken in NMI
 * context; never held across a guest-caused wait. */
#ifndef XMHF_SMP_SPINLOCK_H
#define XMHF_SMP_SPINLOCK_H

#include <hw/insn.h>
#include <stdatomic.h>

struct spinlock { atomic_flag flag; };
#define SPINLOCK_INIT { ATOMIC_FLAG_INIT }

/* Take it if it is free. */
static inline bool spin_trylock(struct spinlock *l)
{
    return !atomic_flag_test_and_set_explicit(&l->flag, memory_order_acquire);
}

static inline void spin_lock(struct spinlock *l)
{
    while (!spin_trylock(l)) {
        hw_pause();
    }
}

static inline void spin_unlock(struct spinlock *l)
{
    atomic_flag_clear_explicit(&l->flag, memory_order_release);
}

#endif
