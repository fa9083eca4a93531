/* SPDX-License-Identifier: MIT */
/* The guest's physical addresses: which are RAM, which are kept from it, and which don't exist. */
#include <cpu/width.h>
#include <debug/crash.h>
#include <debug/log.h>
#include <guest/map.h>
#include <guest/ram.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <policy/cpuid_policy.h>
#include <smp/low_page.h>
#include <util/e820.h>
#include <util/string.h>
#include <x86/cpuid.h>

struct boot_mem guest_map[BOOT_MEM_MAX];
unsigned guest_map_count;

static uint64_t protected_base, protected_size;
static uint64_t maxphys_limit;
static struct ram_map ram;

static void *phys_map(gpa_t g, size_t len)
{
    return ram_has(&ram, g.a, len) ? (void *)(uintptr_t)(DIRECT_VA + g.a) : NULL;
}

struct guest_phys_ops guest_phys_ops = { .map = phys_map, .base = DIRECT_VA };

static int build_map(const struct boot_info *bi)
{
    memcpy(guest_map, bi->mem, sizeof(guest_map));
    int n = e820_reserve(guest_map, bi->mem_count, BOOT_MEM_MAX, protected_base, protected_size);

    if (n < 0) {
        return -1;
    }
    for (unsigned i = 0; i < CRASH_COPIES; i++) {
        if (crash_place[i]
            && (n = e820_reserve(guest_map, (unsigned)n, BOOT_MEM_MAX, crash_place[i], PAGE_SIZE))
            < 0) {
            return -1;
        }
    }
    if ((n = e820_reserve(guest_map, (unsigned)n, BOOT_MEM_MAX, low_page, PAGE_SIZE)) < 0) {
        return -1;
    }
    guest_map_count = (unsigned)n;
    return 0;
}

/* What lies in the direct map by now; without 1 GiB pages each GiB would take a table. */
void guest_map_add_ram(const struct acpi_info *acpi)
{
    const uint64_t direct = MMIO_VA - DIRECT_VA; /* room there */

    ram_build(guest_map, guest_map_count, acpi->hotplug, acpi->hotplug_count,
              maxphys_limit < direct ? maxphys_limit : direct, &ram);
    for (unsigned k = 0; k < ARRAY_SIZE(guest_phys_ops.window) && k < ram.boot; k++) {
        guest_phys_ops.window[k].start = ram.piece[k].start;
        guest_phys_ops.window[k].size = ram.piece[k].end - ram.piece[k].start;
    }
    for (unsigned i = ram.boot; i < ram.count; i++) {
        uint64_t start = ram.piece[i].start, end = host_map_ram(start, ram.piece[i].end);

        if (end < ram.piece[i].end) {
            log_line("no tables for RAM to be plugged in from 0x%llx on", (unsigned long long)end);
            ram.piece[i].end = end;
        }
        log_line("RAM may be plugged in: %llu MiB at 0x%llx",
                 (unsigned long long)(end - start) >> 20, (unsigned long long)start);
    }
}

/* An address bit above the width would be a second name for memory, the protected range's too: no
 * leaf has one, the walk refuses it, CPUID doesn't show it. */
static bool take_width(const struct boot_info *bi)
{
    unsigned bits = 0;
    const char *missing = phys_width(&bits);
    uint64_t top = e820_usable_end(bi->mem, bi->mem_count);

    if (missing) {
        log_error("cannot start: missing %s", missing);
        return false;
    }
    maxphys_limit = 1ULL << bits;
    if (top > maxphys_limit) {
        log_error("cannot start: RAM up to 0x%llx, but addresses have %u bits, and "
                  "memory encryption's",
                  (unsigned long long)top, bits);
        return false;
    }
    guest_phys_ops.maxphyaddr = (uint8_t)bits;
    cpuid_policy_width(bits);
    return true;
}

int guest_map_init(const struct boot_info *bi)
{
    if (!take_width(bi)) {
        return -1;
    }
    guest_phys_ops.page1g = hw_cpuid(CPUID_EXT_AMD, 0).edx & CPUID_8_1_EDX_PAGE1G;
    protected_base = bi->protected_base;
    protected_size = bi->protected_size;
    if (build_map(bi) != 0) {
        log_error("cannot start: no room in the guest's memory map");
        return -1;
    }
    return 0;
}

void guest_map_judge(unsigned (*rights)(gpa_t))
{
    __atomic_store_n(&guest_phys_ops.rights, rights, __ATOMIC_SEQ_CST);
    for (unsigned k = 0; k < ARRAY_SIZE(guest_phys_ops.window); k++) {
        __atomic_store_n(&guest_phys_ops.window[k].size, 0, __ATOMIC_SEQ_CST);
    }
}

bool guest_map_ram(unsigned i, uint64_t *start, uint64_t *end)
{
    *start = i < ram.boot ? ram.piece[i].start : 0;
    *end = i < ram.boot ? ram.piece[i].end : 0;
    return i < ram.boot;
}

uint64_t guest_map_limit(void) { return maxphys_limit; }
uint64_t guest_map_ram_end(void) { return e820_usable_end(guest_map, guest_map_count); }
uint64_t guest_map_ram_bytes(void) { return ram_bytes(&ram); }

bool guest_phys_beyond(gpa_t g)
{
    return g.a >= maxphys_limit;
}

bool guest_phys_protected(gpa_t g)
{
    return (g.a >= protected_base && g.a - protected_base < protected_size)
        || align_down(g.a, PAGE_SIZE) == low_page;
}
