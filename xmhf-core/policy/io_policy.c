/* SPDX-License-Identifier: MIT */
/* Ports that reset or sleep the machine (ACPI 6.5, 4.8.3.2; Intel ICH datasheets for CF9). */
#include <policy/io_policy.h>
#include <stdatomic.h>

#define PORT_KBD_DATA 0x60
#define PORT_KBD    0x64
#define KBD_WRITE_OUTPUT_PORT 0xd1 /* the next byte at port 60h goes to the output port */
#define KBD_A20_OFF 0xdd
#define KBD_A20_ON  0xdf
#define OUTPUT_RESET 1u            /* 0: reset (output port); port 92h: 1 = reset */
#define OUTPUT_A20   2u
#define PORT_SYSCTL 0x92   /* bit 0: fast INIT */
#define PORT_RESET  0xcf9
#define PORT_PCI_ADDRESS 0xcf8
#define SLP_EN      BIT(13)

#define WAK_STS     BIT(15) /* of the PM1 status register */

static uint16_t pm1a, pm1b, pm1a_status, reset_port;
static uint8_t reset_value;
static uint8_t off_a, off_b;     /* bit n: SLP_TYP n of PM1a, PM1b is S4's or S5's */
static uint8_t sleep_a, sleep_b; /* the same: it may be one of S1 to S3 */
static bool off_known;           /* S5 is understood */
static bool output_port_next;    /* KBD_WRITE_OUTPUT_PORT, and nothing at port 60h since */
static atomic_bool wake_status;  /* a suspend was refused and WAK_STS not cleared since */

/* Which SLP_TYPs are a power-off, and which may be a sleep: one that isn't certain to be a
 * power-off counts as a sleep. */
static void sleep_types(const struct acpi_sleep *s)
{
    sleep_a = s->a[1] | s->a[2] | s->a[3];
    sleep_b = s->b[1] | s->b[2] | s->b[3];
    off_a = (s->a[4] | s->a[5]) & (uint8_t)~sleep_a;
    off_b = (s->b[4] | s->b[5]) & (uint8_t)~sleep_b;
    off_known = s->a[5] & ~sleep_a;
}

void io_policy_no_wake(void)
{
    if (!off_known) {
        off_a = (uint8_t)~sleep_a;
        off_b = (uint8_t)~sleep_b;
    }
}

void io_policy_init(const struct acpi_info *acpi)
{
    pm1a = acpi->pm1a_cnt;
    pm1b = acpi->pm1b_cnt;
    pm1a_status = acpi->pm1a_evt;
    sleep_types(&acpi->sleep);
    reset_port = 0;
    if (acpi->has_reset_reg && acpi->reset_space == 1 && acpi->reset_addr < 0x10000) {
        reset_port = (uint16_t)acpi->reset_addr;
        reset_value = acpi->reset_value;
    }
}

size_t io_policy_ports(uint16_t out[IO_POLICY_PORTS])
{
    /* A wide access that starts below a port reaches it too: the hardware checks each
     * byte's bit. PM1 is written as a word. */
    const uint16_t ports[IO_POLICY_PORTS] = {
        PORT_KBD_DATA, PORT_KBD, PORT_SYSCTL, PORT_RESET, pm1a, (uint16_t)(pm1a + 1), pm1b,
        (uint16_t)(pm1b + 1), pm1a_status, (uint16_t)(pm1a_status + 1), reset_port,
    };

    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        if (ports[i] > 1) {
            out[n++] = ports[i];
        }
    }
    return n;
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

/* A write to the control register at `pm1`. */
static enum io_action sleep_action(uint16_t pm1, uint8_t off, uint16_t first, unsigned size,
                                   uint32_t value)
{
    uint8_t high;

    if (!pm1 || !byte_at((uint16_t)(pm1 + 1), first, size, value, &high)
        || !(high & (SLP_EN >> 8))) {
        return IO_PASS;
    }
    return off >> (high >> 2 & 7) & 1 ? IO_POWER_OFF : IO_SUSPEND;
}

/* notes/decisions/suspend-refused.md */
void io_policy_suspend_refused(void)
{
    atomic_store(&wake_status, true);
}

uint32_t io_policy_read(uint16_t port, unsigned size, uint32_t in)
{
    uint16_t high = (uint16_t)(pm1a_status + 1);

    if (pm1a_status && high >= port && high < port + size && atomic_load(&wake_status)) {
        in |= (uint32_t)(WAK_STS >> 8) << (8 * (high - port));
    }
    return in;
}

static void put_byte(uint16_t port, uint16_t first, uint32_t *value, uint8_t b)
{
    unsigned shift = 8 * (unsigned)(port - first);

    *value = (*value & ~(0xffu << shift)) | (uint32_t)b << shift;
}

/* The keyboard controller's ways to the reset line and to the A20 gate (notes/bugs/a20-gate.md,
 * notes/bugs/around-the-traps.md). */
static enum io_action keyboard_write(uint16_t first, unsigned size, uint32_t *value)
{
    uint8_t b;

    if (byte_at(PORT_KBD_DATA, first, size, *value, &b) && output_port_next) {
        output_port_next = false;
        put_byte(PORT_KBD_DATA, first, value, b | OUTPUT_A20);
        return b & OUTPUT_RESET ? IO_PASS : IO_RESET;
    }
    if (!byte_at(PORT_KBD, first, size, *value, &b)) {
        return IO_PASS;
    }
    /* Some controllers remember D1 over other commands. */
    output_port_next |= b == KBD_WRITE_OUTPUT_PORT;
    if (b == KBD_A20_OFF) {
        put_byte(PORT_KBD, first, value, KBD_A20_ON);
    }
    /* F0h-FFh pulse the output port's bits that are 0. */
    return (b & 0xf0) == 0xf0 && !(b & OUTPUT_RESET) ? IO_RESET : IO_PASS;
}

static enum io_action sysctl_write(uint16_t first, unsigned size, uint32_t *value)
{
    uint8_t b;

    if (!byte_at(PORT_SYSCTL, first, size, *value, &b)) {
        return IO_PASS;
    }
    put_byte(PORT_SYSCTL, first, value, b | OUTPUT_A20);
    return b & OUTPUT_RESET ? IO_RESET : IO_PASS;
}

enum io_action io_policy_write(uint16_t port, unsigned size, uint32_t *in)
{
    uint8_t b;

    if (keyboard_write(port, size, in) == IO_RESET || sysctl_write(port, size, in) == IO_RESET) {
        return IO_RESET;
    }
    uint32_t value = *in;
    /* A dword at CF8 is the PCI address register and leaves CF9 alone; nothing narrower does
     * (notes/bugs/cf8-dword-reset.md). */
    if (byte_at(PORT_RESET, port, size, value, &b) && (b & 4)
        && !(port == PORT_PCI_ADDRESS && size == 4)) {
        return IO_RESET;
    }
    if (reset_port && byte_at(reset_port, port, size, value, &b) && b == reset_value) {
        return IO_RESET;
    }
    if (pm1a_status && byte_at((uint16_t)(pm1a_status + 1), port, size, value, &b)
        && (b & (WAK_STS >> 8))) {
        atomic_store(&wake_status, false);
    }
    enum io_action a = sleep_action(pm1a, off_a, port, size, value);
    return a != IO_PASS ? a : sleep_action(pm1b, off_b, port, size, value);
}
