/* SPDX-License-Identifier: MIT */
/* The server's side of gdb's remote protocol: see rsp.h. "GDB Remote Serial Protocol" of its
 * manual. */
#include "rsp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTSIDE, INSIDE, SUM_HIGH, SUM_LOW, TOO_LONG };

static const char digits[] = "0123456789abcdef";

static int digit(int letter)
{
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    letter |= 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static enum rsp_event end_of_packet(struct rsp_stream *s, bool whole)
{
    s->state = OUTSIDE;
    s->data[s->size] = 0;
    return whole && s->said == s->sum ? RSP_PACKET_IN : RSP_DAMAGED;
}

static enum rsp_event feed_sum(struct rsp_stream *s, uint8_t byte)
{
    const int value = digit(byte);

    if (value < 0) {
        return end_of_packet(s, false);
    }
    s->said = (uint8_t)(s->said << 4 | value);
    if (s->state == SUM_LOW) {
        return end_of_packet(s, true);
    }
    s->state = SUM_LOW;
    return RSP_NOTHING;
}

enum rsp_event rsp_feed(struct rsp_stream *s, uint8_t byte)
{
    if (s->state == SUM_HIGH || s->state == SUM_LOW) {
        return feed_sum(s, byte);
    }
    if (byte == '$') { /* also in a packet: its start was lost */
        *s = (struct rsp_stream){ .state = INSIDE };
        return RSP_NOTHING;
    }
    if (s->state == OUTSIDE) {
        return byte == 3 ? RSP_STOP : RSP_NOTHING;
    }
    if (byte == '#') {
        s->said = 0;
        if (s->state == TOO_LONG) {
            return end_of_packet(s, false);
        }
        s->state = SUM_HIGH;
        return RSP_NOTHING;
    }
    if (s->size == RSP_PACKET) {
        s->state = TOO_LONG;
        return RSP_NOTHING;
    }
    s->sum = (uint8_t)(s->sum + byte);
    s->data[s->size++] = (char)byte;
    return RSP_NOTHING;
}

size_t rsp_frame(const char *answer, char *to)
{
    const size_t size = strlen(answer);
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + (uint8_t)answer[i]);
    }
    to[0] = '$';
    memcpy(to + 1, answer, size);
    to[size + 1] = '#';
    to[size + 2] = digits[sum >> 4];
    to[size + 3] = digits[sum & 15];
    return size + 4;
}

/* --- answers ------------------------------------------------------------------------- */

/* A hexadecimal number at *text, which moves behind it; false without one, or with more than 64
 * bits. */
static bool number(const char **text, uint64_t *value)
{
    const char *p = *text;

    for (*value = 0; digit(*p) >= 0; p++) {
        if (*value >> 60) {
            return false;
        }
        *value = *value << 4 | (uint64_t)digit(*p);
    }
    if (p == *text) {
        return false;
    }
    *text = p;
    return true;
}

/* "A,B": two numbers, and `end` behind them. */
static bool two_numbers(const char *text, uint64_t *a, uint64_t *b, char end)
{
    return number(&text, a) && *text++ == ',' && number(&text, b) && *text == end;
}

static char *put_byte(char *to, uint8_t byte)
{
    *to++ = digits[byte >> 4];
    *to++ = digits[byte & 15];
    *to = 0;
    return to;
}

static void answer_memory(const struct rsp_target *t, const char *text, char *answer)
{
    static uint8_t data[RSP_PACKET / 2];
    uint64_t address, bytes;
    size_t got;

    if (!two_numbers(text, &address, &bytes, 0)) {
        strcpy(answer, "E16");
        return;
    }
    bytes = bytes > sizeof(data) ? sizeof(data) : bytes;
    got = t->read(t->context, address, data, (size_t)bytes);
    if (got == 0 && bytes > 0) {
        strcpy(answer, "E0e");
        return;
    }
    *answer = 0;
    for (size_t i = 0; i < got; i++) {
        answer = put_byte(answer, data[i]);
    }
}

