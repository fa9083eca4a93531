// SPDX-License-Identifier: MIT
// MISTAKE C++ guard variables: a static variable that is initialised at the first call.
// WORKS 3: 44
// WORKS 3: 47
#include "mistake_interface.h"

namespace {
struct counter {
    uint32_t value;
    explicit counter(uint32_t first) : value(first) {}
    uint32_t add(uint32_t n) { return value += n; }
};
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    static counter only(in[41]);

    (void)out;
    return only.add(n);
}
