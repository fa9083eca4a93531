/* SPDX-License-Identifier: MIT */
/* Where struct live_cpu (xmhf/live.h, which compares) has its fields, for assembly too: bytes. */
#ifndef XMHF_LIVE_LAYOUT_H
#define XMHF_LIVE_LAYOUT_H

#define LIVE_RIP      0
#define LIVE_RSP      8
#define LIVE_CR0      16
#define LIVE_CR2      24
#define LIVE_CR3      32
#define LIVE_CR4      40
#define LIVE_SHARED   48
#define LIVE_SELECTOR 56 /* enum live_selector, 2 bytes each */
#define LIVE_GDTR     72
#define LIVE_IDTR     82
#define LIVE_PAD      92
#define LIVE_SIZE     96 /* a multiple of 16 */

#endif
