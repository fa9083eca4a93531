/* SPDX-License-Identifier: MIT */
/* Loading descriptor tables: the instructions behind cpu/cpu.c. */
#ifndef XMHF_HW_CPU_H
#define XMHF_HW_CPU_H

#include <xmhf/types.h>

struct hw_table { uint16_t limit; uint64_t base; } __attribute__((packed));

static inline void hw_lgdt(const struct hw_table *t) { __asm__ volatile("lgdt %0" :: "m"(*t)); }
static inline void hw_lidt(const struct hw_table *t) { __asm__ volatile("lidt %0" :: "m"(*t)); }
static inline void hw_sgdt(struct hw_table *t) { __asm__ volatile("sgdt %0" : "=m"(*t)); }
static inline void hw_ltr(uint16_t sel) { __asm__ volatile("ltr %0" :: "r"(sel)); }
static inline void hw_lldt(uint16_t sel) { __asm__ volatile("lldt %0" :: "r"(sel)); }

static inline void hw_load_code_stack(uint16_t code, uint16_t stack)
{
    __asm__ volatile("mov %w1, %%ss; pushq %q0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:"
                     :: "r"((uint64_t)code), "r"((uint32_t)stack) : "rax", "memory");
}

static inline void hw_load_data(uint16_t data)
{
    __asm__ volatile("mov %w0, %%ds; mov %w0, %%es" :: "r"((uint32_t)data) : "memory");
}

static inline void *hw_gs_self(void)
{
    void *p;
    __asm__ volatile("movq %%gs:0, %0" : "=r"(p));
    return p;
}

static inline uint64_t hw_rsp(void)
{
    uint64_t v;
    __asm__ volatile("movq %%rsp, %0" : "=r"(v));
    return v;
}

static inline void hw_clgi(void) { __asm__ volatile("clgi" ::: "memory"); }
static inline void hw_stgi(void) { __asm__ volatile("stgi" ::: "memory"); }

static inline void hw_write_dr6(uint64_t v) { __asm__ volatile("mov %0, %%dr6" :: "r"(v)); }

/* IRET to the next instruction: ends the blocking of NMIs (SDM vol. 3, 6.7.1). */
static inline void hw_iret(void)
{
    uint64_t rsp;
    __asm__ volatile("movq %%rsp, %0; movl %%ss, %%eax; pushq %%rax; pushq %0; pushfq;"
                     "movl %%cs, %%eax; pushq %%rax; leaq 1f(%%rip), %%rax; pushq %%rax; iretq; 1:"
                     : "=&r"(rsp) :: "rax", "memory", "cc");
}

/* Raise an exception on purpose: with an empty IDT that is a triple fault. */
static inline void hw_trap(void) { __asm__ volatile("ud2"); }

/* Run `fn(arg)` on another stack; it never returns. */
static inline _Noreturn void hw_switch_stack(uint64_t stack, void (*fn)(void *), void *arg)
{
    __asm__ volatile("movq %0, %%rsp; xorl %%ebp, %%ebp; call *%1; ud2"
                     :: "c"(stack), "a"(fn), "D"(arg) : "memory"); /* not in RBP */
    __builtin_unreachable();
}

/* Pending interrupts are taken here, by the IDT `meanwhile`; nothing in it can fault. */
static inline void hw_interrupt_window(const struct hw_table *meanwhile,
                                       const struct hw_table *normal)
{
    __asm__ volatile("lidt %0; sti; nop; nop; cli; lidt %1" :: "m"(*meanwhile), "m"(*normal)
                     : "memory");
}

/*
 * Leave the core for good: back to where live.S called it (xmhf/live.h), with `value` in RAX. All
 * but GDT, IDT, CS, SS and EFER is as it was; CR3 is c->shared_cr3.
 */
struct live_cpu;
_Noreturn void hw_native_return(const struct live_cpu *c, uint64_t efer, uint64_t value);

/* A stopped CPU's end, interrupts off. It touches no memory until `*wiped`, a lock-free bool, is
 * set, then calls `then` (NULL: nothing) and sleeps. */
_Noreturn void hw_stop(const void *wiped, void (*then)(void));


#endif
