/* SPDX-License-Identifier: MIT */
/* Puts the hypervisor under the machine as it runs: so far only what it would be refused for. */
#include <boot/uefi/take.h>

#include <hw/insn.h>
#include <util/string.h>
#include <x86/cpu.h>

bool take(const struct uefi *u, const struct conf *conf, uint64_t tsc, char *line, size_t max)
{
    (void)u;
    (void)conf;
    (void)tsc;
    (void)str_copy(line, hw_read_cr4() & CR4_LA57
                   ? "5-level paging is on, which the hypervisor doesn't know; turn it off in the "
                     "firmware's settings"
                   : "taking over a running machine isn't there yet", max);
    return false;
}
