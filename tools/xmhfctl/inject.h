/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls made by another process: only a PAL's owner may ask about it, so a thread of the
 * owner's is stopped, as a debugger does, and executes one instruction for us.
 */
#ifndef XMHFCTL_INJECT_H
#define XMHFCTL_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define INJECT_THREADS 256u

struct inject {
    pid_t pid;
    unsigned bits;              /* of the process: 64 or 32 */
    int memory;                 /* /proc/PID/mem */
    unsigned count;             /* of threads, all stopped */
    pid_t threads[INJECT_THREADS];
    uint64_t code;              /* where the instruction is put: the program's own start */
    uint64_t room;              /* two pages that the call may use; what was there comes back */
    const char *problem;        /* of the function that failed, a sentence's end */
};

struct inject_call {
    uint32_t command;
    uint64_t rcx, rdx, rsi, rdi;
};

/* Stops all threads of a process. False with `problem`; then it runs as before. */
bool inject_open(struct inject *in, pid_t pid);
/* Lets it go on. */
void inject_close(struct inject *in);

/* Has a thread make a hypercall. RDX is only looked at by some. `to`, of `bytes`, at most 8192, is
 * what lies in `room` then; before it is `from` there. False with `problem`. */
bool inject_call(struct inject *in, const struct inject_call *call, const void *from, void *to,
                 size_t bytes, uint64_t *result);

/* Bytes of its memory, from the first that can't be read on not; how many were copied. */
size_t inject_read(const struct inject *in, uint64_t address, void *to, size_t bytes);

#endif
