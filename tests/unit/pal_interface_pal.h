/* SPDX-License-Identifier: MIT */
/* The records that pal_interface_pal.c has, for test_pal_host.c. */
#ifndef PAL_INTERFACE_TEST_H
#define PAL_INTERFACE_TEST_H

#include <pal/descriptor.h>

#define TEST_ENTRIES 9u
extern const struct pal_descriptor *const test_entries[TEST_ENTRIES];
extern const struct pal_descriptor *const test_ocalls[2];

#endif
