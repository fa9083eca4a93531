/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is a few words of layout, then a guest's image for real mode, which ends
 * where the input ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <guest/linux16.h>
#include <util/e820.h>
#include <util/string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS 7

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

size_t str_copy(char *dst, const char *src, size_t size)
{
    return (size_t)snprintf(dst, size, "%s", src);
}

static struct boot_info bi;

/* Low memory may have a hole, and the modules may be in it. */
static void make_layout(const uint32_t w[WORDS], size_t image_size)
{
    memset(&bi, 0, sizeof(bi));
    bi.mem[0] = (struct boot_mem){ .start = 0, .size = w[0] % 0xa0000 + 1,
                                   .type = BOOT_MEM_USABLE };
    bi.mem[1] = (struct boot_mem){ .start = MIB(1), .size = MIB(1 + w[1] % 64),
                                   .type = BOOT_MEM_USABLE };
    bi.mem[2] = (struct boot_mem){ .start = w[2] % MIB(2), .size = w[3] % MIB(1), .type = 2 };
    bi.mem_count = (uint32_t)e820_sanitize(bi.mem, 3, BOOT_MEM_MAX);
    bi.module_count = 1 + (w[0] >> 31);
    bi.module[0].start = w[4] % MIB(4);
    bi.module[0].size = image_size;
    bi.module[1].start = w[5] % MIB(4);
    bi.module[1].size = w[6] % MIB(2);
    memset(bi.module[0].cmdline, 'x', w[3] % BOOT_CMDLINE_MAX);
}

static void check_place(uint64_t start, uint64_t size)
{
    check(size != 0 && e820_is_usable(bi.mem, bi.mem_count, start, size));
    for (unsigned i = 0; i < bi.module_count; i++) {
        check(!ranges_overlap(start, size, bi.module[i].start, bi.module[i].size));
    }
}

/* If it moves, then to RAM where nothing is that is still needed. */
static void check_initrd(const struct linux16_plan *p)
{
    const struct boot_module *kernel = &bi.module[0], *m = &bi.module[1];

    check(p->initrd_size == (bi.module_count > 1 ? m->size : 0));
    if (p->initrd_size != 0) {
        check(!ranges_overlap(p->initrd_dst, p->initrd_size, MIB(1), p->kernel_size));
        check(!ranges_overlap(p->initrd_dst, p->initrd_size, p->area, LINUX16_AREA));
    }
    if (p->initrd_size != 0 && p->initrd_dst != m->start) {
        check(e820_is_usable(bi.mem, bi.mem_count, p->initrd_dst, p->initrd_size));
        check(!ranges_overlap(p->initrd_dst, p->initrd_size, kernel->start, kernel->size));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t area[LINUX16_AREA];
    const uint8_t *image = data + WORDS * 4;
    struct linux16_plan plan;
    const char *why = NULL;
    uint32_t w[WORDS];

    if (size < sizeof(w)) {
        return 0;
    }
    memcpy(w, data, sizeof(w));
    make_layout(w, size - sizeof(w));
    if (!linux16_wanted(image, size - sizeof(w))) {
        return 0;
    }
    if (linux16_plan(&bi, image, &plan, &why) != 0) {
        check(why != NULL);
        return 0;
    }
    check_place(plan.area, LINUX16_AREA);
    check(plan.kernel_size != 0 && e820_is_usable(bi.mem, bi.mem_count, MIB(1), plan.kernel_size));
    check_initrd(&plan);
    check(plan.area + LINUX16_AREA <= 0xa0000);
    check(plan.setup_size + plan.kernel_size == bi.module[0].size);
    linux16_fill(area, &bi, image, &plan);
    check(area[LINUX16_AREA - 1] == 0); /* the command line ends */
    return 0;
}
