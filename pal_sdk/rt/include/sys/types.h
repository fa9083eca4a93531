/* SPDX-License-Identifier: MIT */
/* <sys/types.h> for PALs: sizes and short names; none of the system's things, so no off_t, no
 * pid_t. */
#ifndef PAL_RT_SYS_TYPES_H
#define PAL_RT_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef __PTRDIFF_TYPE__ ssize_t;
typedef unsigned char u_char;
typedef unsigned short u_short;
typedef unsigned int u_int;
typedef unsigned long u_long;
typedef uint8_t u_int8_t;
typedef uint16_t u_int16_t;
typedef uint32_t u_int32_t;
typedef uint64_t u_int64_t;

#endif
