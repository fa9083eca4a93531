/* SPDX-License-Identifier: MIT */
/* How wide a physical address is when memory encryption has taken its bits. Pure but for CPUID and
 * MSRs. */
#ifndef XMHF_CPU_WIDTH_H
#define XMHF_CPU_WIDTH_H

#include <xmhf/types.h>

/* What four levels of nested tables translate; wider addresses have no place in ours. */
#define PHYS_WIDTH_MAX 48

/*
 * `*bits`: how many address bits are left below the KeyIDs (Intel) or the C-bit (AMD) of this CPU,
 * at most PHYS_WIDTH_MAX. With these bits each byte of memory has one address; a higher bit makes
 * another name for it, or no address at all. NULL, or the name of what can't be known; then
 * `*bits` isn't set. Each CPU may call it.
 */
const char *phys_width(unsigned *bits);

/* Mask of the bits that no physical address of the guest has: those above the width of phys_width;
 * where that can't be known, those above the width that CPUID tells. */
uint64_t phys_beyond(void);

#endif
