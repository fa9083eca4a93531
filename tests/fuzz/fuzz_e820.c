/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is a memory map of 17-byte entries, its first 16 bytes a range. */
#include <stdlib.h>
#include <string.h>

#include <util/e820.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_clean(const struct boot_mem *map, int count)
{
    for (int i = 0; i < count; i++) {
        check(map[i].size != 0 && map[i].start + map[i].size > map[i].start);
        check(i == 0 || map[i - 1].start + map[i - 1].size <= map[i].start);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct boot_mem map[BOOT_MEM_MAX], avoid;
    uint64_t range[2], at;
    unsigned n = 0;
    int count;

    if (size < sizeof(range)) {
        return 0;
    }
    memcpy(range, data, sizeof(range));
    for (size_t pos = sizeof(range); size - pos >= 17 && n < BOOT_MEM_MAX; pos += 17) {
        map[n] = (struct boot_mem){ .type = data[pos + 16] % 8u };
        memcpy(&map[n].start, data + pos, 8);
        memcpy(&map[n].size, data + pos + 8, 8);
        n++;
    }
    count = e820_sanitize(map, n, BOOT_MEM_MAX);
    if (count < 0) {
        return 0;
    }
    check_clean(map, count);
    n = (unsigned)count;
    avoid = (struct boot_mem){ .start = range[0], .size = range[1] };
    if (e820_find_low(map, n, range[1], 0x1000, range[0] / 2, UINT64_MAX, &avoid, 1, &at)) {
        check(at % 0x1000 == 0 && e820_is_usable(map, n, at, range[1]));
        check(e820_find_high(map, n, range[1], 0x1000, range[0] / 2, UINT64_MAX, &avoid, 1,
                             &at));
        check(at % 0x1000 == 0 && e820_is_usable(map, n, at, range[1]));
    }
    count = e820_reserve(map, n, BOOT_MEM_MAX, range[0], range[1]);
    check_clean(map, count);
    check(count < 0 || range[1] == 0 || !e820_is_usable(map, (unsigned)count, range[0], 1));
    return 0;
}
