/* SPDX-License-Identifier: MIT */
/* #UD exits that are no hypercalls go back to the guest as they were. */
#include "guest.h"

struct form { const char *name; uint8_t bits, len, bytes[8]; };

static const struct form invalid[] = {
    { "ud2", 64, 2, { 0x0f, 0x0b } }, { "ud2, 32 bits", 32, 2, { 0x0f, 0x0b } },
    { "ud1", 64, 3, { 0x0f, 0xb9, 0xc0 } }, { "push %es", 64, 1, { 0x06 } },
    { "daa", 64, 1, { 0x27 } }, { "pusha", 64, 1, { 0x60 } }, { "82", 64, 3, { 0x82, 0xc0, 0 } },
    { "ljmp imm", 64, 7, { 0xea, 0, 0, 0, 0, 8, 0 } }, { "lock nop", 64, 2, { 0xf0, 0x90 } },
    { "mov to cs", 64, 2, { 0x8e, 0xc8 } },
    { "syscall, SCE 0", 64, 2, { 0x0f, 0x05 } }, { "rex ud2", 64, 3, { 0x48, 0x0f, 0x0b } },
    { "0f 04", 64, 2, { 0x0f, 0x04 } }, { "0f 0a", 64, 2, { 0x0f, 0x0a } },
    { "0f 01 c2", 64, 3, { 0x0f, 0x01, 0xc2 } },
    { "xgetbv, OSXSAVE 0", 64, 3, { 0x0f, 0x01, 0xd0 } },
    { "lock 0f 01 c1", 64, 4, { 0xf0, 0x0f, 0x01, 0xc1 } },
};

static void check_one(const struct form *f, unsigned ring)
{
    struct exec x = exec_for(ring, f->bits), before;

    for (unsigned i = 0; i < (f->bits == 64 ? 16 : 8); i++) {
        x.gpr[i] = 0x01010101u * (i + 1);
    }
    x.rflags |= RFLAGS_CF | RFLAGS_OF | RFLAGS_SF;
    write_cr2(0x1234000);
    before = x;
    exec_bytes(&x, f->bytes, f->len);
    CHECK(x.vector == EXC_UD && at_start(&x) && x.error == 0,
          "%s in ring %u: vector %llu at +%llu, error 0x%llx", f->name, ring,
          (unsigned long long)x.vector, (unsigned long long)(x.rip - x.start),
          (unsigned long long)x.error);
    CHECK(x.cr2 == 0x1234000, "%s: CR2 became 0x%llx", f->name, (unsigned long long)x.cr2);
    CHECK(((x.rflags ^ before.rflags) & ~RFLAGS_RF) == 0, "%s: flags became 0x%llx", f->name,
          (unsigned long long)x.rflags);
    CHECK(x.cs == before.cs && x.ss == before.ss && x.rsp == before.rsp, "%s: CS, SS or RSP",
          f->name);
    for (unsigned i = 0; i < 16; i++) {
        CHECK(i == RSP || x.gpr[i] == before.gpr[i], "%s: register %u changed", f->name, i);
    }
}

static uint64_t table[512] __attribute__((aligned(4096)));

/* 4 KiB pages for the 2 MiB at 3 MiB..., the second absent: code that ends at its start. */
static void check_page_end(void)
{
    uint8_t *at = (uint8_t *)0x600000;
    struct exec x = exec_for(0, 64);

    for (unsigned i = 0; i < 512; i++) {
        table[i] = (0x600000 + 4096u * i) | 7;
    }
    table[1] = 0;
    memcpy(at + 4094, "\x0f\x0b", 2);
    page_pd[0][3] = (uintptr_t)table | 7;
    write_cr3(read_cr3());
    x.rip = 0x600000 + 4094;
    exec_at(&x);
    CHECK(x.vector == EXC_UD && at_start(&x), "UD2 before an absent page: vector %llu",
          (unsigned long long)x.vector);
    memcpy(at + 4094, "\x0f\x01", 2); /* VMCALL whose last byte is absent */
    x = exec_for(0, 64);
    x.gpr[RAX] = XMHF_HC_INFO;
    x.rip = 0x600000 + 4094;
    exec_at(&x);
    CHECK(x.vector == EXC_PF && x.cr2 == 0x601000, "half a VMCALL: vector %llu, cr2 0x%llx",
          (unsigned long long)x.vector, (unsigned long long)x.cr2);
    memcpy(at + 4095, "\x0f", 1);
    x = exec_for(0, 64);
    x.rip = 0x600000 + 4095;
    exec_at(&x);
    CHECK(x.vector == EXC_PF && x.cr2 == 0x601000, "0F before an absent page: vector %llu",
          (unsigned long long)x.vector);
    page_pd[0][3] = 0x600087;
    write_cr3(read_cr3());
}

/* VMCALL across two present pages is a hypercall all the same. */
static void check_across(void)
{
    for (unsigned cut = 0; cut < 4; cut++) {
        struct exec x = exec_for(0, 64);

        memcpy((void *)(uintptr_t)(0x601000 - cut), "\x0f\x01\xc1\xcd\x80", 5);
        x.gpr[RAX] = XMHF_HC_INFO;
        x.gpr[RCX] = XMHF_INFO_VERSION;
        x.rip = 0x601000 - cut;
        exec_at(&x);
        if (hypervisor) {
            CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == XMHF_VERSION,
                  "VMCALL cut after %u bytes: vector %llu", cut, (unsigned long long)x.vector);
        } else {
            CHECK(x.vector == EXC_UD, "control: vector %llu", (unsigned long long)x.vector);
        }
    }
}

void guest_main(void)
{
    for (unsigned n = 0; n < 50; n++) {
        for (unsigned i = 0; i < ARRAY_SIZE(invalid); i++) {
            check_one(&invalid[i], n & 1 ? 3 : 0);
        }
    }
    check_page_end();
    check_across();
    pass("%u opcodes gave a plain #UD, 50 times each", (unsigned)ARRAY_SIZE(invalid));
}
