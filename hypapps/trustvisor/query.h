/* SPDX-License-Identifier: MIT */
/* XMHF_HC_PAL_LIMITS and XMHF_HC_PAL_STATS. */
#ifndef TV_QUERY_H
#define TV_QUERY_H

#include <hypapp/hypapp.h>

enum hc_result tv_limits(struct vcpu *v, const struct hyp_caller *c);
enum hc_result tv_stats(struct vcpu *v, const struct hyp_caller *c);

#endif
