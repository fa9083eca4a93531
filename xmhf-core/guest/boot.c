/* SPDX-License-Identifier: MIT */
/* Chooses how the guest starts, by a table of the ways there are, and loads it: a Linux bzImage and
 * its initrd, from the boot modules. */
#include <debug/crash.h>
#include <debug/log.h>
#include <guest/boot.h>
#include <guest/int15.h>
#include <guest/linux16.h>
#include <guest/linux_boot.h>
#include <guest/phys.h>
#include <guest/state.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <smp/low_page.h>
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

static int refuse(const char *why)
{
    log_error("cannot start the guest: %s", why);
    return -1;
}

/* `bi` with the memory map that the guest will see, and the pages that are ours in it. */
static const struct boot_info *guest_view(const struct boot_info *bi)
{
    static struct boot_info view; /* 20 KiB */

    _Static_assert(sizeof(view.mem) == sizeof(guest_map), "one limit of entries");
    view = *bi;
    memcpy(view.mem, guest_map, sizeof(guest_map));
    view.mem_count = guest_map_count;
    view.low_page = low_page;
    memcpy(view.crash_place, crash_place, sizeof(view.crash_place));
    return &view;
}

/* An image without a 32-bit entry, or an old one: real mode, with the BIOS at its service. The
 * set-up code is copied before anything moves over the image. */
static int load16(const struct boot_info *bi, const uint8_t *image, struct vcpu_state *s)
{
    struct linux16_plan plan;
    const char *why = "";

    if (int15_install() != 0) {
        return -1;
    }
    bi = guest_view(bi); /* the hook's page is reserved in it */
    if (linux16_plan(bi, image, &plan, &why) != 0) {
        return refuse(why);
    }
    linux16_fill(host_phys(plan.area, LINUX16_AREA), bi, image, &plan);
    move(plan.initrd_dst, plan.initrd_src, plan.initrd_size);
    move(MIB(1), bi->module[0].start + plan.setup_size, plan.kernel_size);
    log_line("guest: set-up code in real mode at 0x%llx", (unsigned long long)plan.area);
    state_linux16(s, plan.area);
    return 0;
}

/* Before anything moves over the loader's. */
static int copy_efi_map(struct linux_plan *plan, const struct boot_info *bi)
{
    const uint8_t *from = host_phys(bi->efi.map, bi->efi.map_size);
    uint8_t *to = host_phys(plan->efi_map, plan->efi_room);
    const char *why = "UEFI's memory map is not in RAM";

    if (plan->efi_map == 0) {
        return 0;
    }
    return from && to && linux_copy_efi_map(plan, bi, from, to, &why) == 0 ? 0 : refuse(why);
}

static int load32(const struct boot_info *bi, const uint8_t *image, struct vcpu_state *s)
{
    static uint8_t params[LINUX_BOOT_PARAMS_SIZE];
    struct linux_plan plan;
    bool initrd_first = false;
    const char *why = "";

    bi = guest_view(bi);
    if (linux_plan(bi, image, &plan, &initrd_first, &why) != 0) {
        return refuse(why);
    }
    if (copy_efi_map(&plan, bi) != 0) {
        return -1;
    }
    linux_fill_params(params, image, &plan, bi);
    place(&plan, initrd_first);
    memcpy(host_phys(plan.boot_params, sizeof(params)), params, sizeof(params));
    if (plan.more != 0) {
        linux_fill_more(host_phys(plan.more, LINUX_MORE_SIZE), bi);
    }
    str_copy(host_phys(plan.cmdline, LINUX_CMDLINE_MAX), bi->module[0].cmdline,
             LINUX_CMDLINE_MAX);
    log_line("guest: Linux at 0x%llx, initrd at 0x%llx, %llu bytes",
             (unsigned long long)plan.kernel_dst, (unsigned long long)plan.initrd_dst,
             (unsigned long long)plan.initrd_size);
    state_linux32(s, plan.entry, (uint32_t)plan.boot_params);
    return 0;
}

/* How each kind of guest is started (enum boot_start), with what needs a BIOS's services. */
static const struct start {
    int (*load)(const struct boot_info *bi, const uint8_t *image, struct vcpu_state *s);
    bool asks_bios;
} starts[] = {
    [BOOT_START_LINUX32] = { load32, false },
    [BOOT_START_LINUX16] = { load16, true },
};

/* The row for module[0]'s bytes at `image`, or NULL. */
static const struct start *start_of(const struct boot_info *bi, const void *image)
{
    uint32_t kind = bi->start;

    if (kind == BOOT_START_BY_IMAGE) {
        kind = linux16_wanted(image, bi->module[0].size) ? BOOT_START_LINUX16 : BOOT_START_LINUX32;
    }
    return kind < ARRAY_SIZE(starts) && starts[kind].load ? &starts[kind] : NULL;
}

int guest_boot_load(const struct boot_info *bi, struct vcpu_state *s)
{
    if (bi->module_count == 0) {
        return refuse("there is none; give a kernel as the first module");
    }
    const void *image = host_phys(bi->module[0].start, bi->module[0].size);
    if (!image) {
        return refuse("its module is not in RAM");
    }
    const struct start *start = start_of(bi, image);
    if (!start) {
        return refuse("the boot stage asks for a kind of start that this core doesn't know");
    }
    if (start->asks_bios && bi->firmware != BOOT_FIRMWARE_BIOS) {
        return refuse("its set-up code runs in real mode and asks a BIOS, which isn't there");
    }
    return start->load(bi, image, s);
}
