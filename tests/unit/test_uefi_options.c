/* SPDX-License-Identifier: MIT */
/* Where xmhf.efi finds its options, and MemoryOverwriteRequestControl. */
#include "unit.h"

#include "efi_firmware.h"

#include <boot/uefi/mor.h>
#include <boot/uefi/options.h>

static struct uefi u;
static struct conf conf;
static char why[200];

static int set_up(void **state)
{
    (void)state;
    fw_reset();
    fw_init(&u);
    memset(&conf, 0xee, sizeof(conf));
    return 0;
}

static void load_options(const uint16_t *text, size_t bytes)
{
    fw.loaded.LoadOptions = (void *)text;
    fw.loaded.LoadOptionsSize = (UINT32)bytes;
}

static void the_boot_entry_comes_first(void **state)
{
    static const uint16_t text[] = u"palmem=8 required";
    (void)state;

    fw_add_file(u"\\EFI\\xmhf\\xmhf.conf", "quiet\n");
    load_options(text, sizeof(text));
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "palmem=8");
    assert_true(conf.required);
    load_options(u"\x1234\x5678", 4); /* what the firmware puts into entries that it makes */
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "quiet");
    fw.shell = true;
    load_options(u"xmhf", 8); /* a shell's, no options */
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "quiet");
    assert_false(options_damage(&conf, why, sizeof(why)));
}

static void the_file_is_beside_us_or_at_its_usual_place(void **state)
{
    static const uint8_t path[] = { 4, 4, 14, 0, '\\', 0, 'b', 0, '\\', 0, 'x', 0, 0, 0,
                                    0x7f, 0xff, 4, 0 };
    (void)state;

    options_read(&u, &conf);
    assert_true(!conf.damaged && conf.cmdline[0] == '\0'); /* there is none */
    fw_add_file(u"\\EFI\\xmhf\\xmhf.conf", "usual\n");
    fw.loaded.FilePath = (EFI_DEVICE_PATH *)path;
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "usual");
    fw_add_file(u"\\b\\xmhf.conf", "beside\n");
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "beside");
    fw.loaded.FilePath = NULL;
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "usual");
    fw.loaded.DeviceHandle = NULL;
    fw_init(&u);
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "");
}

static void a_file_that_cannot_be_read_is_damaged(void **state)
{
    char large[CONF_FILE_MAX + 2];
    (void)state;

    fw_add_file(u"\\EFI\\xmhf\\xmhf.conf", "quiet\n");
    fw.file[0].read = EFI_DEVICE_ERROR;
    options_read(&u, &conf);
    assert_true(options_damage(&conf, why, sizeof(why)));
    assert_non_null(strstr(why, "its device has an error"));
    memset(large, '#', sizeof(large));
    large[CONF_FILE_MAX - 1] = large[CONF_FILE_MAX] = '\n';
    fw.file[0] = (struct fw_file){ u"\\EFI\\xmhf\\xmhf.conf", large, CONF_FILE_MAX, 0 };
    options_read(&u, &conf);
    assert_false(options_damage(&conf, why, sizeof(why)));
    fw.file[0].size++;
    options_read(&u, &conf);
    assert_true(options_damage(&conf, why, sizeof(why)));
    assert_non_null(strstr(why, "more than 8 KiB"));
    fw.file[0] = (struct fw_file){ u"\\EFI\\xmhf\\xmhf.conf", "a\nb\x01\nrequired\n", 15, 0 };
    options_read(&u, &conf);
    assert_true(options_damage(&conf, why, sizeof(why)) && conf.required);
    assert_non_null(strstr(why, "line 2: there is a control character"));
}

static void secure_boot_refuses_on_the_console(void **state)
{
    (void)state;

    fw_add_file(u"\\EFI\\xmhf\\xmhf.conf", "testpanic palmem=8\n");
    fw_set_variable(u"SecureBoot", "\0", 1);
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "testpanic palmem=8");
    fw_set_variable(u"SecureBoot", "\1", 1);
    options_read(&u, &conf);
    assert_string_equal(conf.cmdline, "palmem=8");
    assert_true(fw_said("option refused: testpanic (not with Secure Boot"));
}

static const uint16_t control[] = u"MemoryOverwriteRequestControl";
static const uint16_t lock[] = u"MemoryOverwriteRequestControlLock";

static void mor_is_set_and_locked(void **state)
{
    struct fw_variable *c, *l;
    (void)state;

    assert_int_equal(mor_set(&u), MOR_NONE);
    assert_null(mor_warning(MOR_NONE));
    c = fw_set_variable(control, "\x10", 1); /* DisableAutoDetect stays */
    assert_int_equal(mor_set(&u), MOR_SET);
    assert_int_equal(c->data[0], 0x11);
    c->data[0] = 0x10;
    l = fw_set_variable(lock, "\0", 1);
    assert_int_equal(mor_set(&u), MOR_LOCKED);
    assert_null(mor_warning(MOR_LOCKED));
    assert_true(c->data[0] == 0x11 && l->data[0] == 1 && l->size == 1);
}

static void mor_that_fails_is_told(void **state)
{
    struct fw_variable *c = fw_set_variable(control, "\0", 1), *l = fw_set_variable(lock, "\0", 1);
    (void)state;

    c->locked = true; /* by somebody else, without the request */
    assert_int_equal(mor_set(&u), MOR_REFUSED);
    assert_int_equal(l->data[0], 0);
    c->data[0] = 1; /* with it */
    l->data[0] = 2;
    assert_int_equal(mor_set(&u), MOR_LOCKED);
    c->locked = false;
    c->forgets = true;
    c->data[0] = 0;
    assert_int_equal(mor_set(&u), MOR_REFUSED);
    c->forgets = false;
    l->data[0] = 0;
    l->forgets = true;
    assert_int_equal(mor_set(&u), MOR_SET);
    assert_non_null(mor_warning(MOR_SET));
    assert_non_null(mor_warning(MOR_REFUSED));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_boot_entry_comes_first, set_up),
        cmocka_unit_test_setup(the_file_is_beside_us_or_at_its_usual_place, set_up),
        cmocka_unit_test_setup(a_file_that_cannot_be_read_is_damaged, set_up),
        cmocka_unit_test_setup(secure_boot_refuses_on_the_console, set_up),
        cmocka_unit_test_setup(mor_is_set_and_locked, set_up),
        cmocka_unit_test_setup(mor_that_fails_is_told, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
