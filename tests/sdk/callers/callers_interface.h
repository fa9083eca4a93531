/* SPDX-License-Identifier: MIT */
/* A PAL that is called by many threads, asks its program, and dies when it is told to. */
#include <pal/interface.h>

PAL_ENTRY(callers, uint32_t, add, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b))
PAL_ENTRY(callers, uint32_t, twice, PAL_VALUE(uint32_t, a))
PAL_ENTRY_VOID(callers, die)
PAL_ENTRY(callers, uint32_t, buffers, PAL_IN(uint8_t, in, n, 8192), PAL_OUT(uint8_t, out, n, 8192),
          PAL_INOUT(uint8_t, both, n, 8192), PAL_VALUE(uint32_t, n))
PAL_OCALL(callers, uint32_t, ask, PAL_VALUE(uint32_t, a))
