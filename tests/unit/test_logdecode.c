/* SPDX-License-Identifier: MIT */
/* tools/logdecode: records as the core itself prints them, through every kind of harm. */
#include "unit.h"

#include <debug/log.h>
#include <logdecode/parse.h>
#include <logdecode/stack.h>
#include <logdecode/words.h>
#include <mm/host_map.h>

#define CORE 0xffffffff80000000ULL
#define HELLO "[xmhf] XMHF hypervisor with trustvisor\r\n"
#define START "[xmhf] starting the guest after 1 ticks\r\n"

static char text[65536];        /* the serial log */
static const char *lead;        /* what log_line puts first */
static struct log_file found;

static void add(const char *s)
{
    strncat(text, s, sizeof(text) - strlen(text) - 1);
}

void log_line(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    add(lead);
    add(line);
    add("\r\n");
}

static struct crash_record sample(void)
{
    struct crash_record r = {
        .cpu = 1, .flags = CRASH_TRAP | CRASH_MSR, .vector = 13, .msr = 0x491, .rip = CORE + 0x1000,
        .rsp = STACK_VA + 0x7000, .cr0 = 0x80010033, .cr3 = 0x1000, .cr4 = 0x406e0,
        .stack_count = 2, .stack = { { .value = CORE + 0x2005, .offset = 8 },
                                     { .value = CORE + 0x3005, .offset = 0x28 } },
        .exit_count = 2, .exit = { { .kind = 5, .raw = 18 }, { .kind = 1, .raw = 10 } },
        .other_count = 2, .other = {
            { .cpu = 0, .state = CRASH_SILENT, .rip = CORE + 0x4000, .rsp = STACK_VA + 0x8,
              .exit_count = 2, .kind = { 8, 1 }, .raw = { 0, 10 } },
            { .cpu = 2, .state = CRASH_WAITS },
        },
        .virt = "Intel VMX", .text = "exception 13",
    };

    for (unsigned i = 0; i < CRASH_BUILD_ID; i++) {
        r.build_id[i] = (uint8_t)(i * 17);
    }
    return r;
}

static void print(const char *before, const char *prefix)
{
    const struct crash_record r = sample();

    text[0] = 0;
    add(before);
    lead = prefix;
    crash_print(&r);
}

static void parse(void) { log_parse(text, strlen(text), &found); }

static void assert_sample(const struct log_record *r)
{
    assert_true(r->intact);
    assert_int_equal(r->damaged, 0);
    assert_int_equal(r->has, REC_BUILD | REC_TEXT | REC_TRAP | REC_MSR | REC_REGS | REC_END);
    assert_string_equal(r->build_id, "00112233445566778899aabbccddeeff10213243");
    assert_string_equal(r->text, "exception 13");
    assert_string_equal(r->virt, "Intel VMX");
    assert_true(r->cpu == 1 && r->vector == 13 && r->msr == 0x491 && r->rip == CORE + 0x1000);
    assert_int_equal(r->words, 2);
    assert_true(r->word[1].value == CORE + 0x3005 && r->word[1].offset == 0x28);
    assert_int_equal(r->exits, 2);
    assert_string_equal(r->exit[0].kind, "HYPERCALL");
    assert_int_equal(r->exit[0].raw, 18);
    assert_int_equal(r->others, 2);
    assert_true(r->other[0].cpu == 0 && r->other[0].rip == CORE + 0x4000 && r->other[0].exits == 2);
    assert_string_equal(r->other[0].state, "silent");
    assert_string_equal(r->other[0].exit[0].kind, "NMI");
    assert_int_equal(r->other[0].exit[1].raw, 10);
    assert_true(r->other[1].cpu == 2 && r->other[1].exits == 0 && r->other[1].rip == 0);
}

/* --- what the core prints ------------------------------------------------------- */

