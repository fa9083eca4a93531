/* SPDX-License-Identifier: MIT */
/* tools/probe's judgement over all recorded machines, against tests/vectors/verdicts.txt. */
#include "unit.h"
#include "vectors.h"

#include <probe/vector.h>

static struct vector machine, second;
static char said[300];

static void load(struct vector *v, const char *name)
{
    static char data[1 << 20];
    char part[300], path[4096];

    snprintf(part, sizeof(part), "tests/vectors/%s", name);
    FILE *f = fopen(unit_source(path, sizeof(path), part), "r");
    if (!f) {
        fail_msg("can't open %s", path);
        return;
    }
    size_t n = fread(data, 1, sizeof(data), f);
    fclose(f);
    const char *why;
    unsigned line = vector_parse(v, data, n, &why);
    if (line) {
        fail_msg("%s: line %u: %s", name, line, why);
    }
}

static unsigned files_in(const char *dir)
{
    struct vectors files = vectors_of(dir);
    unsigned n = 0;

    while (vectors_next(&files)) {
        n++;
    }
    return n;
}

/* The listed sentences are what a reader of the dump would say; all machines are listed. */
static void says_what_is_listed(void **state)
{
    char path[4096], line[600];
    unsigned n = 0;

    (void)state;
    FILE *f = fopen(unit_source(path, sizeof(path), "tests/vectors/verdicts.txt"), "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        char *colon = strstr(line, ": ");

        if (line[0] == '#' || !colon) {
            continue;
        }
        *colon = 0;
        colon[2 + strcspn(colon + 2, "\n")] = 0;
        load(&machine, line);
        vector_judge(&machine, said, sizeof(said));
        if (strcmp(said, colon + 2) != 0) {
            fail_msg("%s: \"%s\" is listed, \"%s\" is said", line, colon + 2, said);
        }
        n++;
    }
    fclose(f);
    assert_int_equal(n, files_in("svm") + files_in("vmx") + files_in("hv"));
}

/* The laptop whose missing 0x491 brought the predecessor down. */
static void the_2540p_would_run(void **state)
{
    (void)state;
    load(&machine, "vmx/notes-hp-2540p-i5-540m.txt");
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), RUNS);
}

static void cores_that_differ(void **state)
{
    (void)state;
    load(&machine, "vmx/inst-00806a1-lakefield-cpu0.txt");
    load(&second, "vmx/inst-00806a1-lakefield-cpu4.txt");
    assert_int_equal(vector_judge_other(&machine, &machine, said, sizeof(said)), RUNS);
    assert_int_equal(vector_judge_other(&second, &second, said, sizeof(said)), RUNS);
    /* Cores with less than the boot CPU: no unrestricted guest; no INVPCID. */
    load(&machine, "vmx/vbox-306a9-i3-3110m.txt");
    load(&second, "vmx/vbox-106e5-i7-870.txt");
    assert_int_equal(vector_judge_other(&machine, &second, said, sizeof(said)), LACKS);
    load(&machine, "vmx/inst-00306f2-haswellep-02.txt");
    load(&second, "vmx/inst-00206d5-sandybridgeep.txt");
    assert_int_equal(vector_judge_other(&machine, &second, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "INVPCID"));
    /* It has more than the boot CPU, but can't load its VMCS. */
    assert_int_equal(vector_judge_other(&second, &machine, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "VMCS revision"));
}

static const char *wrong; /* with the last line that made no sense */

static unsigned parse(const char *text)
{
    return vector_parse(&machine, text, strlen(text), &wrong);
}

static void reads_lines(void **state)
{
    (void)state;
    assert_int_equal(parse("# x\n\n \t\ncpuid 1 0 2 3 4 5\nmsr 480 fedcba9876543210\r\n"
                           "absent 491 derived\nabsent 492\ne820 0 9ffff 1\ne820 F0000 fffff 2\n"
                           "mtrr default write-back\nmtrr deftype c06\nmtrr fixed "
                           "c0000 c3fff reserved\n"
                           "mtrr var 0 0 f80000000 write-back\nmtrr var 10 disabled\n"
                           "mtrr range 0 ffff uncachable\nmtrr uc-start "
                           "c0000000\nacpi RSDP f0000 24\n"
                           "acpi SSDT ffff88015a94d400 223"), 0);
    assert_null(wrong);
    assert_true(machine.cpuids == 1 && machine.msrs == 3 && machine.mems == 2 && !machine.efi);
    assert_true(machine.msr[0].value == 0xfedcba9876543210 && machine.msr[1].absent);
    assert_true(machine.mem[1].start == 0xf0000 && machine.mem[1].size == 0x10000);
    assert_int_equal(parse("# boot: EFI 2.70 (map made by a loader)"), 0);
    assert_true(machine.efi);
    assert_int_equal(parse("# boot: BIOS or not shown"), 0);
    assert_false(machine.efi);
    assert_int_equal(parse("# x\ncpuid 1 2 3\n"), 2);
    assert_int_equal(parse("hello"), 1);
    assert_int_equal(parse(""), 0);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), UNKNOWN);
    assert_int_equal(parse("msr 3a 5\nmsr 3b 0\nabsent 3a\n"), 3);
    assert_non_null(strstr(wrong, "before"));
    assert_int_equal(parse("cpuid 1 0 0 0 0 0\ncpuid 1 1 0 0 0 0\ncpuid 1 0 0 0 0 0"), 3);
}

