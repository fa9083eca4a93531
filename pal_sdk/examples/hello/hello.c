/* SPDX-License-Identifier: MIT */
#include "hello_interface.h"
#include <stdio.h>
PAL_IMAGE(hello);
int main(void)
{
    struct pal_handle *pal;
    uint32_t sum = 0;
    char text[PAL_TEXT];
    struct pal_status s = pal_open(&hello_image, &pal);
    if (s.error == PAL_OK) s = hello_add(pal, &sum, 20, 22);
    if (s.error == PAL_OK) printf("20 + 22 = %u\n", (unsigned)sum);
    else puts(pal_status_text(&s, text, sizeof(text)));
    pal_close(pal);
    return s.error != PAL_OK;
}