static void reads_what_the_core_prints(void **state)
{
    (void)state;
    print(HELLO, "[xmhf] ");
    parse();
    assert_int_equal(found.records, 1);
    assert_sample(&found.record[0]);
    assert_false(found.record[0].guest_could);
    assert_int_equal(found.guest_start, 0);
}

static void tells_what_a_guest_could_have_written(void **state)
{
    (void)state;
    print(HELLO START, "[xmhf cpu1 guest] ");
    parse();
    assert_sample(&found.record[0]);
    assert_true(found.record[0].guest_could);
    assert_int_equal(found.guest_start, 2);

    print(HELLO START, "[xmhf] "); /* forged: our lines look different by then */
    parse();
    assert_true(found.record[0].guest_could);

    print("", "[xmhf] "); /* the log's beginning is missing */
    parse();
    assert_true(found.record[0].guest_could);

    print(HELLO "[xmhf cpu0 guest] x\n", "[xmhf] "); /* "starting" is missing */
    parse();
    assert_true(found.record[0].guest_could);
}

static void knows_the_same_record_again(void **state)
{
    (void)state;
    print(HELLO START, "[xmhf cpu1 guest] ");
    add(HELLO "[xmhf] crash: the last boot ended in a panic (a guest could have forged this)\n");
    lead = "[xmhf] ";
    const struct crash_record r = sample();
    crash_print(&r);
    parse();
    assert_int_equal(found.records, 2);
    assert_true(!found.record[0].at_boot && found.record[1].at_boot);
    assert_int_equal(found.record[0].same_as, 0);
    assert_int_equal(found.record[1].same_as, 1);
    assert_true(found.record[1].guest_could);
}

static void keeps_the_gap_of_a_long_stack(void **state)
{
    struct crash_record r = sample();

    (void)state;
    r.stack_count = CRASH_STACK;
    r.stack_skipped = 7;
    for (unsigned i = 0; i < CRASH_STACK; i++) {
        r.stack[i] = (struct crash_word){ .value = CORE + i, .offset = 8 * i };
    }
    text[0] = 0;
    crash_print(&r);
    parse();
    assert_int_equal(found.record[0].words, CRASH_STACK);
    assert_int_equal(found.record[0].skipped, 7);
    for (unsigned i = 0; i < CRASH_STACK; i++) {
        assert_int_equal(found.record[0].word[i].after_gap, i == CRASH_INNER);
    }
}

/* --- harm ------------------------------------------------------------------------ */

/* Any one character lost or changed: never taken for whole. Line ends and what is before our
 * text may vary. */
static void every_lost_character_shows(void **state)
{
    char whole[sizeof(text)];
    unsigned shown = 0;

    (void)state;
    print(HELLO, "[xmhf] ");
    memcpy(whole, text, sizeof(whole));
    for (size_t at = strlen(HELLO); whole[at]; at++) {
        bool end_of_line = whole[at] == '\r' || whole[at] == '\n';

        memcpy(text, whole, at);
        strcpy(text + at, whole + at + 1);
        parse();
        bool good = found.records == 1 && found.record[0].intact;
        assert_true(!good || end_of_line);
        if (good) {
            assert_sample(&found.record[0]);
        } else {
            shown++;
        }
    }
    assert_true(shown > 300);
}

static void two_cpus_may_interleave(void **state)
{
    char first[sizeof(text)], *a, *b;

    (void)state;
    print("", "[xmhf cpu0 guest] ");
    memcpy(first, text, sizeof(first));
    print("", "[xmhf cpu1 guest] ");
    char *second = strdup(text);
    char *save_a = NULL, *save_b = NULL;
    text[0] = 0;
    a = strtok_r(first, "\n", &save_a);
    b = strtok_r(second, "\n", &save_b);
    for (; a && b; a = strtok_r(NULL, "\n", &save_a), b = strtok_r(NULL, "\n", &save_b)) {
        add("guest says "); /* no line end: the guest's own line was cut in two */
        add(a);
        add(b); /* and so was ours; the carriage returns don't matter */
        add("\n");
    }
    free(second);
    parse();
    assert_int_equal(found.records, 2);
    assert_sample(&found.record[0]);
    assert_sample(&found.record[1]);
}

