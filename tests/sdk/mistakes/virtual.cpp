// SPDX-License-Identifier: MIT
// MISTAKE C++ guard variables: classes with virtual functions and templates, which need none.
// WORKS 3: 9
// WORKS 4: 10
#include "mistake_interface.h"

namespace {
struct shape {
    virtual uint32_t area(uint32_t n) const = 0;
};
struct square : shape {
    uint32_t area(uint32_t n) const override { return n * n; }
};
struct triangle : shape {
    uint32_t area(uint32_t n) const override { return n * (n + 1) / 2; }
};
template <typename T> T larger(T a, T b) { return a > b ? a : b; }
constexpr square four{};
constexpr triangle three{};
const shape *const shapes[] = { &three, &four };
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    return shapes[n & 1]->area(larger<uint32_t>(n, in[1]));
}