/* A number that is cut, wraps or is guessed at would give a wrong verdict. */
static void lines_of_no_record(void **state)
{
    static const char *const bad[] = {
        "msr 0x480 0xfedcba9876543210", "msr 480 0x1", "msr 480", "msr 480 1 2", "msr 480 1 # no",
        "msr 480 0000000000000000000001", "msr 480 10000000000000000", "msr 480 -1", "msr 480 +1",
        "msr 480 1g", "msr 480 1.", "msr 000000480 1", "msr 100000000 1", "MSR 480 1", "msr480 1",
        "cpuid 0x1 0 0 0 0 0", "cpuid 1 0 0 0 0", "cpuid 1 0 0 0 0 0 0",
        "cpuid 1 0 0 0 0 123456789",
        "cpuid 1 0 0,0,0,0", "cpuid 1 0 0 0 0 0x", "cpuid", "absent", "absent 0x491",
        "absent 491 seen",
        "absent 491 derived too", "absent derived", "e820 ffff 0 1", "e820 0x0 0x9ffff 1",
        "e820 0 9ffff", "e820 0 9ffff usable", "e820 0 9ffff 0x1", "e820 0 9ffff 1 2",
        "e820 0 9ffff a", "e820 0 9ffff 4294967296", "e820 0 ffffffffffffffff 1",
        "e820 0 10000000000000 1", "e820 0 0000000000000000009fff 1", "e820", "e820 hello",
        "mtrr", "mtrr default", "mtrr default wb", "mtrr deftype 0x6",
        "mtrr fixed 0 100000 write-back",
        "mtrr fixed 9 0 write-back", "mtrr var x disabled", "mtrr var 0 enabled",
        "mtrr var 0 0 write-back",
        "mtrr range 1000 fff write-back", "mtrr uc-start", "mtrr hello", "acpi RSDP",
        "acpi RSDP 0xf 24",
        "acpi RSD f0000 24", "acpi RSDPX f0000 24", "acpi RSDP f0000 24 1", "boot: EFI", "#",
        "0x10",
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        bool comment = bad[i][0] == '#';

        snprintf(text, sizeof(text), "# a machine\n%s\nabsent 1\n", bad[i]);
        if (parse(text) != (comment ? 0 : 2) || !wrong != comment) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }
    assert_int_equal(vector_parse(&machine, "msr 48\0 1\n", 10, &wrong), 1);
    memset(text, '1', sizeof(text));
    assert_int_equal(vector_parse(&machine, text, sizeof(text), &wrong), 1);
}

/* A machine of the files here, and more lines. */
static enum judgement judge_with(const char *name, const char *more)
{
    static struct vector extra;

    load(&machine, name);
    assert_int_equal(vector_parse(&extra, more, strlen(more), &wrong), 0);
    memcpy(machine.mem, extra.mem, sizeof(extra.mem));
    machine.mems = extra.mems;
    machine.efi = extra.efi;
    return vector_judge(&machine, said, sizeof(said));
}

/* `n` entries with a hole behind each, below one of 1 GiB. */
static const char *map_of(unsigned n, unsigned step)
{
    static char text[65536];
    size_t at = (size_t)snprintf(text, sizeof(text), "e820 0 9ffff 1\ne820 40000000 7fffffff 1\n");

    for (unsigned i = 0; i < n; i++) {
        unsigned start = 0x100000 + i * step;
        at += (size_t)snprintf(text + at, sizeof(text) - at, "e820 %x %x 1\n", start,
                               start + 0xfff);
    }
    return text;
}

