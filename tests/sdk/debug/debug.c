/* SPDX-License-Identifier: MIT */
/* Calls a PAL that takes its time: debug ROUNDS, or debug -SECONDS to wait in an ocall. Prints its
 * result, and what it would be. */
#include "debug_interface.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
PAL_IMAGE(debug);

uint32_t debug_ocall_hold(uint32_t seconds)
{
    struct timespec left = { (time_t)seconds, 0 };

    while (nanosleep(&left, &left) != 0) {
    }
    return 4711;
}

static uint32_t expected(uint32_t rounds)
{
    uint32_t value = 0x600df00d;

    for (uint32_t i = 0; i < rounds; i++) {
        value = value * 1664525u + 1013904223u;
    }
    return value;
}

int main(int argc, char **argv)
{
    const long number = argc > 1 ? atol(argv[1]) : 0;
    uint32_t result = 0, wanted = 4711;
    char text[PAL_TEXT];
    struct pal_handle *pal;
    struct pal_status s = pal_open(&debug_image, &pal);

    if (s.error == PAL_OK && number < 0) {
        s = debug_wait_outside(pal, &result, (uint32_t)-number);
    } else if (s.error == PAL_OK) {
        s = debug_turn(pal, &result, (uint32_t)number);
        wanted = expected((uint32_t)number);
    }
    puts(s.error ? pal_status_text(&s, text, sizeof(text)) : result == wanted ? "right" : "wrong");
    pal_close(pal);
    return s.error || result != wanted;
}
