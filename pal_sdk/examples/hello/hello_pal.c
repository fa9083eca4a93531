/* SPDX-License-Identifier: MIT */
#include "hello_interface.h"
uint32_t add(uint32_t a, uint32_t b) { return a + b; } /* this runs where nobody can look */
