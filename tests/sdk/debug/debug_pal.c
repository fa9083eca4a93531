/* SPDX-License-Identifier: MIT */
/* A PAL that takes its time, for a debugger. */
#include "debug_interface.h"

const volatile char motto[] = "read me";
volatile uint32_t marker = 0x600df00d;
volatile uint32_t turns;

static __attribute__((noinline)) uint32_t step(uint32_t value)
{
    turns++;
    return value * 1664525u + 1013904223u;
}

uint32_t turn(uint32_t rounds)
{
    uint32_t value = marker + (motto[0] != 'r');

    for (uint32_t i = 0; i < rounds; i++) {
        value = step(value);
    }
    return value;
}

uint32_t wait_outside(uint32_t seconds)
{
    uint32_t answer = 0;

    marker = 0xca11ed;
    return hold(&answer, seconds) == 0 ? answer : 0;
}
