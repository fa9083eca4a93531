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

#endif
