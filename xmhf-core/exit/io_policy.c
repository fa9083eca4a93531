/* SPDX-License-Identifier: MIT */
/* Ports that reset or sleep the machine (ACPI 6.5, 4.8.3.2; Intel ICH datasheets for CF9). */
#include <exit/io_policy.h>

#define PORT_KBD    0x64
#define PORT_SYSCTL 0x92   /* bit 0: fast INIT */
#define PORT_RESET  0xcf9
#define SLP_EN      BIT(13)

static uint16_t pm1a, pm1b, reset_port;
static uint8_t reset_value;

void io_policy_init(const struct acpi_info *acpi)
{
    pm1a = acpi->pm1a_cnt;
    pm1b = acpi->pm1b_cnt;
    reset_port = 0;
    if (acpi->has_reset_reg && acpi->reset_space == 1 && acpi->reset_addr < 0x10000) {
        reset_port = (uint16_t)acpi->reset_addr;
        reset_value = acpi->reset_value;
    }
}

void io_policy_fill(uint8_t *bitmap)
{
    /* A wide access that starts below a port reaches it too: the hardware checks each
     * byte's bit. PM1 is written as a word. */
    const uint16_t ports[] = {
        PORT_KBD, PORT_SYSCTL, PORT_RESET, pm1a, (uint16_t)(pm1a + 1), pm1b,
        (uint16_t)(pm1b + 1), reset_port,
    };

    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        if (ports[i] > 1) {
            bitmap[ports[i] / 8] = (uint8_t)(bitmap[ports[i] / 8] | 1u << (ports[i] % 8));
        }
    }
}

/* The byte that an access puts at `port`; false if it doesn't touch it. */
static bool byte_at(uint16_t port, uint16_t first, unsigned size, uint32_t value, uint8_t *out)
{
    if (port < first || port >= first + size) {
        return false;
    }
    *out = (uint8_t)(value >> (8 * (port - first)));
    return true;
}

static bool sleeps(uint16_t pm1, uint16_t first, unsigned size, uint32_t value)
{
    uint8_t high;

    return pm1 && byte_at((uint16_t)(pm1 + 1), first, size, value, &high)
        && (high & (SLP_EN >> 8));
}

enum io_action io_policy_write(uint16_t port, unsigned size, uint32_t value)
{
    uint8_t b;

    if (byte_at(PORT_KBD, port, size, value, &b) && (b & 0xf1) == 0xf0 && !(b & 1)) {
        return IO_RESET; /* pulse the output port with bit 0 (reset) low */
    }
    if (byte_at(PORT_SYSCTL, port, size, value, &b) && (b & 1)) {
        return IO_RESET;
    }
    /* A dword at CF8 is the PCI address register and leaves CF9 alone. */
    if (port == PORT_RESET && (value & 4)) {
        return IO_RESET;
    }
    if (reset_port && byte_at(reset_port, port, size, value, &b) && b == reset_value) {
        return IO_RESET;
    }
    return sleeps(pm1a, port, size, value) || sleeps(pm1b, port, size, value) ? IO_SLEEP
                                                                              : IO_PASS;
}
