/* SPDX-License-Identifier: MIT */
/* The multiboot front end: from what the loader gave to boot_launch. */
#include <boot/common/launch.h>
#include <boot/multiboot/parse.h>
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

void boot_main(uint32_t magic, uint64_t mbi, uint64_t tsc)
{
    const struct boot_mem avoid[] = {
        { .start = 0, .size = MIB(1) },
        { .start = (uintptr_t)boot_start, .size = (uint64_t)(boot_end - boot_start) },
        { .start = mbi, .size = KIB(64) },
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
    if (err != 0) {
        boot_refuse(why);
    }
    info.tsc_start = tsc;
    boot_launch(&info, &stage);
}
