/* SPDX-License-Identifier: MIT */
/* Events whose delivery hits memory the guest can't use: a fault in the guest, no hang. */
#include "guest.h"

#define BAD_IST 3

static uint64_t hidden, size;

static void find_range(void)
{
    size = info(XMHF_INFO_PROTECTED_SIZE);
    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);
        hidden = e.type == 2 && e.size == size ? e.start : hidden;
    }
    CHECK(hidden, "no hole in the map");
    this_cpu()->tss.ist[BAD_IST - 1] = hidden + 0x2000;
}

static void gate(unsigned vector, unsigned ist, unsigned dpl)
{
    set_gate(vector, (uintptr_t)trap_entries + 16 * vector, ist, dpl);
}

/* An exception, a software interrupt, and an INT3 with their stack in the range. */
static void bad_stack(unsigned round)
{
    struct exec x = exec_for(round & 1 ? 3 : 0, 64);

    gate(EXC_UD, BAD_IST, 0);
    EXEC(&x, 0x0f, 0x0b);
    CHECK(x.vector == EXC_GP || x.vector == EXC_DF || x.vector == EXC_SS,
          "UD2 with a hidden stack: vector %llu", (unsigned long long)x.vector);
    if (round == 0) {
        say("UD2 with a hidden stack: vector %llu, error 0x%llx", (unsigned long long)x.vector,
            (unsigned long long)x.error);
    }
    gate(EXC_UD, 1, 0);

    gate(EXC_GP, BAD_IST, 0);
    x = exec_for(round & 1 ? 3 : 0, 64);
    EXEC(&x, 0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8b, 0x01); /* non-canonical read */
    CHECK(x.vector == EXC_DF, "#GP with a hidden stack: vector %llu",
          (unsigned long long)x.vector);
    gate(EXC_GP, 1, 0);

    gate(0x60, BAD_IST, 3);
    x = exec_for(round & 1 ? 3 : 0, 64);
    EXEC(&x, 0xcd, 0x60);
    CHECK((x.vector == EXC_GP || x.vector == EXC_DF) && (x.vector == EXC_DF || at_start(&x)),
          "INT 60h with a hidden stack: vector %llu at +%llu", (unsigned long long)x.vector,
          (unsigned long long)(x.rip - x.start));
    gate(0x60, 1, 3);

    gate(EXC_BP, BAD_IST, 3);
    x = exec_for(round & 1 ? 3 : 0, 64);
    EXEC(&x, 0xcc);
    CHECK(x.vector == EXC_GP || x.vector == EXC_DF, "INT3 with a hidden stack: vector %llu",
          (unsigned long long)x.vector);
    gate(EXC_BP, 1, 3);
}

/* A gate, or a descriptor that a gate names, in zeros: #NP or #GP by the CPU itself. */
static void bad_descriptor(void)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) idtr = { 0xfff, hidden },
        good = { sizeof(idt) - 1, (uintptr_t)idt };
    struct exec x = exec_for(0, 64);

    (void)idtr;
    __asm__ volatile("lidt %0" :: "m"(good));
    idt[0x61] = idt[0x60];
    idt[0x61].selector = 0x48; /* ring 3, 16 bits: no gate may lead there */
    EXEC(&x, 0xcd, 0x61);
    CHECK(x.vector == EXC_GP || x.vector == EXC_NP, "a bad gate: vector %llu",
          (unsigned long long)x.vector);
}

/* A TSS whose stacks can't be read: LTR there and an interrupt from ring 3. */
static void nmi_bad_stack(void)
{
    struct exec x = exec_for(0, 64);

    gate(EXC_NMI, BAD_IST, 0);
    x.gpr[RCX] = 0xfee00300u;
    x.gpr[RAX] = 0x44400; /* NMI to itself by shorthand */
    EXEC(&x, 0x89, 0x01, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90);
    CHECK(x.vector == EXC_GP || x.vector == EXC_DF || x.vector == VECTOR_DONE,
          "NMI with a hidden stack: vector %llu", (unsigned long long)x.vector);
    say("NMI with a hidden stack: vector %llu", (unsigned long long)x.vector);
    gate(EXC_NMI, 2, 0);
}

/* #DB and #AC in ring 0 whose own delivery raises them again must not hang the CPU. */
static void data_breakpoint_on_stack(void)
{
    struct exec x = exec_for(0, 64);
    uint64_t at = (uintptr_t)this_cpu() + BLOCK_TRAP_TOP - 8;

    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" :: "r"(at), "r"(0xd0402ULL | 0x1ULL));
    x.rflags |= RFLAGS_TF;
    EXEC(&x, 0x90, 0x90, 0x90);
    __asm__ volatile("mov %0, %%dr7" :: "r"(0x400ULL));
    say("#DB on its own stack: ended with vector %llu", (unsigned long long)x.vector);
}

void guest_main(void)
{
    if (!hypervisor) {
        skip("bare: no memory is hidden");
    }
    find_range();
    for (unsigned i = 0; i < 100; i++) {
        bad_stack(i);
    }
    bad_descriptor();
    data_breakpoint_on_stack();
    nmi_bad_stack();
    struct exec x = exec_for(0, 64);
    CHECK(EXEC(&x, 0x0f, 0x0b) == EXC_UD, "afterwards #UD is vector %llu",
          (unsigned long long)x.vector);
    pass("500 events with stacks in the protected range became faults of the guest");
}
