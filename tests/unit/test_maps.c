/* SPDX-License-Identifier: MIT */
/* Every recorded memory map through placing, the core's map, the OS's nested tables and the limits:
 * would this machine start, and with how much to spare. */
#include "unit.h"
#include "vectors.h"

#include <acpi/acpi.h>
#include <boot/common/place.h>
#include <fake/machine.h>
#include <fake/phys.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <probe/vector.h>
#include <util/e820.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>
#include <xmhf/core_image.h>

#define SPARE_MIN 128      /* pages for PALs that must be left */
#define ENTRIES_MIN 3      /* free entries of the guest's map: loaders and firmware add some */
#define PAGES_PER_CPU 24   /* stacks, tables, VMCS or VMCB, FPU state: less than that */
#define KERNEL MIB(16)
#define OTHER_MODULE MIB(1)

const uint8_t core_text_end[1], core_rodata_end[1]; /* only compared */

static struct vector map;
static struct boot_info info;
static const struct acpi_info no_hotplug;

struct kind { const char *name; bool intel, page1g, split; };
static const struct kind kinds[] = {
    { "AMD", false, true, false }, { "AMD, no 1G pages", false, false, false },
    { "Intel", true, true, true }, { "Intel, no 1G pages", true, false, true },
};

static void read_file(const char *name, char *data, size_t size)
{
    char part[300], path[4096];
    const char *why = NULL;

    snprintf(part, sizeof(part), "tests/vectors/e820/%s", name);
    FILE *f = fopen(unit_source(path, sizeof(path), part), "r");
    if (!f) {
        fail_msg("can't open %s", path);
        return;
    }
    size_t n = fread(data, 1, size - 1, f);
    fclose(f);
    data[n] = 0;
    if (vector_parse(&map, data, n, &why) != 0) {
        fail_msg("%s: %s", name, why);
    }
}

/* --- what the record says of the CPU --------------------------------------------------------- */

static uint8_t type_of(const char *name)
{
    static const struct { const char *name; uint8_t type; } types[] = {
        { "write-back", MT_WB }, { "write-combining", MT_WC }, { "write-through", MT_WT },
        { "write-protect", MT_WP },
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(name, types[i].name) == 0) {
            return types[i].type;
        }
    }
    return MT_UC;
}

