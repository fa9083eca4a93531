/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is a few words of layout, then the guest kernel's image. */
#include <stdlib.h>
#include <string.h>

#include <guest/linux_boot.h>
#include <util/e820.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS 7

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct boot_info bi;

static void make_layout(const uint32_t w[WORDS], size_t image_size)
{
    memset(&bi, 0, sizeof(bi));
    bi.mem[0] = (struct boot_mem){ .start = 0, .size = 0x9fc00, .type = 1 };
    bi.mem[1] = (struct boot_mem){ .start = MIB(1), .size = MIB(1 + w[0] % 4000), .type = 1 };
    bi.mem[2] = (struct boot_mem){ .start = w[1], .size = w[2] % MIB(64), .type = 2 };
    bi.mem_count = (uint32_t)e820_sanitize(bi.mem, 3, BOOT_MEM_MAX);
    bi.protected_base = align_down(w[3], MIB(2));
    bi.protected_size = MIB(8);
    bi.module_count = 2;
    bi.module[0].start = w[6];
    bi.module[0].size = image_size; /* only its first KiB is looked at: pretend more */
    bi.module[0].size += image_size >= 1024 ? KIB(w[0] >> 16) : 0;
    bi.module[1].start = w[4];
    bi.module[1].size = w[5];
    if (w[0] >> 31) { /* UEFI, with its map anywhere */
        bi.efi = (struct boot_efi){ w[3], w[2], w[5] % MIB(2), w[6] % 128, 1, 64 };
        bi.low_page = 0x9e000;
        bi.crash_place[0] = w[4];
    }
}

static void check_part(uint64_t start, uint64_t size)
{
    check(size == 0 || e820_is_usable(bi.mem, bi.mem_count, start, size));
    check(!ranges_overlap(start, size, bi.protected_base, bi.protected_size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t params[LINUX_BOOT_PARAMS_SIZE];
    const uint8_t *image = data + WORDS * 4;
    struct linux_plan p;
    const char *why = NULL;
    uint32_t w[WORDS];
    bool first;

    if (size < sizeof(w)) {
        return 0;
    }
    memcpy(w, data, sizeof(w));
    make_layout(w, size - sizeof(w));
    if (linux_plan(&bi, image, &p, &first, &why) != 0) {
        check(why != NULL);
        return 0;
    }
    check_part(p.kernel_dst, p.kernel_size);
    check_part(p.initrd_dst, p.initrd_size);
    check_part(p.boot_params, 4 * PAGE_SIZE);
    check(!ranges_overlap(p.kernel_dst, p.kernel_size, p.initrd_dst, p.initrd_size));
    check(first ? !ranges_overlap(p.initrd_dst, p.initrd_size, p.kernel_src, p.kernel_size)
                : !ranges_overlap(p.kernel_dst, p.kernel_size, p.initrd_src, p.initrd_size));
    check_part(p.efi_map, p.efi_room);
    check(p.efi_room == 0 || bi.efi.bits != 0);
    check(!ranges_overlap(p.efi_map, p.efi_room, p.kernel_dst, p.kernel_size));
    check(!ranges_overlap(p.efi_map, p.efi_room, p.kernel_src, p.kernel_size));
    check(!ranges_overlap(p.efi_map, p.efi_room, p.initrd_dst, p.initrd_size));
    check(!ranges_overlap(p.efi_map, p.efi_room, p.initrd_src, p.initrd_size));
    check(!ranges_overlap(p.efi_map, p.efi_room, p.boot_params, 4 * PAGE_SIZE));
    bi.rsdp = w[1];
    linux_fill_params(params, image, &p, &bi);
    return 0;
}
