/* SPDX-License-Identifier: MIT */
/*
 * libpal-rt's C functions by names that let them stand beside the host's C library: forced upon
 * its files (-include) when they are compiled for tests/unit/test_pal_rt.c.
 */
#ifndef PAL_RT_NAMES_H
#define PAL_RT_NAMES_H

#define memchr    rt_memchr
#define strnlen   rt_strnlen
#define strcmp    rt_strcmp
#define strncmp   rt_strncmp
#define strcpy    rt_strcpy
#define strncpy   rt_strncpy
#define strcat    rt_strcat
#define strncat   rt_strncat
#define strlcpy   rt_strlcpy
#define strlcat   rt_strlcat
#define strchr    rt_strchr
#define strrchr   rt_strrchr
#define strstr    rt_strstr
#define strspn    rt_strspn
#define strcspn   rt_strcspn
#define strpbrk   rt_strpbrk
#define strtok_r  rt_strtok_r
#define strdup    rt_strdup
#define strndup   rt_strndup
#define strtol    rt_strtol
#define strtoul   rt_strtoul
#define strtoll   rt_strtoll
#define strtoull  rt_strtoull
#define atoi      rt_atoi
#define atol      rt_atol
#define qsort     rt_qsort
#define bsearch   rt_bsearch
#define snprintf  rt_snprintf
#define vsnprintf rt_vsnprintf
#define malloc    rt_malloc
#define calloc    rt_calloc
#define realloc   rt_realloc
#define aligned_alloc rt_aligned_alloc
#define free      rt_free
#define memmem rt_memmem
#define memrchr rt_memrchr
#define mempcpy rt_mempcpy
#define memccpy rt_memccpy
#define stpcpy rt_stpcpy
#define stpncpy rt_stpncpy
#define strchrnul rt_strchrnul
#define strsep rt_strsep
#define strcoll rt_strcoll
#define atoll rt_atoll
#define strtoimax rt_strtoimax
#define strtoumax rt_strtoumax
#define div rt_div
#define ldiv rt_ldiv
#define lldiv rt_lldiv
#define reallocarray rt_reallocarray
#define posix_memalign rt_posix_memalign

/* of math.c */
#define fabs rt_fabs
#define copysign rt_copysign
#define fmin rt_fmin
#define fmax rt_fmax
#define trunc rt_trunc
#define floor rt_floor
#define ceil rt_ceil
#define round rt_round
#define rint rt_rint
#define nearbyint rt_nearbyint
#define lround rt_lround
#define llround rt_llround
#define lrint rt_lrint
#define llrint rt_llrint
#define modf rt_modf
#define frexp rt_frexp
#define scalbn rt_scalbn
#define ldexp rt_ldexp
#define scalbln rt_scalbln
#define fmod rt_fmod
#define sqrt rt_sqrt
#define fabsf rt_fabsf
#define copysignf rt_copysignf
#define fminf rt_fminf
#define fmaxf rt_fmaxf
#define truncf rt_truncf
#define floorf rt_floorf
#define ceilf rt_ceilf
#define roundf rt_roundf
#define rintf rt_rintf
#define lroundf rt_lroundf
#define lrintf rt_lrintf
#define fmodf rt_fmodf
#define sqrtf rt_sqrtf

#endif
