/* SPDX-License-Identifier: MIT */
/* The end of a start that can't go on: no guest runs without the hypervisor. */
#include <debug/log.h>
#include <hw/insn.h>

static void (*way_back)(void);

void launch_on_refuse(void (*back)(void))
{
    way_back = back;
}

void launch_refuse(void)
{
    if (way_back) {
        way_back();
    }
    log_error("launch refused");
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}
