/* SPDX-License-Identifier: MIT */
/* The log on a UART that takes its time: init waits for it, a guest never does, and the last lines
 * before the machine ends are sent whole. */
#include "unit.h"

#include <cpu/clock.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <util/screen.h>
#include <debug/serial.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <x86/msr.h>

#define COM1     0x3f8
#define POLLS    50 /* reads of LSR until the FIFO is empty again */
#define LSR_THRE 0x20

static struct {
    bool absent, stuck, no_fifo;
    uint8_t ier, lcr;
    unsigned filled, polls, waited;
    char sent[65536];
    size_t n;
} uart;

static struct vcpu cpu0;
static uint64_t tsc;
static bool guest_runs;

struct vcpu *this_vcpu(void) { return &cpu0; }
uint64_t hw_rdtsc(void) { return tsc; }

/* The guest's write to its TSC. */
bool hw_wrmsr_safe(uint32_t msr, uint64_t value)
{
    assert_int_equal(msr, MSR_IA32_TSC);
    tsc = value;
    return true;
}

/* Only for a UART: nobody holds the lock. */
void hw_pause(void)
{
    assert_true(uart.filled != 0 && !guest_runs);
    tsc += 1000;
}

uint8_t hw_in8(uint16_t port)
{
    if (uart.absent) {
        return 0xff;
    }
    switch (port) {
    case COM1 + 1: return uart.ier;
    case COM1 + 2:
        assert_false(uart.ier & 2); /* it would take the guest's interrupt */
        return uart.no_fifo ? 1 : 0xc1;
    case COM1 + 3: return uart.lcr;
    case COM1 + 5: break;
    default: fail_msg("port 0x%x is read", port);
    }
    uart.waited += uart.filled != 0;
    if (uart.filled && !uart.stuck && ++uart.polls >= POLLS) {
        uart.filled = uart.polls = 0;
    }
    return uart.filled ? 0 : LSR_THRE;
}

void hw_out8(uint16_t port, uint8_t v)
{
    if (port == COM1 + 3) {
        uart.lcr = v;
    } else if (port == COM1 && !(uart.lcr & 0x80)) {
        assert_true(uart.filled < (uart.no_fifo ? 1 : 16));
        uart.filled++;
        assert_true(uart.n < sizeof(uart.sent) - 1);
        uart.sent[uart.n++] = (char)v;
    }
}

/* What was sent, and forget it. */
static const char *sent(void)
{
    static char text[sizeof(uart.sent)];

    memcpy(text, uart.sent, uart.n);
    text[uart.n] = 0;
    uart.n = 0;
    return text;
}

static void settle(void)
{
    for (unsigned i = 0; i < POLLS; i++) {
        (void)hw_in8(COM1 + 5);
    }
    uart.waited = 0;
}

static void init_waits(void **state)
{
    (void)state;
    serial_init(COM1);
    log_line("a line that is longer than the FIFO of %u characters", 16u);
    assert_string_equal(sent(), "[xmhf] a line that is longer than the FIFO of 16 characters\r\n");
    log_set_quiet(true);
    log_line("hidden");
    log_error("shown");
    log_set_quiet(false);
    assert_string_equal(sent(), "[xmhf] shown\r\n");
}

static uint16_t cells[25 * 80]; /* the screen */

/* Errors only; and none of a running guest, whose screen it is (the_last_lines_are_whole). */
static void errors_are_on_the_screen(void **state)
{
    const struct boot_screen vga = { 0xb8000, BOOT_SCREEN_TEXT, 80, 25 };
    static const char line[] = "[xmhf] launch refused";

    (void)state;
    screen_init(&vga, cells);
    log_line("up on 2 CPUs");
    assert_int_equal(cells[0], 0);
    log_error("launch refused");
    for (size_t i = 0; i < sizeof(line) - 1; i++) {
        assert_int_equal((char)cells[i], line[i]);
    }
    assert_string_equal(sent(), "[xmhf] up on 2 CPUs\r\n[xmhf] launch refused\r\n");
}

static void a_guest_never_waits(void **state)
{
    (void)state;
    log_guest_started();
    guest_runs = true;
    settle();
    log_line("the first of two long lines");
    log_line("the second of two long lines");
    assert_int_equal(uart.n, 16);
    assert_true(atomic_load(&log_waiting));
    for (unsigned i = 0; i < 1000 && atomic_load(&log_waiting); i++) {
        unsigned polls = uart.waited;
        log_drain();
        assert_true(uart.waited - polls <= 2); /* one that ends the wait, one after 16 characters */
    }
    assert_string_equal(sent(), "[xmhf cpu0 guest] the first of two long lines\r\n"
                                "[xmhf cpu0 guest] the second of two long lines\r\n");
}

/* More than the queue holds: whole lines go, and those that stay are in order. */
static void what_has_no_room_is_lost(void **state)
{
    const char *at, *last = NULL;
    unsigned n = 0, number;

    (void)state;
    tsc += 1000 * LOG_GUEST_TICKS;
    settle();
    for (unsigned i = 0; i < 150; i++) {
        log_line("line %u of a hundred and fifty", i);
    }
    while (atomic_load(&log_waiting)) {
        log_drain();
    }
    for (at = sent(); *at; at = last) {
        int length = 0;
        assert_int_equal(sscanf(at, "[xmhf cpu0 guest] line %u of a hundred and fifty%n", &number,
                                &length), 1);
        assert_true(length > 0 && at[length] == '\r' && at[length + 1] == '\n');
        assert_int_equal(number, n++);
        last = at + length + 2;
    }
    assert_in_range(n, 80, 100);
}

