/* SPDX-License-Identifier: MIT */
/* The multiboot front end: from what the loader gave to boot_launch. */
#include <boot/common/launch.h>
#include <boot/common/pages.h>
#include <boot/common/place.h>
#include <boot/multiboot/parse.h>
#include <util/bytes.h>
#include <util/efi_map.h>
#include <util/picture.h>
#include <util/screen.h>

extern uint8_t boot_start[], boot_end[];
extern uint64_t boot_pml4[512];

static struct boot_info info;

_Noreturn void boot_main(uint32_t magic, uint64_t mbi, uint64_t tsc);

/* Memory below 4 GiB is identity mapped (entry.S). */
static const void *identity(uint64_t addr, uint64_t len)
{
    const uint64_t limit = GIB(4);

    if (addr == 0 || addr >= limit || len > limit - addr) {
        return NULL;
    }
    return (const void *)(uintptr_t)addr;
}

/*
 * What is ours for good had better not be memory that UEFI's boot services had: some firmware still
 * writes there when the OS calls SetVirtualAddressMap, which is why Linux keeps it until then.
 * Where nothing else has room, all of it has.
 */
static void choose_under_uefi(const struct boot_stage *stage)
{
    static struct boot_mem early[BOOT_MEM_MAX];
    const struct efi_map map = { identity(info.efi.map, info.efi.map_size), info.efi.map_size,
                                 info.efi.descriptor_size };
    const struct core_image *core = boot_core();
    uint32_t count = 0;
    const char *why = boot_damaged;

    if (!map.at || efi_map_convert(&map, EFI_MAP_BOOT_SERVICES, early, &count, &why) != 0) {
        count = 0;
    }
    if (!core || boot_choose(&info, core, stage, &why) != 0) {
        boot_refuse(why);
    }
    boot_prefer(&info, early, count, stage->avoid, stage->avoid_count);
    /* the first range to avoid is all that lies below 1 MiB */
    boot_pages(&info, early, count, stage->avoid + 1, stage->avoid_count - 1);
    boot_pages(&info, info.mem, info.mem_count, stage->avoid + 1, stage->avoid_count - 1);
}

/* Where the picture is mapped, or NULL. */
static volatile void *picture(void)
{
    const uint64_t size = picture_bytes(&info.framebuffer);

    return size != 0 && identity(info.framebuffer.base, size)
        ? (volatile void *)(uintptr_t)info.framebuffer.base : NULL;
}

/* Bytes of the information structure, strings and modules' list included. */
static uint64_t info_size(uint32_t magic, uint64_t mbi)
{
    const void *head = magic == MB2_BOOT_MAGIC ? identity(mbi, 4) : NULL;
    uint64_t size = head ? le32(head) : 0;

    return size > KIB(64) ? size : KIB(64);
}

void boot_main(uint32_t magic, uint64_t mbi, uint64_t tsc)
{
    const struct boot_mem avoid[] = {
        { .start = 0, .size = MIB(1) },
        { .start = (uintptr_t)boot_start, .size = (uint64_t)(boot_end - boot_start) },
        { .start = mbi, .size = info_size(magic, mbi) },
    };
    const struct boot_stage stage = { boot_pml4, avoid, ARRAY_SIZE(avoid) };
    const char *why = "not started by a multiboot1 or multiboot2 loader";
    int err = -1;

    if (magic == MB1_BOOT_MAGIC) {
        err = mb1_parse(identity, mbi, &info, &why);
    } else if (magic == MB2_BOOT_MAGIC) {
        err = mb2_parse(identity, mbi, &info, &why);
    }
    mb_look_for_bios(identity, &info);
    screen_init(&info.screen, (volatile void *)(uintptr_t)info.screen.base);
    if (info.firmware != BOOT_FIRMWARE_UEFI) {
        info.framebuffer = (struct boot_framebuffer){ 0 }; /* the guest asks the BIOS */
    }
    picture_init(&info.framebuffer, picture());
    if (err != 0) {
        boot_refuse(why);
    }
    if (info.efi.bits != 0) {
        choose_under_uefi(&stage);
    }
    info.tsc_start = tsc;
    boot_launch(&info, &stage);
}
