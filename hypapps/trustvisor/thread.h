/* SPDX-License-Identifier: MIT */
/*
 * The OS's thread that calls a PAL: which one it is, and with which registers it is seen again
 * after the sandbox. All are for the CPU that owns the activation, once it has left the sandbox.
 */
#ifndef TV_THREAD_H
#define TV_THREAD_H

#include "pal.h"

/* Threads of a process differ in what their thread-local storage is found by: the base of FS or
 * GS, of 32-bit code too. Those that have neither can't be told from each other. */
struct thread { uint64_t fs, gs; };
struct thread thread_of(struct vcpu *v);

/* Set all registers for a thread that waits at the resume stub: RSP and RFLAGS as at the call, the
 * token, all others zero. */
void thread_waits(struct vcpu *v, const struct tv_pal *pal, const struct tv_activation *act,
                  const uint64_t token[2]);
/* The token in the registers of a thread at the resume stub. */
void thread_token(const struct vcpu *v, bool is_64, uint64_t token[2]);
/* Set all registers: at the call again, for an exception there. */
void thread_at_call(struct vcpu *v, const struct tv_pal *pal, const struct tv_activation *act);
/* Set all registers: behind the call, with its result. */
void thread_returns(struct vcpu *v, const struct tv_pal *pal, const struct tv_activation *act,
                    uint64_t rax);
/* A thread goes on with a call: of the call's flags only those of computing stay. The others say
 * what the thread may do and how it is watched: while it was interrupted the OS may have taken
 * its ports away, and a debugger may have begun or ended to step it; and it may be another
 * thread. */
void thread_keeps_rights(const struct vcpu *v, struct tv_activation *act);

#endif
