/* SPDX-License-Identifier: MIT */
/* Ways to crash the core on purpose, for tests of the crash record and of tools/logdecode. */
#ifndef XMHF_DEBUG_TESTPANIC_H
#define XMHF_DEBUG_TESTPANIC_H

#include <xmhf/types.h>

/* X(name, number): what RCX of XMHF_HC_PANIC says. */
#define TESTPANIC_KINDS(X) \
    X(PANIC, 0) X(RDMSR, 1) X(STACK_OVERFLOW, 2) X(ASSERTION, 3) X(NULL_POINTER, 4) X(WRMSR, 5)

/* Crash in the way of `kind`; as kind 0 if it is unknown, or if the emulator forgives it. */
_Noreturn void testpanic(uint64_t kind);

#endif
