/* SPDX-License-Identifier: MIT */
/* The interface of the mistakes that a program makes with a PAL. */
#ifndef HOST_INTERFACE_H
#define HOST_INTERFACE_H

#include <pal/interface.h>

PAL_STRUCT(corner, PAL_FIELD(uint32_t, x) PAL_FIELD(uint8_t, tag[4]))
PAL_ENTRY(host, uint32_t, sum, PAL_IN(uint32_t, list, n, 16), PAL_VALUE(uint32_t, n))
PAL_ENTRY(host, uint32_t, mark, PAL_IN_ARRAY(uint8_t, key, 64), PAL_OUT_STRUCT(corner, c))
PAL_ENTRY_VOID(host, say, PAL_STRING(text, 20))

#endif
