// SPDX-License-Identifier: MIT
// MISTAKE C++ guard variables: a constructor that a loader would have to run.
// REFUSED: constructor
#include "mistake_interface.h"

namespace {
struct counter {
    uint32_t value;
    explicit counter(uint32_t first) : value(first) { where = &value; }
    static uint32_t *where;
};
uint32_t *counter::where;
volatile uint32_t first = 41;
counter only(first);
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return *counter::where + only.value + n;
}
