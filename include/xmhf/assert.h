/* SPDX-License-Identifier: MIT */
/* What must be so at compile time, for headers that programs in C and in C++ include. */
#ifndef XMHF_ASSERT_H
#define XMHF_ASSERT_H

#ifdef __cplusplus
#define XMHF_ASSERT(what, why) static_assert(what, why)
#else
#define XMHF_ASSERT(what, why) __extension__ _Static_assert(what, why) /* C99 has none */
#endif

#endif
