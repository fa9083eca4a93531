/* SPDX-License-Identifier: MIT */
/* libpal-rt's tests as a PAL: what the program asks it. */
#ifndef PAL_RT_IMAGE_INTERFACE_H
#define PAL_RT_IMAGE_INTERFACE_H

#include <pal/interface.h>

#define RT_NAME 40
#define RT_WHY  300

/* 1: there is a test number `i`, with this name; *death: the address that it must die at, or 0. */
PAL_ENTRY(rt, uint32_t, look, PAL_VALUE(uint32_t, i), PAL_OUT_ARRAY(char, name, RT_NAME),
          PAL_OUT_ARRAY(uint64_t, death, 1))
/* 1: it passed. */
PAL_ENTRY(rt, uint32_t, run, PAL_VALUE(uint32_t, i), PAL_OUT_ARRAY(char, why, RT_WHY))
/* What only a real one says: 1 inside a PAL, 0 in native mode. */
PAL_ENTRY(rt, uint32_t, inside)

#endif
