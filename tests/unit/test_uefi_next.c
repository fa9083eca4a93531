/* SPDX-License-Identifier: MIT */
/* The loader after xmhf.efi, where the firmware is one made of data. */
#include "unit.h"

#include "efi_firmware.h"

#include <boot/uefi/next.h>
#include <boot/uefi/path.h>
#include <util/bytes.h>

#define ACTIVE EFI_OPTION_ACTIVE

static struct uefi u;
static struct conf conf;
static const uint16_t default_file[] = u"\\EFI\\BOOT\\BOOTX64.EFI";

static int set_up(void **state)
{
    (void)state;
    fw_reset();
    fw_init(&u);
    memset(&conf, 0, sizeof(conf));
    return 0;
}

static EFI_STATUS go(const char *next)
{
    strcpy(conf.next, next);
    return next_start(&u, &conf);
}

/* A Boot#### variable: name "E", the path's bytes, a file node if there is a file, the options. */
static void add_entry(const uint16_t *variable, uint32_t attributes, const uint8_t *path,
                      size_t path_bytes, const uint16_t *name, const char *options)
{
    uint8_t data[600] = { 0 };
    size_t at = 10, length = 0;

    put_le32(data, attributes);
    data[6] = 'E';
    memcpy(data + at, path, path_bytes);
    at += path_bytes;
    if (name) {
        while (name[length++] != 0) { }
        data[at] = PATH_MEDIA;
        data[at + 1] = PATH_FILE;
        put_le16(data + at + 2, (uint16_t)(4 + 2 * length));
        memcpy(data + at + 4, name, 2 * length);
        at += 4 + 2 * length;
    }
    memcpy(data + at, "\x7f\xff\x04", 4);
    at += 4;
    put_le16(data + 4, (uint16_t)(at - 10));
    memcpy(data + at, options, strlen(options));
    fw_set_variable(variable, data, at + strlen(options));
}

static void on_volume(const uint16_t *variable, uint32_t attributes, unsigned volume,
                      const uint16_t *name, const char *options)
{
    size_t size;
    const uint8_t *path = fw_volume_path(volume, &size);

    add_entry(variable, attributes, path, size - 4, name, options);
}

static void order(uint16_t current, const uint16_t *numbers, size_t count)
{
    fw_set_variable(u"BootOrder", numbers, count * 2);
    fw_set_variable(u"BootCurrent", &current, 2);
}

static void the_named_one_starts_with_its_arguments(void **state)
{
    struct fw_program *p = fw_add_program(0, u"\\EFI\\linux.efi", EFI_SUCCESS, EFI_ABORTED);
    (void)state;

    conf.has_args = true;
    strcpy(conf.args, "root=\xc3\xa4");
    assert_int_equal(go("EFI/linux.efi"), EFI_ABORTED); /* its status is passed on */
    assert_int_equal(p->started, 1);
    assert_int_equal(p->options_size, 14);
    assert_memory_equal(p->options, u"root=\u00e4", 14);
    assert_int_equal(fw.watchdog, 0);
    conf.has_args = false;
    assert_int_equal(go("\\EFI\\linux.efi"), EFI_ABORTED);
    assert_true(fw_said("starting \\EFI\\linux.efi"));
}