static void fixed_mtrr(unsigned start, unsigned end, uint8_t type)
{
    static const struct { uint32_t msr, count; unsigned start, size; } fixed[] = {
        { MSR_IA32_MTRR_FIX64K_00000, 1, 0, 0x10000 },
        { MSR_IA32_MTRR_FIX16K_80000, 2, 0x80000, 0x4000 },
        { MSR_IA32_MTRR_FIX4K_C0000, 8, 0xc0000, 0x1000 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
        for (unsigned n = 0; n < 8 * fixed[i].count; n++) {
            unsigned at = fixed[i].start + n * fixed[i].size;
            uint32_t msr = fixed[i].msr + n / 8;
            uint64_t *now = machine_msr(msr);
            uint64_t value = now ? *now : 0;

            if (at >= start && at <= end) {
                value |= (uint64_t)type << (8 * (n % 8));
            }
            machine_set_msr(msr, value);
        }
    }
}

/* The MTRRs of the record; true if it has any. `width`: at least that of the masks. */
static bool read_mtrrs(char *data, unsigned *width)
{
    unsigned long long base, mask;
    unsigned n, start, end, count = 0;
    uint64_t deftype = BIT(11);
    char type[32];
    bool any = false;

    for (char *line = strtok(data, "\n"); line; line = strtok(NULL, "\n")) {
        if (sscanf(line, "mtrr default %31s", type) == 1) {
            deftype |= type_of(type);
            any = true;
        } else if (sscanf(line, "mtrr fixed %x %x %31s", &start, &end, type) == 3) {
            deftype |= BIT(10);
            fixed_mtrr(start, end, type_of(type));
        } else if (sscanf(line, "mtrr var %u %llx %llx %31s", &n, &base, &mask, type) == 4) {
            machine_set_msr(MSR_IA32_MTRR_PHYSBASE0 + 2 * n, base | type_of(type));
            machine_set_msr(MSR_IA32_MTRR_PHYSMASK0 + 2 * n, mask | BIT(11));
            count = n >= count ? n + 1 : count;
            while (*width < 52 && mask >> *width) {
                ++*width;
            }
        }
    }
    machine_set_msr(MSR_IA32_MTRRCAP, count | BIT(8));
    machine_set_msr(MSR_IA32_MTRR_DEF_TYPE, deftype);
    return any;
}

static void make_cpu(const struct kind *k, char *data)
{
    unsigned width = 36;

    machine_reset(0);
    bool mtrrs = read_mtrrs(data, &width);
    for (unsigned i = 0; i < map.mems; i++) {
        while (map.mem[i].type == BOOT_MEM_USABLE
               && (map.mem[i].start + map.mem[i].size - 1) >> width) {
            width++;
        }
    }
    machine_set_cpuid(CPUID_BASIC, 0,
                      (struct cpuid_regs){ .eax = 1, .ebx = k->intel ? 0x756e6547 : 0 });
    machine_set_cpuid(CPUID_FEATURES, 0,
                      (struct cpuid_regs){ .edx = mtrrs ? CPUID_1_EDX_MTRR : 0 });
    machine_set_cpuid(CPUID_EXTENDED, 0, (struct cpuid_regs){ .eax = CPUID_ADDRESS_SIZES });
    machine_set_cpuid(CPUID_EXT_AMD, 0,
                      (struct cpuid_regs){ .edx = k->page1g ? CPUID_8_1_EDX_PAGE1G : 0 });
    machine_set_cpuid(CPUID_ADDRESS_SIZES, 0, (struct cpuid_regs){ .eax = width });
}

/* An upper bound, from the size of the MADT: 8 bytes each, and 44 of head. */
static unsigned cpus_of(const char *data)
{
    const char *at = strstr(data, "\nacpi APIC ");
    unsigned long long where;
    unsigned size = 0;

    if (!at || sscanf(at, "\nacpi APIC %llx %x", &where, &size) != 2 || size < 52) {
        return 4;
    }
    return (size - 44) / 8 < CPU_MAX ? (size - 44) / 8 : CPU_MAX;
}

/* --- starting --------------------------------------------------------------------------------- */

/* As a loader would: `count` modules, each at the lowest place above the boot stage. */
static bool load_modules(unsigned count)
{
    struct boot_mem taken[BOOT_MODULE_MAX + 1] = {
        { .start = 0, .size = BOOT_STAGE_START + BOOT_STAGE_MAX },
    };

    for (info.module_count = 0; info.module_count < count; info.module_count++) {
        struct boot_module *m = &info.module[info.module_count];

        m->size = info.module_count == 0 ? KERNEL : OTHER_MODULE;
        if (!e820_find_low(info.mem, info.mem_count, m->size, PAGE_SIZE, MIB(1), GIB(4), taken,
                           info.module_count + 1, &m->start)) {
            return false;
        }
        taken[info.module_count + 1] = (struct boot_mem){ .start = m->start, .size = m->size };
    }
    return true;
}

/* boot/common/launch.c:place. NULL, or why not. */
static const char *place(unsigned modules, bool split)
{
    static const struct boot_mem avoid[] = {
        { .start = 0, .size = MIB(1) },
        { .start = BOOT_STAGE_START, .size = BOOT_STAGE_MAX },
        { .start = 0x10000, .size = KIB(64) },
    };
    const char *why = "no room for the modules";

    memset(&info, 0, sizeof(info));
    for (unsigned i = 0; i < map.mems; i++) {
        if (!e820_add(info.mem, &info.mem_count, &map.mem[i])) {
            return "too many entries";
        }
    }
    int n = e820_sanitize(info.mem, info.mem_count, BOOT_MEM_MAX);
    if (n < 0) {
        return "too many entries";
    }
    info.mem_count = (uint32_t)n;
    info.core_image_size = CORE_MEM_MAX;
    if (!load_modules(modules)) {
        return why;
    }
    uint64_t tables = split ? boot_tables(&info) : 0;
    return boot_place(&info, CORE_MEM_MAX + tables, 0, avoid, ARRAY_SIZE(avoid), &why) == 0
        || boot_place(&info, CORE_MEM_MAX, 0, avoid, ARRAY_SIZE(avoid), &why) == 0 ? NULL : why;
}

/* Pages of the pool that are left for PALs on that kind of CPU. */
static size_t spare_pages(const char *name, const struct kind *k, unsigned cpus, char *data)
{
    struct boot_mem protected = { .start = info.protected_base, .size = info.protected_size };
    struct boot_mem crash[CRASH_COPIES];

    make_cpu(k, data);
    fake_1g = k->page1g;
    fake_split = k->split;
    fake_phys_reset(k->intel, info.protected_base + CORE_MEM_MAX,
                    (info.protected_size - CORE_MEM_MAX) / PAGE_SIZE);
    keep_crash(info.mem, info.mem_count, &protected, 1, crash_place);
    for (unsigned i = 0; i < CRASH_COPIES; i++) {
        crash[i] = (struct boot_mem){ .start = crash_place[i], .size = PAGE_SIZE };
    }
    /* As smp/low_page.c:low_page_choose. */
    assert_true(keep_low(info.mem, info.mem_count, crash, CRASH_COPIES, &low_page));
    host_map_init(&info);
    if (guest_phys_init(&info, &no_hotplug) != 0) {
        fail_msg("%s, %s: %s", name, k->name, fake_log);
    }
    /* what is kept for the OS isn't in the total */
    size_t used = fake_pool_used + cpus * PAGES_PER_CPU;
    return used < fake_pool_total ? fake_pool_total - used : 0;
}

/* Nothing of the range is RAM for the guest, and all else of the firmware's RAM is. */
static void check_guest_map(const char *name)
{
    uint64_t lost = e820_usable_bytes(info.mem, info.mem_count)
        - e820_usable_bytes(guest_map, guest_map_count);

    assert_true(guest_map_count <= BOOT_MEM_MAX);
    for (unsigned i = 0; i < guest_map_count; i++) {
        const struct boot_mem *m = &guest_map[i];
        assert_true(m->type != BOOT_MEM_USABLE
                    || !ranges_overlap(m->start, m->size, info.protected_base,
                                       info.protected_size));
    }
    uint64_t crash = (crash_place[0] != 0 ? PAGE_SIZE : 0) + (crash_place[1] != 0 ? PAGE_SIZE : 0);
    if (lost != info.protected_size + crash + PAGE_SIZE || crash == 0) { /* the last: low_page */
        fail_msg("%s: the guest loses 0x%llx bytes", name, (unsigned long long)lost);
    }
    assert_int_equal(info.protected_base % PAGE_SIZE_2M, 0);
    assert_true(e820_is_usable(info.mem, info.mem_count, info.protected_base, info.protected_size));
}

/* The largest range, in MiB, that would fit: what the default is of. */
static unsigned largest(void)
{
    unsigned mib = 0;
    uint64_t at;

    for (unsigned size = 2; size < 4096; size += 2) {
        if (e820_find_high(info.mem, info.mem_count, MIB(size), PAGE_SIZE_2M, MIB(1), GIB(4), NULL,
                           0, &at)) {
            mib = size;
        }
    }
    return mib;
}

static void try_machine(const char *name)
{
    static char text[1 << 18], copy[1 << 18];
    size_t spare[ARRAY_SIZE(kinds)];

    read_file(name, text, sizeof(text));
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        for (unsigned modules = 1; modules <= BOOT_MODULE_MAX; modules += BOOT_MODULE_MAX - 1) {
            const char *why = place(modules, kinds[i].split);
            if (why) {
                fail_msg("%s with %u modules on %s: %s", name, modules, kinds[i].name, why);
            }
        }
        strcpy(copy, text);
        spare[i] = spare_pages(name, &kinds[i], cpus_of(text), copy);
        check_guest_map(name);
        if (spare[i] < SPARE_MIN) {
            fail_msg("%s: %zu pages are left for PALs on %s", name, spare[i], kinds[i].name);
        }
    }
    if (guest_map_count > BOOT_MEM_MAX - ENTRIES_MIN) {
        fail_msg("%s: %u entries of the guest's map", name, guest_map_count);
    }
    printf("# %-28s %8llu MiB %3u of %u entries, range 0x%08llx %2llu of %4u MiB, %2u CPUs, pages "
           "left %5zu %5zu %5zu %5zu\n",
           name, (unsigned long long)e820_usable_bytes(info.mem, info.mem_count) >> 20,
           guest_map_count,
           BOOT_MEM_MAX, (unsigned long long)info.protected_base,
           (unsigned long long)info.protected_size >> 20, largest(),
           cpus_of(text), spare[0], spare[1], spare[2], spare[3]);
}

/* Machines that can't: too little RAM, whatever we do. */
static bool too_small(void)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < map.mems; i++) {
        bytes += map.mem[i].type == BOOT_MEM_USABLE ? map.mem[i].size : 0;
    }
    return bytes < MIB(32);
}

static void every_recorded_machine_starts(void **state)
{
    static char text[1 << 18];
    struct vectors files = vectors_of("e820");
    unsigned n = 0, started = 0;

    (void)state;
    for (; vectors_next(&files); n++) {
        read_file(files.name, text, sizeof(text));
        if (too_small()) {
            printf("# %-28s too little RAM\n", files.name);
        } else {
            try_machine(files.name);
            started++;
        }
    }
    printf("%u of %u machines start, each with a kernel of 16 MiB and up to 8 modules\n", started,
           n);
    assert_true(n >= 30 && started >= n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_recorded_machine_starts) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
