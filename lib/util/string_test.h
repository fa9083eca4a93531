/* SPDX-License-Identifier: MIT */
/* For tests/unit/test_string.c only (XMHF_TEST_STRING): the functions of string.c under
 * names that let them stand beside the host's C library in one program. */
#ifndef XMHF_UTIL_STRING_TEST_H
#define XMHF_UTIL_STRING_TEST_H

#define memcpy  xmhf_memcpy
#define memmove xmhf_memmove
#define memset  xmhf_memset
#define memcmp  xmhf_memcmp
#define strlen  xmhf_strlen
#define strcmp  xmhf_strcmp
#define strncmp xmhf_strncmp

#endif
