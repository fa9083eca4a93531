/* SPDX-License-Identifier: MIT */
/* A 64-bit process against the fake core, on any CPU: its places, its hypercalls, how its calls of
 * PALs end. For tests of hypapps/trustvisor, of each registration interface. */
#ifndef XMHF_TESTS_TV_PROCESS_H
#define XMHF_TESTS_TV_PROCESS_H

#include "unit.h"

#include "fake/fake_core.h"
#include "fake/machine.h"

#define CR3    0x1234000ULL
#define STACK  0x7ffd00000000ULL   /* the caller's own stack page */
#define ARGS   0x7ffd00010000ULL   /* descriptors */
#define BUFS   0x7ffd00020000ULL   /* pages for pointers */
#define RSP    (STACK + 0x800)
#define TEXT   0x400000ULL         /* page with a hypercall instruction */
#define RET    0x401234ULL

/* These pages, with so many for ARGS and BUFS. */
static inline void process_make(unsigned args, unsigned bufs)
{
    memcpy(fake_ram(fake_map_new(CR3, TEXT, 1, FAKE_RX)), "\x0f\x01\xd9", 3);
    fake_map_new(CR3, STACK, 1, FAKE_RW);
    fake_map_new(CR3, ARGS, args, FAKE_RW);
    fake_map_new(CR3, BUFS, bufs, FAKE_RW);
}

static inline void process_set_word(uint64_t va, uint64_t w)
{
    memcpy(fake_at(CR3, va), &w, 8);
}

static inline uint64_t process_pattern(enum gpr r)
{
    return 0x1111111111111111ULL * r + 5;
}

/* Registers of the process that nothing may change. */
static inline void process_poison(struct vcpu *cpu)
{
    for (unsigned i = 0; i < 16; i++) {
        cpu->regs.gpr[i] = process_pattern(i);
    }
    cpu->regs.gpr[GPR_RSP] = RSP;
    cpu->regs.rflags = 0x246;
    cpu->regs.rip = TEXT;
}

/* A hypercall, as often as it says. ~0: SIGSEGV. */
static inline uint64_t process_command(struct vcpu *cpu, uint32_t cmd, uint64_t rcx, uint64_t rsi,
                                       uint64_t rdi)
{
    process_poison(cpu);
    cpu->regs.gpr[GPR_RCX] = rcx;
    cpu->regs.gpr[GPR_RSI] = rsi;
    cpu->regs.gpr[GPR_RDI] = rdi;
    for (unsigned i = 0; i < 100000; i++) {
        cpu->regs.gpr[GPR_RAX] = cmd;
        if (hypapp.hypercall(cpu, cmd) == HC_DONE) {
            assert_int_equal(fake.injected, FAKE_NONE);
            return cpu->regs.gpr[GPR_RAX];
        }
        if (fake.injected != FAKE_NONE) {
            fake_clear();
            return ~0ULL;
        }
    }
    fail_msg("the hypercall never ends");
    return 0;
}

/* The PAL executes the instruction at `rip`, on its return page, with this result; its other
 * registers are full of secrets. */
static inline void process_pal_returns(struct vcpu *cpu, uint64_t rip, uint64_t rax)
{
    const struct exit e = { .kind = EXIT_HYPERCALL, .insn_len = 3 };

    for (unsigned i = 0; i < 16; i++) {
        cpu->regs.gpr[i] = 0x5ec3e7ULL;
    }
    cpu->regs.gpr[GPR_RAX] = rax;
    cpu->regs.rip = rip;
    hypapp.sandbox_exit(cpu, &e);
}

/* The process is back behind its call, with nothing of the PAL but these three. */
static inline void process_expect_returned(const struct vcpu *cpu, uint64_t rax, uint64_t rcx,
                                           uint64_t rdx)
{
    assert_false(cpu->in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(cpu->regs.rip, RET);
    assert_int_equal(cpu->regs.gpr[GPR_RSP], RSP + 8);
    assert_int_equal(cpu->regs.gpr[GPR_RAX], rax);
    assert_int_equal(cpu->regs.gpr[GPR_RCX], rcx);
    assert_int_equal(cpu->regs.gpr[GPR_RDX], rdx);
    assert_int_equal(cpu->regs.gpr[GPR_RBX], process_pattern(GPR_RBX));
    assert_int_equal(cpu->regs.gpr[GPR_R8], 0);
}

#endif
