/* SPDX-License-Identifier: MIT */
/* The way in for CPUs that are already running (xmhf/core_image.h). */
#include <util/string.h>
#include <xmhf/boot_info.h>
#include <xmhf/live.h>

uint64_t live_entry(struct boot_info *bi, const struct live_cpu *live);
uint64_t core_take(void *unused, const struct live_cpu *live);

/* init/entry.S */
_Static_assert(offsetof(struct boot_info, start) == 108 && BOOT_START_LIVE == 3, "init/entry.S");

uint64_t live_entry(struct boot_info *bi, const struct live_cpu *live)
{
    (void)live;
    str_copy(bi->refusal, "this core can't take CPUs that are running", sizeof(bi->refusal));
    return 1;
}

uint64_t core_take(void *unused, const struct live_cpu *live)
{
    (void)unused, (void)live;
    return 1;
}
