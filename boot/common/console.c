/* SPDX-License-Identifier: MIT */
/* Output of the boot stage: COM1 and the VGA text buffer. Every wait is bounded. */
#include <boot/common/console.h>
#include <hw/insn.h>

#define COM1 0x3f8

static void com_putc(char c)
{
    for (unsigned i = 0; i < 100000 && !(hw_in8(COM1 + 5) & 0x20); i++) {
        hw_pause();
    }
    hw_out8(COM1, (uint8_t)c);
}

void boot_puts(const char *s)
{
    static unsigned column;
    volatile uint16_t *vga = (volatile uint16_t *)(uintptr_t)0xb8000;

    for (; *s; s++) {
        com_putc(*s);
        if (*s >= ' ' && column < 80 * 4) {
            vga[column++] = (uint16_t)(0x0f00 | (uint8_t)*s);
        }
    }
}
