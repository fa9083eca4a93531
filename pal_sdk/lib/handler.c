/* SPDX-License-Identifier: MIT */
/* By the public ABI a PAL's death is a signal at the call: this says what died before it ends the
 * program. */
#include "handler.h"
#include "os.h"
#include <pal/module.h>
#include <stdatomic.h>
#include <stdio.h>

#define WATCHED 256u /* PALs of one process, at most */

static struct {
    _Atomic uintptr_t entry;       /* 0: free */
    _Atomic uintptr_t start, end;
    _Atomic uint32_t generation;   /* of the process that registered it */
} watched[WATCHED];
static _Atomic bool off;

const char *pal_vector_name(unsigned vector)
{
    static const char *const names[] = {
        "division error", "debug exception", "NMI", "breakpoint", "overflow", "bound exceeded",
        "invalid opcode", "no FPU", "double fault", "9", "invalid TSS", "segment not present",
        "stack fault", "general protection fault", "page fault", "15", "x87 error",
        "misaligned access", "machine check", "SIMD floating-point error",
    };

    return vector < sizeof(names) / sizeof(names[0]) ? names[vector] : "exception";
}

/* What the hypervisor knows of the dead PAL; 0 bytes if it lives. */
static int sentence(char *text, size_t size, uintptr_t entry)
{
    struct xmhf_pal_stats st;

    if (pal_stats((const void *)entry, &st) != TV_OK || st.death == TV_DEATH_ALIVE) {
        return 0;
    }
    if (st.death != TV_DEATH_EXCEPTION) {
        return snprintf(text, size, "pal: the PAL at %p died: %s, at byte 0x%x of section %u. Its "
                        "call ends by a signal\n", (void *)entry, pal_death_text(st.death),
                        (unsigned)st.offset, (unsigned)st.section);
    }
    return snprintf(text, size, "pal: the PAL at %p died: %s (vector %u), at byte 0x%x of section "
                    "%u. Its call ends by a signal\n", (void *)entry, pal_vector_name(st.vector),
                    (unsigned)st.vector, (unsigned)st.offset, (unsigned)st.section);
}

/* A fault ends the program: was it a call of one of these? */
static bool fatal(struct pal_fault *f)
{
    char text[256];
    int n = 0;

    for (unsigned i = 0; i < WATCHED; i++) {
        const uintptr_t entry = atomic_load(&watched[i].entry);
        if (entry == 0 || f->ip < atomic_load(&watched[i].start)
            || f->ip >= atomic_load(&watched[i].end)) {
            continue;
        }
        if (atomic_load(&watched[i].generation) != pal_os_generation()) {
            n = snprintf(text, sizeof(text), "pal: the PAL at %p belongs to the parent process; "
                         "register one of this process's own after fork()\n", (void *)entry);
        } else {
            n = sentence(text, sizeof(text), entry);
        }
        break;
    }
    if (n > 0) {
        pal_os_complain(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
    }
    return false;
}

void pal_handler_off(void)
{
    atomic_store(&off, true);
}

void pal_handler_watch(const void *entry, const void *memory, size_t size)
{
    if (atomic_load(&off) || !pal_os_on_fatal(fatal)) {
        return;
    }
    for (unsigned i = 0; i < WATCHED; i++) {
        uintptr_t none = 0;
        if (atomic_compare_exchange_strong(&watched[i].entry, &none, (uintptr_t)entry)) {
            atomic_store(&watched[i].generation, pal_os_generation());
            atomic_store(&watched[i].start, (uintptr_t)memory);
            atomic_store(&watched[i].end, (uintptr_t)memory + size);
            return;
        }
    }
}

void pal_handler_forget(const void *entry)
{
    for (unsigned i = 0; i < WATCHED && entry; i++) {
        if (atomic_load(&watched[i].entry) == (uintptr_t)entry) {
            atomic_store(&watched[i].end, 0);
            atomic_store(&watched[i].entry, 0);
            return;
        }
    }
}
