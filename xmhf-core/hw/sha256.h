/* SPDX-License-Identifier: MIT */
/* SHA-256 by the CPU's SHA extensions. */
#ifndef XMHF_HW_SHA256_H
#define XMHF_HW_SHA256_H

#include <sha256/sha256.h>

/* Only on a CPU that has CPUID.7.0:EBX.SHA. About 145 instructions a block, and 35 a call, in which
 * the guest's XMM registers are kept and put back. */
sha256_blocks_fn hw_sha256_blocks;

#endif
