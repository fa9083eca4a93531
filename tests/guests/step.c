/* SPDX-License-Identifier: MIT */
/* Single steps over instructions that hold traps or interrupts back, and over INT1: each ends
 * where it ends on the bare CPU, and the next entry isn't refused. A code breakpoint on an
 * instruction that faults is met once: the fault's frame has RF set (SDM vol. 3, 18.3.1.1). */
#include "guest.h"

#define DR7_CODE   0x401u /* breakpoint 0: local, execution */
#define FAULTS     5u     /* times that each instruction is tried again */

static const struct { const char *name; uint8_t len, bytes[8]; } forms[] = {
    { "sti", 3, { 0xfb, 0x90, 0x90 } },
    { "cli sti", 4, { 0xfa, 0xfb, 0x90, 0x90 } },
    { "sti int1", 3, { 0xfb, 0xf1, 0x90 } },
    { "sti cpuid", 4, { 0xfb, 0x0f, 0xa2, 0x90 } },
    { "mov ss", 4, { 0x8e, 0xd1, 0x90, 0x90 } },
    { "mov ss, int1", 4, { 0x8e, 0xd1, 0xf1, 0x90 } },
    { "mov ss, sti", 5, { 0x8e, 0xd1, 0xfb, 0x90, 0x90 } },
    { "mov ss, mov ss", 6, { 0x8e, 0xd1, 0x8e, 0xd1, 0x90, 0x90 } },
    { "mov ss, ud2", 4, { 0x8e, 0xd1, 0x0f, 0x0b } },
    { "mov ss, int3", 4, { 0x8e, 0xd1, 0xcc, 0x90 } },
    { "int1", 2, { 0xf1, 0x90 } },
    { "pushf popf", 4, { 0x9c, 0x9d, 0x90, 0x90 } },
};

/* Faults of the core: given back, or of an instruction that it refuses. MSR 277h is IA32_PAT. */
static const struct {
    const char *name;
    uint64_t eax, ecx;
    uint8_t ring, len, bytes[8];
} faults[] = {
    { "ud2", 0, 0, 0, 2, { 0x0f, 0x0b } }, { "ud2", 0, 0, 3, 2, { 0x0f, 0x0b } },
    { "wrmsr", 2, 0x277, 0, 2, { 0x0f, 0x30 } }, { "rdmsr", 0, 0x480, 0, 2, { 0x0f, 0x32 } },
    { "vmcall", XMHF_HC_INFO, 0xffff, 3, 3, { 0x0f, 0x01, 0xc1 } },
    { "vmmcall", XMHF_HC_INFO, 0xffff, 3, 3, { 0x0f, 0x01, 0xd9 } },
    { "xsetbv", 1, 1, 0, 3, { 0x0f, 0x01, 0xd1 } }, { "vmread", 0, 0, 0, 3, { 0x0f, 0x78, 0xc0 } },
};

static volatile unsigned met, faulted, without_rf;
static volatile uint64_t behind;

static void breakpoint(struct trap_frame *f)
{
    met++;
    f->rflags |= RFLAGS_RF;
}

static void fault(struct trap_frame *f)
{
    without_rf += !(f->rflags & RFLAGS_RF);
    if (++faulted == FAULTS) {
        f->rip = behind;
    }
}

static void set_breakpoint(uint64_t at, uint64_t dr7)
{
    __asm__ volatile("mov %0, %%dr0\n mov %1, %%dr7\n mov %2, %%dr6"
                     :: "r"(at), "r"(dr7), "r"((uint64_t)DR6_AT_INIT));
}

/* A bare CPU of an emulator may have no fault there, or push RF only if it was set. */
static void meet_breakpoint(unsigned i, bool with)
{
    struct exec x = exec_for(faults[i].ring, 64);
    uint64_t at = (uintptr_t)this_cpu() + BLOCK_CODE;

    x.gpr[RAX] = faults[i].eax;
    x.gpr[RCX] = faults[i].ecx;
    behind = at + faults[i].len;
    met = faulted = without_rf = 0;
    set_breakpoint(at, with ? DR7_CODE : DR7_AT_INIT);
    exec_bytes(&x, faults[i].bytes, faults[i].len);
    set_breakpoint(0, DR7_AT_INIT);
    CHECK(met == with, "%s in ring %u: %u breakpoints, %u faults", faults[i].name, faults[i].ring,
          met, faulted);
    CHECK(!hypervisor || (faulted == FAULTS && without_rf == 0),
          "%s in ring %u: %u faults, %u without RF", faults[i].name, faults[i].ring, faulted,
          without_rf);
}

static void check_breakpoints(void)
{
    handlers[EXC_DB] = breakpoint;
    handlers[EXC_UD] = handlers[EXC_GP] = fault;
    for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
        meet_breakpoint(i, true);
        meet_breakpoint(i, false);
    }
    handlers[EXC_DB] = handlers[EXC_UD] = handlers[EXC_GP] = NULL;
}

void guest_main(void)
{
    check_breakpoints();
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        for (unsigned ring = 0; ring <= 3; ring += 3) {
            for (unsigned step = 0; step <= 1; step++) {
                struct exec x = exec_for(ring, 64);

                x.gpr[RCX] = ring ? SEL_USER_DATA | 3 : SEL_DATA;
                x.rflags |= step ? RFLAGS_TF : 0;
                exec_bytes(&x, forms[i].bytes, forms[i].len);
                same("%s, ring %u, TF %u: vector %llu at +%llu", forms[i].name, ring, step,
                     (unsigned long long)x.vector, (unsigned long long)(x.rip - x.start));
            }
        }
    }
    pass("%u pieces of code in rings 0 and 3, stepped and not; a breakpoint on %u that fault",
         (unsigned)ARRAY_SIZE(forms), (unsigned)ARRAY_SIZE(faults));
}
