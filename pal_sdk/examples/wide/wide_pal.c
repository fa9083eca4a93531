/* SPDX-License-Identifier: MIT */
#include "wide_code.h"
#include "wide_interface.h"

void digest(const uint8_t *message, uint32_t n, uint8_t hash[64]) { wide_sha512(message, n, hash); }

void multiply(uint64_t a, uint64_t b, struct wide_product *product)
{
    wide_mul(a, b, &product->low, &product->high);
}

uint64_t powers(uint64_t a, uint64_t n, uint32_t times) { return own_powers(a, n, times); }
