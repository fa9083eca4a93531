/* SPDX-License-Identifier: MIT */
/* Facts of this launch that every floor may ask for. Set by init/main.c on the boot CPU, before
 * the guest starts; constant afterwards. */
#ifndef XMHF_FACTS_FACTS_H
#define XMHF_FACTS_FACTS_H

#include <facts/options.h>
#include <xmhf/types.h>

const struct options *core_options(void);
uint64_t core_protected_size(void);  /* bytes hidden from the guest */
uint64_t core_boot_ticks(void);      /* TSC ticks from our first instruction to guest start */
const char *core_vendor(void);       /* "AMD SVM", "Intel VMX"; "" until it is chosen */
/* Are devices kept from the protected range? What the log and hypercalls say of it. */
bool core_dma_protection(void);

/* For init alone. The options are copied, the name is not. */
void facts_set(const struct options *options, uint64_t protected_size);
void facts_vendor(const char *name);
void facts_boot_ticks(uint64_t ticks);

#endif
