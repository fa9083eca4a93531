/* SPDX-License-Identifier: MIT */
/* What 64-bit code does faster than 32-bit code can. */
#ifndef WIDE_INTERFACE_H
#define WIDE_INTERFACE_H

#include <pal/interface.h>

#define WIDE_MESSAGE_MAX 0x10000

PAL_STRUCT(wide_product, PAL_FIELD(uint64_t, low) PAL_FIELD(uint64_t, high))

/* SHA-512 of `n` bytes. */
PAL_ENTRY_VOID(wide, digest, PAL_IN(uint8_t, message, n, WIDE_MESSAGE_MAX), PAL_VALUE(uint32_t, n),
               PAL_OUT_ARRAY(uint8_t, hash, 64))
/* All 128 bits of a * b. */
PAL_ENTRY_VOID(wide, multiply, PAL_VALUE(uint64_t, a), PAL_VALUE(uint64_t, b),
               PAL_OUT_STRUCT(wide_product, product))
/* The sum of a^n, a^(n+1), ... modulo 2^61 - 1, so many of them. */
PAL_ENTRY(wide, uint64_t, powers, PAL_VALUE(uint64_t, a), PAL_VALUE(uint64_t, n),
          PAL_VALUE(uint32_t, times))

#endif
