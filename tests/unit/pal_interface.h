/* SPDX-License-Identifier: MIT */
/* An interface with everything in it, for test_pal_host.c: both sides in one program. */
#include <pal/interface.h>

PAL_STRUCT(point, PAL_FIELD(uint8_t, t) PAL_FIELD(uint64_t, x) PAL_FIELD(uint8_t, tag[5])
           PAL_FIELD(bool, b) PAL_FIELD(double, m[2][2]))
PAL_STRUCT(pair, PAL_FIELD(point, first) PAL_FIELD(point, more[2]))

PAL_ENTRY(demo, uint32_t, add, PAL_VALUE(uint32_t, a), PAL_VALUE(int8_t, b))
PAL_ENTRY(demo, int64_t, wide, PAL_VALUE(int64_t, a), PAL_VALUE(bool, b), PAL_VALUE(uint16_t, c))
PAL_ENTRY(demo, bool, ping)
PAL_ENTRY_VOID(demo, nothing)
PAL_ENTRY(demo, uint32_t, buffers, PAL_IN(uint16_t, in, n, 10), PAL_VALUE(uint8_t, n),
          PAL_OUT(point, out, m, 3), PAL_VALUE(uint32_t, m), PAL_INOUT(uint8_t, both, k, 255),
          PAL_VALUE(uint8_t, k))
PAL_ENTRY(demo, uint32_t, whole, PAL_IN_ARRAY(uint8_t, in, 4), PAL_OUT_ARRAY(uint32_t, out, 2),
          PAL_INOUT_ARRAY(uint8_t, both, 3), PAL_IN_STRUCT(point, a), PAL_OUT_STRUCT(point, b),
          PAL_INOUT_STRUCT(pair, c))
PAL_ENTRY(demo, uint32_t, text, PAL_STRING(first, 8), PAL_VALUE(uint32_t, x), PAL_STRING(second, 3))
PAL_ENTRY(demo, uint32_t, many, PAL_VALUE(uint8_t, a0), PAL_VALUE(uint8_t, a1),
          PAL_VALUE(uint8_t, a2), PAL_VALUE(uint8_t, a3), PAL_VALUE(uint8_t, a4),
          PAL_VALUE(uint8_t, a5), PAL_VALUE(uint8_t, a6), PAL_VALUE(uint8_t, a7),
          PAL_VALUE(uint8_t, a8), PAL_VALUE(uint8_t, a9), PAL_VALUE(uint8_t, a10),
          PAL_VALUE(uint8_t, a11), PAL_VALUE(uint8_t, a12), PAL_VALUE(uint8_t, a13),
          PAL_VALUE(uint8_t, a14), PAL_VALUE(uint8_t, a15), PAL_VALUE(uint8_t, a16),
          PAL_VALUE(uint8_t, a17), PAL_VALUE(uint8_t, a18), PAL_VALUE(uint8_t, a19),
          PAL_VALUE(uint8_t, a20), PAL_VALUE(uint8_t, a21), PAL_VALUE(uint8_t, a22),
          PAL_VALUE(uint8_t, a23), PAL_VALUE(uint8_t, a24), PAL_VALUE(uint8_t, a25),
          PAL_VALUE(uint8_t, a26), PAL_VALUE(uint8_t, a27), PAL_VALUE(uint8_t, a28),
          PAL_VALUE(uint8_t, a29), PAL_VALUE(uint8_t, a30), PAL_VALUE(uint8_t, a31))
PAL_ENTRY(demo, int32_t, through, PAL_VALUE(uint32_t, how), PAL_STRING(what, 20))
PAL_OCALL(demo, int16_t, ask, PAL_STRING(question, 20), PAL_OUT_ARRAY(uint8_t, answer, 3),
          PAL_INOUT(uint16_t, list, n, 5), PAL_VALUE(uint64_t, big), PAL_VALUE(uint16_t, n),
          PAL_IN_STRUCT(point, p))
PAL_OCALL_VOID(demo, tell)
