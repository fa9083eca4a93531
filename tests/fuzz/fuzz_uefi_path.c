/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is a Boot#### variable, and the device path in it another one's. */
#include <stdlib.h>
#include <string.h>

#include <boot/uefi/path.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t text[PATH_TEXT_MAX], other[PATH_TEXT_MAX], number;
    uint16_t order[8] = { 0 };
    struct boot_entry entry;
    size_t at;

    memcpy(order, data, size < sizeof(order) ? size : sizeof(order));
    for (at = 0; boot_order_next(order, 8, order[7], at, &number); at++) {
        check(at < 8);
    }
    if (!boot_entry_parse(data, size, &entry)) {
        return 0;
    }
    check(entry.path + entry.path_size <= entry.options);
    check(entry.options + entry.options_size == data + size);
    check(path_size(entry.path, entry.path_size) == entry.path_size);
    at = path_before(entry.path, PATH_MEDIA, PATH_FILE);
    check(at + 4 <= entry.path_size);
    at = path_before(entry.path, PATH_MEDIA, PATH_HARDDRIVE);
    check(at + 4 <= entry.path_size);
    (void)path_same_partition(entry.path, entry.path + at);
    if (path_file(entry.path, text)) {
        memcpy(other, text, sizeof(text));
        check(path_same_file(text, other));
    }
    return 0;
}
