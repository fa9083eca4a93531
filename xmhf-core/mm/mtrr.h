/* SPDX-License-Identifier: MIT */
/* The MTRRs: which memory type the firmware gave each address (SDM vol. 3, 12.11). */
#ifndef XMHF_MM_MTRR_H
#define XMHF_MM_MTRR_H

#include <mm/nested.h>

#define MTRR_VAR_MAX   32
#define MTRR_FIXED_MAX 88

struct mtrr {
    bool enabled, fixed_enabled;
    uint8_t default_type;
    unsigned var_count;
    struct { uint64_t base, mask; uint8_t type; } var[MTRR_VAR_MAX]; /* valid ones only */
    uint8_t fixed[MTRR_FIXED_MAX]; /* 8 x 64K, 16 x 16K, 64 x 4K */
};

/* What this CPU's MTRRs say. Without MTRRs (CPUID.1:EDX[12]) everything is write-back. */
void mtrr_read(struct mtrr *m);

/* The type of the byte at `addr`. */
enum mem_type mtrr_type(const struct mtrr *m, uint64_t addr);

/* Has the block [start, start+size) one type only? `size` is a power of two, `start` a multiple
 * of it. True: `*type` is it. False may be too careful, but never for a 4 KiB page. */
bool mtrr_uniform(const struct mtrr *m, uint64_t start, uint64_t size, enum mem_type *type);

#endif
