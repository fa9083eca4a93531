/* SPDX-License-Identifier: MIT */
/* <stdarg.h> for PALs: the compiler's own is no use alone with MinGW. */
#ifndef PAL_RT_STDARG_H
#define PAL_RT_STDARG_H

typedef __builtin_va_list va_list;
#define va_start(list, last) __builtin_va_start(list, last)
#define va_arg(list, type)   __builtin_va_arg(list, type)
#define va_copy(to, from)    __builtin_va_copy(to, from)
#define va_end(list)         __builtin_va_end(list)

#endif
