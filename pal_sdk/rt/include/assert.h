/* SPDX-License-Identifier: MIT */
/*
 * <assert.h> for PALs. What fails dies by an invalid instruction (exception 6) at the assert()
 * itself, where pal-addr2line finds the line. In images by pal-cc --debug the host prints the
 * condition, too; no other image has its text.
 */
#include <pal/rt.h> /* each time: NDEBUG may have changed */

#undef assert
#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
#define assert(condition) \
    ((condition) ? (void)0 : (__extension__({ \
        pal_printf("%s:%d: assert(%s) failed\n", __FILE__, __LINE__, #condition); \
        pal_abort(); })))
#endif

#if !defined(__cplusplus) && !defined(static_assert)
#define static_assert _Static_assert
#endif
