/* SPDX-License-Identifier: MIT */
/* MISTAKE 11 or 33 parameters: 33 of them. */
/* REFUSED: at most 32 parameters */
#include <pal/interface.h>

PAL_ENTRY(host, uint32_t, many, /* HERE */
          PAL_VALUE(uint8_t, a0), PAL_VALUE(uint8_t, a1), PAL_VALUE(uint8_t, a2),
          PAL_VALUE(uint8_t, a3), PAL_VALUE(uint8_t, a4), PAL_VALUE(uint8_t, a5),
          PAL_VALUE(uint8_t, a6), PAL_VALUE(uint8_t, a7), PAL_VALUE(uint8_t, a8),
          PAL_VALUE(uint8_t, a9), PAL_VALUE(uint8_t, a10), PAL_VALUE(uint8_t, a11),
          PAL_VALUE(uint8_t, a12), PAL_VALUE(uint8_t, a13), PAL_VALUE(uint8_t, a14),
          PAL_VALUE(uint8_t, a15), PAL_VALUE(uint8_t, a16), PAL_VALUE(uint8_t, a17),
          PAL_VALUE(uint8_t, a18), PAL_VALUE(uint8_t, a19), PAL_VALUE(uint8_t, a20),
          PAL_VALUE(uint8_t, a21), PAL_VALUE(uint8_t, a22), PAL_VALUE(uint8_t, a23),
          PAL_VALUE(uint8_t, a24), PAL_VALUE(uint8_t, a25), PAL_VALUE(uint8_t, a26),
          PAL_VALUE(uint8_t, a27), PAL_VALUE(uint8_t, a28), PAL_VALUE(uint8_t, a29),
          PAL_VALUE(uint8_t, a30), PAL_VALUE(uint8_t, a31), PAL_VALUE(uint8_t, a32))
