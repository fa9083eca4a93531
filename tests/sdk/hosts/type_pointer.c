/* SPDX-License-Identifier: MIT */
/* MISTAKE struct by value: a field that leads into the other side's memory. */
/* REFUSED: a pointer means nothing|PAL_CHECK_FIELD|pointer */
#include <pal/interface.h>

PAL_STRUCT(corner, PAL_FIELD(char *, text)) /* HERE */
