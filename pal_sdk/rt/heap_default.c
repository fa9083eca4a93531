/* SPDX-License-Identifier: MIT */
/* The heap of a PAL that allocates and has no PAL_HEAP(). */
#include <pal/rt.h>

PAL_HEAP(65536);
