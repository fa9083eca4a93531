/* SPDX-License-Identifier: MIT */
/* MISTAKE no parameter */
/* INTERFACE: none_interface.h */
/* WORKS none: 1 */
/* WORKS none: 2 */
/* WORKS nothing: 0 */
/* WORKS none: 103 */
#include "none_interface.h"

static uint32_t calls;

uint32_t none(void)
{
    return ++calls;
}

void nothing(void)
{
    calls += 100;
}
