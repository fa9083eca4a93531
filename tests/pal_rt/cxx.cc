// SPDX-License-Identifier: MIT
// C++ code of PALs: what the compiler calls of libpal-rt.
extern "C" {
#include "rt_test.h"
#include <pal/rt.h>
}
#include <cassert>
#include <cctype>
#include <climits>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <csetjmp>
#include <new>

namespace {

int made;

struct counter {
    int value;
    explicit counter(int v) : value(v) { made++; }
};

counter &the_one()
{
    static counter one(static_cast<int>(pal_interruptions())); // made at first use
    return one;
}

struct shape {
    virtual int area() const = 0;
    virtual ~shape() {}
};

struct square : shape {
    int side;
    explicit square(int s) : side(s) {}
    int area() const override { return side * side; }
};

bool guarded()
{
    made = 0;
    the_one();
    RT_CHECK(made == 1);
    const int before = made;

    RT_CHECK(the_one().value == 7 || !RT_TEST_GATE);
    RT_CHECK(made == before);
    return true;
}

bool allocated()
{
    size_t before = pal_heap_used();
    shape *s = new square(4);
    int *list = new int[10]();

    RT_CHECK(s->area() == 16 && list[9] == 0 && pal_heap_used() > before);
    delete s;
    delete[] list;
    RT_CHECK(pal_heap_used() == before);
    return true;
}

bool in_place()
{
    alignas(counter) unsigned char place[sizeof(counter)];
    counter *c = new (place) counter(5);
    char *none = new (std::nothrow) char[std::size_t(1) << 20];
    char text[8];

    std::snprintf(text, sizeof(text), "%d", c->value);
    RT_CHECK(!none && std::strcmp(text, "5") == 0 && std::uint32_t(CHAR_BIT) == 8);
    return true;
}

bool no_memory()
{
    volatile size_t much = 1 << 20;
    char *p = new char[much];

    return rt_fail("lives: %p", static_cast<void *>(p));
}

} // namespace

extern "C" void pal_rt_no_memory();
extern "C" const struct rt_test rt_test_cxx[] = {
    { "guarded", guarded, nullptr },
    { "allocated", allocated, nullptr },
    { "in_place", in_place, nullptr },
    { "no_memory", no_memory, pal_rt_no_memory },
    { nullptr, nullptr, nullptr },
};
