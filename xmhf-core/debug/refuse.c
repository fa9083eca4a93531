/* SPDX-License-Identifier: MIT */
/* The end of a start that can't go on: no guest runs without the hypervisor. */
#include <debug/log.h>
#include <hw/insn.h>

void launch_refuse(void)
{
    log_error("launch refused");
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}
