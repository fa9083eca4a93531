/* SPDX-License-Identifier: MIT */
/* Device paths and boot entries as bytes, whole and cut off. */
#include "unit.h"

#include <boot/uefi/path.h>

#define FILE_NODE(size, ...) 4, 4, size, 0, __VA_ARGS__
#define END 0x7f, 0xff, 4, 0
#define PART 4, 1, 42, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, \
             1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 2, 2
#define AB 'a', 0, 'b', 0

static const uint8_t file_path[] = { PART, FILE_NODE(10, '\\', 0, AB), FILE_NODE(10, AB, 0, 0),
                                     END };

static void the_size_is_that_of_whole_nodes(void **state)
{
    static const uint8_t broken[][8] = {
        { 4, 4, 3, 0, END },          /* shorter than its head */
        { 4, 4, 0, 0, END },
        { 4, 4, 9, 0, END },          /* longer than what is there */
        { 4, 4, 8, 0, 0, 0, 0, 0 },   /* no end */
        { 0x7f, 1, 4, 0, 4, 4, 5, 0 } /* the end of an instance only */
    };
    (void)state;

    assert_int_equal(path_size(file_path, sizeof(file_path)), sizeof(file_path));
    assert_int_equal(path_size(file_path, sizeof(file_path) + 100), sizeof(file_path));
    for (size_t size = 0; size < sizeof(file_path); size++) {
        uint8_t *copy = malloc(size ? size : 1);

        memcpy(copy, file_path, size);
        assert_int_equal(path_size(copy, size), 0);
        free(copy);
    }
    for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
        assert_int_equal(path_size(broken[i], 8), 0);
    }
}

static void files_have_one_name(void **state)
{
    static const uint8_t none[] = { PART, END };
    uint8_t longest[4 + 2 * 300 + 4] = { 4, 4, 0x5c, 2 }; /* 604 */
    uint16_t text[PATH_TEXT_MAX];
    (void)state;

    assert_true(path_file(file_path, text));
    assert_memory_equal(text, u"\\ab\\ab", 14);
    assert_false(path_file(none, text));
    assert_int_equal(text[0], 0);
    for (size_t i = 0; i < 300; i++) {
        longest[4 + 2 * i] = 'x';
    }
    memcpy(longest + 604, (const uint8_t[]){ END }, 4);
    assert_int_equal(path_size(longest, sizeof(longest)), sizeof(longest));
    assert_false(path_file(longest, text));
    assert_int_equal(text[0], 0);
}

static void names_are_compared_as_fat_does(void **state)
{
    (void)state;
    assert_true(path_same_file(u"\\EFI\\xmhf\\XMHF.efi", u"efi\\XMHF\\xmhf.EFI"));
    assert_false(path_same_file(u"\\EFI\\a", u"\\EFI\\ab"));
    assert_false(path_same_file(u"\\EFI\\[", u"\\EFI\\{"));
}

static void partitions_are_compared_whole(void **state)
{
    uint8_t a[] = { PART, END }, b[] = { PART, END };
    (void)state;

    assert_true(path_same_partition(a, b));
    for (size_t i = 4; i < 42; i++) {
        b[i] ^= 1;
        assert_false(path_same_partition(a, b));
        b[i] ^= 1;
    }
    assert_false(path_same_partition(a, b + 42)); /* an end node */
    assert_int_equal(path_before(file_path, PATH_MEDIA, PATH_FILE), 42);
    assert_int_equal(path_before(a, PATH_MEDIA, PATH_FILE), 42);
    assert_true(path_is(a, 42, 0x7f, 0xff));
}

static void a_boot_entry_is_read_whole_or_not(void **state)
{
    static const uint8_t entry[] = { 1, 0, 0, 0, 4 + 6, 0, 'D', 0, 0, 0, FILE_NODE(6, 'x', 0),
                                     END, 'o', 'p', 't' };
    struct boot_entry e;
    (void)state;

    assert_true(boot_entry_parse(entry, sizeof(entry), &e));
    assert_int_equal(e.attributes, 1);
    assert_int_equal(e.name[0], 'D');
    assert_int_equal(e.path_size, 10);
    assert_int_equal(e.options_size, 3);
    assert_memory_equal(e.options, "opt", 3);
    for (size_t size = 0; size < sizeof(entry) - 3; size++) {
        uint8_t *copy = malloc(size ? size : 1);

        memcpy(copy, entry, size);
        assert_false(boot_entry_parse(copy, size, &e));
        free(copy);
    }
}

static void the_order_goes_on_behind_ours(void **state)
{
    static const uint16_t order[] = { 3, 1, 7 };
    uint16_t n = 99;
    (void)state;

    assert_true(boot_order_next(order, 3, 3, 0, &n) && n == 1);
    assert_true(boot_order_next(order, 3, 3, 1, &n) && n == 7);
    assert_false(boot_order_next(order, 3, 3, 2, &n));
    assert_false(boot_order_next(order, 3, 7, 0, &n)); /* doesn't go round */
    assert_true(boot_order_next(order, 3, 5, 0, &n) && n == 3);
    assert_false(boot_order_next(order, 3, 5, 3, &n));
    assert_false(boot_order_next(order, 0, 5, 0, &n));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_size_is_that_of_whole_nodes),
        cmocka_unit_test(files_have_one_name),
        cmocka_unit_test(names_are_compared_as_fat_does),
        cmocka_unit_test(partitions_are_compared_whole),
        cmocka_unit_test(a_boot_entry_is_read_whole_or_not),
        cmocka_unit_test(the_order_goes_on_behind_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
