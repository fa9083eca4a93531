/* SPDX-License-Identifier: MIT */
/* The interface of no_parameter.c. */
#include "pattern_interface.h"

PAL_ENTRY(mistake, uint32_t, none)
PAL_ENTRY_VOID(mistake, nothing)
