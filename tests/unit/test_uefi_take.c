/* SPDX-License-Identifier: MIT */
/* The hypervisor under a running machine, all or nothing: firmware and core are made of data. */
#include "unit.h"

#include "efi_firmware.h"
#include "fake/machine.h"

#include <boot/common/launch.h>
#include <boot/uefi/mp.h>
#include <boot/uefi/take.h>
#include <x86/cpu.h>
#include <xmhf/live.h>

#define ENTRY 0x1111
#define TAKE  0x2222
#define CPUS  70

static struct uefi u;
static struct conf conf;
static char line[512];

/* --- a core -------------------------------------------------------------------------- */

static struct core_image core = { .file_size = 0x10000, .mem_size = 0x40000, .entry = ENTRY,
                                  .take = TAKE };
static struct {
    bool damaged, refuses;
    unsigned entries, takes, declines; /* calls; how many of the last kind come back with 1 */
    struct boot_info bi;               /* as it was when the core was entered */
    uint64_t filled, mapped;           /* protected_base then */
    unsigned mor;                      /* MemoryOverwriteRequestControl at the first take */
} seen;

const struct core_image *boot_core(void) { return seen.damaged ? NULL : &core; }

void boot_wanted(const struct boot_info *bi, const struct core_image *c, struct boot_wanted *wanted)
{
    assert_string_equal(bi->cmdline, conf.cmdline);
    *wanted = (struct boot_wanted){ { c->mem_size, c->mem_size }, 0 };
}

void boot_fill(struct boot_info *bi, const struct core_image *c)
{
    assert_ptr_equal(c, &core);
    seen.filled = bi->protected_base;
}

void boot_map_core(uint64_t *pml4, const struct boot_info *bi)
{
    seen.mapped = bi->protected_base;
    pml4[511] = 42;
}

uint64_t boot_live_call(uint64_t target, void *arg, uint64_t shared_cr3)
{
    assert_int_equal(((uint64_t *)shared_cr3)[511], 42);
    assert_int_equal(((uint64_t *)shared_cr3)[0], 7); /* the firmware's */
    if (target == ENTRY) {
        seen.entries++;
        seen.bi = *(struct boot_info *)arg;
        if (seen.refuses) {
            strcpy(((struct boot_info *)arg)->refusal, "cannot start: VMX is locked off");
        }
        return seen.refuses;
    }
    assert_true(target == TAKE && !arg);
    if (seen.takes++ == 0) {
        seen.mor = fw.variable[0].data[0];
    }
    return seen.declines != 0;
}

/* --- MP services --------------------------------------------------------------------- */

static struct {
    struct mp_services protocol;
    unsigned count, enabled, silent; /* CPUs; the number of one that never runs, 0: none */
    uint32_t flags[CPUS];
    EFI_STATUS number, info, start;
} mp;
static const EFI_GUID mp_guid = MP_SERVICES_GUID;

static EFI_STATUS EFIAPI get_number(struct mp_services *self, UINTN *all, UINTN *enabled)
{
    (void)self;
    *all = mp.count;
    *enabled = mp.count;
    return mp.number;
}

static EFI_STATUS EFIAPI get_info(struct mp_services *self, UINTN number, struct mp_info *info)
{
    (void)self;
    *info = (struct mp_info){ .processor_id = 2 * number, .status_flag = mp.flags[number] };
    return mp.info;
}

static EFI_STATUS EFIAPI start_all(struct mp_services *self, mp_procedure procedure,
                                   BOOLEAN one_by_one, EFI_EVENT wait, UINTN timeout,
                                   VOID *argument, UINTN **failed)
{
    (void)self;
    assert_true(!one_by_one && !wait && !failed); /* they wait for each other inside */
    assert_true(timeout > 5000000);               /* longer than the core's own wait */
    for (unsigned i = 1; i < mp.count && !EFI_ERROR(mp.start); i++) {
        if (i != mp.silent) {
            procedure(argument);
        }
    }
    return mp.silent ? EFI_TIMEOUT : mp.start;
}

/* --- the machine --------------------------------------------------------------------- */

#define PAGES(bytes) ((bytes) / 4096)
static const EFI_MEMORY_DESCRIPTOR map[] = {
    { EfiConventionalMemory, 0, 0, 0, PAGES(0xa0000), EFI_MEMORY_WB },
    { EfiConventionalMemory, 0, 0x100000, 0, PAGES(0xf00000), EFI_MEMORY_WB },
    { EfiBootServicesData, 0, 0x1000000, 0, PAGES(0x1000000), EFI_MEMORY_WB },
    { EfiConventionalMemory, 0, 0x2000000, 0, PAGES(0x1e000000), EFI_MEMORY_WB },
    { EfiRuntimeServicesData, 0, 0x20000000, 0, 16, EFI_MEMORY_WB | EFI_MEMORY_RUNTIME },
    { EfiMemoryMappedIO, 0, 0xe0000000, 0, 16, EFI_MEMORY_UC },
};

