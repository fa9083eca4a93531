/* SPDX-License-Identifier: MIT */
/* Inside libpal-native: how a thread goes into a PAL's code in its own process and comes back. */
#ifndef PAL_NATIVE_H
#define PAL_NATIVE_H

#include "host.h"
#include "os.h"
#include <pal/pal.h>

/* --- going in and out (native_switch.c) ------------------------------------------------- */

enum native_reason { NATIVE_RETURNED, NATIVE_HYPERCALL, NATIVE_DIED };

/* A call of a PAL: the thread's place outside and inside. The assembly knows the offsets. */
struct native_context {
    pal_word outside;          /* stack pointers */
    pal_word inside;
    pal_word entry;            /* what is called */
    pal_word result;           /* RAX */
    pal_word reason;           /* enum native_reason */
    pal_word regs[6];          /* RDI, RSI, RDX, RCX, R8, R9 at the call */
    uint8_t gap[128 - 11 * sizeof(pal_word)];
    _Alignas(16) uint8_t fpu[512]; /* FXSAVE's image across a hypercall */
    struct pal_fault fault;    /* DIED */
    uintptr_t begin, end;      /* of the image, where a budget may end */
};
_Static_assert(offsetof(struct native_context, regs) == 5 * sizeof(pal_word), "the assembly");
_Static_assert(offsetof(struct native_context, fpu) == 128, "the assembly");

/* What a hypercall leaves on the PAL's stack, at c->inside. */
struct native_registers {
#ifdef __x86_64__
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t di, si, bp, bx, dx, cx, ax, flags, ip;
#else
    uint32_t di, si, bp, sp, bx, dx, cx, ax, flags, ip;
#endif
};

/* Where a PAL's entry returns to, and what its gate becomes. */
extern const uint8_t pal_native_returned[], pal_native_gate[], pal_native_died[];

/* Call c->entry with c->inside as its stack pointer (the return address is there) and c->regs; or
 * go on after a hypercall. Both come back with a reason. */
void native_go_in(struct native_context *c);
void native_go_on(struct native_context *c);
/* Is this thread inside? */
bool native_inside(void);
/* Faults of threads that are inside are theirs. */
bool native_catch_faults(void);
/* Can this thread read all of that, and write it if it must? *where: the first byte that it can't,
 * as far as pages tell. Nothing changes. After native_catch_faults. */
bool native_reachable(uintptr_t address, size_t bytes, bool write, pal_word *where);
/* A signal handler's: this thread's budget is used up. True: it was in the PAL's code, and goes on
 * with *f, as after a fault whose vector is NATIVE_EXPIRED. */
#define NATIVE_EXPIRED 0x100u
bool native_expired(struct pal_fault *f);

/* --- of the system (native_linux.c, native_windows.c) ------------------------------------ */

enum { NATIVE_READ = 1, NATIVE_WRITE = 2, NATIVE_EXECUTE = 4 };

/* `size` bytes that are zeros and mapped nowhere; NULL if there are none. */
void *native_memory_make(size_t size);
void native_memory_free(void *memory);
/* Put bytes there. */
bool native_memory_write(void *memory, size_t offset, const void *from, size_t bytes);
/* Map all of it at `address`, where nothing may be yet, without any right; take it away again. */
bool native_map(void *memory, uintptr_t address, size_t size);
void native_unmap(uintptr_t address, size_t size);
bool native_rights(uintptr_t address, size_t size, unsigned rights);
/* The library's lock, and waiting, with it held, until another thread wakes all that do. */
void native_lock(void);
void native_unlock(void);
void native_wait(void);
void native_wake(void);
/* This thread has a stack for its fault handlers. */
bool native_signal_stack(void);
bool native_random(void *to, size_t bytes);
/* Ticks of the TSC as nanoseconds; 0: no such timers here. May take some milliseconds once. */
uint64_t native_ticks_ns(uint64_t ticks);
/* native_expired() once this thread has had the CPU for `ns` nanoseconds, not 0, from now on; as
 * exact as the kernel's clock tick. If there is no timer left it never is. Stop: what is left of
 * the `given` ones, at least 1. */
void native_timer_start(uint64_t ns);
uint64_t native_timer_stop(uint64_t given);
/* Bytes with unmapped memory before and behind them, ending where that begins (at a multiple of 16
 * bytes, so up to 15 more than asked for); zeros. */
void *native_guarded(size_t bytes);
void native_guarded_free(void *p, size_t bytes);

/* --- ordinary objects (native_object.c) -------------------------------------------------- */

void native_object_open(struct pal_handle *p, struct pal_status *s);
void native_object_call(struct pal_handle *p, uint32_t entry, const pal_word *args, unsigned n,
                        pal_word out[4]);
/* A hypercall of such code, RAX. */
pal_word native_object_hypercall(uint32_t command, pal_word cx, pal_word dx, pal_word si,
                                 pal_word di);

/* --- both (native.c) ---------------------------------------------------------------------- */

/* Of an entry with these words: bytes[] of each parameter. False: out[] says that a count is too
 * large, or memory of a pointer can't be read, or not written where the PAL writes. */
bool native_arguments(const struct xmhf_image_param *q, unsigned n, const pal_word *args,
                      int64_t *bytes, pal_word out[4]);
/* A hypercall from inside that isn't an ocall. */
pal_word native_answer(uint32_t command, pal_word cx, pal_word dx);

#endif
