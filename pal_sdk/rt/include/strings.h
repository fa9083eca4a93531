/* SPDX-License-Identifier: MIT */
/* <strings.h> for PALs: letters are ASCII's. */
#ifndef PAL_RT_STRINGS_H
#define PAL_RT_STRINGS_H

#include <stdint.h>
#include <string.h>

static inline void bzero(void *p, size_t n) { memset(p, 0, n); } /* secrets: pal_wipe (pal/rt.h) */
static inline void bcopy(const void *src, void *dst, size_t n) { memmove(dst, src, n); }
static inline int bcmp(const void *a, const void *b, size_t n) { return memcmp(a, b, n); }
static inline int ffs(int x) { return __builtin_ffs(x); }
static inline int ffsl(long x) { return __builtin_ffsl(x); }
static inline int ffsll(long long x) { return __builtin_ffsll(x); }
static inline char *index(const char *s, int c) { return strchr(s, c); }
static inline char *rindex(const char *s, int c) { return strrchr(s, c); }

static inline int pal_rt_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : (unsigned char)c;
}

/* Not for secrets: they stop at the first difference. */
static inline int strncasecmp(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int difference = pal_rt_lower(a[i]) - pal_rt_lower(b[i]);
        if (difference != 0 || a[i] == 0) {
            return difference;
        }
    }
    return 0;
}

static inline int strcasecmp(const char *a, const char *b)
{
    return strncasecmp(a, b, SIZE_MAX);
}

#endif
