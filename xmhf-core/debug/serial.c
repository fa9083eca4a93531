/* SPDX-License-Identifier: MIT */
/* The UART of the log (16550). Every wait is bounded. */
#include <debug/serial.h>
#include <hw/insn.h>
#include <hw/wait.h>

#define WAIT_US  20000 /* a FIFO of 16 characters takes 1.4 ms at 115200 baud */
#define IER_THRI 0x02
#define IIR_FIFO 0xc0 /* both bits: the FIFO is there and on */
#define LCR_8N1  0x03
#define LCR_DLAB 0x80
#define LSR_THRE 0x20
#define FIFO     16   /* characters */

static uint16_t base;
static bool stuck; /* it took nothing for WAIT_US: no more waiting until it is empty again */

void serial_init(uint16_t port)
{
    /* A port without a UART reads as all ones. */
    stuck = false;
    base = port && hw_in8((uint16_t)(port + 5)) != 0xff ? port : 0;
    if (!base) {
        return;
    }
    hw_out8((uint16_t)(base + 1), 0);    /* no interrupts */
    hw_out8((uint16_t)(base + 3), LCR_DLAB); /* divisor: 115200 baud */
    hw_out8(base, 1);
    hw_out8((uint16_t)(base + 1), 0);
    hw_out8((uint16_t)(base + 3), LCR_8N1);
    hw_out8((uint16_t)(base + 2), 7);    /* FIFO on and empty */
    hw_out8((uint16_t)(base + 4), 3);
}

static bool is_empty(void) { return hw_in8((uint16_t)(base + 5)) & LSR_THRE; }

/* How many characters an empty UART takes, the way that the guest has set it up by now
 * (notes/bugs/late-log-line.md). */
static size_t capacity(void)
{
    if (hw_in8((uint16_t)(base + 3)) & LCR_DLAB) {
        return 0; /* they would change the speed */
    }
    /* Reading IIR takes an interrupt away from a guest that waits for the UART to be empty. */
    if (hw_in8((uint16_t)(base + 1)) & IER_THRI) {
        return 1;
    }
    return (hw_in8((uint16_t)(base + 2)) & IIR_FIFO) == IIR_FIFO ? FIFO : 1;
}

size_t serial_write_ready(const char *s, size_t n)
{
    size_t room = base ? capacity() : 0, done = 0;

    while (room && done < n && is_empty()) {
        for (size_t i = 0; i < room && done < n; i++) {
            hw_out8(base, (uint8_t)s[done++]);
        }
    }
    return base ? done : n;
}

void serial_take_over(void)
{
    if (base) {
        hw_out8((uint16_t)(base + 3), LCR_8N1);
    }
}

void serial_write(const char *s, size_t n)
{
    for (size_t i = 0; base && i < n; i++) {
        const struct wait wait = wait_begin(stuck ? 0 : WAIT_US);
        bool empty;
        while (!(empty = is_empty()) && !wait_over(&wait)) {
            hw_pause();
        }
        stuck = !empty;
        if (stuck) {
            return;
        }
        hw_out8(base, (uint8_t)s[i]);
    }
}