static void too_many_lines_are_dropped(void **state)
{
    unsigned lines = 0;

    (void)state;
    tsc += 1000 * LOG_GUEST_TICKS;
    for (unsigned i = 0; i < 2 * LOG_GUEST_BURST; i++) {
        log_line("x");
        while (atomic_load(&log_waiting)) {
            log_drain();
        }
        lines += *sent() == '[';
    }
    assert_int_equal(lines, LOG_GUEST_BURST);
    tsc += LOG_GUEST_TICKS;
    log_line("x");
    log_line("x");
    while (atomic_load(&log_waiting)) {
        log_drain();
    }
    assert_string_equal(sent(), "[xmhf cpu0 guest] x\r\n");
}

/* Whatever the guest's TSC shows, the limit is in real ticks. */
static void a_guest_moves_its_clock(void **state)
{
    unsigned lines = 0;

    (void)state;
    tsc += 1000 * LOG_GUEST_TICKS;
    for (unsigned i = 0; i < 3 * LOG_GUEST_BURST; i++) {
        (void)clock_guest_write(MSR_IA32_TSC, i % 3 == 0 ? 0 : tsc + (1ULL << 20 << i % 40));
        log_line("x");
        while (atomic_load(&log_waiting)) {
            log_drain();
        }
        lines += *sent() == '[';
    }
    assert_int_equal(lines, LOG_GUEST_BURST);
}

/* A CPU whose clock is behind, as writes to the TSC leave it, forgives nothing. */
static void a_clock_behind_forgives_nothing(void **state)
{
    unsigned lines = 0;

    (void)state;
    tsc += 1000 * LOG_GUEST_TICKS;
    log_line("first");
    lines++;
    for (unsigned i = 0; i < 3 * LOG_GUEST_BURST; i++) {
        cpu0.clock_offset++; /* behind the one that has just written */
        log_line("x");
        while (atomic_load(&log_waiting)) {
            log_drain();
        }
        lines += strstr(sent(), "] x") != NULL;
    }
    assert_int_equal(lines, LOG_GUEST_BURST);
}

static void without_a_uart(void **state)
{
    (void)state;
    tsc += 1000 * LOG_GUEST_TICKS;
    uart.absent = true;
    serial_init(COM1);
    log_line("nobody hears this");
    assert_false(atomic_load(&log_waiting));
    assert_string_equal(sent(), "");
    uart.absent = false;
}

/* As a guest's driver leaves the UART at times. */
static void one_character_goes(const char *line)
{
    settle();
    log_line("%s", line);
    assert_int_equal(uart.n, 1);
    while (atomic_load(&log_waiting)) {
        log_drain();
    }
    assert_non_null(strstr(sent(), line));
}

static void the_guests_settings_count(void **state)
{
    (void)state;
    serial_init(COM1);
    uart.no_fifo = true;
    one_character_goes("no FIFO");
    uart.no_fifo = false;
    uart.ier = 2;
    one_character_goes("the guest sends too");
    uart.ier = 0;
    settle();
    uart.lcr = 0x83;
    log_line("not into the divisor");
    assert_int_equal(uart.n, 0);
    assert_true(atomic_load(&log_waiting));
    uart.lcr = 3;
    while (atomic_load(&log_waiting)) {
        log_drain();
    }
    assert_string_equal(sent(), "[xmhf cpu0 guest] not into the divisor\r\n");
}

static void the_last_lines_are_whole(void **state)
{
    (void)state;
    settle();
    log_line("still in the queue");
    assert_int_equal(uart.n, 16);
    uart.lcr = 0x83;
    guest_runs = false;
    log_break_lock();
    assert_false(atomic_load(&log_waiting));
    log_line("the end");
    assert_string_equal(sent(),
                        "[xmhf cpu0 guest] still in the queue\r\n[xmhf cpu0 guest] the end\r\n");
    uart.filled = 1;
    uart.stuck = true; /* even then it ends, */
    uint64_t before = tsc;
    for (unsigned i = 0; i < 100; i++) {
        log_line("lost");
    }
    assert_string_equal(sent(), "");
    /* and all of it takes 20 ms, by the highest rate that a TSC may have */
    assert_in_range(tsc - before, 1, 20ULL * WAIT_KHZ_MAX + 100000);
    log_error("lost too");
    assert_int_equal(cells[80], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_waits),
        cmocka_unit_test(errors_are_on_the_screen),
        cmocka_unit_test(a_guest_never_waits),
        cmocka_unit_test(what_has_no_room_is_lost),
        cmocka_unit_test(too_many_lines_are_dropped),
        cmocka_unit_test(a_guest_moves_its_clock),
        cmocka_unit_test(a_clock_behind_forgives_nothing),
        cmocka_unit_test(without_a_uart),
        cmocka_unit_test(the_guests_settings_count),
        cmocka_unit_test(the_last_lines_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
