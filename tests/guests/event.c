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

/* A gate that leads to a ring-3 segment. */
static void bad_gate(void)
{
    struct exec x = exec_for(0, 64);

    gate(0x61, 1, 3);
    idt[0x61].selector = SEL_USER16;
    EXEC(&x, 0xcd, 0x61);
    CHECK(x.vector == EXC_GP && at_start(&x), "a bad gate: vector %llu",
          (unsigned long long)x.vector);
}

/* An NMI with its stack in the range. */
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

void guest_main(void)
{
    if (!hypervisor) {
        skip("bare: no memory is hidden");
    }
    find_range();
    for (unsigned i = 0; i < 100; i++) {
        bad_stack(i);
    }
    bad_gate();
    nmi_bad_stack();
    struct exec x = exec_for(0, 64);
    CHECK(EXEC(&x, 0x0f, 0x0b) == EXC_UD, "afterwards #UD is vector %llu",
          (unsigned long long)x.vector);
    pass("500 events with stacks in the protected range became faults of the guest");
}
