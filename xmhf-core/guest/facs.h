/* SPDX-License-Identifier: MIT */
/*
 * The firmware's waking vectors (FACS: ACPI 6.5, 5.2.10) are ours, so that a machine that sleeps
 * by a way that nobody watches wakes up in our code. The pages they are in are read-only for the
 * guest; its stores are carried out but for the guarded bytes (exit/guarded.c).
 * notes/decisions/waking-vector.md says why.
 */
#ifndef XMHF_GUEST_FACS_H
#define XMHF_GUEST_FACS_H

#include <acpi/acpi.h>

/* Boot CPU, after guest_phys_init: guard the vectors. NULL if the machine can't wake up elsewhere
 * once facs_take has set them, else why it can. */
const char *facs_guard(const struct acpi_info *acpi);

/* Boot CPU, when the launch can't fail any more, after low_page_fill: set them to `vector`, and
 * write all caches back, with the code there. */
void facs_take(uint32_t vector);

/* The page of the i-th FACS; false: there are no more. Two may share one. */
bool facs_page(unsigned i, uint64_t *page);

/* The core's pointer to [g, g+size), all in such a page. Bits of `*keep` are set where a byte is
 * guarded: bit n for the byte at g + n. size <= 8. */
uint8_t *facs_bytes(gpa_t g, unsigned size, uint8_t *keep);

#endif
