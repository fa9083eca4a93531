/* SPDX-License-Identifier: MIT */
/* pal_printf() of debug images: the text goes out by an ocall that the host's library has. */
#include <pal/rt.h>
#include <stdio.h>
#include <xmhf/hypercall.h>

int pal_rt_printf(const char *format, ...)
{
    char text[PAL_PRINT_MAX + 1];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t bytes = n < 0 ? 0 : (size_t)n < PAL_PRINT_MAX ? (size_t)n : PAL_PRINT_MAX;
    if (bytes != 0) {
        pal_rt_hypercall(XMHF_HC_OCALL, PAL_RT_OCALL_PRINT, (pal_word)text, bytes,
                         sizeof(text));
    }
    return n;
}