static void what_cannot_be_loaded_is_told(void **state)
{
    static const struct { EFI_STATUS status; const char *text; } cases[] = {
        { EFI_NOT_FOUND, "it isn't there" },
        { EFI_SECURITY_VIOLATION, "Secure Boot doesn't trust it" },
        { EFI_ACCESS_DENIED, "Secure Boot doesn't allow it" },
        { EFI_UNSUPPORTED, "it is no program of this firmware's kind" },
        { EFI_LOAD_ERROR, "it can't be read, or is no program" },
        { EFI_TIMEOUT, "no reason that is known here" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fw_program *p;

        (void)set_up(NULL);
        p = fw_add_program(0, u"\\x", cases[i].status, EFI_SUCCESS);
        fw_add_program(0, default_file, EFI_SUCCESS, EFI_SUCCESS);
        assert_int_equal(go("\\x"), cases[i].status);
        assert_true(fw_said("\\x can't be started"));
        assert_true(fw_said(cases[i].text));
        assert_int_equal(p->started, 0);
        assert_int_equal(fw.program[1].loaded, 0); /* what was named, or nothing */
        assert_int_equal(p->unloaded, cases[i].status == EFI_SECURITY_VIOLATION);
    }
}

static void it_never_starts_itself(void **state)
{
    static const uint16_t numbers[] = { 1, 2 };
    struct fw_program *self = fw_add_program(0, u"\\efi\\XMHF\\xmhf.EFI", EFI_SUCCESS, 0);
    struct fw_program *other = fw_add_program(1, u"\\EFI\\xmhf\\xmhf.efi", EFI_SUCCESS, 0);
    (void)state;

    assert_int_equal(go("efi\\XMHF\\xmhf.EFI"), EFI_INVALID_PARAMETER);
    assert_true(fw_said("is this program itself"));
    on_volume(u"Boot0002", ACTIVE, 0, u"\\efi\\XMHF\\xmhf.EFI", "");
    order(1, numbers, 2);
    assert_int_equal(go(""), EFI_NOT_FOUND);
    assert_true(fw_said("there is no other loader to start"));
    assert_int_equal(self->loaded, 0);
    on_volume(u"Boot0002", ACTIVE, 1, u"\\EFI\\xmhf\\xmhf.efi", ""); /* same name, other volume */
    assert_int_equal(go(""), EFI_SUCCESS);
    assert_int_equal(other->started, 1);
}

static void the_order_decides(void **state)
{
    static const uint16_t numbers[] = { 9, 0x1a, 3, 4, 5, 6, 0xfffe, 7 };
    struct fw_program *bad = fw_add_program(1, u"\\gone", EFI_NOT_FOUND, 0);
    struct fw_program *good = fw_add_program(1, u"\\good", EFI_SUCCESS, EFI_TIMEOUT);
    (void)state;

    on_volume(u"Boot0009", ACTIVE, 1, u"\\good", "before us");
    on_volume(u"Boot001A", ACTIVE, 0, u"\\EFI\\xmhf\\xmhf.efi", "");
    on_volume(u"Boot0003", 0, 1, u"\\good", "inactive");
    on_volume(u"Boot0004", ACTIVE | 0x100, 1, u"\\good", "an application");
    fw_set_variable(u"Boot0005", "damaged", 7);
    on_volume(u"Boot0006", ACTIVE, 1, u"\\gone", "");
    on_volume(u"Boot0007", ACTIVE | 8, 1, u"\\good", "yes"); /* hidden from menus, no more */
    order(0x1a, numbers, ARRAY_SIZE(numbers));
    assert_int_equal(go(""), EFI_TIMEOUT);
    assert_int_equal(good->started, 1);
    assert_int_equal(bad->loaded, 1);
    assert_memory_equal(good->options, "yes", 3);
    assert_int_equal(good->options_size, 3);
    assert_true(fw_said("Boot0005 of BootOrder is left out"));
    assert_true(fw_said("BootFFFE of BootOrder is left out"));
    assert_true(fw_said("Boot0006 (E) can't be started: it isn't there"));
    assert_true(fw_said("starting Boot0007 (E)"));
    assert_int_equal(fw.pools, 0);
}

static void started_by_hand_it_begins_at_the_front(void **state)
{
    static const uint16_t numbers[] = { 2, 3 };
    struct fw_program *first = fw_add_program(1, u"\\first", EFI_SUCCESS, 0);
    (void)state;

    on_volume(u"Boot0002", ACTIVE, 1, u"\\first", "");
    order(77, numbers, 2);
    assert_int_equal(go(""), EFI_SUCCESS);
    fw_set_variable(u"BootCurrent", "x", 1); /* damaged */
    assert_int_equal(go(""), EFI_SUCCESS);
    assert_int_equal(first->started, 2);
}

static void short_and_half_paths_are_made_whole(void **state)
{
    static const uint8_t firmware[] = { 4, 7, 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                        15, 16 };
    static const uint16_t numbers[] = { 1, 2 };
    struct fw_program *p = fw_add_program(2, u"\\x", EFI_SUCCESS, 0);
    struct fw_program *d = fw_add_program(2, default_file, EFI_SUCCESS, 0);
    struct fw_program *f = fw_add_program(-1, u"", EFI_SUCCESS, 0);
    size_t size;
    const uint8_t *path = fw_volume_path(2, &size);
    (void)state;

    order(1, numbers, 2);
    add_entry(u"Boot0002", ACTIVE, path + 18, 42, u"\\x", ""); /* from the partition on */
    assert_int_equal(go(""), EFI_SUCCESS);
    assert_int_equal(p->started, 1);
    add_entry(u"Boot0002", ACTIVE, path, 18, NULL, ""); /* the whole disk */
    assert_int_equal(go(""), EFI_SUCCESS);
    assert_int_equal(d->started, 1);
    add_entry(u"Boot0002", ACTIVE, path + 18, 42, NULL, ""); /* a partition, no file */
    assert_int_equal(go(""), EFI_SUCCESS);
    assert_int_equal(d->started, 2);
    assert_int_equal(fw.connects, 0);
    add_entry(u"Boot0002", ACTIVE, firmware, sizeof(firmware), NULL, ""); /* a shell, say */
    assert_int_equal(go(""), EFI_SUCCESS);
    assert_int_equal(f->started, 1);
    assert_int_equal(fw.connects, 0);
}

static void without_an_order_it_is_the_default_file(void **state)
{
    struct fw_program *d = fw_add_program(0, default_file, EFI_SUCCESS, EFI_ABORTED);
    (void)state;

    assert_int_equal(go(""), EFI_ABORTED);
    assert_int_equal(d->started, 1);
}

static EFI_STATUS another_copy(void)
{
    struct uefi other;

    fw_init(&other);
    assert_false(next_mark(&other));
    return EFI_ALREADY_STARTED;
}

static void a_copy_that_comes_back_is_passed_over(void **state)
{
    static const uint16_t numbers[] = { 1, 2, 3 };
    struct fw_program *shim = fw_add_program(1, u"\\shim", EFI_SUCCESS, 0);
    struct fw_program *other = fw_add_program(1, u"\\other", EFI_SUCCESS, 0);
    (void)state;

    shim->runs = another_copy; /* it starts this program */
    on_volume(u"Boot0002", ACTIVE, 1, u"\\shim", "");
    on_volume(u"Boot0003", ACTIVE, 1, u"\\other", "");
    order(1, numbers, 3);
    assert_true(next_mark(&u));
    assert_int_equal(go(""), EFI_SUCCESS);
    assert_int_equal(shim->started, 1);
    assert_int_equal(other->started, 1);
    next_unmark(&u);
    assert_true(next_mark(&u));
    next_unmark(&u);
}

static void a_program_without_a_volume_is_told(void **state)
{
    (void)state;
    fw.loaded.DeviceHandle = NULL; /* from a network */
    fw_init(&u);
    assert_int_equal(go("\\x"), EFI_UNSUPPORTED);
    assert_true(fw_said("doesn't tell which volume"));
    assert_int_equal(go(""), EFI_NOT_FOUND);
}

static void shim_loads_nothing_for_a_boot_manager(void **state)
{
    struct fw_program *p = fw_add_program(0, u"\\EFI\\linux.efi", EFI_SUCCESS, EFI_SUCCESS);
    (void)state;

    fw.shim = true;
    assert_int_equal(go("EFI/linux.efi"), EFI_SUCCESS);
    assert_int_equal(p->started, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_named_one_starts_with_its_arguments, set_up),
        cmocka_unit_test_setup(what_cannot_be_loaded_is_told, set_up),
        cmocka_unit_test_setup(it_never_starts_itself, set_up),
        cmocka_unit_test_setup(the_order_decides, set_up),
        cmocka_unit_test_setup(started_by_hand_it_begins_at_the_front, set_up),
        cmocka_unit_test_setup(short_and_half_paths_are_made_whole, set_up),
        cmocka_unit_test_setup(without_an_order_it_is_the_default_file, set_up),
        cmocka_unit_test_setup(a_copy_that_comes_back_is_passed_over, set_up),
        cmocka_unit_test_setup(a_program_without_a_volume_is_told, set_up),
        cmocka_unit_test_setup(shim_loads_nothing_for_a_boot_manager, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
