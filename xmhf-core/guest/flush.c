/* SPDX-License-Identifier: MIT */
/* Having all CPUs forget what they remember of the OS's nested tables. */
#include <cpu/vcpus.h>
#include <guest/flush.h>
#include <smp/stop.h>
#include <virt/virt.h>

static _Atomic uint64_t generation;

uint64_t flush_generation(void) { return atomic_load(&generation); }
uint64_t flush_new_generation(void) { return atomic_fetch_add(&generation, 1) + 1; }

void flush_take(struct vcpu *v)
{
    atomic_fetch_and(&v->requests, ~REQ_FLUSH); /* first: a change that comes now asks again */
    const uint64_t seen = flush_generation();
    v->code.page = 0;
    v->store_code.bytes = NULL;
    virt->flush_nested(v);
    atomic_store(&v->flushed, seen);
}

/* A CPU that is stopped runs nothing any more. One in the hardware's wait-for-SIPI takes no kick,
 * and looks at its requests before it runs anything else. */
static bool has_seen(struct vcpu *t, uint64_t which)
{
    return atomic_load(&t->flushed) >= which || !atomic_load(&t->online)
        || atomic_load(&t->stopped)
        || ((atomic_load(&t->requests) & REQ_FLUSH) && atomic_load(&t->waiting));
}

bool flush_all_seen(struct vcpu *v, uint64_t which)
{
    bool all = true;

    if (atomic_load(&v->flushed) < which) {
        flush_take(v);
    }
    for (unsigned i = 0; i < vcpu_count; i++) {
        struct vcpu *t = vcpus[i];
        if (t == v || has_seen(t, which)) {
            continue;
        }
        atomic_fetch_or(&t->requests, REQ_FLUSH);
        if (!has_seen(t, which)) {
            kick(t); /* each time: one may have been dropped with others (notes/smp.md) */
            all = false;
        }
    }
    return all;
}
