/* SPDX-License-Identifier: MIT */
/* A debug PAL of another process, looked at by hypercalls that the process makes. */
#ifndef XMHFCTL_PAL_H
#define XMHFCTL_PAL_H

#include "inject.h"
#include "rsp.h"
#include <xmhf/image.h>

struct pal {
    struct inject *process;
    uint64_t stubs;                   /* names it */
    unsigned call;                    /* whose registers are told */
    struct xmhf_pal_registers now;    /* of that call */
};

/* Finds debug PAL number `number` of a stopped process, and a call of it that waits; or with
 * call >= 0 that one. False with the process' `problem`. */
bool pal_find(struct pal *pal, struct inject *process, unsigned number, int call);

/* For gdb. The target's context is the PAL. */
struct rsp_target pal_target(struct pal *pal);

/* What a call does, in words. */
const char *pal_state(uint32_t state);

#endif
