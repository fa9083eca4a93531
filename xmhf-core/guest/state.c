/* SPDX-License-Identifier: MIT */
/* Fills in the states that a vCPU starts with: reset, INIT, SIPI, and those of the Linux boot
 * protocols. */
#include <guest/state.h>
#include <hw/insn.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

static void common(struct vcpu_state *s)
{
    memset(s, 0, sizeof(*s));
    s->regs.rflags = RFLAGS_ONE;
    s->regs.gpr[GPR_RDX] = hw_cpuid(CPUID_FEATURES, 0).eax; /* family, model, stepping */
    s->gdt_limit = s->idt_limit = 0xffff;
    s->cr0 = CR0_AT_RESET;
    s->dr6 = DR6_AT_INIT;
    s->dr7 = DR7_AT_INIT;
    s->pat = PAT_AT_RESET;
    s->seg[SEG_LDTR] = (struct segment){ 0, SEG_ATTR_LDT, 0xffff, 0 };
    s->seg[SEG_TR] = (struct segment){ 0, SEG_ATTR_TSS_BUSY, 0xffff, 0 };
}

void state_reset(struct vcpu_state *s)
{
    common(s);
    for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
        s->seg[i] = (struct segment){ 0, SEG_ATTR_DATA_REAL, 0xffff, 0 };
    }
    s->seg[SEG_CS] = (struct segment){ 0xf000, SEG_ATTR_CODE_REAL, 0xffff, 0xffff0000 };
    s->regs.rip = 0xfff0;
}

static void after_init(struct vcpu *v, struct vcpu_state *s)
{
    s->by_init = true;
    hw_clear_breakpoints();
    virt->set_state(v, s);
}

void state_init(struct vcpu *v)
{
    struct vcpu_state s;

    state_reset(&s);
    after_init(v, &s);
}

void state_sipi(struct vcpu *v, uint8_t vector)
{
    struct vcpu_state s;

    state_reset(&s);
    s.seg[SEG_CS].selector = (uint16_t)(vector << 8);
    s.seg[SEG_CS].base = (uint64_t)vector << 12;
    s.regs.rip = 0;
    after_init(v, &s);
}

void state_linux32(struct vcpu_state *s, uint32_t entry, uint32_t boot_params)
{
    common(s);
    for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
        s->seg[i] = (struct segment){ 0x18, SEG_ATTR_DATA32, 0xffffffff, 0 };
    }
    s->seg[SEG_CS] = (struct segment){ 0x10, SEG_ATTR_CODE32, 0xffffffff, 0 };
    s->cr0 = CR0_PE | CR0_ET;
    s->regs.gpr[GPR_RDX] = 0;
    s->regs.gpr[GPR_RSI] = boot_params;
    s->regs.rip = entry;
}

void state_linux16(struct vcpu_state *s, uint64_t area)
{
    uint16_t selector = (uint16_t)(area >> 4);

    common(s);
    for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
        s->seg[i] = (struct segment){ selector, SEG_ATTR_DATA_REAL, 0xffff, area };
    }
    s->seg[SEG_CS] = (struct segment){ (uint16_t)(selector + 0x20), SEG_ATTR_CODE_REAL, 0xffff,
                                       area + 0x200 };
    s->idt_limit = 0x3ff;
    s->cr0 = CR0_ET;
    s->regs.gpr[GPR_RDX] = 0;
    s->regs.gpr[GPR_RSP] = 0xe000;
}
