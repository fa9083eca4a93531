/* SPDX-License-Identifier: MIT */
/* The CPUs besides the one that boots, by the firmware's MP services. */
#include <boot/uefi/cpus.h>
#include <boot/uefi/mp.h>

#include <util/fmt.h>
#include <xmhf/live.h>

/* The core lets CPUs wait 20 s for each other at most; then they come back, and this only ends the
 * wait for one that never went. Firmware resets that one. In microseconds. */
#define TIMEOUT 30000000

struct call {
    uint64_t target, shared_cr3;
    _Atomic unsigned taken;
};

static bool refuse_cpu(struct cpus *c, const struct mp_info *info)
{
    (void)fmt_snprintf(c->why, sizeof(c->why),
                       "the firmware has turned the CPU with APIC ID 0x%llx off, but the "
                       "operating system could start it", (unsigned long long)info->processor_id);
    return false;
}

bool cpus_list(const struct uefi *u, struct cpus *c, struct boot_info *bi)
{
    EFI_GUID guid = MP_SERVICES_GUID;
    UINTN count = 0, enabled = 0;
    struct mp_info info;

    *c = (struct cpus){ 0 };
    bi->cpu_count = 0;
    if (EFI_ERROR(u->boot->LocateProtocol(&guid, NULL, (void **)&c->mp))) {
        c->mp = NULL;
        return true;
    }
    if (EFI_ERROR(c->mp->get_number(c->mp, &count, &enabled)) || count == 0) {
        (void)fmt_snprintf(c->why, sizeof(c->why),
                           "the firmware's MP services don't tell how many CPUs there are");
        return false;
    }
    if (count > BOOT_OTHER_CPUS_MAX) {
        (void)fmt_snprintf(c->why, sizeof(c->why), "there are %llu CPUs, more than %u",
                           (unsigned long long)count, BOOT_OTHER_CPUS_MAX);
        return false;
    }
    for (UINTN i = 0; i < count; i++) {
        if (EFI_ERROR(c->mp->get_info(c->mp, i, &info))) {
            (void)fmt_snprintf(c->why, sizeof(c->why), "the firmware's MP services don't tell "
                               "about CPU number %llu", (unsigned long long)i);
            return false;
        }
        if (info.status_flag & MP_IS_BSP) {
            continue;
        }
        if (!(info.status_flag & MP_ENABLED) || !(info.status_flag & MP_HEALTHY)) {
            return refuse_cpu(c, &info);
        }
        bi->cpu_apic_id[bi->cpu_count++] = (uint32_t)info.processor_id;
    }
    return true;
}

/* On each of the CPUs, in the firmware's code there. */
static VOID EFIAPI procedure(VOID *argument)
{
    struct call *call = argument;

    if (boot_live_call(call->target, NULL, call->shared_cr3) == 0) {
        call->taken++;
    }
}

enum cpus_result cpus_call(struct cpus *c, const struct boot_info *bi, uint64_t target,
                           uint64_t shared_cr3)
{
    static struct call call; /* a CPU that is late may still look at it */
    EFI_STATUS status;

    if (bi->cpu_count == 0) {
        return CPUS_ALL;
    }
    call.target = target;
    call.shared_cr3 = shared_cr3;
    call.taken = 0;
    status = c->mp->start_all(c->mp, procedure, FALSE, NULL, TIMEOUT, &call, NULL);
    if (!EFI_ERROR(status)) {
        return call.taken == bi->cpu_count ? CPUS_ALL : CPUS_NOT_ALL;
    }
    (void)fmt_snprintf(c->why, sizeof(c->why), status == EFI_TIMEOUT
                       ? "the firmware's MP services couldn't start each CPU: one of them doesn't "
                         "answer"
                       : "the firmware's MP services couldn't start the other CPUs (status 0x%llx)",
                       (unsigned long long)(status & ~EFI_ERROR_MASK));
    return status == EFI_TIMEOUT ? CPUS_LOST : CPUS_NOT_ALL;
}
