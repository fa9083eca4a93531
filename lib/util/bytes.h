/* SPDX-License-Identifier: MIT */
/* Little-endian numbers in bytes of any alignment: firmware tables, image headers. */
#ifndef XMHF_UTIL_BYTES_H
#define XMHF_UTIL_BYTES_H

#include <stdint.h>
#include <util/string.h>

static inline uint16_t le16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t le32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t le64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void put_le16(void *p, uint16_t v) { memcpy(p, &v, sizeof(v)); }
static inline void put_le32(void *p, uint32_t v) { memcpy(p, &v, sizeof(v)); }
static inline void put_le64(void *p, uint64_t v) { memcpy(p, &v, sizeof(v)); }

#endif
