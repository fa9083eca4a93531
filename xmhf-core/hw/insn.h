/* SPDX-License-Identifier: MIT */
/*
 * Single machine instructions for the core. Inline assembly stands in xmhf-core/hw/ only; host unit
 * tests put tests/unit/fake before xmhf-core in the include path and get hw/insn.h from there.
 */
#ifndef XMHF_HW_INSN_H
#define XMHF_HW_INSN_H

#include <x86/cpuid.h>
#include <xmhf/types.h>

static inline void hw_pause(void) { __asm__ volatile("pause"); }
static inline void hw_cli(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void hw_sti(void) { __asm__ volatile("sti" ::: "memory"); }
static inline void hw_hlt(void) { __asm__ volatile("hlt" ::: "memory"); }
static inline void hw_wbinvd(void) { __asm__ volatile("wbinvd" ::: "memory"); }

static inline uint64_t hw_rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return lo | (uint64_t)hi << 32;
}

static inline struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid_regs r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(sub));
    return r;
}

static inline uint64_t hw_rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
    return lo | (uint64_t)hi << 32;
}

static inline void hw_wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" :: "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr)
                     : "memory");
}

/* Fault-safe: false if the access raised #GP. (hw/entry.S has the fixup table.) */
bool hw_rdmsr_safe(uint32_t msr, uint64_t *v);
bool hw_wrmsr_safe(uint32_t msr, uint64_t v);

#define HW_READ_CR(n) \
    static inline uint64_t hw_read_cr##n(void) \
    { \
        uint64_t v; \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v) :: "memory"); \
        return v; \
    } \
    static inline void hw_write_cr##n(uint64_t v) \
    { \
        __asm__ volatile("mov %0, %%cr" #n :: "r"(v) : "memory"); \
    }
HW_READ_CR(0)
HW_READ_CR(2)
HW_READ_CR(3)
HW_READ_CR(4)
#undef HW_READ_CR

/* DR0 to DR3 are 0. */
static inline void hw_clear_breakpoints(void)
{
    __asm__ volatile("mov %0, %%dr0; mov %0, %%dr1; mov %0, %%dr2; mov %0, %%dr3" :: "r"(0ULL));
}

static inline uint64_t hw_read_dr6(void)
{
    uint64_t v;
    __asm__ volatile("mov %%dr6, %0" : "=r"(v));
    return v;
}

static inline uint64_t hw_read_dr7(void)
{
    uint64_t v;
    __asm__ volatile("mov %%dr7, %0" : "=r"(v));
    return v;
}

static inline void hw_invlpg(uint64_t va) { __asm__ volatile("invlpg (%0)" :: "r"(va) : "memory"); }

static inline uint8_t hw_in8(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint16_t hw_in16(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint32_t hw_in32(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline void hw_out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" :: "a"(v), "Nd"(port));
}
static inline void hw_out16(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" :: "a"(v), "Nd"(port));
}
static inline void hw_out32(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" :: "a"(v), "Nd"(port));
}

static inline uint64_t hw_xgetbv(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo | (uint64_t)hi << 32;
}
/* Fault-safe, as hw_wrmsr_safe. */
bool hw_xsetbv_safe(uint64_t v);

static inline void hw_xsetbv(uint64_t v)
{
    __asm__ volatile("xsetbv" :: "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(0) : "memory");
}

/* `area`: 64-byte aligned (XSAVE) or 16-byte aligned (FXSAVE). */
static inline void hw_xsave(void *area, uint64_t mask)
{
    __asm__ volatile("xsave64 (%0)" :: "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}
static inline void hw_xrstor(const void *area, uint64_t mask)
{
    __asm__ volatile("xrstor64 (%0)" :: "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}
static inline void hw_fxsave(void *area)
{
    __asm__ volatile("fxsave64 (%0)" :: "r"(area) : "memory");
}
/* Make the CPU's pointers to the last x87 instruction and its operand ours, so that those of the
 * other side are gone. */
static inline void hw_x87_forget(void)
{
    static const int32_t zero;

    __asm__ volatile("fnclex; emms; fildl %0" :: "m"(zero));
}
static inline void hw_fxrstor(const void *area)
{
    __asm__ volatile("fxrstor64 (%0)" :: "r"(area) : "memory");
}

/* The guest's PKRU; CR4.PKE of the core must be set, so read it only if the guest has PKE. */
static inline uint32_t hw_rdpkru(void)
{
    uint32_t v, high;
    __asm__ volatile("rdpkru" : "=a"(v), "=d"(high) : "c"(0));
    return v;
}

/* RDRAND; false if it gave nothing. Only where CPUID.1:ECX[30]. */
static inline bool hw_rdrand(uint64_t *v)
{
    bool ok;
    __asm__ volatile("rdrand %0" : "=r"(*v), "=@ccc"(ok));
    return ok;
}

/* RDSEED; false if it had nothing just now. Only where CPUID.7.0:EBX[18]. */
static inline bool hw_rdseed(uint64_t *v)
{
    bool ok;
    __asm__ volatile("rdseed %0" : "=r"(*v), "=@ccc"(ok));
    return ok;
}

/* Uncached 32-bit MMIO. */
static inline uint32_t hw_mmio_read32(const volatile void *p)
{
    uint32_t v;
    __asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(p) : "memory");
    return v;
}
static inline void hw_mmio_write32(volatile void *p, uint32_t v)
{
    __asm__ volatile("movl %0, (%1)" :: "r"(v), "r"(p) : "memory");
}

/* Fast fill and copy by quadwords; counts in quadwords. */
static inline void hw_fill64(void *dst, uint64_t value, size_t n)
{
    __asm__ volatile("rep stosq" : "+D"(dst), "+c"(n) : "a"(value) : "memory");
}
static inline void hw_copy64(void *dst, const void *src, size_t n)
{
    __asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(n) :: "memory");
}
/* The same from the end downwards, for overlapping moves to a higher address. */
static inline void hw_copy64_down(void *dst, const void *src, size_t n)
{
    uint64_t *d = (uint64_t *)dst + n - 1;
    const uint64_t *s = (const uint64_t *)src + n - 1;
    __asm__ volatile("std; rep movsq; cld" : "+D"(d), "+S"(s), "+c"(n) :: "memory");
}

#endif
