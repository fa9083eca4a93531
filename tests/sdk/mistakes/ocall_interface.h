/* SPDX-License-Identifier: MIT */
/* The interface of ocall.c; sdk_run has the function. */
#ifndef OCALL_INTERFACE_H
#define OCALL_INTERFACE_H

#include "pattern_interface.h"

PAL_OCALL(mistake, uint32_t, ask, PAL_VALUE(uint32_t, n), PAL_IN_ARRAY(uint8_t, question, 16),
          PAL_OUT_ARRAY(uint8_t, answer, 16))
PAL_ENTRY(mistake, uint32_t, through, PAL_VALUE(uint32_t, n), PAL_OUT_ARRAY(uint8_t, out, 16))

#endif
