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
    return le32(p + HDR_CODE32_START) == 0 || le16(p + HDR_VERSION) < 0x206;
}

static int fail(const char **why, const char *text)
{
    *why = text;
    return -1;
}

/* Before 2.06 there is no field for it: 255 characters. */
static bool cmdline_fits(const uint8_t *image, const char *cmdline)
{
    size_t most = le16(image + HDR_VERSION) < 0x206 ? 255 : le32(image + HDR_CMDLINE_SIZE);

    return strlen(cmdline) <= most && strlen(cmdline) < LINUX16_AREA - CMDLINE_AT;
}

/* The first byte where no initrd may be. Before 2.03 there is no field for it. */
static uint64_t initrd_limit(const uint8_t *image)
{
    uint32_t last = le16(image + HDR_VERSION) < 0x203 ? 0 : le32(image + HDR_INITRD_ADDR_MAX);

    return (last != 0 ? last : 0x37ffffff) + 1ULL;
}

/* The initrd stays where it is unless the kernel would land on it. Then it moves before the kernel
 * does, to a place clear of where the kernel still is. */
static int plan_initrd(const struct boot_info *bi, const uint8_t *image, struct linux16_plan *plan,
                       const char **why)
{
    const struct boot_module *kernel = &bi->module[0], *m = &bi->module[1];
    const struct boot_mem avoid[] = {
        { .start = KERNEL_AT, .size = align_up(plan->kernel_size, PAGE_SIZE) },
        { .start = kernel->start, .size = kernel->size },
    };
    uint64_t limit = initrd_limit(image);

    plan->initrd_src = plan->initrd_dst = m->start;
    plan->initrd_size = m->size;
    if (m->start + m->size <= limit
        && !ranges_overlap(m->start, m->size, avoid[0].start, avoid[0].size)) {
        return 0;
    }
    if (!e820_find_high(bi->mem, bi->mem_count, m->size, PAGE_SIZE, KERNEL_AT, limit, avoid,
                        ARRAY_SIZE(avoid), &plan->initrd_dst)) {
        return fail(why, "no room for the guest's initrd");
    }
    return 0;
}

/* 64 KiB of low memory, clear of both modules as the loader left them. */
static int plan_area(const struct boot_info *bi, struct linux16_plan *plan, const char **why)
{
    struct boot_mem taken[2];
    unsigned n = bi->module_count > 1 ? 2 : 1;

    for (unsigned i = 0; i < n; i++) {
        taken[i] = (struct boot_mem){ .start = bi->module[i].start, .size = bi->module[i].size };
    }
    if (!e820_find_low(bi->mem, bi->mem_count, LINUX16_AREA, 0x1000, 0x10000, 0xa0000, taken, n,
                       &plan->area)) {
        return fail(why, "no 64 KiB below 640 KiB");
    }
    return 0;
}

int linux16_plan(const struct boot_info *bi, const void *image, struct linux16_plan *plan,
                 const char **why)
{
    const uint8_t *p = image;
    const struct boot_module *m = &bi->module[0];
    unsigned sects = p[HDR_SETUP_SECTS] ? p[HDR_SETUP_SECTS] : 4;

    *plan = (struct linux16_plan){ .setup_size = (sects + 1) * 512ULL };
    if ((p[HDR_LOADFLAGS] & LOADED_HIGH) == 0) {
        return fail(why, "the guest kernel is too old (a zImage)");
    }
    if (plan->setup_size >= m->size || plan->setup_size > 0x8000) {
        return fail(why, "the image is shorter than its set-up code");
    }
    if (!cmdline_fits(p, m->cmdline)) {
        return fail(why, "the command line is too long for the guest kernel");
    }
    plan->kernel_size = m->size - plan->setup_size;
    if (!e820_is_usable(bi->mem, bi->mem_count, KERNEL_AT, plan->kernel_size)) {
        return fail(why, "its place at 1 MiB is taken");
    }
    if (bi->module_count > 1 && plan_initrd(bi, p, plan, why) != 0) {
        return -1;
    }
    return plan_area(bi, plan, why);
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
    if (plan->initrd_size != 0) {
        put_le32(area + HDR_RAMDISK_IMAGE, (uint32_t)plan->initrd_dst);
        put_le32(area + HDR_RAMDISK_SIZE, (uint32_t)plan->initrd_size);
    }
    str_copy((char *)area + CMDLINE_AT, bi->module[0].cmdline, LINUX16_AREA - CMDLINE_AT);
}
