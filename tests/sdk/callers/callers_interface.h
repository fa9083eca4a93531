/* SPDX-License-Identifier: MIT */
/* A PAL that is called by many threads, asks its program, and dies when it is told to. */
#include <pal/interface.h>

PAL_ENTRY(callers, uint32_t, add, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b))
PAL_ENTRY(callers, uint32_t, twice, PAL_VALUE(uint32_t, a))
PAL_ENTRY_VOID(callers, die)
PAL_OCALL(callers, uint32_t, ask, PAL_VALUE(uint32_t, a))
