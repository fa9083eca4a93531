/* SPDX-License-Identifier: MIT */
/* The interface of ocall_missing.c. */
#include <pal/interface.h>

PAL_OCALL(ocalls, uint32_t, ask, PAL_VALUE(uint32_t, n))
PAL_ENTRY(ocalls, uint32_t, go, PAL_VALUE(uint32_t, n))
