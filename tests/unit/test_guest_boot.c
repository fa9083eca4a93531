/* SPDX-License-Identifier: MIT */
/* Which way a guest is started: by what the boot stage says and by its image; and what each
 * needs. */
#include "linux_image.h"

#include <debug/crash.h>
#include <debug/log.h>
#include <guest/boot.h>
#include <guest/int15.h>
#include <guest/linux16.h>
#include <guest/phys.h>
#include <guest/state.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <smp/low_page.h>
#include <util/bytes.h>

#define KERNEL MIB(3)

static uint8_t ram[MIB(8)];
static struct boot_info bi;
static struct vcpu_state s;
static char error[160];
static unsigned hooks;
static enum { NOTHING, START32, START16 } started;

uint64_t low_page, crash_place[CRASH_COPIES];
static uint32_t params;
struct boot_mem guest_map[BOOT_MEM_MAX];
unsigned guest_map_count;

void log_line(const char *fmt, ...) { (void)fmt; }

void log_error(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(error, sizeof(error), fmt, args);
    va_end(args);
}

void *host_phys(uint64_t at, uint64_t size)
{
    return at < sizeof(ram) && size <= sizeof(ram) - at ? ram + at : NULL;
}

size_t str_copy(char *dst, const char *src, size_t size)
{
    return (size_t)snprintf(dst, size, "%s", src);
}

void hw_copy64(void *dst, const void *src, size_t n) { memmove(dst, src, 8 * n); }
void hw_copy64_down(void *dst, const void *src, size_t n) { memmove(dst, src, 8 * n); }

/* As the real one: the hook's page, the first that linux16_plan would take, is the guest's no
 * more. */
int int15_install(void)
{
    hooks++;
    guest_map[0].start = MIB(1) / 4;
    guest_map[0].size -= MIB(1) / 4;
    return 0;
}

void state_linux32(struct vcpu_state *out, uint32_t entry, uint32_t boot_params)
{
    assert_ptr_equal(out, &s);
    assert_int_equal(ram[entry], 0x90);
    assert_memory_equal(ram + boot_params + 0x202, "HdrS", 4);
    assert_string_equal((const char *)ram + le32(ram + boot_params + 0x228), "root=/dev/sda");
    params = boot_params;
    started = START32;
}

void state_linux16(struct vcpu_state *out, uint64_t area)
{
    assert_ptr_equal(out, &s);
    assert_int_equal(area, MIB(1) / 4); /* behind the hook */
    assert_memory_equal(ram + area + 0x202, "HdrS", 4);
    assert_int_equal(ram[MIB(1)], 0x90);
    started = START16;
}

/* A kernel of both protocols as module, on a BIOS's machine. */
static int setup(void **state)
{
    (void)state;
    make_image(0, 0x20f);
    put16(0x1fe, 0xaa55);
    image[0x201] = 0x6a;
    image[0x211] = 0x01;
    put32(0x214, 0x100000);
    put32(0x22c, 0x7fffffff);
    put32(0x230, 0x100000);
    image[0x234] = 1;
    put32(0x238, 255);
    put64(0x258, 0x100000);
    put32(0x260, KIB(64));
    memset(ram, 0, sizeof(ram));
    memcpy(ram + KERNEL, image, sizeof(image));
    memset(ram + KERNEL + sizeof(image), 0x90, KIB(64));
    memset(&bi, 0, sizeof(bi));
    bi.firmware = BOOT_FIRMWARE_BIOS;
    bi.mem[0] = (struct boot_mem){ .start = 0, .size = 0x9f000, .type = BOOT_MEM_USABLE };
    bi.mem[1] = (struct boot_mem){ .start = MIB(1), .size = MIB(6), .type = BOOT_MEM_USABLE };
    bi.mem_count = 2;
    memcpy(guest_map, bi.mem, sizeof(guest_map));
    guest_map_count = 2;
    bi.protected_base = MIB(7);
    bi.protected_size = MIB(1);
    bi.module_count = 1;
    bi.module[0].start = KERNEL;
    bi.module[0].size = sizeof(image) + KIB(64);
    strcpy(bi.module[0].cmdline, "root=/dev/sda");
    hooks = 0;
    started = NOTHING;
    error[0] = '\0';
    return 0;
}

