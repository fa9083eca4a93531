/* SPDX-License-Identifier: MIT */
/* The core's own page tables: W^X, guard pages, direct map of RAM. */
#include <cpu/vcpu.h>
#include <cpu/width.h>
#include <debug/log.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <xmhf/core_image.h>

#define PICTURE_VA  (MMIO_VA + GIB(2))
#define PICTURE_MAX MIB(256)

extern const uint8_t core_text_end[], core_rodata_end[];

static uint64_t *pml4;
static uint64_t *trampoline_pml4;
static uint64_t *shared_pml4; /* see host_map_share */
static bool have_1g;
static uint64_t direct_end; /* physical */
static uint64_t protected_base, protected_size;

static uint64_t *new_table(void)
{
    return pool_boot_need(1);
}

/* The entry for `va` at `level` (1 = 4K page, 2 = 2M, 3 = 1G), making tables. */
static uint64_t *entry_at(uint64_t va, unsigned level)
{
    uint64_t *table = pml4;

    for (unsigned l = 4; l > level; l--) {
        uint64_t *e = &table[va >> (12 + 9 * (l - 1)) & 511];
        if (!(*e & PTE_P)) {
            *e = core_hpa(new_table()).a | PTE_P | PTE_RW;
        }
        table = core_va(hpa(*e & PTE_ADDR));
    }
    return &table[va >> (12 + 9 * (level - 1)) & 511];
}

static void map_4k(uint64_t va, uint64_t pa, uint64_t flags)
{
    *entry_at(va, 1) = pa | PTE_P | PTE_A | PTE_D | flags;
}

/* The protected range: image by 4 KiB pages with W^X, the pool by 2 MiB pages as far as they go. */
static void map_core(const struct boot_info *bi)
{
    uint64_t image_end = align_up(bi->core_image_size, PAGE_SIZE_2M);
    uint64_t large_end = align_down(bi->protected_size, PAGE_SIZE_2M);

    for (uint64_t off = 0; off < image_end; off += PAGE_SIZE) {
        uint64_t va = CORE_VA + off;
        uint64_t flags = va < (uintptr_t)core_text_end ? 0
                       : va < (uintptr_t)core_rodata_end ? PTE_NX : PTE_NX | PTE_RW;
        map_4k(va, bi->protected_base + off, flags);
    }
    for (uint64_t off = image_end; off < large_end; off += PAGE_SIZE_2M) {
        *entry_at(CORE_VA + off, 2) = (bi->protected_base + off) | PTE_P | PTE_RW | PTE_A | PTE_D
            | PTE_PS | PTE_NX;
    }
    for (uint64_t off = large_end > image_end ? large_end : image_end; off < bi->protected_size;
         off += PAGE_SIZE) {
        map_4k(CORE_VA + off, bi->protected_base + off, PTE_NX | PTE_RW);
    }
}

/* Does anything of the firmware's map lie in [start, start+size)? */
static bool map_touches(const struct boot_info *bi, uint64_t start, uint64_t size)
{
    for (unsigned i = 0; i < bi->mem_count; i++) {
        const struct boot_mem *m = &bi->mem[i];
        bool wanted = m->type == BOOT_MEM_USABLE || m->type == BOOT_MEM_ACPI
            || m->type == BOOT_MEM_NVS || m->type == BOOT_MEM_FIRMWARE_RAM || m->start < MIB(1)
            || start < MIB(2);
        if (wanted && ranges_overlap(m->start, m->size, start, size)) {
            return true;
        }
    }
    return false;
}

static void map_direct_2m(const struct boot_info *bi, uint64_t pa)
{
    const uint64_t flags = PTE_P | PTE_RW | PTE_A | PTE_D | PTE_PS | PTE_NX;
    const uint64_t protected_end = bi->protected_base + bi->protected_size;

    if (!map_touches(bi, pa, PAGE_SIZE_2M)) {
        return;
    }
    if (!ranges_overlap(pa, PAGE_SIZE_2M, bi->protected_base, bi->protected_size)) {
        *entry_at(DIRECT_VA + pa, 2) = pa | flags;
        return;
    }
    for (uint64_t at = protected_end; at < pa + PAGE_SIZE_2M; at += PAGE_SIZE) {
        map_4k(DIRECT_VA + at, at, PTE_RW | PTE_NX); /* behind the end of the range */
    }
}

