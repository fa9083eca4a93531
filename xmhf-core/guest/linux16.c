/* SPDX-License-Identifier: MIT */
/* The 16-bit Linux boot protocol: checking the image, places, and the set-up area. */
#include <guest/linux16.h>
#include <guest/linux_header.h>
#include <util/bytes.h>
#include <util/e820.h>
#include <util/string.h>

#define HEAP_END   0xe000  /* offset in the area; the stack grows down from here */
#define CMDLINE_AT 0xe000
#define KERNEL_AT  MIB(1)

bool linux16_wanted(const void *image, uint64_t size)
{
    const uint8_t *p = image;
    if (size < 0x300 || memcmp(p + HDR_MAGIC, "HdrS", 4) != 0 || le16(p + HDR_VERSION) < 0x202) {
        return false;
    }
    return le32(p + HDR_CODE32_START) == 0;
}

int linux16_plan(const struct boot_info *bi, const void *image, struct linux16_plan *plan,
                 const char **why)
{
    const uint8_t *p = image;
    const struct boot_module *m = &bi->module[0];
    unsigned sects = p[HDR_SETUP_SECTS] ? p[HDR_SETUP_SECTS] : 4;
    struct boot_mem taken[2] = { { .start = m->start, .size = m->size } };

    plan->setup_size = (sects + 1) * 512ULL;
    if (plan->setup_size >= m->size || plan->setup_size > 0x8000) {
        *why = "the image is shorter than its set-up code";
        return -1;
    }
    plan->kernel_size = m->size - plan->setup_size;
    if (!e820_is_usable(bi->mem, bi->mem_count, KERNEL_AT, plan->kernel_size)
        || ranges_overlap(KERNEL_AT, plan->kernel_size, m->start, m->size)
        || (bi->module_count > 1
            && ranges_overlap(KERNEL_AT, plan->kernel_size, bi->module[1].start,
                              bi->module[1].size))) {
        *why = "its place at 1 MiB is taken";
        return -1;
    }
    if (bi->module_count > 1) {
        taken[1] = (struct boot_mem){ .start = bi->module[1].start, .size = bi->module[1].size };
    }
    if (!e820_find_low(bi->mem, bi->mem_count, LINUX16_AREA, 0x1000, 0x10000, 0xa0000, taken,
                       bi->module_count > 1 ? 2 : 1, &plan->area)) {
        *why = "no 64 KiB below 640 KiB";
        return -1;
    }
    return 0;
}

void linux16_fill(uint8_t *area, const struct boot_info *bi, const void *image,
                  const struct linux16_plan *plan)
{
    memset(area, 0, LINUX16_AREA);
    memcpy(area, image, plan->setup_size);
    area[HDR_TYPE_OF_LOADER] = LOADER_OTHER;
    area[HDR_LOADFLAGS] = (uint8_t)(area[HDR_LOADFLAGS] | CAN_USE_HEAP);
    put_le16(area + HDR_HEAP_END, HEAP_END - 0x200);
    put_le32(area + HDR_CMD_LINE_PTR, (uint32_t)(plan->area + CMDLINE_AT));
    if (bi->module_count > 1) {
        put_le32(area + HDR_RAMDISK_IMAGE, (uint32_t)(bi->module[1].start));
        put_le32(area + HDR_RAMDISK_SIZE, (uint32_t)(bi->module[1].size));
    }
    str_copy((char *)area + CMDLINE_AT, bi->module[0].cmdline, LINUX16_AREA - CMDLINE_AT);
}
