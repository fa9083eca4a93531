/* SPDX-License-Identifier: MIT */
/* The boot stage: turns what the loader gave into a struct boot_info, puts the core into
 * its protected range, and enters it. */
#include <boot/common/console.h>
#include <boot/multiboot/parse.h>
#include <facts/options.h>
#include <hw/insn.h>
#include <util/screen.h>
#include <util/string.h>
#include <x86/cpuid.h>
#include <x86/msr.h>
#include <x86/vmx.h>
#include <xmhf/core_image.h>

extern const uint8_t payload_start[], payload_end[];
extern uint8_t boot_start[], boot_end[];
extern uint64_t boot_pml4[512];

static struct boot_info info;
static uint64_t high_pdpt[512] __attribute__((aligned(4096)));
static uint64_t high_pd[512] __attribute__((aligned(4096)));

_Noreturn void boot_main(uint32_t magic, uint64_t mbi, uint64_t tsc);

static _Noreturn void die(const char *why)
{
    boot_puts("[xmhf] cannot start: ");
    boot_puts(why);
    boot_puts("\r\n[xmhf] launch refused\r\n"); /* as the core does (init/main.c:refuse) */
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}

static const void *identity(uint64_t addr, uint64_t len)
{
    const uint64_t limit = GIB(4);

    if (addr == 0 || addr >= limit || len > limit - addr) {
        return NULL;
    }
    return (const void *)(uintptr_t)addr;
}

/* Map CORE_VA to `base` with 2 MiB pages, in the tables we run on. */
static void map_high(uint64_t base, uint64_t size)
{
    for (uint64_t off = 0; off < size; off += PAGE_SIZE_2M) {
        high_pd[off / PAGE_SIZE_2M] = (base + off) | 0x83;
    }
    high_pdpt[(CORE_VA >> 30) & 511] = (uint64_t)(uintptr_t)high_pd | 3;
    boot_pml4[(CORE_VA >> 39) & 511] = (uint64_t)(uintptr_t)high_pdpt | 3;
    hw_write_cr3((uintptr_t)boot_pml4);
}

/* Will the core make only small pages executable (virt/vmx/ept.c:vmx_split_exec)? */
static bool splits_pages(void)
{
    if (!(hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_VMX)) {
        return false;
    }
    return hw_cpuid(CPUID_BASIC, 0).eax < CPUID_EXT_FEATURES
        || !(hw_cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_7_0_EDX_ARCH_CAP)
        || !(hw_rdmsr(MSR_IA32_ARCH_CAPABILITIES) & ARCH_CAP_PSCHANGE_MC_NO);
}

static void place(const struct core_image *core, uint64_t mbi)
{
    const struct boot_mem avoid[] = {
        { .start = 0, .size = MIB(1) },
        { .start = (uintptr_t)boot_start, .size = (uint64_t)(boot_end - boot_start) },
        { .start = mbi, .size = KIB(64) },
    };
    struct options opt;
    struct options_bad bad;
    const char *why = NULL;

    uint64_t tables;

    options_parse(info.cmdline, &opt, &bad);
    /* Together they have a GiB of addresses. */
    tables = splits_pages() && opt.palmem <= MIB(700) ? boot_tables(&info) : 0;
    if (boot_place(&info, core->mem_size + tables, opt.palmem, avoid, ARRAY_SIZE(avoid), &why) != 0
        && (tables == 0
            || boot_place(&info, core->mem_size, opt.palmem, avoid, ARRAY_SIZE(avoid), &why) != 0)) {
        die(why);
    }
}

void boot_main(uint32_t magic, uint64_t mbi, uint64_t tsc)
{
    const struct core_image *core = (const void *)payload_start;
    const char *why = "not started by a multiboot1 or multiboot2 loader";
    int err = -1;

    info.magic = BOOT_INFO_MAGIC;
    info.version = BOOT_INFO_VERSION;
    info.size = sizeof(info);
    info.tsc_start = tsc;
    if (magic == MB1_BOOT_MAGIC) {
        err = mb1_parse(identity, mbi, &info, &why);
    } else if (magic == MB2_BOOT_MAGIC) {
        err = mb2_parse(identity, mbi, &info, &why);
    }
    boot_find_screen(identity, &info);
    screen_init(&info.screen, (volatile void *)(uintptr_t)info.screen.base);
    if (err != 0) {
        die(why);
    }
    if (core->magic != CORE_IMAGE_MAGIC
        || core->file_size > (uint64_t)(payload_end - payload_start)) {
        die("the core image in this file is damaged");
    }
    place(core, mbi);
    info.core_image_size = core->mem_size;

    uint8_t *dst = (uint8_t *)(uintptr_t)info.protected_base;
    uint64_t words = (core->file_size + 7) / 8;
    uint64_t rest = (info.protected_size - words * 8) / 8;
    /* The pool must start as zeros too: it may hold what the firmware left. */
    hw_copy64(dst, core, words);
    hw_fill64(dst + words * 8, 0, rest);

    map_high(info.protected_base, info.protected_size);
    ((void (*)(const struct boot_info *))(uintptr_t)core->entry)(&info);
    die("the core returned");
}
