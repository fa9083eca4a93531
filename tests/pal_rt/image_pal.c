/* SPDX-License-Identifier: MIT */
/* libpal-rt's tests as a PAL: its entries. */
#include "image_interface.h"
#include "rt_test.h"

#include <pal/rt.h>
#include <string.h>

uint32_t look(uint32_t i, char name[RT_NAME], uint64_t death[1])
{
    struct rt_result r;

    if (!rt_test_look(i, &r)) {
        return 0;
    }
    strlcpy(name, r.name, RT_NAME);
    *death = (uintptr_t)r.death;
    return 1;
}

uint32_t run(uint32_t i, char why[RT_WHY])
{
    struct rt_result r = { .good = false };

    rt_test_run(i, &r);
    strlcpy(why, r.why, RT_WHY);
    return r.good;
}

uint32_t inside(void) { return pal_inside(); }