/* How many registers gdb asks for, and how many bytes number n has. */
static unsigned registers(const struct rsp_target *t)
{
    return t->bits == 64 ? 24 : 16;
}

static unsigned register_bytes(const struct rsp_target *t, unsigned n)
{
    return t->bits == 64 && n < 17 ? 8 : 4;
}

/* One that isn't known is told by x. */
static char *put_register(const struct rsp_target *t, unsigned n, char *to)
{
    const unsigned bytes = register_bytes(t, n);
    uint64_t value;

    if (!t->get(t->context, n, &value)) {
        memset(to, 'x', 2 * bytes);
        to[2 * bytes] = 0;
        return to + 2 * bytes;
    }
    for (unsigned i = 0; i < bytes; i++) {
        to = put_byte(to, (uint8_t)(value >> 8 * i));
    }
    return to;
}

static void answer_registers(const struct rsp_target *t, char *answer)
{
    for (unsigned n = 0; n < registers(t); n++) {
        answer = put_register(t, n, answer);
    }
}

static void answer_register(const struct rsp_target *t, const char *text, char *answer)
{
    uint64_t n;

    if (!number(&text, &n) || *text || n >= registers(t)) {
        strcpy(answer, "E16");
        return;
    }
    put_register(t, (unsigned)n, answer);
}

/* The description of the machine, from an offset: gdb must know how many bits there are. */
static void answer_description(const struct rsp_target *t, const char *text, char *answer)
{
    char all[200];
    uint64_t from, bytes;
    size_t size;

    size = (size_t)snprintf(all, sizeof(all), "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM "
                            "\"gdb-target.dtd\"><target><architecture>%s</architecture></target>",
                            t->bits == 64 ? "i386:x86-64" : "i386");
    if (!two_numbers(text, &from, &bytes, 0)) {
        strcpy(answer, "E16");
        return;
    }
    from = from > size ? size : from;
    size -= (size_t)from;
    answer[0] = size > bytes ? 'm' : 'l';
    size = size > bytes ? (size_t)bytes : size;
    memcpy(answer + 1, all + from, size);
    answer[1 + size] = 0;
}

/* Questions with a name. */
static void answer_query(const struct rsp_target *t, const char *packet, char *answer)
{
    static const char description[] = "qXfer:features:read:target.xml:";
    static const struct {
        const char *begin, *answer;
    } fixed[] = {
        { "qSupported", "PacketSize=1000;qXfer:features:read+" },
        { "qAttached", "1" }, { "qC", "QC1" }, { "qfThreadInfo", "m1" }, { "qsThreadInfo", "l" },
    };

    if (strncmp(packet, description, sizeof(description) - 1) == 0) {
        answer_description(t, packet + sizeof(description) - 1, answer);
        return;
    }
    *answer = 0; /* not known */
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (strncmp(packet, fixed[i].begin, strlen(fixed[i].begin)) == 0) {
            strcpy(answer, fixed[i].answer);
            return;
        }
    }
}

enum rsp_after rsp_answer(const struct rsp_target *t, const char *packet, size_t size,
                          char *answer)
{
    enum rsp_after after = RSP_GO_ON;

    *answer = 0; /* what isn't known has an empty answer */
    switch (size > 0 ? packet[0] : 0) {
    case '?':
        strcpy(answer, "S05");
        break;
    case 'H':
    case 'T':
        strcpy(answer, "OK");
        break;
    case 'g':
        answer_registers(t, answer);
        break;
    case 'p':
        answer_register(t, packet + 1, answer);
        break;
    case 'm':
        answer_memory(t, packet + 1, answer);
        break;
    case 'q':
        answer_query(t, packet, answer);
        break;
    case 'D':
        strcpy(answer, "OK");
        after = RSP_DETACH;
        break;
    case 'k':
        after = RSP_DETACH;
        break;
    case 'G':
    case 'P':
    case 'M':
    case 'c':
    case 's':
    case 'C':
    case 'S':
        strcpy(answer, "E01"); /* only looking */
        break;
    default:
        break;
    }
    return after;
}