static uint64_t firmware_pml4[512] __attribute__((aligned(4096)));
static EFI_CONFIGURATION_TABLE tables[2] = {
    { ACPI_TABLE_GUID, (void *)0x1000 }, { ACPI_20_TABLE_GUID, (void *)0x2000 },
};

static int set_up(void **state)
{
    (void)state;
    fw_reset();
    fw_init(&u);
    fw_set_variable(u"MemoryOverwriteRequestControl", "\0", 1);
    fw.map = map;
    fw.map_size = sizeof(map);
    fw.descriptor = sizeof(map[0]);
    fw.system.ConfigurationTable = tables;
    fw.system.NumberOfTableEntries = 2;
    fw.other[0].guid = &mp_guid;
    fw.other[0].protocol = &mp.protocol;
    memset(&mp, 0, sizeof(mp));
    mp.protocol = (struct mp_services){ get_number, get_info, start_all, 0, 0, 0, 0 };
    mp.count = 4;
    for (unsigned i = 0; i < CPUS; i++) {
        mp.flags[i] = MP_ENABLED | MP_HEALTHY | (i == 0 ? MP_IS_BSP : 0);
    }
    memset(&seen, 0, sizeof(seen));
    memset(&conf, 0, sizeof(conf));
    strcpy(conf.cmdline, "quiet");
    machine_reset(0);
    machine.cr3 = (uintptr_t)firmware_pml4 | 0x18;
    firmware_pml4[0] = 7;
    return 0;
}

/* It is refused, for that reason, and all memory is given back. */
static void refused(const char *reason)
{
    memset(line, 0, sizeof(line));
    assert_false(take(&u, &conf, 5, line, sizeof(line)));
    if (!strstr(line, reason)) {
        fail_msg("\"%s\" instead of \"%s\"", line, reason);
    }
    assert_int_equal(fw.page_count, 0);
    assert_int_equal(fw.pools, 0);
}

static const struct fw_page *page_at(uint64_t base)
{
    for (unsigned i = 0; i < fw.page_count; i++) {
        if (fw.page[i].base == base) {
            return &fw.page[i];
        }
    }
    fail_msg("nothing was allocated at 0x%llx", (unsigned long long)base);
    return NULL;
}

static void all_cpus_are_taken(void **state)
{
    const struct boot_info *bi = &seen.bi;
    const struct fw_page *range;
    uint64_t reserved = 0;
    (void)state;

    assert_true(take(&u, &conf, 5, line, sizeof(line)));
    assert_non_null(strstr(line, "has taken all CPUs, and 8180 KiB at 0x1f800000"));
    assert_true(seen.entries == 1 && seen.takes == 4);
    assert_true(seen.filled == bi->protected_base && seen.mapped == bi->protected_base);
    assert_int_equal(seen.mor, 1); /* before the first CPU */
    assert_true(bi->tsc_start == 5 && bi->firmware == BOOT_FIRMWARE_UEFI
                && bi->start == BOOT_START_LIVE && bi->rsdp == 0x2000);
    assert_true(bi->cpu_count == 3 && bi->cpu_apic_id[0] == 2 && bi->cpu_apic_id[2] == 6);
    range = page_at(bi->protected_base);
    assert_true(range->pages * 4096 == bi->protected_size);
    assert_int_equal(range->type, EfiReservedMemoryType);
    assert_int_equal(page_at(bi->low_page)->type, EfiReservedMemoryType);
    assert_true(bi->low_page >= 0x1000 && bi->low_page < 0x80000);
    assert_int_equal(page_at(bi->crash_place[0])->type, EfiReservedMemoryType);
    assert_int_equal(page_at(bi->crash_place[1])->type, EfiReservedMemoryType);
    assert_int_equal(bi->protected_size / 4096 + 3, MIB(8) / 4096); /* and nothing else: */
    for (unsigned i = 0; i < fw.page_count; i++) {
        reserved += fw.page[i].type == EfiReservedMemoryType ? fw.page[i].pages : 0;
    }
    assert_int_equal(reserved, MIB(8) / 4096);
    assert_int_equal(bi->mem[1].size, 0x1ff00000); /* boot services' memory will be the OS's */
    assert_int_equal(bi->mem[1].type, BOOT_MEM_USABLE);
    assert_int_equal(fw.pools, 0);
}

static void without_mp_services_the_core_starts_them(void **state)
{
    (void)state;
    fw.other[0].protocol = NULL;
    assert_true(take(&u, &conf, 5, line, sizeof(line)));
    assert_true(seen.bi.cpu_count == 0 && seen.takes == 1);
}

