/* SPDX-License-Identifier: MIT */
/* A PAL that runs until its budget is used up. */
#include <pal/interface.h>

PAL_ENTRY_VOID(spinner, spin, PAL_VALUE(uint32_t, times))
PAL_OCALL_VOID(spinner, turn)
