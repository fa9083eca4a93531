/* SPDX-License-Identifier: MIT */
/* A program in ring 3, of 64 or 32 bits, with one PAL that is an image: its hypercalls, and the
 * code that its calls come back to. For the guests image and ocall. */
#ifndef XMHF_GUESTS_IMAGE_CALLER_H
#define XMHF_GUESTS_IMAGE_CALLER_H

#include <xmhf/image.h>
#include "command.h"
#include "guest.h"

#define PAGE 4096u

static uint8_t stubs[PAGE] __attribute__((aligned(PAGE)));

/* Copies the code that is linked for each width to where a loader would have put it. */
static inline size_t load_code(uint8_t *to, const uint8_t *code64, const uint8_t *code32,
                               const uint8_t *end)
{
    const size_t n = bits == 64 ? (size_t)(code32 - code64) : (size_t)(end - code32);

    memcpy(to, bits == 64 ? code64 : code32, n);
    return n;
}

static void image_registered(const struct xmhf_image *image)
{
    const uint64_t r = command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)image, (uintptr_t)stubs);

    CHECK(r == TV_OK, "%u bits: the registration gave %llu", bits, (unsigned long long)r);
}

static void image_unregistered(uint64_t expected)
{
    const uint64_t r = command(XMHF_HC_IMAGE_UNREGISTER, (uintptr_t)stubs, 0);

    CHECK(r == expected, "%u bits: unregistering gave %llu", bits, (unsigned long long)r);
}

/* Ring 3 with a stack, whose call will return to the end of the program. *back: where that is. */
static struct exec image_caller(uint8_t **back)
{
    struct exec x = exec_for(3, bits);

    *back = (uint8_t *)this_cpu() + BLOCK_CODE;
    memcpy(*back, "\xcd\x80", 2);
    x.rsp -= 1024;
    return x;
}

#endif
