/* SPDX-License-Identifier: MIT */
/* The hypervisor's command line. */
#include "unit.h"

#include <facts/options.h>

static struct options opt;
static struct options_bad bad;

static unsigned more_set;

static bool set_more(const char *value)
{
    more_set = value[0] == 'y' ? more_set + 1 : more_set;
    return value[0] == 'y';
}

/* A hypapp's. */
static const struct option_more more[] = { { "more", "y to yes", set_more },
                                           { "flag", "", set_more }, { 0 } };

static void parse(const char *s)
{
    memset(&opt, 0xee, sizeof(opt));
    memset(&bad, 0xee, sizeof(bad));
    options_parse(s, more, &opt, &bad);
}

static void assert_default(void)
{
    assert_true(opt.palmem == 0 && opt.cpus == 0 && opt.com == 0x3f8 && !opt.quiet);
}

static void empty_gives_the_defaults(void **state)
{
    (void)state;
    parse("");
    assert_default();
    assert_int_equal(bad.count, 0);
    parse("   ");
    assert_default();
    assert_int_equal(bad.count, 0);
}

static void reads_every_option(void **state)
{
    (void)state;
    parse("  palmem=16 cpus=2  com=2F8 quiet ");
    assert_int_equal(bad.count, 0);
    assert_int_equal(opt.palmem, MIB(16));
    assert_int_equal(opt.cpus, 2);
    assert_int_equal(opt.com, 0x2f8);
    assert_true(opt.quiet);
    parse("com=0x3e8 palmem=1000");
    assert_int_equal(opt.com, 0x3e8);
    assert_int_equal(opt.palmem, MIB(1000));
    parse("com=off");
    assert_int_equal(opt.com, 0);
    parse("cpus=1 cpus=4"); /* the last one counts */
    assert_int_equal(opt.cpus, 4);
    assert_int_equal(bad.count, 0);
}

/* What the list announces is understood: no option without a setter. */
static void understands_all_that_it_lists(void **state)
{
    char word[64];

    (void)state;
#define X(name, argument, values, help) \
    snprintf(word, sizeof(word), "%s%s", name, (argument)[0] != '\0' ? "=3" : ""); \
    parse(word); \
    assert_int_equal(bad.count, 0); \
    assert_true((help)[0] != '\0' && ((argument)[0] == '\0') == ((values)[0] == '\0'));
    OPTIONS(X)
#undef X
}

static void keeps_defaults_on_bad_values(void **state)
{
    static const char *const words[] = {
        "palmem", "palmem=", "palmem=0", "palmem=-1", "palmem=2049", "palmem=16M",
        "palmem=99999999999999999999999", "palmem=0x10", "cpus=0", "cpus=257", "cpus=two",
        "com=", "com=0", "com=10000", "com=zzz", "com=offf", "com=0x", "quiet=1", "quiet=",
        "Quiet", "quie", "quiett", "=5", "=", "palmem==3",
        "more=no", "more", "mor=y",
        "palmem=00000000000000000000000000000000000000000000000000000000000000016",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        parse(words[i]);
        assert_default();
        assert_int_equal(bad.count, 1);
        assert_memory_equal(bad.word[0], words[i],
                            strlen(words[i]) < 31 ? strlen(words[i]) + 1 : 31);
        assert_int_equal(bad.word[0][31 < strlen(words[i]) ? 31 : strlen(words[i])], 0);
    }
    parse("nonsense palmem=4 more");
    assert_int_equal(opt.palmem, MIB(4));
    assert_int_equal(bad.count, 2);
    assert_string_equal(bad.word[0], "nonsense");
    assert_string_equal(bad.word[1], "more");
}

static void keeps_at_most_eight_bad_words(void **state)
{
    (void)state;
    parse("a b c d e f g h i j quiet");
    assert_int_equal(bad.count, OPTIONS_BAD_MAX);
    assert_string_equal(bad.word[7], "h");
    assert_true(opt.quiet);
}

/* A value out of range names the range. */
static void says_why_not(void **state)
{
    static const struct { const char *word, *said; } cases[] = {
        { "palmem=2000", "its values: 1 to 1000 MiB" },
        { "palmem=abc", "its values: 1 to 1000 MiB" },
        { "palmem", "it needs a value: 1 to 1000 MiB" }, { "more=0", "its values: y to yes" },
        { "cpus=1000", "its values: 1 to 256" },
        { "com=ffff", "its values: off, or 1 to fff8, hexadecimal" },
        { "more", "it needs a value: y to yes" }, { "flag=y", "it takes no value" },
        { "quiet=1", "it takes no value" }, { "frob=1", "there is no such option" },
        { "frob", "there is no such option" },
        { "palmem=00000000000000000000000000000000000000000000000000000000000000016",
          "it is too long" },
    };
    char said[64];

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        parse(cases[i].word);
        assert_int_equal(bad.count, 1);
        snprintf(said, sizeof(said), "%s%s", bad.why[0], bad.values[0]);
        assert_string_equal(said, cases[i].said);
    }
}

/* Words that aren't the core's are the hypapp's; the boot stage, which has none, takes them for
 * unknown. */
static void asks_the_hypapp(void **state)
{
    (void)state;
    more_set = 0;
    parse("quiet more=yes cpus=2 more=y");
    assert_int_equal(bad.count, 0);
    assert_int_equal(more_set, 2);
    assert_true(opt.quiet && opt.cpus == 2);
    options_parse("cpus=3 more=y", NULL, &opt, &bad);
    assert_int_equal(more_set, 2);
    assert_int_equal(opt.cpus, 3);
    assert_int_equal(bad.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_gives_the_defaults),
        cmocka_unit_test(reads_every_option),
        cmocka_unit_test(understands_all_that_it_lists),
        cmocka_unit_test(keeps_defaults_on_bad_values),
        cmocka_unit_test(says_why_not),
        cmocka_unit_test(asks_the_hypapp),
        cmocka_unit_test(keeps_at_most_eight_bad_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