static void assert_started(unsigned how)
{
    assert_int_equal(guest_boot_load(&bi, &s), 0);
    assert_string_equal(error, "");
    assert_int_equal(started, how);
    assert_int_equal(hooks, how == START16);
}

static void assert_refused(const char *why)
{
    assert_int_equal(guest_boot_load(&bi, &s), -1);
    assert_non_null(strstr(error, why));
    assert_int_equal(started, NOTHING);
    assert_int_equal(hooks, 0);
}

/* One without a 32-bit entry. */
static void only_real_mode(void)
{
    memset(ram + KERNEL + 0x214, 0, 4);
}

static void by_its_image(void **state)
{
    (void)state;
    assert_started(START32);
    setup(NULL);
    only_real_mode();
    assert_started(START16);
}

/* As a front end may say; the image would do for both. */
static void as_asked_for(void **state)
{
    (void)state;
    bi.start = BOOT_START_LINUX16;
    assert_started(START16);
    setup(NULL);
    bi.start = BOOT_START_LINUX32;
    assert_started(START32);
    for (uint32_t kind = BOOT_START_LINUX16 + 1; kind != 0;
         kind = kind < 100 ? kind + 1 : 2 * kind) {
        setup(NULL);
        bi.start = kind;
        assert_refused("doesn't know");
    }
}

/* Real mode without a BIOS would hang at the first INT. */
static void without_a_bios(void **state)
{
    (void)state;
    for (uint32_t f = BOOT_FIRMWARE_UNKNOWN; f <= BOOT_FIRMWARE_UEFI; f++) {
        setup(NULL);
        bi.firmware = f;
        assert_started(START32);
        setup(NULL);
        bi.firmware = f;
        only_real_mode();
        if (f == BOOT_FIRMWARE_BIOS) {
            assert_started(START16);
        } else {
            assert_refused("asks a BIOS");
        }
    }
}

static void without_a_kernel(void **state)
{
    (void)state;
    bi.module[0].start = sizeof(ram);
    assert_refused("not in RAM");
    bi.module_count = 0;
    assert_refused("there is none");
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

/* UEFI's map lies where the kernel is moved to: it is copied before, without what is ours. */
static void keeps_uefis_map(void **state)
{
    static const uint64_t efi[][6] = { /* type, start, virtual, pages, attribute, unknown */
        { 7, 0, 0, 0x9f, 15, 0 }, { 7, MIB(1), 0, 7 * 256, 15, 0 },
    };
    const uint64_t at = MIB(1) + 0x100;

    (void)state;
    memcpy(ram + at, efi, sizeof(efi));
    bi.firmware = BOOT_FIRMWARE_UEFI;
    bi.efi = (struct boot_efi){ 0x1f5eb018, at, sizeof(efi), sizeof(efi[0]), 1, 64 };
    low_page = 0x5000;
    crash_place[1] = MIB(6);
    assert_started(START32);
    assert_int_equal(ram[at], 0x90); /* the kernel is there now */
    const uint8_t *bp = ram + params;
    const uint8_t *map = ram + le32(bp + 0x1d0);
    uint32_t size = le32(bp + 0x1d4), ours = 0;
    assert_memory_equal(bp + 0x1c0, "EL64", 4);
    assert_true(size > sizeof(efi) && size % 48 == 0);
    for (uint32_t off = 0; off < size; off += 48) {
        uint64_t start = le64(map + off + 8), bytes = le64(map + off + 24) * PAGE_SIZE;
        bool taken = ranges_overlap(start, bytes, low_page, 1)
            || ranges_overlap(start, bytes, crash_place[1], 1)
            || ranges_overlap(start, bytes, bi.protected_base, bi.protected_size);

        assert_int_equal(taken && le32(map + off) != 0, 0);
        ours += taken;
    }
    assert_int_equal(ours, 3);
    setup(NULL);
    bi.efi = (struct boot_efi){ 0x1f5eb018, MIB(9), sizeof(efi), sizeof(efi[0]), 1, 64 };
    assert_refused("UEFI's memory map is not in RAM");
    low_page = crash_place[1] = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(by_its_image), TEST(as_asked_for), TEST(without_a_bios), TEST(without_a_kernel),
        TEST(keeps_uefis_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
