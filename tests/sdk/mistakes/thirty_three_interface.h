/* SPDX-License-Identifier: MIT */
/* The interface of thirty_three_parameters.c. */
#include "pattern_interface.h"

/* The mistake: 33 of them. */
PAL_ENTRY(mistake, uint32_t, many, /* HERE */
          PAL_VALUE(uint32_t, p1),
          PAL_VALUE(uint32_t, p2),
          PAL_VALUE(uint32_t, p3),
          PAL_VALUE(uint32_t, p4),
          PAL_VALUE(uint32_t, p5),
          PAL_VALUE(uint32_t, p6),
          PAL_VALUE(uint32_t, p7),
          PAL_VALUE(uint32_t, p8),
          PAL_VALUE(uint32_t, p9),
          PAL_VALUE(uint32_t, p10),
          PAL_VALUE(uint32_t, p11),
          PAL_VALUE(uint32_t, p12),
          PAL_VALUE(uint32_t, p13),
          PAL_VALUE(uint32_t, p14),
          PAL_VALUE(uint32_t, p15),
          PAL_VALUE(uint32_t, p16),
          PAL_VALUE(uint32_t, p17),
          PAL_VALUE(uint32_t, p18),
          PAL_VALUE(uint32_t, p19),
          PAL_VALUE(uint32_t, p20),
          PAL_VALUE(uint32_t, p21),
          PAL_VALUE(uint32_t, p22),
          PAL_VALUE(uint32_t, p23),
          PAL_VALUE(uint32_t, p24),
          PAL_VALUE(uint32_t, p25),
          PAL_VALUE(uint32_t, p26),
          PAL_VALUE(uint32_t, p27),
          PAL_VALUE(uint32_t, p28),
          PAL_VALUE(uint32_t, p29),
          PAL_VALUE(uint32_t, p30),
          PAL_VALUE(uint32_t, p31),
          PAL_VALUE(uint32_t, p32),
          PAL_VALUE(uint32_t, p33))
