/* SPDX-License-Identifier: MIT */
/*
 * What boot stage and core use of a CPU without asking again (notes/boot.md has the list of
 * places). The boot stage tests it in 32-bit assembly, before its first use; the core on every
 * CPU (cpu/needs.c); tools/probe of a record.
 *
 * N(leaf, register, bit, name): CPUID's leaf and subleaf 0; registers 0 EAX to 3 EDX; bit 32:
 * the leaf is enough. A row's own use begins behind those of the rows above.
 */
#ifndef XMHF_CPU_NEEDS_H
#define XMHF_CPU_NEEDS_H

#define CPU_NEEDS(N) \
    N(0x00000001, 3, 4, "a time-stamp counter (CPUID 1:EDX[4])") \
    N(0x00000001, 3, 5, "MSRs (CPUID 1:EDX[5])") \
    N(0x80000001, 3, 29, "64-bit mode (CPUID 8000_0001:EDX[29])") \
    N(0x00000001, 3, 6, "PAE (CPUID 1:EDX[6])") \
    N(0x00000001, 3, 0, "an x87 FPU (CPUID 1:EDX[0])") \
    N(0x00000001, 3, 7, "machine-check exceptions (CPUID 1:EDX[7])") \
    N(0x00000001, 3, 8, "CMPXCHG8B (CPUID 1:EDX[8])") \
    N(0x00000001, 3, 9, "a local APIC that is switched on (CPUID 1:EDX[9])") \
    N(0x00000001, 3, 13, "global pages (PGE, CPUID 1:EDX[13])") \
    N(0x00000001, 3, 15, "CMOV (CPUID 1:EDX[15])") \
    N(0x00000001, 3, 16, "the page attribute table (PAT, CPUID 1:EDX[16])") \
    N(0x00000001, 3, 23, "MMX (CPUID 1:EDX[23])") \
    N(0x00000001, 3, 24, "FXSAVE (FXSR, CPUID 1:EDX[24])") \
    N(0x00000001, 3, 25, "SSE (CPUID 1:EDX[25])") \
    N(0x80000008, 0, 32, "the widths of addresses (CPUID 8000_0008)")

/* NX is listed apart: firmware may have hidden it on Intel's CPUs, and hw/xd_enable.inc shows it
 * before this is asked. */
#define CPU_NEEDS_NX(N) \
    N(0x80000001, 3, 20, "NX, no-execute pages (CPUID 8000_0001:EDX[20]); enable it in the setup")

#endif
