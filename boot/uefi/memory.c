/* SPDX-License-Identifier: MIT */
/* Memory of the firmware's: its map, and what is taken for good. */
#include <boot/uefi/memory.h>

#include <boot/common/place.h>
#include <util/e820.h>
#include <util/efi_map.h>
#include <util/keep.h>
#include <util/string.h>

#define TRIES 8

static bool note(struct taken *t, uint64_t base, uint64_t pages)
{
    t->range[t->count].base = base;
    t->range[t->count].pages = pages;
    t->count++;
    return true;
}

/* Pages at `base` for good. False: the firmware doesn't give them. */
static bool take_at(const struct uefi *u, struct taken *t, uint64_t base, uint64_t pages)
{
    EFI_PHYSICAL_ADDRESS at = base;

    return t->count < TAKEN_MAX
        && !EFI_ERROR(u->boot->AllocatePages(AllocateAddress, EfiReservedMemoryType, pages, &at))
        && note(t, base, pages);
}

void *taken_pages(const struct uefi *u, struct taken *t, uint64_t pages)
{
    EFI_PHYSICAL_ADDRESS at = GIB(4) - 1;
    void *p;

    if (t->count == TAKEN_MAX
        || EFI_ERROR(u->boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, pages, &at))) {
        return NULL;
    }
    (void)note(t, at, pages);
    p = (void *)(uintptr_t)at;
    return memset(p, 0, pages * PAGE_SIZE);
}

void taken_give_back(const struct uefi *u, struct taken *t)
{
    while (t->count != 0) {
        t->count--;
        (void)u->boot->FreePages(t->range[t->count].base, t->range[t->count].pages);
    }
}

/* Read the map into memory of the pool, which the caller frees. NULL: why not. The map grows by
 * what is allocated for it. */
static void *read_map(const struct uefi *u, struct efi_map *map)
{
    UINTN size = 0, key, descriptor = 0;
    UINT32 version = 0;
    void *buf = NULL;
    EFI_STATUS status = u->boot->GetMemoryMap(&size, NULL, &key, &descriptor, &version);

    for (unsigned i = 0; i < TRIES && status == EFI_BUFFER_TOO_SMALL; i++) {
        if (buf) {
            (void)u->boot->FreePool(buf);
        }
        buf = NULL;
        size += 8 * descriptor;
        if (EFI_ERROR(u->boot->AllocatePool(EfiLoaderData, size, &buf))) {
            return NULL;
        }
        status = u->boot->GetMemoryMap(&size, buf, &key, &descriptor, &version);
    }
    if (buf && (EFI_ERROR(status) || version != EFI_MEMORY_DESCRIPTOR_VERSION)) {
        (void)u->boot->FreePool(buf);
        buf = NULL;
    }
    *map = (struct efi_map){ buf, size, descriptor };
    return buf;
}

/* bi->mem as the firmware has it now. */
static const char *look(const struct uefi *u, enum efi_map_view view, struct boot_info *bi)
{
    const char *why = NULL;
    struct efi_map map;
    void *buf = read_map(u, &map);

    if (!buf) {
        return "the firmware doesn't tell what memory there is";
    }
    if (efi_map_convert(&map, view, bi->mem, &bi->mem_count, &why) == 0) {
        why = NULL;
    }
    (void)u->boot->FreePool(buf);
    return why;
}

/* The protected range, from what is free in bi->mem. `avoid`: places that weren't given. */
static const char *take_protected(const struct uefi *u, struct taken *t, struct boot_info *bi,
                                  const struct core_image *core)
{
    struct boot_mem avoid[TRIES];
    struct boot_wanted wanted;
    const char *why = NULL;

    boot_wanted(bi, core, &wanted);
    for (unsigned n = 0; n < TRIES; n++) {
        if (boot_place(bi, wanted.core_mem[0], wanted.palmem, avoid, n, &why) != 0
            && boot_place(bi, wanted.core_mem[1], wanted.palmem, avoid, n, &why) != 0) {
            return why;
        }
        if (take_at(u, t, bi->protected_base, bi->protected_size / PAGE_SIZE)) {
            return NULL;
        }
        avoid[n] = (struct boot_mem){ .start = bi->protected_base, .size = bi->protected_size };
    }
    return "the firmware doesn't give the memory that its map calls free";
}

/*
 * The page below 640 KiB, as low as possible: EDK2 finds a place for the code that wakes its CPUs
 * by asking for the highest free page there, frees it at once and goes on using it
 * (UefiCpuPkg's MpInitLib). The first 64 KiB are left to those who want just them.
 */
static bool take_low_page(const struct uefi *u, struct taken *t, struct boot_info *bi)
{
    struct boot_mem tried[TRIES];
    uint64_t at;

    for (unsigned n = 0; n < TRIES; n++) {
        if (!e820_find_low(bi->mem, bi->mem_count, PAGE_SIZE, PAGE_SIZE, KIB(64), KIB(512), tried,
                           n, &at)
            && !e820_find_low(bi->mem, bi->mem_count, PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, KIB(640),
                              tried, n, &at)) {
            return false;
        }
        if (take_at(u, t, at, 1)) {
            bi->low_page = at;
            return true;
        }
        tried[n] = (struct boot_mem){ .start = at, .size = PAGE_SIZE };
    }
    return false;
}

/* The pages for the record of a crash. Without one the core has fewer, no more. */
static void take_crash_places(const struct uefi *u, struct taken *t, struct boot_info *bi)
{
    const struct boot_mem avoid[] = {
        { .start = bi->low_page, .size = PAGE_SIZE },
        { .start = bi->protected_base, .size = bi->protected_size },
    };
    uint64_t place[KEEP_CRASH];

    keep_crash(bi->mem, bi->mem_count, avoid, ARRAY_SIZE(avoid), place);
    for (unsigned i = 0; i < KEEP_CRASH; i++) {
        bi->crash_place[i] = place[i] != 0 && take_at(u, t, place[i], 1) ? place[i] : 0;
    }
}

const char *memory_take(const struct uefi *u, struct taken *t, struct boot_info *bi,
                        const struct core_image *core)
{
    const char *why = look(u, EFI_MAP_BOOT_SERVICES, bi);

    if (!why) {
        why = take_protected(u, t, bi, core);
    }
    if (why) {
        return why;
    }
    if (!take_low_page(u, t, bi)) {
        return "the firmware has no free page below 640 KiB";
    }
    take_crash_places(u, t, bi);
    return look(u, EFI_MAP_AFTER, bi);
}
