/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is what gdb's side sends; each packet is answered. */
#include <stdlib.h>
#include <string.h>

#include <xmhfctl/rsp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_memory(void *context, uint64_t address, uint8_t *to, size_t bytes)
{
    const size_t got = address > 4096 ? bytes / 2 : bytes;

    (void)context;
    memset(to, 0x5a, got);
    return got;
}

static bool get(void *context, unsigned n, uint64_t *value)
{
    (void)context;
    *value = n;
    return n % 3 != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rsp_stream s = { 0 };
    char *answer = malloc(RSP_PACKET + 1), *framed = malloc(RSP_PACKET + 5);

    for (size_t i = 0; i < size; i++) {
        const struct rsp_target target = { i % 2 ? 64 : 32, read_memory, get, NULL };

        if (rsp_feed(&s, data[i]) == RSP_PACKET_IN) {
            rsp_answer(&target, s.data, s.size, answer);
            if (strlen(answer) > RSP_PACKET || rsp_frame(answer, framed) > RSP_PACKET + 4) {
                abort();
            }
        }
    }
    free(answer);
    free(framed);
    return 0;
}
