/* SPDX-License-Identifier: MIT */
/* <setjmp.h> for PALs: within one call of an entry. It keeps no signals: there are none. */
#ifndef PAL_RT_SETJMP_H
#define PAL_RT_SETJMP_H

#ifdef __cplusplus
extern "C" {
#endif

/* As pal_sdk/rt/setjmp.S fills it. */
#if defined(_WIN64)
typedef unsigned long long jmp_buf[32];
#elif defined(__x86_64__)
typedef unsigned long long jmp_buf[9];
#else
typedef unsigned jmp_buf[7];
#endif

__attribute__((returns_twice)) int setjmp(jmp_buf at);
__attribute__((noreturn)) void longjmp(jmp_buf at, int value);

#ifdef __cplusplus
}
#endif

#endif
