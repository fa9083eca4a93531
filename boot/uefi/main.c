/* SPDX-License-Identifier: MIT */
/*
 * xmhf.efi: an entry of the firmware's boot menu. It puts the hypervisor under the machine as it
 * runs, and then starts the loader that would have come without it (notes/boot-uefi.md).
 */
#include <boot/uefi/efi.h>
#include <boot/uefi/next.h>
#include <boot/uefi/options.h>
#include <boot/uefi/take.h>

#include <hw/insn.h>
#include <util/string.h>
#include <xmhf/hypercall.h>

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* Our leaf in CPUID is there as long as the hypervisor is. */
static bool is_running(void)
{
    struct cpuid_regs r = hw_cpuid(XMHF_CPUID_BASE, 0);

    return memcmp(&r.ebx, XMHF_CPUID_SIGNATURE, 4) == 0
        && memcmp(&r.ecx, &XMHF_CPUID_SIGNATURE[4], 4) == 0
        && memcmp(&r.edx, &XMHF_CPUID_SIGNATURE[8], 4) == 0;
}

/* Every way out that leaves the machine without the hypervisor. Returns if it is to go on so. */
static void declined(const struct uefi *u, const struct conf *conf, const char *why)
{
    uefi_say(u, "not started: %s", why);
    if (!conf->required) {
        return;
    }
    uefi_say(u, "stopped: the option required forbids to go on without the hypervisor. Turn the "
                "machine off, or reset it and choose another boot entry");
    for (;;) {
        hw_hlt();
    }
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    static struct conf conf;
    static char why[512];
    uint64_t tsc = hw_rdtsc();
    struct uefi u;
    EFI_STATUS status;

    if (!uefi_init(&u, image, system)) {
        return EFI_UNSUPPORTED;
    }
    (void)u.boot->SetWatchdogTimer(0, 0, 0, NULL); /* five minutes from a boot manager: 7.5 */
    if (!next_mark(&u)) {
        uefi_say(&u, "this program was started by what it has started itself; it ends here");
        return EFI_ALREADY_STARTED;
    }
    options_read(&u, &conf);
    if (is_running()) {
        uefi_say(&u, "the hypervisor is running already");
    } else if (options_damage(&conf, why, sizeof(why)) || !take(&u, &conf, tsc, why, sizeof(why))) {
        declined(&u, &conf, why);
    } else {
        uefi_say(&u, "%s", why); /* what was achieved */
    }
    status = next_start(&u, &conf);
    next_unmark(&u);
    return status;
}
