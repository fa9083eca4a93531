/* SPDX-License-Identifier: MIT */
/* The options of xmhf.efi: xmhf.conf and load options. */
#include "unit.h"

#include <boot/uefi/conf.h>

static struct conf conf;

static void parse(const char *text, bool secure)
{
    memset(&conf, 0xee, sizeof(conf));
    conf_parse(text, strlen(text), secure, &conf);
}

static void parse_file(const void *text, size_t size)
{
    memset(&conf, 0xee, sizeof(conf));
    conf_parse_file(text, size, false, &conf);
}

static void nothing_is_the_default(void **state)
{
    (void)state;
    parse("", false);
    assert_true(!conf.damaged && !conf.required && !conf.has_args && conf.refused_count == 0);
    assert_string_equal(conf.next, "");
    assert_string_equal(conf.cmdline, "");
    parse(" \r\n\t\n # only a comment\n", false);
    assert_true(!conf.damaged && conf.cmdline[0] == '\0');
}

static void a_file_has_all(void **state)
{
    static const char text[] = "\xef\xbb\xbf# all of it, \xc3\xa4\r\n"
                               "palmem=16 quiet  # behind words\r\n"
                               "next=\\EFI\\debian\\grubx64.efi\r\n"
                               "\trequired com=2f8\r\n"
                               "args=initrd=\\initrd.gz console=ttyS0 # not a comment\r\n";
    (void)state;
    parse_file(text, sizeof(text) - 1);
    assert_null(conf.damaged);
    assert_true(conf.required && conf.has_args);
    assert_string_equal(conf.cmdline, "palmem=16 quiet com=2f8");
    assert_string_equal(conf.next, "\\EFI\\debian\\grubx64.efi");
    assert_string_equal(conf.args, "initrd=\\initrd.gz console=ttyS0 # not a comment");
}

static void a_path_may_have_blanks(void **state)
{
    (void)state;
    parse("next=\"\\EFI\\My Loader\\x.efi\" palmem=8", false);
    assert_null(conf.damaged);
    assert_string_equal(conf.next, "\\EFI\\My Loader\\x.efi");
    assert_string_equal(conf.cmdline, "palmem=8");
    parse("required args=", false);
    assert_true(conf.has_args && conf.args[0] == '\0' && conf.required);
}

static void damage_is_named_and_required_holds(void **state)
{
    char long_line[CONF_ARGS_MAX + 100];
    (void)state;

    parse("palmem=8\nnext=\"\\EFI\\x\nrequired\n", false);
    assert_string_equal(conf.damaged, "a quotation mark isn't closed");
    assert_int_equal(conf.line, 2);
    assert_true(conf.required);
    parse("next=\n", false);
    assert_string_equal(conf.damaged, "next= needs a path");
    parse_file("pal\0mem\nrequired\n", 17);
    assert_string_equal(conf.damaged, "there is a control character in it");
    assert_true(conf.required && conf.line == 1);
    assert_string_equal(conf.cmdline, "");
    memset(long_line, 'x', sizeof(long_line));
    memcpy(long_line, "next=", 5);
    conf_parse(long_line, sizeof(long_line), false, &conf);
    assert_string_equal(conf.damaged, "the path behind next= is too long");
    memcpy(long_line, "args=", 5);
    conf_parse(long_line, sizeof(long_line), false, &conf);
    assert_string_equal(conf.damaged, "what is behind args= is too long");
    conf_parse(long_line + 5, sizeof(long_line) - 5, false, &conf);
    assert_string_equal(conf.damaged, "there are too many options");
}

/* An editor may write no end of the last line; what may be half an option is refused. */
static void a_file_that_was_cut_off_is_seen(void **state)
{
    static const struct { const char *text; bool whole; } ends[] = {
        { "quiet", true }, { "trap-icr", true }, { "com=3f8", true }, { "com=off", true },
        { "quiet\nrequired", true }, { "palbudget=20", true }, { "next=\\EFI\\a.EFI", true },
        { "# a comment", true }, { "cpus=2 ", true }, { "x\r", true }, { "\xef\xbb\xbf", true },
        { "requir", false }, { "quie", false }, { "com=3f", false }, { "com=", false },
        { "com", false }, { "palmem", false }, { "palmem=", false }, { "cpus=2", false },
        { "next=\\EFI\\a.ef", false }, { "next=", false }, { "next", false }, { "a\nargs", false },
        { "quiet=", false }, { "testpanic", false }, { "palmem=16\nnext=\\EFI\\te", false },
    };
    static const char text[] = "palmem=16\nnext=\"\\EFI\\a b\"\nargs=quiet\nrequired\n";
    (void)state;

    for (size_t size = 0; size < sizeof(text); size++) {
        char *copy = malloc(size + 1); /* for ASan: not a byte more is read */

        memcpy(copy, text, size);
        copy = realloc(copy, size ? size : 1);
        parse_file(copy, size);
        /* whole: "", lines, "palmem=1", "palmem=16", a quoted path, args= from there on,
         * "required" */
        assert_int_equal(!conf.damaged, size == 0 || text[size - 1] == '\n' || size == 8
                         || size == 9 || size == 25 || (size >= 31 && size <= 36)
                         || size == 45 || size == 47);
        free(copy);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        parse_file(ends[i].text, strlen(ends[i].text));
        assert_int_equal(!conf.damaged, ends[i].whole);
    }
    parse_file("\xff\xfep\0a\0l\0", 8);
    assert_string_equal(conf.damaged, "it is UTF-16, write it as UTF-8");
}

