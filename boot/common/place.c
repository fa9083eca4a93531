/* SPDX-License-Identifier: MIT */
/* Choosing the protected range: how large, and where (notes/decisions/protected-range.md). */
#include <boot/common/place.h>

#include <util/e820.h>

#define AVOID_MAX 32
#define PALMEM_MIN MIB(2)
#define TABLES_MAX MIB(256)
#define BESIDE     (3 * PAGE_SIZE) /* taken elsewhere: the low page, and two for crash records */

/* Why there is no place, with what helps, if anything does. */
static const char no_room[] = "no room for the hypervisor below 4 GiB";
static const char try_less[] = "no room for the hypervisor below 4 GiB; a smaller palmem= would "
                               "do, palmem=1 at the least";

uint64_t boot_tables(const struct boot_info *bi)
{
    uint64_t bytes = align_up(e820_usable_bytes(bi->mem, bi->mem_count) / 512, PAGE_SIZE);

    return bytes < TABLES_MAX ? bytes : TABLES_MAX;
}

/*
 * Bytes of the protected range. By default RAM/64, with what is taken beside it, 2 to 64 MiB, but
 * never less than the core and a small pool, of half of that where the core takes much. Rounding up
 * makes good what firmware takes of RAM: a "512 MiB" machine gives 8 MiB.
 */
static uint64_t protected_size(const struct boot_info *bi, uint64_t core_mem, uint64_t palmem)
{
    uint64_t size = e820_usable_bytes(bi->mem, bi->mem_count) / 64, pool;

    if (palmem != 0) {
        return align_up(core_mem + palmem, PAGE_SIZE_2M);
    }
    if (size > MIB(64)) {
        size = MIB(64);
    }
    pool = size / 2 < PALMEM_MIN ? PALMEM_MIN : size / 2;
    return align_up(size < core_mem + pool ? core_mem + pool : size, PAGE_SIZE_2M) - BESIDE;
}

/* All that the range must be clear of, in `all`, which has room for as much. Returns how many. */
static unsigned collect(const struct boot_info *bi, const struct boot_mem *avoid,
                        unsigned avoid_count, struct boot_mem *all)
{
    unsigned n = 0;

    for (; n < bi->module_count; n++) {
        all[n] = (struct boot_mem){ .start = bi->module[n].start, .size = bi->module[n].size };
    }
    for (unsigned i = 0; i < avoid_count; i++) {
        all[n++] = avoid[i];
    }
    return n;
}

static bool find(const struct boot_mem *map, unsigned count, uint64_t size,
                 const struct boot_mem *all, unsigned n, uint64_t *base)
{
    return e820_find_high(map, count, size, PAGE_SIZE_2M, MIB(1), GIB(4), all, n, base);
}

int boot_place(struct boot_info *bi, uint64_t core_mem, uint64_t palmem,
               const struct boot_mem *avoid, unsigned avoid_count, const char **why)
{
    struct boot_mem all[BOOT_MODULE_MAX + AVOID_MAX];
    uint64_t size, base;
    unsigned n;

    if (core_mem >= GIB(4) || palmem >= GIB(4)) {
        *why = "palmem is too large";
        return -1;
    }
    if (avoid_count > AVOID_MAX || bi->module_count > BOOT_MODULE_MAX) {
        *why = "too many ranges to avoid";
        return -1;
    }
    n = collect(bi, avoid, avoid_count, all);
    size = protected_size(bi, core_mem, palmem);
    if (!find(bi->mem, bi->mem_count, size, all, n, &base)) {
        size = protected_size(bi, core_mem, MIB(1));
        *why = find(bi->mem, bi->mem_count, size, all, n, &base) ? try_less : no_room;
        return -1;
    }
    bi->protected_base = base;
    bi->protected_size = size;
    return 0;
}

void boot_prefer(struct boot_info *bi, const struct boot_mem *map, unsigned count,
                 const struct boot_mem *avoid, unsigned avoid_count)
{
    struct boot_mem all[BOOT_MODULE_MAX + AVOID_MAX];
    unsigned n = collect(bi, avoid, avoid_count, all);
    uint64_t base;

    if (find(map, count, bi->protected_size, all, n, &base)
        && e820_is_usable(bi->mem, bi->mem_count, base, bi->protected_size)) {
        bi->protected_base = base;
    }
}
