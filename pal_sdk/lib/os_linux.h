/* SPDX-License-Identifier: MIT */
/* Signals as faults: what handlers of the library's own on Linux share. */
#ifndef PAL_OS_LINUX_H
#define PAL_OS_LINUX_H

#include "os.h"
#include <signal.h>

/* The registers that a signal interrupted. `context`: the handler's third argument. */
struct pal_fault pal_linux_fault(void *context, uintptr_t address);
/* Have the thread go on with these. */
void pal_linux_go_on(void *context, const struct pal_fault *f);
/* To whom the signal went before; by default it ends the process. */
void pal_linux_as_before(int number, siginfo_t *info, void *context, const struct sigaction *old);

#endif
