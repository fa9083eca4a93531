/* SPDX-License-Identifier: MIT */
/* Stands in for xmhf-core/hw/insn.h in host unit tests: the same names, acting on the
 * fake machine of tests/unit/fake/machine.h. */
#ifndef XMHF_HW_INSN_H
#define XMHF_HW_INSN_H

#include <x86/cpuid.h>
#include <xmhf/types.h>

void hw_pause(void);
void hw_cli(void);
void hw_sti(void);
void hw_hlt(void);
void hw_wbinvd(void);
uint64_t hw_rdtsc(void);
struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t sub);
uint64_t hw_rdmsr(uint32_t msr);
void hw_wrmsr(uint32_t msr, uint64_t v);
bool hw_rdmsr_safe(uint32_t msr, uint64_t *v);
bool hw_wrmsr_safe(uint32_t msr, uint64_t v);
uint64_t hw_read_cr0(void);
uint64_t hw_read_cr2(void);
uint64_t hw_read_cr3(void);
uint64_t hw_read_cr4(void);
void hw_write_cr0(uint64_t v);
void hw_write_cr2(uint64_t v);
void hw_write_cr3(uint64_t v);
void hw_write_cr4(uint64_t v);
void hw_clear_breakpoints(void);
uint64_t hw_read_dr6(void);
void hw_write_dr6(uint64_t value);
void hw_invlpg(uint64_t va);
uint8_t hw_in8(uint16_t port);
uint16_t hw_in16(uint16_t port);
uint32_t hw_in32(uint16_t port);
void hw_out8(uint16_t port, uint8_t v);
void hw_out16(uint16_t port, uint16_t v);
void hw_out32(uint16_t port, uint32_t v);
uint64_t hw_xgetbv(void);
void hw_xsetbv(uint64_t v);
bool hw_xsetbv_safe(uint64_t v);
void hw_xsave(void *area, uint64_t mask);
void hw_xrstor(const void *area, uint64_t mask);
void hw_fxsave(void *area);
void hw_fxrstor(const void *area);
void hw_x87_forget(void);
uint32_t hw_rdpkru(void);
bool hw_rdrand(uint64_t *v);
bool hw_rdseed(uint64_t *v);
uint32_t hw_mmio_read32(const volatile void *p);
void hw_mmio_write32(volatile void *p, uint32_t v);
void hw_fill64(void *dst, uint64_t value, size_t n);
void hw_copy64(void *dst, const void *src, size_t n);
void hw_copy64_down(void *dst, const void *src, size_t n);

#endif
