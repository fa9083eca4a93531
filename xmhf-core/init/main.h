/* SPDX-License-Identifier: MIT */
/* Facts of this boot that others ask for. */
#ifndef XMHF_INIT_MAIN_H
#define XMHF_INIT_MAIN_H

#include <xmhf/types.h>

uint64_t core_protected_size(void);  /* bytes hidden from the guest */
uint64_t core_boot_ticks(void);      /* TSC ticks from our first instruction to guest start */

struct options;
const struct options *core_options(void);

#endif