static void secure_boot_refuses_by_name(void **state)
{
    static const char *const refused[] = { "testpanic", "measure", "cpus=1", "com=cf8", "com=",
                                           "comx=3f8", "unknown", "palmemory=3" };
    (void)state;

    parse("palmem=8 com=2f8 com=off quiet trap-icr palbudget=9 required next=\\x args=y", true);
    assert_int_equal(conf.refused_count, 0);
    assert_string_equal(conf.cmdline, "palmem=8 com=2f8 com=off quiet trap-icr palbudget=9");
    assert_true(conf.required && conf.next[0] != '\0' && conf.has_args);
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        parse(refused[i], false);
        assert_int_equal(conf.refused_count, 0);
        assert_string_equal(conf.cmdline, refused[i]);
        parse(refused[i], true);
        assert_int_equal(conf.refused_count, 1);
        assert_string_equal(conf.refused[0].word, refused[i]);
        assert_string_equal(conf.cmdline, "");
    }
    parse("a b c d e f g h i j a-word-of-more-than-thirty-one-letters", true);
    assert_int_equal(conf.refused_count, CONF_REFUSED_MAX);
    parse("a-word-of-more-than-thirty-one-letters", true);
    assert_int_equal(strlen(conf.refused[0].word), sizeof(conf.refused[0].word) - 1);
}

static size_t options(const uint16_t *text, size_t characters, bool shell, char *out)
{
    memset(out, '!', 64);
    return conf_from_load_options(text, characters * 2, shell, out, 64);
}

static void load_options_are_text_or_nothing(void **state)
{
    static const uint16_t plain[] = u"palmem=8 required";
    static const uint8_t edk2[16] = { 0xc8, 0xac, 0x4e, 0x9f, 0x11, 0x94 }; /* auto-created entry */
    uint16_t many[80];
    char out[64];
    (void)state;

    assert_int_equal(options(plain, 17, false, out), 17);
    assert_memory_equal(out, "palmem=8 required", 17);
    assert_int_equal(options(plain, 18, false, out), 17); /* with its zero */
    assert_int_equal(options((const uint16_t *)(const void *)edk2, 8, false, out), 0);
    assert_int_equal(options(plain, 0, false, out), 0);
    assert_int_equal(conf_from_load_options("p", 1, false, out, 64), 0);
    for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
        many[i] = 'x';
    }
    assert_int_equal(options(many, 80, false, out), 65);
}

static void the_name_in_front_is_left_out(void **state)
{
    static const struct { const uint16_t *text; bool shell; const char *rest; } cases[] = {
        { u"FS0:\\EFI\\xmhf palmem=8", false, "palmem=8" },
        { u"xmhf.EFI  palmem=8 com=off", false, "palmem=8 com=off" },
        { u"\"FS0:\\a b\\xmhf.efi\" quiet", false, "quiet" },
        { u"xmhf quiet", true, "quiet" },
        { u"xmhf", true, "" },
        { u"next=\\EFI\\x.efi quiet", false, "next=\\EFI\\x.efi quiet" },
        { u"quiet .efi", false, "quiet .efi" },
    };
    char out[64];
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t n = 0, size;

        while (cases[i].text[n] != 0) {
            n++;
        }
        size = options(cases[i].text, n, cases[i].shell, out);
        assert_int_equal(size, strlen(cases[i].rest));
        assert_memory_equal(out, cases[i].rest, size);
    }
}

static void utf8_becomes_utf16(void **state)
{
    static const struct { const char *s; const uint16_t *wide; } cases[] = {
        { "a\\b", u"a\\b" }, { "\xc3\xa4\xe2\x82\xac!", u"\u00e4\u20ac!" },
        { "\xc0\x80x", u"?x" }, { "\xe2\x82", u"?" }, { "\xff", u"?" }, { "\xc3(", u"?(" },
    };
    uint16_t out[8];
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t n = conf_utf16(cases[i].s, out, ARRAY_SIZE(out));

        assert_memory_equal(out, cases[i].wide, (n + 1) * 2);
    }
    assert_int_equal(conf_utf16("123456789", out, ARRAY_SIZE(out)), 7);
    assert_int_equal(out[7], 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_the_default),
        cmocka_unit_test(a_file_has_all),
        cmocka_unit_test(a_path_may_have_blanks),
        cmocka_unit_test(damage_is_named_and_required_holds),
        cmocka_unit_test(a_file_that_was_cut_off_is_seen),
        cmocka_unit_test(secure_boot_refuses_by_name),
        cmocka_unit_test(load_options_are_text_or_nothing),
        cmocka_unit_test(the_name_in_front_is_left_out),
        cmocka_unit_test(utf8_becomes_utf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