static void map_direct(const struct boot_info *bi)
{
    const uint64_t flags = PTE_P | PTE_RW | PTE_A | PTE_D | PTE_PS | PTE_NX;

    for (uint64_t pa = 0; pa < direct_end; pa += PAGE_SIZE_1G) {
        if (!map_touches(bi, pa, PAGE_SIZE_1G)) {
            continue;
        }
        if (have_1g && !ranges_overlap(pa, PAGE_SIZE_1G, bi->protected_base, bi->protected_size)) {
            *entry_at(DIRECT_VA + pa, 3) = pa | flags;
            continue;
        }
        for (uint64_t off = 0; off < PAGE_SIZE_1G; off += PAGE_SIZE_2M) {
            map_direct_2m(bi, pa + off);
        }
    }
}

void host_map_share(uint64_t *top)
{
    shared_pml4 = top;
}

void host_map_init(const struct boot_info *bi)
{
    pml4 = new_table();
    trampoline_pml4 = new_table();
    have_1g = hw_cpuid(0x80000001, 0).edx & BIT(26);
    for (unsigned i = 0; i < bi->mem_count; i++) {
        const struct boot_mem *m = &bi->mem[i];
        if (m->type != BOOT_MEM_RESERVED && m->start + m->size > direct_end) {
            direct_end = m->start + m->size;
        }
    }
    direct_end = align_up(direct_end, PAGE_SIZE_1G);
    protected_base = bi->protected_base;
    protected_size = bi->protected_size;
    map_core(bi);
    map_direct(bi);
    /* Every top-level entry we will ever use exists now, so that the copy stays true. */
    (void)entry_at(STACK_VA, 1);
    (void)entry_at(MMIO_VA, 1);
    memcpy(trampoline_pml4, pml4, PAGE_SIZE);
    uint64_t *pdpt = new_table();
    uint64_t *pd = new_table();
    pd[0] = PTE_P | PTE_RW | PTE_PS;
    pdpt[0] = core_hpa(pd).a | PTE_P | PTE_RW;
    trampoline_pml4[0] = core_hpa(pdpt).a | PTE_P | PTE_RW;
    if (shared_pml4) {
        memcpy(shared_pml4 + 256, pml4 + 256, PAGE_SIZE / 2);
    }
    hw_write_cr3(host_cr3());
}

uint64_t host_map_stacks(unsigned cpu)
{
    uint64_t base = host_stacks(cpu);

    for (unsigned which = 0; which <= IST_DF; which++) {
        uint64_t size = which == 0 ? STACK_MAIN : STACK_IST;
        uint64_t top_va = host_stack_top(base, which);
        for (uint64_t off = 0; off < size; off += PAGE_SIZE) {
            map_4k(top_va - size + off, core_hpa(new_table()).a, PTE_RW | PTE_NX);
        }
    }
    return base;
}

uint64_t host_stack_top(uint64_t stacks, unsigned which)
{
    return stacks + (which + 1) * STACK_PITCH;
}

void host_wipe_stacks(unsigned cpu, uint64_t rsp)
{
    const uint64_t red = 1024; /* room for the frames of those who wipe */

    for (unsigned which = 0; which <= IST_DF; which++) {
        uint64_t end = host_stack_top(STACK_VA + cpu * STACK_SLOT, which);
        uint64_t start = end - (which == 0 ? STACK_MAIN : STACK_IST);
        if (rsp >= start && rsp < end) {
            end = rsp > start + red ? rsp - red : start;
        }
        hw_fill64((void *)(uintptr_t)start, 0, (end - start) / 8);
    }
}

static uint64_t map_anywhere(uint64_t addr, uint64_t flags)
{
    static unsigned used;
    uint64_t va = MMIO_VA + used++ * PAGE_SIZE;

    map_4k(va, align_down(addr, PAGE_SIZE), PTE_RW | PTE_NX | flags);
    return va;
}

volatile void *host_map_mmio(uint64_t addr)
{
    return (volatile uint8_t *)(uintptr_t)map_anywhere(addr, PTE_PCD | PTE_PWT)
           + (addr & PAGE_MASK);
}

volatile void *host_map_picture(const struct boot_info *bi, uint64_t base, uint64_t size)
{
    const uint64_t start = align_down(base, PAGE_SIZE_2M);

    if (size == 0 || size > PICTURE_MAX || ((base | (base + size - 1)) & phys_beyond())
        || map_touches(bi, base, size)) { /* the protected range is in an entry of RAM */
        return NULL;
    }
    for (uint64_t off = 0; start + off < base + size; off += PAGE_SIZE_2M) {
        *entry_at(PICTURE_VA + off, 2) = (start + off) | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_PS
            | PTE_NX | PTE_PCD | PTE_PWT;
    }
    return (volatile uint8_t *)(uintptr_t)(PICTURE_VA + (base - start));
}