static void judges_the_memory_map(void **state)
{
    static const char name[] = "vmx/notes-hp-2540p-i5-540m.txt";

    (void)state;
    assert_int_equal(judge_with(name, "e820 0 9ffff 1\ne820 100000 1fffffff 1\n"), RUNS);
    assert_int_equal(judge_with(name, "e820 0 9ffff 1\ne820 100000 3fffff 1\n"), LACKS);
    assert_non_null(strstr(said, "no room"));
    assert_int_equal(judge_with(name, "e820 0 9ffff 1\ne820 100000000 23fffffff 1\n"), LACKS);
    assert_int_equal(judge_with(name, "e820 0 3fffffff 1\ne820 0 ffffffff 2\n"), LACKS);
    assert_int_equal(judge_with(name, map_of(510, 0x2000)), RUNS);
    assert_int_equal(judge_with(name, map_of(511, 0x2000)), LACKS);
    assert_int_equal(judge_with(name, map_of(600, 0x2000)), LACKS);
    assert_non_null(strstr(said, "memory map"));
    assert_int_equal(judge_with(name, map_of(600, 0x1000)), RUNS); /* they join */
    assert_int_equal(judge_with(name, "# boot: EFI 2.70\ne820 0 3fffffff 1\n"), RUNS);
    assert_int_equal(judge_with("svm/bochs-ryzen.txt", "e820 0 3fffff 1\n"), LACKS);
}

/* The recorded leaf 8000_0001 or 1, changed. */
static void clear_edx(uint32_t leaf, unsigned bit)
{
    for (unsigned i = 0; i < machine.cpuids; i++) {
        machine.cpuid[i].r.edx &= machine.cpuid[i].leaf == leaf ? ~(1u << bit) : UINT32_MAX;
    }
}

static struct vector_msr *msr_1a0(void)
{
    for (unsigned i = 0; i < machine.msrs; i++) {
        if (machine.msr[i].index == 0x1a0) {
            return &machine.msr[i];
        }
    }
    fail_msg("1a0 isn't recorded");
    return NULL;
}

/* What boot stage and core use before they could say that it isn't there. */
static void judges_what_is_used_unasked(void **state)
{
    (void)state;
    load(&machine, "svm/bochs-ryzen.txt");
    clear_edx(0x80000001, 20);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "NX"));
    load(&machine, "svm/bochs-ryzen.txt");
    clear_edx(1, 24);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "FXSAVE"));
    /* Intel: we switch NX on where firmware has switched it off. */
    load(&machine, "vmx/inst-00406e3-skylake.txt");
    clear_edx(0x80000001, 20);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "NX"));
    msr_1a0()->value |= BIT(34);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), RUNS);
    msr_1a0()->index = 0;
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), UNKNOWN);
    assert_non_null(strstr(said, "NX"));
}

/* Memory encryption takes address bits. */
static void judges_the_width_of_addresses(void **state)
{
    static const char spr[] = "vmx/inst-00806f8-sapphirerapids-05.txt";
    static const char genoa[] = "svm/inst-0a10f11-k19-genoa-01.txt";
    static const char high[] = "e820 0 3fffffff 1\ne820 400000000000 40000fffffff 1\n"; /* bit 46 */

    (void)state;
    assert_int_equal(judge_with(spr, high), RUNS);
    vector_add_msr(&machine, 0x982, false, 0x0001000600000003);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "memory encryption"));
    memcpy(&second, &machine, sizeof(second));
    second.msrs--; /* a CPU on which it is off */
    assert_int_equal(vector_judge_other(&machine, &second, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "memory encryption"));
    assert_int_equal(vector_judge_other(&machine, &machine, said, sizeof(said)), RUNS);
    assert_int_equal(judge_with(genoa, high), RUNS);
    vector_add_msr(&machine, 0xc0010010, false, 0xf40000);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), LACKS);
    assert_int_equal(judge_with(genoa, "e820 0 3fffffff 1\ne820 100000000 3fffffffffff 1\n"), RUNS);
    vector_add_msr(&machine, 0xc0010010, false, 0xf40000);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), RUNS);
}

/* Firmware's switch, and what a hypervisor hides. */
static void names_what_to_change(void **state)
{
    (void)state;
    load(&machine, "vmx/notes-hp-2540p-i5-540m.txt");
    vector_add_msr(&machine, 0x3a, false, 1);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "enable it in the setup"));
    assert_int_equal(parse("cpuid 0 0 1 0 0 0\ncpuid 1 0 0 0 80000000 0\ncpuid 80000000 0 80000001 "
                           "0 0 0\ncpuid 80000001 0 0 0 0 0\n"), 0);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), LACKS);
    assert_non_null(strstr(said, "inside of a hypervisor"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_listed),
        cmocka_unit_test(the_2540p_would_run),
        cmocka_unit_test(cores_that_differ),
        cmocka_unit_test(reads_lines),
        cmocka_unit_test(lines_of_no_record),
        cmocka_unit_test(judges_the_memory_map),
        cmocka_unit_test(judges_what_is_used_unasked),
        cmocka_unit_test(judges_the_width_of_addresses),
        cmocka_unit_test(names_what_to_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
