/* SPDX-License-Identifier: MIT */
/* TV_HC_UNREG: what belongs to the caller goes back to it, the rest is wiped. */
#ifndef TV_UNREGISTER_H
#define TV_UNREGISTER_H

#include "pal.h"

enum hc_result tv_unregister(struct vcpu *v, const struct hyp_caller *c);
/* Is a CPU at it just now? The caller holds a reference. */
bool unregister_works(struct tv_pal *pal);

#endif
