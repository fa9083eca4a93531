/* SPDX-License-Identifier: MIT */
/* MISTAKE 11 or 33 parameters: 32 are as many as there can be. */
/* INTERFACE: thirty_two_interface.h */
/* WORKS many 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 1 2 3 4 5: 2530 */
#include "thirty_two_interface.h"

uint32_t many(uint32_t p1, uint32_t p2, uint32_t p3, uint32_t p4, uint32_t p5, uint32_t p6,
              uint32_t p7, uint32_t p8, uint32_t p9, uint32_t p10, uint32_t p11, uint32_t
              p12, uint32_t p13, uint32_t p14, uint32_t p15, uint32_t p16, uint32_t p17,
              uint32_t p18, uint32_t p19, uint32_t p20, uint32_t p21, uint32_t p22, uint32_t
              p23, uint32_t p24, uint32_t p25, uint32_t p26, uint32_t p27, uint32_t p28,
              uint32_t p29, uint32_t p30, uint32_t p31, uint32_t p32)
{
    const uint32_t list[] = {
        p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15, p16, p17, p18, p19, p20,
        p21, p22, p23, p24, p25, p26, p27, p28, p29, p30, p31, p32
    };
    uint32_t sum = 0;

    for (uint32_t i = 0; i < 32; i++) {
        sum += (i + 1) * list[i];
    }
    return sum;
}
