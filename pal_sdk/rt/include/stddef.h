/* SPDX-License-Identifier: MIT */
/* <stddef.h> for PALs: the compiler's own is no use alone with MinGW. */
#ifndef PAL_RT_STDDEF_H
#define PAL_RT_STDDEF_H

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

#ifdef __cplusplus
#define NULL __null
typedef decltype(nullptr) nullptr_t;
#else
#define NULL ((void *)0)
typedef __WCHAR_TYPE__ wchar_t;
#endif

typedef struct {
    long long number __attribute__((aligned(__alignof__(long long))));
    long double real __attribute__((aligned(__alignof__(long double))));
} max_align_t;

#define offsetof(type, member) __builtin_offsetof(type, member)

#endif

/* What a libc's headers do before they include this one. */
#undef __need_size_t
#undef __need_ptrdiff_t
#undef __need_wchar_t
#undef __need_NULL
