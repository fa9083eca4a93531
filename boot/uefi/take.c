/* SPDX-License-Identifier: MIT */
/* Puts the hypervisor under the machine as it runs: memory, the core in it, then every CPU. */
#include <boot/uefi/take.h>

#include <boot/uefi/cpus.h>
#include <boot/uefi/memory.h>
#include <boot/uefi/mor.h>
#include <hw/insn.h>
#include <util/fmt.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <xmhf/live.h>

#define CR3_ADDR 0x000ffffffffff000ULL /* SDM 3A, 4.5 */

_Static_assert(sizeof(((struct conf *)0)->cmdline) == BOOT_CMDLINE_MAX, "copied whole");

struct launch {
    const struct uefi *u;
    struct boot_info *bi;
    const struct core_image *core;
    uint64_t *pml4;      /* the firmware's, and the core's slot */
    struct taken taken;
    struct cpus cpus;
    bool lost;           /* a CPU may still be in what was taken */
};

/* UEFI 2.10, 4.6: of ACPI 2.0, or else of 1.0. 0: there is none. */
static uint64_t find_rsdp(const struct uefi *u)
{
    static const EFI_GUID kinds[] = { ACPI_20_TABLE_GUID, ACPI_TABLE_GUID };
    const EFI_CONFIGURATION_TABLE *tables = u->system->ConfigurationTable;

    for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
        for (UINTN i = 0; i < u->system->NumberOfTableEntries; i++) {
            if (memcmp(&tables[i].VendorGuid, &kinds[kind], sizeof(kinds[kind])) == 0) {
                return (uintptr_t)tables[i].VendorTable;
            }
        }
    }
    return 0;
}

/* What would end the way to the core before it can say no: another depth of page tables, calls of
 * what has no ENDBR64 (SDM vol. 1, 17.3), interrupts that don't look at an IDT. */
static const char *mode_refused(uint64_t cr4)
{
    return cr4 & CR4_LA57 ? "5-level paging is on, which the hypervisor doesn't know; turn it off "
                            "in the firmware's settings"
        : cr4 & CR4_CET ? "CET is on (CR4), which the hypervisor doesn't know; turn it off in the "
                          "firmware's settings"
        : cr4 & CR4_FRED ? "FRED is on (CR4), which the hypervisor doesn't know; turn it off in "
                           "the firmware's settings"
        : NULL;
}

/* Memory, and all that the core is to know. NULL, or why not. */
static const char *prepare(struct launch *l, const struct conf *conf, uint64_t tsc)
{
    const char *why = mode_refused(hw_read_cr4());

    if (why) {
        return why;
    }
    l->core = boot_core();
    if (!l->core) {
        return "the core image in xmhf.efi is damaged; copy the file anew";
    }
    l->bi = taken_pages(l->u, &l->taken, align_up(sizeof(*l->bi), PAGE_SIZE) / PAGE_SIZE);
    l->pml4 = taken_pages(l->u, &l->taken, 1);
    if (!l->bi || !l->pml4) {
        return "the firmware has too little memory below 4 GiB";
    }
    l->bi->tsc_start = tsc;
    l->bi->firmware = BOOT_FIRMWARE_UEFI;
    l->bi->start = BOOT_START_LIVE;
    l->bi->screen.kind = BOOT_SCREEN_NONE;
    l->bi->rsdp = find_rsdp(l->u);
    if (l->bi->rsdp == 0) {
        return "the firmware has no ACPI tables";
    }
    memcpy(l->bi->cmdline, conf->cmdline, sizeof(l->bi->cmdline));
    why = memory_take(l->u, &l->taken, l->bi, l->core);
    return why ? why : cpus_list(l->u, &l->cpus, l->bi) ? NULL : l->cpus.why;
}

static uint64_t call_core(const struct launch *l, uint64_t target, void *arg)
{
    return boot_live_call(target, arg, (uintptr_t)l->pml4);
}

/* The core's reason, or one in its place. That nothing was started is the caller's to say. */
static const char *refusal(const struct launch *l, const char *other)
{
    static const char prefix[] = "cannot start: ";
    const char *why = l->bi->refusal;

    if (strncmp(why, prefix, sizeof(prefix) - 1) == 0) {
        why += sizeof(prefix) - 1;
    }
    return *why != '\0' ? why : other;
}

/* The core into its place, every CPU into the core. NULL, or why not. */
static const char *hand_over(struct launch *l)
{
    enum cpus_result others;
    const char *warning;

    memcpy(l->pml4, (const void *)(uintptr_t)(hw_read_cr3() & CR3_ADDR), PAGE_SIZE);
    boot_fill(l->bi, l->core);
    boot_map_core(l->pml4, l->bi);
    if (call_core(l, l->core->entry, l->bi) != 0) {
        return refusal(l, "the hypervisor gave no reason");
    }
    warning = mor_warning(mor_set(l->u)); /* from here on there may be PALs soon */
    if (warning) {
        uefi_say(l->u, "%s", warning);
    }
    others = cpus_call(&l->cpus, l->bi, l->core->take, (uintptr_t)l->pml4);
    l->lost = others == CPUS_LOST;
    if (call_core(l, l->core->take, NULL) != 0) {
        return others != CPUS_ALL && l->cpus.why[0] != '\0'
            ? l->cpus.why : refusal(l, "a CPU could not be taken");
    }
    return NULL;
}

bool take(const struct uefi *u, const struct conf *conf, uint64_t tsc, char *line, size_t max)
{
    static struct launch l;
    const char *why;

    l = (struct launch){ .u = u };
    why = prepare(&l, conf, tsc);
    if (!why) {
        why = hand_over(&l);
    }
    if (!why) {
        (void)fmt_snprintf(line, max, "the hypervisor has taken all CPUs, and %llu KiB at 0x%llx",
                           (unsigned long long)l.bi->protected_size >> 10,
                           (unsigned long long)l.bi->protected_base);
        return true;
    }
    (void)fmt_snprintf(line, max, "%s", why); /* it may lie in what is given back */
    if (!l.lost) {
        taken_give_back(u, &l.taken);
    }
    return false;
}
