/* SPDX-License-Identifier: MIT */
/* Calls of PALs: enter, interrupt, resume, return. */
#ifndef TV_CALL_H
#define TV_CALL_H

#include "pal.h"

bool call_init(void);
/* A hypercall instruction in the stubs' page of the PAL in `s` (referenced; given back
 * here). HC_UNKNOWN: it isn't one of its stubs, or the caller isn't in the PAL's mode. */
enum hc_result call_stub(struct vcpu *v, const struct hyp_caller *c, struct tv_slot *s);
/* At a stub whose PAL is dead. Of an image the call is told why, as those that were under way: at
 * an entry's stub, and at the resume stub with an answer to an ocall. Else #UD. */
enum hc_result call_dead_stub(struct vcpu *v, const struct hyp_caller *c);
/* The slot that this CPU used last, or NULL: probably the one of the next call. */
struct tv_slot *call_hint(const struct vcpu *v);
/* The PAL in this CPU's sandbox. */
const struct tv_slot *call_running(const struct vcpu *v);
/* An exit of the sandbox. */
void call_exit(struct vcpu *v, const struct exit *e);

#endif
