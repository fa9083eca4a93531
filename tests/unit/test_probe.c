/* SPDX-License-Identifier: MIT */
/* tools/probe's judgement over all recorded machines, against tests/vectors/verdicts.txt. */
#include "unit.h"

#include <dirent.h>
#include <probe_vector.h>

static struct vector machine, second;
static char said[300];

static void load(struct vector *v, const char *name)
{
    static char data[1 << 20];
    char part[300], path[4096];

    snprintf(part, sizeof(part), "tests/vectors/%s", name);
    FILE *f = fopen(unit_source(path, sizeof(path), part), "r");
    if (f == NULL) {
        fail_msg("can't open %s", path);
        return;
    }
    size_t n = fread(data, 1, sizeof(data), f);
    fclose(f);
    unsigned line = vector_parse(v, data, n);
    if (line) {
        fail_msg("%s: line %u makes no sense", name, line);
    }
}

static unsigned files_in(const char *dir)
{
    char part[64], path[4096];
    unsigned n = 0;

    snprintf(part, sizeof(part), "tests/vectors/%s", dir);
    DIR *d = opendir(unit_source(path, sizeof(path), part));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += strstr(e->d_name, ".txt") != NULL;
    }
    closedir(d);
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
    while (fgets(line, sizeof(line), f) != NULL) {
        char *colon = strstr(line, ": ");

        if (line[0] == '#' || colon == NULL) {
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
    assert_int_equal(n, files_in("svm") + files_in("vmx"));
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

static unsigned parse(const char *text) { return vector_parse(&machine, text, strlen(text)); }

static void reads_lines(void **state)
{
    (void)state;
    assert_int_equal(parse("# x\n\ncpuid 1 0 2 3 4 5\nmsr 480 fedcba9876543210\nabsent 491 derived\n"
                           "e820 0 9ffff 1\nmtrr default write-back\nacpi RSDP f0000 24"), 0);
    assert_true(machine.cpuids == 1 && machine.msrs == 2);
    assert_true(machine.msr[0].value == 0xfedcba9876543210 && machine.msr[1].absent);
    assert_int_equal(parse("# x\ncpuid 1 2 3\n"), 2);
    assert_int_equal(parse("hello"), 1);
    assert_int_equal(parse(""), 0);
    assert_int_equal(vector_judge(&machine, said, sizeof(said)), UNKNOWN);
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
        cmocka_unit_test(names_what_to_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
