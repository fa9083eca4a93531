/* SPDX-License-Identifier: MIT */
/* Single steps over instructions that hold traps or interrupts back, and over INT1: each ends
 * where it ends on the bare CPU, and the next entry isn't refused. */
#include "guest.h"

static const struct { const char *name; uint8_t len, bytes[8]; } forms[] = {
    { "sti", 3, { 0xfb, 0x90, 0x90 } },
    { "cli sti", 4, { 0xfa, 0xfb, 0x90, 0x90 } },
    { "sti int1", 3, { 0xfb, 0xf1, 0x90 } },
    { "sti cpuid", 4, { 0xfb, 0x0f, 0xa2, 0x90 } },
    { "mov ss", 4, { 0x8e, 0xd1, 0x90, 0x90 } },
    { "mov ss, int1", 4, { 0x8e, 0xd1, 0xf1, 0x90 } },
    { "mov ss, sti", 5, { 0x8e, 0xd1, 0xfb, 0x90, 0x90 } },
    { "mov ss, mov ss", 6, { 0x8e, 0xd1, 0x8e, 0xd1, 0x90, 0x90 } },
    { "mov ss, ud2", 4, { 0x8e, 0xd1, 0x0f, 0x0b } },
    { "mov ss, int3", 4, { 0x8e, 0xd1, 0xcc, 0x90 } },
    { "int1", 2, { 0xf1, 0x90 } },
    { "pushf popf", 4, { 0x9c, 0x9d, 0x90, 0x90 } },
};

void guest_main(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        for (unsigned ring = 0; ring <= 3; ring += 3) {
            for (unsigned step = 0; step <= 1; step++) {
                struct exec x = exec_for(ring, 64);

                x.gpr[RCX] = ring ? SEL_USER_DATA | 3 : SEL_DATA;
                x.rflags |= step ? RFLAGS_TF : 0;
                exec_bytes(&x, forms[i].bytes, forms[i].len);
                same("%s, ring %u, TF %u: vector %llu at +%llu", forms[i].name, ring, step,
                     (unsigned long long)x.vector, (unsigned long long)(x.rip - x.start));
            }
        }
    }
    pass("%u pieces of code in rings 0 and 3, stepped and not", (unsigned)ARRAY_SIZE(forms));
}
