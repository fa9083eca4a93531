/* SPDX-License-Identifier: MIT */
/* The UART of the log (16550). Every wait is bounded. */
#include <debug/serial.h>
#include <hw/insn.h>

#define WAIT_MAX 20000 /* reads of LSR; a character takes about 87 us at 115200 baud */
#define LSR_THRE 0x20

static uint16_t base;

void serial_init(uint16_t port)
{
    /* A port without a UART reads as all ones. */
    base = port && hw_in8((uint16_t)(port + 5)) != 0xff ? port : 0;
    if (!base) {
        return;
    }
    hw_out8((uint16_t)(base + 1), 0);    /* no interrupts */
    hw_out8((uint16_t)(base + 3), 0x80); /* divisor: 115200 baud */
    hw_out8(base, 1);
    hw_out8((uint16_t)(base + 1), 0);
    hw_out8((uint16_t)(base + 3), 3);    /* 8N1 */
    hw_out8((uint16_t)(base + 2), 7);    /* FIFO on and empty */
    hw_out8((uint16_t)(base + 4), 3);
}

void serial_write(const char *s, size_t n)
{
    for (size_t i = 0; base && i < n; i++) {
        unsigned wait = 0;
        while (!(hw_in8((uint16_t)(base + 5)) & LSR_THRE)) {
            if (++wait == WAIT_MAX) {
                return;
            }
        }
        hw_out8(base, (uint8_t)s[i]);
    }
}
