/* SPDX-License-Identifier: MIT */
/* Where the tour of modes keeps its words; all below 64 KiB. */
#ifndef GUEST_MODES_H
#define GUEST_MODES_H

#define MODES_STACK  0x7f00
#define MODES_RSP    0x9000
#define MODES_IDT    0x9008
#define MODES_CR3    0x9018
#define MODES_PAE    0x901c /* CR3 of PAE paging */
#define MODES_TWO    0x9020 /* CR3 of two-level paging */
#define MODES_CALL   0x9024 /* how many of VMCALL and VMMCALL to make */
#define MODES_UD     0x9028 /* #UDs taken in real mode */
#define MODES_RECORD 0x9100
#define MODES_STOPS  8

#endif
