/* SPDX-License-Identifier: MIT */
/* How wide a physical address is when memory encryption has taken its bits. Pure but for CPUID and
 * MSRs. */
#ifndef XMHF_CPU_WIDTH_H
#define XMHF_CPU_WIDTH_H

#include <xmhf/types.h>

/* What four levels of nested tables translate; wider addresses have no place in ours. */
#define PHYS_WIDTH_MAX 48

/*
 * `*bits`: the address bits below KeyIDs (Intel) and C-bit (AMD) of this CPU, at most
 * PHYS_WIDTH_MAX: a byte of memory has one address in them, and any bit above is another name for
 * it or none. NULL, or the name of what can't be known; then `*bits` isn't set. Each CPU may call it.
 */
const char *phys_width(unsigned *bits);

/* Mask of the bits that no physical address of the guest has; where the width can't be known, of those
 * above what CPUID tells. */
uint64_t phys_beyond(void);

#endif
