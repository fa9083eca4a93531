/* SPDX-License-Identifier: MIT */
/*
 * The page below 640 KiB where CPUs start in real mode: at the SIPI that takes them, and after a
 * sleep that nobody asked us for. It belongs to the protected memory: the guest's map calls it
 * reserved, its nested tables show zeros.
 */
#ifndef XMHF_SMP_LOW_PAGE_H
#define XMHF_SMP_LOW_PAGE_H

#include <xmhf/boot_info.h>

extern uint64_t low_page; /* physical; 0 until it is chosen */

/* Choose it clear of modules and of the `avoid_count` pages at `avoid` (0: none there), if the
 * front end has none. 0, or -1 with a log line. */
int low_page_choose(const struct boot_info *bi, const uint64_t *avoid, unsigned avoid_count);

/* Put the code there that runs after a sleep: wipes the protected range, says so on the UART at
 * port `com` (0: none), and resets. After host_map_init. */
void low_page_fill(const struct boot_info *bi, uint16_t com);

/* Where firmware is to jump then, in real mode: a multiple of 16 (ACPI 6.5, 5.2.10). */
uint32_t low_page_vector(void);

#endif