static void the_boot_cpu_may_have_any_number(void **state)
{
    (void)state;
    mp.flags[0] &= ~MP_IS_BSP;
    mp.flags[2] |= MP_IS_BSP;
    assert_true(take(&u, &conf, 5, line, sizeof(line)));
    assert_true(seen.bi.cpu_count == 3 && seen.bi.cpu_apic_id[0] == 0
                && seen.bi.cpu_apic_id[1] == 2 && seen.bi.cpu_apic_id[2] == 6);
}

static void cpus_that_cannot_be_had_are_named(void **state)
{
    (void)state;
    mp.flags[2] = MP_HEALTHY;
    refused("the CPU with APIC ID 0x4 off");
    mp.flags[2] = MP_ENABLED;
    refused("the CPU with APIC ID 0x4 off");
    mp.flags[2] = MP_ENABLED | MP_HEALTHY;
    mp.count = 65;
    refused("there are 65 CPUs, more than 64");
    mp.count = 64;
    assert_true(take(&u, &conf, 5, line, sizeof(line)));
    (void)set_up(NULL);
    mp.info = EFI_DEVICE_ERROR;
    refused("don't tell about CPU number 0");
    mp.number = EFI_DEVICE_ERROR;
    refused("don't tell how many CPUs");
    assert_int_equal(seen.entries, 0);
}

static void a_cpu_that_never_starts_declines_all(void **state)
{
    (void)state;
    seen.declines = 1; /* the core's word for all that came */
    mp.silent = 2;
    assert_false(take(&u, &conf, 5, line, sizeof(line)));
    assert_non_null(strstr(line, "one of them doesn't answer"));
    assert_int_equal(seen.takes, 3); /* two others, and this one all the same */
    (void)page_at(seen.bi.protected_base); /* that CPU may come yet */
    (void)page_at(seen.bi.low_page);
}

static void mp_services_that_fail_decline_all(void **state)
{
    (void)state;
    seen.declines = 1;
    mp.start = EFI_NOT_READY;
    refused("couldn't start the other CPUs (status 0x6)");
    assert_int_equal(seen.takes, 1);
    mp.start = EFI_SUCCESS;
    refused("a CPU could not be taken"); /* they came, the core declined */
}

static void the_core_refuses_by_name(void **state)
{
    (void)state;
    seen.refuses = true;
    refused("VMX is locked off");
    assert_string_equal(line, "VMX is locked off");
    assert_true(seen.entries == 1 && seen.takes == 0);
    assert_int_equal(fw.variable[0].data[0], 0); /* nothing is asked of the firmware for that */
    seen.damaged = true;
    refused("the core image in xmhf.efi is damaged");
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    machine.cr4 = CR4_LA57;
    refused("5-level paging is on");
    machine.cr4 = CR4_CET | CR4_PAE;
    refused("CET is on (CR4)");
    machine.cr4 = CR4_FRED;
    refused("FRED is on (CR4)");
    machine.cr4 = 0;
    fw.system.NumberOfTableEntries = 0;
    refused("no ACPI tables");
    fw.system.NumberOfTableEntries = 1;
    assert_true(take(&u, &conf, 5, line, sizeof(line)));
    assert_int_equal(seen.bi.rsdp, 0x1000); /* ACPI 1.0's */
    (void)set_up(NULL);
    fw.map = NULL;
    refused("doesn't tell what memory there is");
    assert_int_equal(seen.entries, 0);
}

static void memory_that_is_not_given_is_sought_elsewhere(void **state)
{
    (void)state;
    fw.refusals = 3;
    assert_true(take(&u, &conf, 5, line, sizeof(line)));
    assert_true(seen.bi.protected_base + seen.bi.protected_size <= 0x1f800000);
    (void)set_up(NULL);
    fw.refusals = 1000;
    refused("doesn't give the memory that its map calls free");
    assert_int_equal(seen.entries, 0);
}

static void no_low_page_no_launch(void **state)
{
    (void)state;
    fw.map = map + 1;
    fw.map_size = sizeof(map) - sizeof(map[0]);
    refused("no free page below 640 KiB");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_cpus_are_taken, set_up),
        cmocka_unit_test_setup(without_mp_services_the_core_starts_them, set_up),
        cmocka_unit_test_setup(the_boot_cpu_may_have_any_number, set_up),
        cmocka_unit_test_setup(cpus_that_cannot_be_had_are_named, set_up),
        cmocka_unit_test_setup(a_cpu_that_never_starts_declines_all, set_up),
        cmocka_unit_test_setup(mp_services_that_fail_decline_all, set_up),
        cmocka_unit_test_setup(the_core_refuses_by_name, set_up),
        cmocka_unit_test_setup(what_is_missing_is_named, set_up),
        cmocka_unit_test_setup(memory_that_is_not_given_is_sought_elsewhere, set_up),
        cmocka_unit_test_setup(no_low_page_no_launch, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
