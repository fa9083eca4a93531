/* SPDX-License-Identifier: MIT */
/* A recorded memory map, judged by the boot stage's own rules. */
#include <probe/vector.h>

#include <boot/common/place.h>
#include <util/e820.h>
#include <xmhf/core_image.h>

/* As boot/common/launch.c:place does, without modules and with the largest core that
 * xmhf-core/core.lds allows. */
const char *vector_map_lacks(const struct vector *v)
{
    static struct boot_info bi;
    static const struct boot_mem avoid[] = {
        { .start = 0, .size = MIB(1) },
        { .start = BOOT_STAGE_START, .size = BOOT_STAGE_MAX },
    };
    const char *why = NULL;

    bi.mem_count = 0;
    for (unsigned i = 0; i < v->mems; i++) {
        if (!e820_add(bi.mem, &bi.mem_count, &v->mem[i])) {
            return "a shorter memory map (ours has room for 512 entries)";
        }
    }
    if (v->mems == 0) {
        return NULL;
    }
    int n = e820_sanitize(bi.mem, bi.mem_count, BOOT_MEM_MAX);
    if (n < 0) {
        return "a shorter memory map (ours has room for 512 entries)";
    }
    bi.mem_count = (uint32_t)n;
    return boot_place(&bi, CORE_MEM_MAX, 0, avoid, ARRAY_SIZE(avoid), &why) == 0 ? NULL
        : "RAM: no room for the hypervisor below 4 GiB";
}