static bool is_mapped(uint64_t va)
{
    const uint64_t *table = pml4;

    for (unsigned l = 4; l > 1; l--) {
        uint64_t e = table[va >> (12 + 9 * (l - 1)) & 511];
        if (!(e & PTE_P) || (e & PTE_PS)) {
            return e & PTE_P;
        }
        table = core_va(hpa(e & PTE_ADDR));
    }
    return false; /* the direct map has no 4 KiB pages */
}

void *host_phys(uint64_t addr, uint64_t len)
{
    if (addr >= direct_end || len > direct_end - addr) {
        return NULL;
    }
    for (uint64_t a = align_down(addr, PAGE_SIZE_2M); a < addr + len; a += PAGE_SIZE_2M) {
        if (!is_mapped(DIRECT_VA + a)) {
            return NULL;
        }
    }
    return (void *)(uintptr_t)(DIRECT_VA + addr);
}

#define MORE_TABLES 64 /* for RAM that isn't there yet: 32 TiB with 1 GiB pages, 60 GiB without */

/* New tables that entry_at(va, level) would make. */
static unsigned tables_missing(uint64_t va, unsigned level)
{
    const uint64_t *table = pml4;

    for (unsigned l = 4; l > level; l--) {
        uint64_t e = table[va >> (12 + 9 * (l - 1)) & 511];
        if (!(e & PTE_P)) {
            return l - level;
        }
        table = core_va(hpa(e & PTE_ADDR));
    }
    return 0;
}

uint64_t host_map_ram(uint64_t start, uint64_t end)
{
    static unsigned taken;
    uint64_t pa = start, step;

    for (; pa < end; pa += step) {
        uint64_t va = DIRECT_VA + pa;
        bool large = have_1g && !(pa & (PAGE_SIZE_1G - 1)) && end - pa >= PAGE_SIZE_1G
            && (tables_missing(va, 3) || !(*entry_at(va, 3) & PTE_P));

        step = large ? PAGE_SIZE_1G : PAGE_SIZE_2M;
        if (is_mapped(va)) {
            continue; /* a 1 GiB page that begins with other RAM */
        }
        taken += tables_missing(va, large ? 3 : 2);
        if (taken > MORE_TABLES) {
            break;
        }
        *entry_at(va, large ? 3 : 2) = pa | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_PS | PTE_NX;
    }
    direct_end = pa > direct_end ? pa : direct_end;
    return pa;
}

/* Windows to what is no RAM and no ACPI memory by the firmware's map. Its types there are the
 * MTRRs' (PTEs that say WB leave the choice to them: SDM vol. 3, table 12-7; APM vol. 2, 7.8.2). */
#define WINDOWS     4u
#define WINDOW_VA   (MMIO_VA + GIB(1))
#define WINDOW_SIZE MIB(4)

static unsigned windows_used; /* counted on */

static uint64_t window_va(unsigned n)
{
    return WINDOW_VA + n % WINDOWS * WINDOW_SIZE;
}

const void *host_map_firmware(uint64_t addr, size_t len)
{
    const void *direct = host_phys(addr, len);
    uint64_t first = align_down(addr, PAGE_SIZE), limit, va;
    unsigned bits;

    if (direct) {
        return direct;
    }
    if (phys_width(&bits) != NULL) {
        return NULL;
    }
    limit = 1ULL << bits;
    if (len == 0 || len > MIB(2) || addr >= limit || len > limit - addr
        || ranges_overlap(addr, len, protected_base, protected_size)) {
        return NULL;
    }
    va = window_va(windows_used++);
    for (uint64_t off = 0; first + off < addr + len; off += PAGE_SIZE) {
        map_4k(va + off, first + off, PTE_NX);
        hw_invlpg(va + off);
    }
    return (const void *)(uintptr_t)(va + (addr & PAGE_MASK));
}

void host_unmap_firmware(void)
{
    for (unsigned n = 0; n < windows_used && n < WINDOWS; n++) {
        for (uint64_t off = 0; off < WINDOW_SIZE; off += PAGE_SIZE) {
            *entry_at(window_va(n) + off, 1) = 0;
            hw_invlpg(window_va(n) + off);
        }
    }
}

void *host_map_page(uint64_t addr)
{
    void *p = host_phys(addr, PAGE_SIZE);

    return p ? p : (void *)(uintptr_t)map_anywhere(addr, 0);
}

uint64_t host_cr3(void)
{
    return core_hpa(pml4).a;
}

uint64_t host_trampoline_cr3(void)
{
    return core_hpa(trampoline_pml4).a;
}
