/* SPDX-License-Identifier: MIT */
/* A kernel image's set-up code as the tests make it, and its fields by offset (Linux'
 * Documentation/arch/x86/boot.rst). */
#ifndef XMHF_TESTS_LINUX_IMAGE_H
#define XMHF_TESTS_LINUX_IMAGE_H

#include "unit.h"

#define SETUP_SECTS 3
#define SETUP_SIZE  ((SETUP_SECTS + 1) * 512)

static uint8_t image[SETUP_SIZE];

static inline void put16(unsigned at, uint16_t v) { memcpy(&image[at], &v, 2); }
static inline void put32(unsigned at, uint32_t v) { memcpy(&image[at], &v, 4); }
static inline void put64(unsigned at, uint64_t v) { memcpy(&image[at], &v, 8); }

/* The `n` bytes at `at` of an image or of what was made of it. */
static inline uint64_t get(const uint8_t *p, unsigned at, unsigned n)
{
    uint64_t v = 0;

    memcpy(&v, p + at, n);
    return v;
}

/* A header of protocol `version`, nothing else but `filler`. */
static inline void make_image(uint8_t filler, uint16_t version)
{
    memset(image, filler, sizeof(image));
    image[0x1f1] = SETUP_SECTS;
    memcpy(&image[0x202], "HdrS", 4);
    put16(0x206, version);
}

#endif
