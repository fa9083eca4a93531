/* SPDX-License-Identifier: MIT */
/* Output of the boot stage: COM1 and the text screen. Every wait is bounded. */
#include <boot/common/console.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <util/screen.h>
#include <util/string.h>

#define COM1 0x3f8

/* 115200 baud, 8 bits, no parity, as the core does: firmware may have left anything. */
static void com_setup(void)
{
    static const struct { uint8_t reg, value; } setup[] = {
        { 3, 0x80 }, { 0, 1 }, { 1, 0 }, { 3, 3 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(setup); i++) {
        hw_out8((uint16_t)(COM1 + setup[i].reg), setup[i].value);
    }
}

static void com_putc(char c)
{
    static bool ready, stuck;

    if (!ready) {
        com_setup();
        ready = true;
    }
    const struct wait wait = wait_begin(stuck ? 0 : 20000);
    while (!(hw_in8(COM1 + 5) & 0x20) && !wait_over(&wait)) {
        hw_pause();
    }
    stuck = !(hw_in8(COM1 + 5) & 0x20); /* nobody is there, or it took nothing: no more waiting */
    hw_out8(COM1, (uint8_t)c);
}

void boot_puts(const char *s)
{
    screen_write(s, strlen(s));
    for (; *s; s++) {
        com_putc(*s);
    }
}
