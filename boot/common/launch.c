/* SPDX-License-Identifier: MIT */
/* What every boot front end does in the end: puts the core into its protected
 * range and enters it. */
#include <boot/common/console.h>
#include <boot/common/launch.h>
#include <boot/common/place.h>
#include <facts/options.h>
#include <hw/errata.h>
#include <util/string.h>
#include <x86/cpuid.h>
#include <xmhf/core_image.h>

extern const uint8_t payload_start[], payload_end[];

static uint64_t high_pdpt[512] __attribute__((aligned(4096)));
static uint64_t high_pd[512] __attribute__((aligned(4096)));

const char boot_damaged[] = "the core image in this file is damaged";

void boot_refuse(const char *why)
{
    boot_puts("[xmhf] cannot start: ");
    boot_puts(why);
    boot_puts("\r\n[xmhf] launch refused\r\n"); /* as debug/refuse.c:launch_refuse */
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}

void boot_map_core(uint64_t *pml4, const struct boot_info *bi)
{
    for (uint64_t off = 0; off < bi->protected_size; off += PAGE_SIZE_2M) {
        high_pd[off / PAGE_SIZE_2M] = (bi->protected_base + off) | 0x83;
    }
    high_pdpt[(CORE_VA >> 30) & 511] = (uint64_t)(uintptr_t)high_pd | 3;
    pml4[(CORE_VA >> 39) & 511] = (uint64_t)(uintptr_t)high_pdpt | 3;
}

static bool read_msr(uint32_t msr, uint64_t *value)
{
    *value = hw_rdmsr(msr);
    return true;
}

/* Will the core make only small pages executable (virt_ops.split_exec)? */
static bool splits_pages(void)
{
    return (hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_VMX) && hw_page_size_fault(read_msr);
}

const struct core_image *boot_core(void)
{
    const struct core_image *core = (const void *)payload_start;

    return core->magic == CORE_IMAGE_MAGIC
            && core->file_size <= (uint64_t)(payload_end - payload_start)
        ? core : NULL;
}

void boot_wanted(const struct boot_info *bi, const struct core_image *core,
                 struct boot_wanted *wanted)
{
    struct options opt;
    struct options_bad bad;

    options_parse(bi->cmdline, NULL, &opt, &bad);
    wanted->palmem = opt.palmem;
    /* Pool and tables are mapped within one GiB: with a large palmem= there is no room for the
     * tables. */
    wanted->core_mem[0] = core->mem_size
        + (splits_pages() && opt.palmem <= MIB(700) ? boot_tables(bi) : 0);
    wanted->core_mem[1] = core->mem_size;
}

int boot_choose(struct boot_info *bi, const struct core_image *core,
                const struct boot_stage *stage, const char **why)
{
    struct boot_wanted w;

    boot_wanted(bi, core, &w);
    for (unsigned i = 0; i < ARRAY_SIZE(w.core_mem); i++) {
        if (boot_place(bi, w.core_mem[i], w.palmem, stage->avoid, stage->avoid_count, why) == 0) {
            return 0;
        }
    }
    return -1;
}

/* The image, and behind it zeros: .bss, and the pool, which may hold what the firmware left. */
void boot_fill(struct boot_info *bi, const struct core_image *core)
{
    uint8_t *dst = (uint8_t *)(uintptr_t)bi->protected_base;
    uint64_t words = (core->file_size + 7) / 8;

    bi->magic = BOOT_INFO_MAGIC;
    bi->version = BOOT_INFO_VERSION;
    bi->size = sizeof(*bi);
    bi->core_image_size = core->mem_size;
    hw_copy64(dst, core, words);
    hw_fill64(dst + words * 8, 0, (bi->protected_size - words * 8) / 8);
}

void boot_launch(struct boot_info *bi, const struct boot_stage *stage)
{
    const struct core_image *core = boot_core();
    const char *why = NULL;

    if (!core) {
        boot_refuse(boot_damaged);
    }
    if (bi->protected_size == 0 && boot_choose(bi, core, stage, &why) != 0) {
        boot_refuse(why);
    }
    boot_fill(bi, core);
    boot_map_core(stage->pml4, bi);
    hw_write_cr3((uintptr_t)stage->pml4);
    ((void (*)(struct boot_info *))(uintptr_t)core->entry)(bi);
    boot_refuse("the core returned");
}
