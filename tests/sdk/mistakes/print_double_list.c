/* SPDX-License-Identifier: MIT */
/* MISTAKE printf: a double, by a function of one's own whose arguments no compiler compares. */
/* NOTED: %5.2f vsnprintf floating */
/* WORKS 3: 0xffffffff 61203d20 */
#include "mistake_interface.h"
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 3, 4))) static int say(char *to, size_t room, const char *format, ...)
{
    va_list list;
    int n;

    va_start(list, format);
    n = vsnprintf(to, room, format, list);
    va_end(list);
    return n;
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    return (uint32_t)say((char *)out, 64, "a = %5.2f", (double)n);
}
