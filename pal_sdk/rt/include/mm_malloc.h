/* SPDX-License-Identifier: MIT */
/* For the compiler's intrinsics: in PALs aligned_alloc() of stdlib.h does it. */
