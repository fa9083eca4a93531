/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: the input is the memory at 0xE0000. Checksums would stop the fuzzer at the
 * door, so each mapping mends the sum of what looks like a table, in a copy; an odd number of
 * bytes leaves them as they are.
 */
#include <stdlib.h>
#include <string.h>

#include <acpi/acpi.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE 0xe0000u
#define COPIES 2

static const uint8_t *mem;
static size_t mem_size;
static uint8_t *copy[COPIES]; /* exactly as long as asked for: the sanitizer sees more */
static unsigned next;

/* Make bytes [0, len) sum to zero by changing byte `at`. */
static void mend(uint8_t *p, size_t len, size_t at)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len && at < len; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    if (at < len) {
        p[at] = (uint8_t)(p[at] - sum);
    }
}

static const void *map(uint64_t addr, size_t len)
{
    uint8_t *p;

    if (addr < BASE || addr - BASE > mem_size || len > mem_size - (addr - BASE)) {
        return NULL;
    }
    next = (next + 1) % COPIES;
    free(copy[next]);
    p = copy[next] = malloc(len != 0 ? len : 1);
    if (!p) {
        abort();
    }
    memcpy(p, mem + (addr - BASE), len);
    if (mem_size % 2 != 0) {
        return p;
    }
    if (len >= 20 && memcmp(p, "RSD PTR ", 8) == 0) {
        mend(p, 20, 8);
        mend(p, len, 32);
    } else {
        mend(p, len >= 36 ? len : 0, 9);
    }
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct acpi_info info;
    const char *why = NULL;
    int result;

    mem = data;
    mem_size = size;
    result = acpi_read(map, BASE, &info, &why);
    if ((result == 0) != !why || info.cpu_count > ACPI_CPU_MAX
        || (result == 0 && info.lapic_base == 0)) {
        abort();
    }
    for (unsigned i = 0; i < info.cpu_count; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (info.cpu[i].apic_id == info.cpu[k].apic_id) {
                abort();
            }
        }
    }
    acpi_find_rsdp(map);
    return 0;
}
