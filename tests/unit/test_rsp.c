/* SPDX-License-Identifier: MIT */
/* The server's side of gdb's remote protocol, by packets as gdb sends them. */
#include "unit.h"

#include <stdio.h>
#include <xmhfctl/rsp.h>

#define MEMORY 0x10000000u
#define MEMORY_SIZE 5000u

static size_t read_memory(void *context, uint64_t address, uint8_t *to, size_t bytes)
{
    (void)context;
    if (address < MEMORY || address >= MEMORY + MEMORY_SIZE) {
        return 0;
    }
    if (bytes > MEMORY + MEMORY_SIZE - address) {
        bytes = (size_t)(MEMORY + MEMORY_SIZE - address);
    }
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(address + i);
    }
    return bytes;
}

static bool get(void *context, unsigned n, uint64_t *value)
{
    (void)context;
    *value = 0x1122334455667700u + n;
    return n != 3;
}

static const struct rsp_target target64 = { .bits = 64, .read = read_memory, .get = get };
static const struct rsp_target target32 = { .bits = 32, .read = read_memory, .get = get };
static char answer[RSP_PACKET + 1];

static enum rsp_after ask(const struct rsp_target *t, const char *packet)
{
    memset(answer, '!', sizeof(answer));
    return rsp_answer(t, packet, strlen(packet), answer);
}

static void expect(const struct rsp_target *t, const char *packet, const char *wanted)
{
    assert_int_equal(ask(t, packet), RSP_GO_ON);
    assert_string_equal(answer, wanted);
}

/* Feed a text; the last event that wasn't RSP_NOTHING. */
static enum rsp_event feed(struct rsp_stream *s, const char *text, size_t size)
{
    enum rsp_event last = RSP_NOTHING;

    for (size_t i = 0; i < size; i++) {
        const enum rsp_event event = rsp_feed(s, (uint8_t)text[i]);

        last = event != RSP_NOTHING ? event : last;
    }
    return last;
}

static void packets_come_from_bytes(void **state)
{
    static const char good[] = "+$m10,4#2e", wrong[] = "$m10,4#2f", letters[] = "$?#zz";
    struct rsp_stream s = { 0 };

    (void)state;
    assert_int_equal(feed(&s, good, sizeof(good) - 1), RSP_PACKET_IN);
    assert_string_equal(s.data, "m10,4");
    assert_int_equal(feed(&s, wrong, sizeof(wrong) - 1), RSP_DAMAGED);
    assert_int_equal(feed(&s, letters, sizeof(letters) - 1), RSP_DAMAGED);
    assert_int_equal(feed(&s, "\3", 1), RSP_STOP);
    assert_int_equal(feed(&s, "$lost$?#3F", 10), RSP_PACKET_IN);
    assert_string_equal(s.data, "?");
}

static void a_packet_has_its_longest(void **state)
{
    struct rsp_stream s = { 0 };
    uint8_t sum = 0;
    char end[4];

    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        rsp_feed(&s, '$');
        for (unsigned i = 0; i < RSP_PACKET + extra; i++) {
            assert_int_equal(rsp_feed(&s, 'a'), RSP_NOTHING);
        }
        sum = (uint8_t)('a' * RSP_PACKET);
        snprintf(end, sizeof(end), "#%02x", sum);
        assert_int_equal(feed(&s, end, 3), extra ? RSP_DAMAGED : RSP_PACKET_IN);
    }
    assert_int_equal(feed(&s, "$?#3f", 5), RSP_PACKET_IN);
}

static void frames_come_back(void **state)
{
    char framed[RSP_PACKET + 5];
    struct rsp_stream s = { 0 };
    const size_t size = rsp_frame("OK", framed);

    (void)state;
    assert_memory_equal(framed, "$OK#9a", 6);
    assert_int_equal(size, 6);
    assert_int_equal(feed(&s, framed, size), RSP_PACKET_IN);
    assert_string_equal(s.data, "OK");
}

static void memory_is_told(void **state)
{
    (void)state;
    expect(&target64, "m10000000,4", "00010203");
    expect(&target64, "m10001386,8", "8687");
    expect(&target64, "m0,4", "E0e");
    expect(&target64, "m10000000,0", "");
    for (const char *const *bad = (const char *const[]){ "m", "m10", "m10,", "m,4", "m10,4x",
                                                         "mx,4", "m11223344556677889,1", NULL };
         *bad; bad++) {
        expect(&target64, *bad, "E16");
    }
    ask(&target64, "m10000000,ffffffffffffffff");
    assert_int_equal(strlen(answer), RSP_PACKET);
}

static void registers_are_told(void **state)
{
    (void)state;
    ask(&target64, "g");
    assert_int_equal(strlen(answer), 2 * (17 * 8 + 7 * 4));
    assert_memory_equal(answer, "0077665544332211", 16);
    assert_memory_equal(answer + 48, "xxxxxxxxxxxxxxxx", 16);
    ask(&target32, "g");
    assert_int_equal(strlen(answer), 2 * 16 * 4);
    assert_memory_equal(answer, "00776655", 8);
    expect(&target64, "p10", "1077665544332211");
    expect(&target64, "p11", "11776655");
    expect(&target64, "p18", "E16");
    expect(&target32, "p10", "E16");
    expect(&target64, "p3", "xxxxxxxxxxxxxxxx");
}

static void nothing_is_changed(void **state)
{
    (void)state;
    for (const char *const *bad = (const char *const[]){ "M10,1:00", "G00", "P1=0", "c", "s",
                                                         "C05", "S05", NULL }; *bad; bad++) {
        expect(&target64, *bad, "E01");
    }
    expect(&target64, "X10,1:0", "");
    expect(&target64, "Z0,10,1", "");
    expect(&target64, "", "");
    assert_int_equal(ask(&target64, "D"), RSP_DETACH);
    assert_int_equal(ask(&target64, "k"), RSP_DETACH);
}

static void the_machine_is_described(void **state)
{
    char all[256] = "";

    (void)state;
    for (unsigned from = 0; from < 200; from += 16) {
        char packet[80];

        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%x,10", from);
        ask(&target32, packet);
        assert_true(answer[0] == 'm' || answer[0] == 'l');
        strcat(all, answer + 1);
        if (answer[0] == 'l') {
            break;
        }
    }
    assert_non_null(strstr(all, "<architecture>i386</architecture></target>"));
    expect(&target64, "qXfer:features:read:target.xml:fff,10", "l");
    expect(&target64, "qXfer:features:read:target.xml:x", "E16");
    expect(&target64, "qXfer:other", "");
    expect(&target64, "?", "S05");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_come_from_bytes), cmocka_unit_test(a_packet_has_its_longest),
        cmocka_unit_test(frames_come_back), cmocka_unit_test(memory_is_told),
        cmocka_unit_test(registers_are_told), cmocka_unit_test(nothing_is_changed),
        cmocka_unit_test(the_machine_is_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
