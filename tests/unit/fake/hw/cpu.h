/* SPDX-License-Identifier: MIT */
/* Stands in for xmhf-core/hw/cpu.h in host unit tests: the same names, for the test to define. */
#ifndef XMHF_HW_CPU_H
#define XMHF_HW_CPU_H

#include <xmhf/types.h>

struct hw_table { uint16_t limit; uint64_t base; } __attribute__((packed));

void hw_lgdt(const struct hw_table *t);
void hw_lidt(const struct hw_table *t);
void hw_ltr(uint16_t sel);
void hw_lldt(uint16_t sel);
void hw_load_code_stack(uint16_t code, uint16_t stack);
void hw_load_data(uint16_t data);
void *hw_gs_self(void);
void hw_sgdt(struct hw_table *t);
void hw_clgi(void);
void hw_stgi(void);
void hw_interrupt_window(const struct hw_table *meanwhile, const struct hw_table *normal);
void hw_iret(void);
void hw_lidt(const struct hw_table *t);
void hw_trap(void);
uint64_t hw_rsp(void);
_Noreturn void hw_stop(const void *wiped, void (*then)(void));

#endif
