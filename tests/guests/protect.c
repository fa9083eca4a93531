/* SPDX-License-Identifier: MIT */
/* The protected range: zeros to read, #GP to write or execute, and not in the E820 map. */
#include "guest.h"

#define PAGE 4096u

static uint64_t start, size;

/* The hole of the right size between two entries of the map, below 4 GiB. */
static bool find_hole(void)
{
    size = info(XMHF_INFO_PROTECTED_SIZE);
    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);

        if (e.type == 2 && e.size == size) { /* reserved, alone */
            start = e.start;
            return true;
        }
    }
    /* Or it borders on something else that isn't usable: then it ends there. */
    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);

        if (e.type == 2 && e.size > size) {
            start = e.start;
            say("entry %u is larger than the range: it starts at its start", i);
            return true;
        }
    }
    return false;
}

static void check_map(void)
{
    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);

        say("map: 0x%llx + 0x%llx type %u", (unsigned long long)e.start,
            (unsigned long long)e.size, e.type);
        CHECK(e.type != 1 || !ranges_overlap(e.start, e.size, start, size),
              "E820 entry %u calls part of the protected range usable", i);
    }
}

static void check_reads(void)
{
    for (uint64_t a = start; a < start + size; a += 8) {
        CHECK(*(volatile uint64_t *)(uintptr_t)a == 0, "0x%llx of %llu bytes reads 0x%llx",
              (unsigned long long)(a - start), (unsigned long long)size,
              (unsigned long long)*(volatile uint64_t *)(uintptr_t)a);
    }
}

static void check_writes(void)
{
    uint64_t now;

    for (uint64_t a = start; a < start + size; a += PAGE) {
        uint64_t at = a + (a >> 12) % 511 * 8;
        unsigned vector = try_write64(at, 0x5a5a5a5a5a5a5a5aULL);

        CHECK(vector == EXC_GP, "a write at offset 0x%llx gave vector %u",
              (unsigned long long)(at - start), vector);
        CHECK(try_read64(at, &now) == VECTOR_DONE && now == 0, "a refused write left 0x%llx",
              (unsigned long long)now);
    }
}

/* Other ways to write: string, locked, read-modify-write, the stack. */
static void check_other_writes(void)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RDI] = start + 8;
    x.gpr[RCX] = 4;
    CHECK(EXEC(&x, 0xf3, 0x48, 0xab) == EXC_GP, "REP STOSQ gave vector %llu",
          (unsigned long long)x.vector);
    x = exec_for(0, 64);
    x.gpr[RCX] = start + 16;
    CHECK(EXEC(&x, 0xf0, 0x48, 0xff, 0x01) == EXC_GP, "LOCK INC gave vector %llu",
          (unsigned long long)x.vector);
    x = exec_for(0, 64);
    x.rsp = start + PAGE;
    CHECK(EXEC(&x, 0x50) == EXC_GP, "PUSH gave vector %llu", (unsigned long long)x.vector);
}

/* Zeros are ADD %al,(%rax): with RAX at a good address it ends at the end of the range. */
static void check_execution(void)
{
    static uint64_t victim;
    struct exec x = exec_for(0, 64);

    x.rip = start + size - 64;
    x.gpr[RAX] = (uintptr_t)&victim;
    unsigned vector = exec_at(&x);
    CHECK(vector < 32, "execution in the range gave vector %u", vector);
    say("execution in the range: vector %u at offset 0x%llx", vector,
        (unsigned long long)(x.rip - start));
    x = exec_for(0, 64);
    x.rip = start;
    x.gpr[RAX] = start; /* the zeros as code now write the range */
    vector = exec_at(&x);
    CHECK(vector == EXC_GP, "a write by the range's own code gave vector %u", vector);
}

/* The page tables as ring 0 would use them: nothing there makes the walker hang. */
static void check_tables(void)
{
    struct exec x = exec_for(0, 64);
    uint64_t now = page_pdpt[3];

    page_pdpt[3] = start | 7; /* a table of zeros */
    write_cr3(read_cr3());
    x.gpr[RCX] = 0xc0000000;
    unsigned vector = EXEC(&x, 0x8b, 0x01);
    CHECK(vector == EXC_PF || vector == EXC_GP, "a table in the range gave vector %u", vector);
    page_pdpt[3] = start | 0x87; /* 1 GiB leaf that may have reserved bits: any fault will do */
    write_cr3(read_cr3());
    vector = EXEC(&x, 0x8b, 0x01);
    page_pdpt[3] = now;
    write_cr3(read_cr3());
}

/* Read, write and run at the range's address with one bit more. A bit above the width that CPUID
 * shows is reserved; one below it is another address, of which nothing is known here. */
static void check_bit(unsigned bit, unsigned width)
{
    static uint64_t pd[512] __attribute__((aligned(4096)));
    const uint64_t va = 0x100000000;
    struct exec x = exec_for(0, 64);
    uint64_t value = 0;

    pd[0] = start | 1ULL << bit | 0x83; /* 2 MiB */
    page_pdpt[4] = (uintptr_t)pd | 3;
    write_cr3(read_cr3());
    unsigned vector = try_read64(va, &value);
    CHECK(bit < width ? vector == VECTOR_DONE || vector == EXC_GP : vector == EXC_PF
          || vector == EXC_GP,
          "a read with address bit %u of %u gave vector %u", bit, width, vector);
    vector = try_write64(va, 0x5a5a5a5a5a5a5a5aULL);
    CHECK(bit < width || vector == EXC_PF || vector == EXC_GP,
          "a write with address bit %u of %u gave vector %u", bit, width, vector);
    if (bit >= width) {
        x.rip = va;
        vector = exec_at(&x);
        CHECK(vector == EXC_PF || vector == EXC_GP,
              "a fetch with address bit %u of %u gave vector %u",
              bit, width, vector);
    }
    page_pdpt[4] = 0;
    write_cr3(read_cr3());
}

static void check_address_bits(void)
{
    unsigned width = cpuid(0x80000008, 0).eax & 0xff;

    CHECK(width >= 32 && width <= 48, "CPUID shows %u address bits", width);
    for (unsigned bit = 32; bit < 52; bit++) {
        check_bit(bit, width);
    }
    say("address bits %u to 51 are reserved", width);
}

void guest_main(void)
{
    if (!hypervisor) {
        skip("bare: there is no protected range");
    }
    CHECK(find_hole(), "no reserved entry of the map has room for %llu bytes",
          (unsigned long long)size);
    check_map();
    check_reads();
    check_writes();
    check_other_writes();
    check_execution();
    check_tables();
    check_address_bits();
    check_reads();
    pass("%llu KiB at 0x%llx read as zeros, each page refuses writes",
         (unsigned long long)size >> 10, (unsigned long long)start);
}
