/* SPDX-License-Identifier: MIT */
/* Debug PALs: their process reads their memory and the registers of calls that wait. */
#ifndef TV_READ_H
#define TV_READ_H

#include <hypapp/hypapp.h>

/* XMHF_HC_PAL_READ (include/xmhf/image.h): one step. The caller has PALs. */
enum hc_result tv_read(struct vcpu *v, const struct hyp_caller *c);

#endif
