/* SPDX-License-Identifier: MIT */
/* Loading the guest that the boot modules hold: a Linux bzImage and its initrd. */
#include <debug/log.h>
#include <guest/boot.h>
#include <guest/linux_boot.h>
#include <guest/phys.h>
#include <guest/state.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <util/string.h>

/* Move by quadwords, from the end where the places overlap that way. */
static void move(uint64_t dst, uint64_t src, uint64_t size)
{
    uint64_t words = (size + 7) / 8;
    uint8_t *to = host_phys(dst, size);
    const uint8_t *from = host_phys(src, size);

    if (dst == src || size == 0) {
        return;
    }
    if (dst < src || dst >= src + size) {
        hw_copy64(to, from, words);
    } else {
        hw_copy64_down(to, from, words);
    }
}

static void place(const struct linux_plan *plan, bool initrd_first)
{
    if (initrd_first) {
        move(plan->initrd_dst, plan->initrd_src, plan->initrd_size);
    }
    move(plan->kernel_dst, plan->kernel_src, plan->kernel_size);
    if (!initrd_first) {
        move(plan->initrd_dst, plan->initrd_src, plan->initrd_size);
    }
}

int guest_boot_load(const struct boot_info *bi, struct vcpu_state *s)
{
    static uint8_t params[LINUX_BOOT_PARAMS_SIZE];
    static struct boot_info guest_view; /* with the map that the guest will see */
    struct linux_plan plan;
    bool initrd_first = false;
    const char *why = "";

    if (bi->module_count == 0) {
        log_line("cannot start: no guest; give a kernel as the first module");
        return -1;
    }
    guest_view = *bi;
    memcpy(guest_view.mem, guest_map, sizeof(guest_map));
    guest_view.mem_count = guest_map_count;
    const void *image = host_phys(bi->module[0].start, bi->module[0].size);
    if (!image || linux_plan(&guest_view, image, &plan, &initrd_first, &why) != 0) {
        log_line("cannot start the guest: %s", image ? why : "its module is not in RAM");
        return -1;
    }
    linux_fill_params(params, image, &plan, guest_map, guest_map_count, bi->rsdp);
    place(&plan, initrd_first);
    memcpy(host_phys(plan.boot_params, sizeof(params)), params, sizeof(params));
    str_copy(host_phys(plan.cmdline, LINUX_CMDLINE_MAX), bi->module[0].cmdline,
             LINUX_CMDLINE_MAX);
    log_line("guest: Linux at 0x%llx, initrd at 0x%llx, %llu bytes",
             (unsigned long long)plan.kernel_dst, (unsigned long long)plan.initrd_dst,
             (unsigned long long)plan.initrd_size);
    state_linux32(s, plan.entry, (uint32_t)plan.boot_params);
    return 0;
}
