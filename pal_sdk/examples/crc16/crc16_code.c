/* SPDX-License-Identifier: MIT */
/* CRC-32 (IEEE 802.3) in 16-bit code, by gcc -m16: all of the PAL, which begins with it. */
#include <stdint.h>

uint32_t crc(const uint8_t *bytes, uint32_t n);
uint32_t crc(const uint8_t *bytes, uint32_t n)
{
    uint32_t sum = ~0u;

    while (n-- > 0) {
        sum ^= *bytes++;
        for (unsigned i = 0; i < 8; i++) {
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
        }
    }
    return ~sum;
}