static void strips_what_terminals_obey(void **state)
{
    (void)state;
    text[0] = 0;
    add(HELLO "[xmhf] PANIC: a\033[31mb\033]0;title\ac\033Pq\033\\d\033(Be\033[\nnext\001\x9b\n");
    add("[xmhf] crash: text \x1b[2J\x7f\xff\n");
    parse();
    assert_int_equal(found.notes, 1);
    assert_string_equal(found.note[0].text, "PANIC: abcde");
    assert_string_equal(found.record[0].text, "..");
    assert_int_equal(found.lines, 4);
}

static void bounds_everything(void **state)
{
    (void)state;
    text[0] = 0;
    for (unsigned i = 0; i < 300; i++) {
        add("[xmhf] crash: build-id 0000000000000000000000000000000000000000 cpu 9\n");
        add("[xmhf] PANIC: x\n[xmhf cpu999 guest] crash: text y\n");
    }
    parse();
    assert_int_equal(found.records, LOGDECODE_RECORDS);
    assert_int_equal(found.records_lost, 300 - LOGDECODE_RECORDS);
    assert_int_equal(found.notes, LOGDECODE_NOTES);
    assert_int_equal(found.notes_lost, 300 - LOGDECODE_NOTES);
    memset(text, 'a', sizeof(text) - 1);
    memcpy(text, "[xmhf] PANIC: ", 14);
    text[sizeof(text) - 1] = 0;
    parse();
    assert_int_equal(strlen(found.note[0].text), sizeof(found.note[0].text) - 1);
}

/* --- words ------------------------------------------------------------------------ */

static const char *exception_of(const struct log_record *r, const char *insn)
{
    static char out[400];

    words_exception(r, (const uint8_t *)insn, 2, out, sizeof(out));
    return out;
}

static void says_exceptions_in_words(void **state)
{
    struct log_record r = { .has = REC_TRAP | REC_MSR | REC_REGS, .vector = 13, .msr = 0x491 };

    (void)state;
    assert_string_equal(exception_of(&r, "\x0f\x32"), "#GP, general protection: RDMSR 0x491: "
                        "IA32_VMX_VMFUNC doesn't exist on this CPU");
    assert_non_null(strstr(exception_of(&r, "\x0f\x30"), "WRMSR 0x491: IA32_VMX_VMFUNC"));
    r.msr = 0x12345;
    assert_non_null(strstr(exception_of(&r, "\x0f\x32"), "it doesn't exist"));
    r.vector = 8;
    r.rsp = STACK_VA + 2 * STACK_SLOT + STACK_PITCH - STACK_MAIN;
    assert_non_null(strstr(exception_of(&r, ""), "stack overflow: CPU 2's main stack"));
    r.rsp += 4096;
    assert_null(strstr(exception_of(&r, ""), "overflow"));
    r.vector = 14;
    r.error = 2;
    r.fault = 16;
    assert_non_null(strstr(exception_of(&r, ""), "not in the record"));
    r.has |= REC_FAULT;
    assert_string_equal(exception_of(&r, ""), "#PF, page fault: write to 0x10, a null pointer's "
                        "neighbourhood: nothing is mapped there");
    r.fault = STACK_VA + 2 * STACK_PITCH - STACK_IST - 8;
    assert_non_null(strstr(exception_of(&r, ""), "the guard pages below CPU 0's NMI stack"));
    r.vector = 77;
    assert_non_null(strstr(exception_of(&r, ""), "unknown"));
    r.has = 0;
    assert_non_null(strstr(exception_of(&r, ""), "not in what came through"));
    r.intact = true;
    assert_non_null(strstr(exception_of(&r, ""), "no exception"));
}

