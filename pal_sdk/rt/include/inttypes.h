/* SPDX-License-Identifier: MIT */
/*
 * <inttypes.h> for PALs: conversions for snprintf() (stdio.h), and numbers out of text. None for
 * scanf() and for int_fastN_t.
 */
#ifndef PAL_RT_INTTYPES_H
#define PAL_RT_INTTYPES_H

#include <stdint.h>

#if __SIZEOF_LONG__ == 8
#define PAL_PRI_64 "l"
#else
#define PAL_PRI_64 "ll"
#endif
#if __SIZEOF_POINTER__ == 8
#define PAL_PRI_PTR PAL_PRI_64
#else
#define PAL_PRI_PTR ""
#endif

#define PRId8        "hhd"
#define PRId16       "hd"
#define PRId32       "d"
#define PRId64       PAL_PRI_64 "d"
#define PRIdLEAST8   "hhd"
#define PRIdLEAST16  "hd"
#define PRIdLEAST32  "d"
#define PRIdLEAST64  PAL_PRI_64 "d"
#define PRIdPTR      PAL_PRI_PTR "d"
#define PRIdMAX      "jd"
#define PRIi8        "hhi"
#define PRIi16       "hi"
#define PRIi32       "i"
#define PRIi64       PAL_PRI_64 "i"
#define PRIiLEAST8   "hhi"
#define PRIiLEAST16  "hi"
#define PRIiLEAST32  "i"
#define PRIiLEAST64  PAL_PRI_64 "i"
#define PRIiPTR      PAL_PRI_PTR "i"
#define PRIiMAX      "ji"
#define PRIo8        "hho"
#define PRIo16       "ho"
#define PRIo32       "o"
#define PRIo64       PAL_PRI_64 "o"
#define PRIoLEAST8   "hho"
#define PRIoLEAST16  "ho"
#define PRIoLEAST32  "o"
#define PRIoLEAST64  PAL_PRI_64 "o"
#define PRIoPTR      PAL_PRI_PTR "o"
#define PRIoMAX      "jo"
#define PRIu8        "hhu"
#define PRIu16       "hu"
#define PRIu32       "u"
#define PRIu64       PAL_PRI_64 "u"
#define PRIuLEAST8   "hhu"
#define PRIuLEAST16  "hu"
#define PRIuLEAST32  "u"
#define PRIuLEAST64  PAL_PRI_64 "u"
#define PRIuPTR      PAL_PRI_PTR "u"
#define PRIuMAX      "ju"
#define PRIx8        "hhx"
#define PRIx16       "hx"
#define PRIx32       "x"
#define PRIx64       PAL_PRI_64 "x"
#define PRIxLEAST8   "hhx"
#define PRIxLEAST16  "hx"
#define PRIxLEAST32  "x"
#define PRIxLEAST64  PAL_PRI_64 "x"
#define PRIxPTR      PAL_PRI_PTR "x"
#define PRIxMAX      "jx"
#define PRIX8        "hhX"
#define PRIX16       "hX"
#define PRIX32       "X"
#define PRIX64       PAL_PRI_64 "X"
#define PRIXLEAST8   "hhX"
#define PRIXLEAST16  "hX"
#define PRIXLEAST32  "X"
#define PRIXLEAST64  PAL_PRI_64 "X"
#define PRIXPTR      PAL_PRI_PTR "X"
#define PRIXMAX      "jX"

#ifdef __cplusplus
extern "C" {
#define restrict __restrict
#endif
/* As strtoll() and strtoull() (stdlib.h). */
intmax_t strtoimax(const char *restrict s, char **restrict end, int base);
uintmax_t strtoumax(const char *restrict s, char **restrict end, int base);
#ifdef __cplusplus
#undef restrict
}
#endif
static inline intmax_t imaxabs(intmax_t x) { return x < 0 ? -x : x; }

#endif
