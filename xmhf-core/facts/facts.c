/* SPDX-License-Identifier: MIT */
/* Where the facts of this launch are kept: options, sizes, the vendor's name. */
#include <facts/facts.h>

static struct options the_options;
static uint64_t the_protected_size, the_boot_ticks;
static const char *the_vendor = "";

const struct options *core_options(void) { return &the_options; }
uint64_t core_protected_size(void) { return the_protected_size; }
uint64_t core_boot_ticks(void) { return the_boot_ticks; }
const char *core_vendor(void) { return the_vendor; }
bool core_dma_protection(void) { return false; /* no IOMMU is set up */ }

void facts_set(const struct options *options, uint64_t protected_size)
{
    the_options = *options;
    the_protected_size = protected_size;
}

void facts_vendor(const char *name) { the_vendor = name; }
void facts_boot_ticks(uint64_t ticks) { the_boot_ticks = ticks; }
