/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is AML, once as one table and once cut into two. */
#include <stdlib.h>
#include <string.h>

#include <acpi/sleep.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void search(const uint8_t *data, size_t size, size_t cut)
{
    struct sleep_search s;
    unsigned rounds = 0;

    sleep_begin(&s);
    do {
        sleep_table(&s, (struct aml){ data, cut });
        sleep_table(&s, (struct aml){ data + cut, size - cut });
    } while (sleep_again(&s) && ++rounds < 100);
    if (rounds == 100 || s.result.known & ~0x3e || s.result.unclear & ~0x3e) {
        abort();
    }
    for (unsigned n = 1; n <= 5; n++) {
        if (!(s.result.known >> n & 1) != !s.result.a[n]) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1); /* the sanitizer sees what is behind it */

    if (!copy) {
        abort();
    }
    memcpy(copy, data, size);
    search(copy, size, size);
    search(copy, size, size / 2);
    free(copy);
    return 0;
}
