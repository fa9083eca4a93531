/* SPDX-License-Identifier: MIT */
/* The compiler's <limits.h>, kept from looking for a libc's (GCC does otherwise). */
#define _LIBC_LIMITS_H_
#include_next <limits.h>
