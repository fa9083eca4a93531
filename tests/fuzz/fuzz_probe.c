/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is two machines' records, after a byte that says where the first ends. */
#include <probe/vector.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vector a, b;
    const char *why;
    char out[300];
    size_t cut = size ? 1 + (size - 1) * data[0] / 256 : 0;

    unsigned bad = vector_parse(&a, (const char *)data + (size ? 1 : 0), size ? cut - 1 : 0, &why);
    if (!bad != !why) {
        abort();
    }
    vector_parse(&b, (const char *)data + cut, size - cut, &why);
    memset(out, 'x', sizeof(out));
    vector_judge(&a, out, sizeof(out));
    vector_judge_other(&a, &b, out, sizeof(out));
    if (!memchr(out, 0, sizeof(out))) {
        abort();
    }
    return 0;
}
