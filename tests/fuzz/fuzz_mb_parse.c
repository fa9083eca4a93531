/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is physical memory from 0 on; its first byte chooses the form. */
#include <stdlib.h>
#include <string.h>

#include <boot/common/place.h>
#include <boot/multiboot/parse.h>
#include <util/e820.h>
#include <util/efi_map.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *mem;
static size_t mem_size;

static const void *map(uint64_t addr, uint64_t len)
{
    return addr <= mem_size && len <= mem_size - addr ? mem + addr : NULL;
}

static struct boot_info bi;

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* As boot/multiboot/main.c:choose_under_uefi. */
static void check_uefi(void)
{
    static struct boot_mem early[BOOT_MEM_MAX];
    const struct efi_map efi = { map(bi.efi.map, bi.efi.map_size), bi.efi.map_size,
                                 bi.efi.descriptor_size };
    const char *why = NULL;
    uint32_t count;

    if (bi.efi.bits != 0
        && efi_map_convert(&efi, EFI_MAP_BOOT_SERVICES, early, &count, &why) == 0) {
        boot_prefer(&bi, early, count, NULL, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    int result;

    if (size < 1) {
        return 0;
    }
    mem = data + 1;
    mem_size = size - 1;
    memset(&bi, 0xee, sizeof(bi));
    result = data[0] % 2 != 0 ? mb2_parse(map, 0, &bi, &why) : mb1_parse(map, 0, &bi, &why);
    check((result == 0) == !why);
    mb_look_for_bios(map, &bi);
    check(bi.firmware == BOOT_FIRMWARE_BIOS || bi.screen.kind == BOOT_SCREEN_NONE);
    check(bi.screen.kind == BOOT_SCREEN_NONE
          || (bi.screen.kind == BOOT_SCREEN_TEXT && bi.screen.base >= 0xb0000
              && bi.screen.base + 2u * bi.screen.columns * bi.screen.rows <= 0xc0000));
    if (result != 0) {
        return 0;
    }
    check(bi.mem_count >= 1 && bi.mem_count <= BOOT_MEM_MAX);
    check(bi.module_count <= BOOT_MODULE_MAX);
    check(memchr(bi.cmdline, 0, sizeof(bi.cmdline)) != NULL);
    for (unsigned i = 0; i < bi.module_count; i++) {
        check(bi.module[i].size != 0);
        check(memchr(bi.module[i].cmdline, 0, sizeof(bi.module[i].cmdline)) != NULL);
    }
    check(bi.firmware != BOOT_FIRMWARE_UEFI || (bi.efi.bits != 0 && bi.efi.map != 0));
    check(bi.efi.map == 0 || map(bi.efi.map, bi.efi.map_size));
    if (boot_place(&bi, MIB(3), 0, NULL, 0, &why) == 0) {
        check_uefi();
        check(e820_is_usable(bi.mem, bi.mem_count, bi.protected_base, bi.protected_size));
        for (unsigned i = 0; i < bi.module_count; i++) {
            check(!ranges_overlap(bi.protected_base, bi.protected_size, bi.module[i].start,
                                  bi.module[i].size));
        }
    }
    return 0;
}
