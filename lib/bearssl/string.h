/* SPDX-License-Identifier: MIT */
/* <string.h> for BearSSL in freestanding code. */
#include <util/string.h>