static void says_exits_in_words(void **state)
{
    struct log_record r = { .virt = "Intel VMX" };
    struct log_exit e = { .kind = "NESTED_FAULT", .raw = 48 };
    char out[240];

    (void)state;
    words_exit(&r, &e, out, sizeof(out));
    assert_string_equal(out, "NESTED_FAULT: NPT or EPT violation (Intel VMX 0x30, EPT_VIOLATION)");
    strcpy(r.virt, "AMD SVM");
    e.raw = 0x46;
    words_exit(&r, &e, out, sizeof(out));
    assert_non_null(strstr(out, "#UD, invalid opcode"));
    strcpy(e.kind, "FORGED");
    r.virt[0] = 0;
    words_exit(&r, &e, out, sizeof(out));
    assert_string_equal(out, "FORGED: a kind unknown to this program (0x46)");
}

/* --- call stacks, on an image made up here ------------------------------------------ */

/* Functions of 0x1000 bytes; all calls end 5 bytes into theirs. Those at an even page have a
 * frame of 0x18 bytes, the others one that can't be told. */
struct image { int unused; };

uint64_t image_function(const struct image *img, uint64_t addr)
{
    (void)img;
    return addr & ~0xfffULL;
}

bool image_return_slot(const struct image *img, uint64_t addr, uint64_t *offset)
{
    (void)img;
    *offset = 0x18;
    return !(addr & 0x1000);
}

bool image_after_call(const struct image *img, uint64_t addr, uint64_t *target)
{
    (void)img;
    *target = (addr & ~0xfffULL) - 0x1000; /* each calls the one before */
    return (addr & 0xfff) == 5;
}

static void finds_frames_among_candidates(void **state)
{
    struct stack_frame f[STACK_FRAMES_MAX];
    struct log_record r = {
        .has = REC_TRAP | REC_REGS, .rip = CORE + 0x2100, .words = 7,
        .word = { { CORE + 0x3005, 0x8, false },   /* stale: not at the slot */
                  { CORE + 0x3005, 0x18, false },  /* 1: exactly there */
                  { CORE + 0x3123, 0x20, false },  /* no call before it */
                  { CORE + 0x8005, 0x28, false },  /* calls something else */
                  { CORE + 0x4005, 0x40, false },  /* 2: calls 0x3000 */
                  { CORE + 0x5005, 0x60, true },   /* 3: exactly there, but 2 wasn't */
                  { CORE + 0x9005, 0x70, false } }, /* 4: all that is left */
    };

    (void)state;
    assert_int_equal(stack_walk(NULL, &r, f), 5);
    assert_true(f[0].certainty == SURE && f[0].lookup == CORE + 0x2100);
    assert_true(f[1].certainty == SURE && f[1].pc == CORE + 0x3005);
    assert_int_equal(f[1].lookup, CORE + 0x3004);
    assert_true(f[2].certainty == LIKELY && f[2].pc == CORE + 0x4005 && !f[2].after_gap);
    assert_true(f[3].certainty == LIKELY && f[3].pc == CORE + 0x5005 && f[3].after_gap);
    assert_true(f[4].certainty == MAYBE && f[4].pc == CORE + 0x9005);
    r.has = REC_REGS; /* a panic: RIP is a return address */
    stack_walk(NULL, &r, f);
    assert_int_equal(f[0].lookup, CORE + 0x20ff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_core_prints),
        cmocka_unit_test(tells_what_a_guest_could_have_written),
        cmocka_unit_test(knows_the_same_record_again),
        cmocka_unit_test(keeps_the_gap_of_a_long_stack),
        cmocka_unit_test(every_lost_character_shows),
        cmocka_unit_test(two_cpus_may_interleave),
        cmocka_unit_test(strips_what_terminals_obey),
        cmocka_unit_test(bounds_everything),
        cmocka_unit_test(says_exceptions_in_words),
        cmocka_unit_test(says_exits_in_words),
        cmocka_unit_test(finds_frames_among_candidates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
