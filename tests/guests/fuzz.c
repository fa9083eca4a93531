/* SPDX-License-Identifier: MIT */
/* Hypercalls with every small number and with random ones: named errors, never a hang. */
#include <xmhf/trustvisor.h>
#include "guest.h"

static uint64_t seed;

static uint64_t next(void) /* xorshift64* */
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1dULL;
}

static uint64_t counts[4]; /* answered, #UD, #GP, #PF */
static uint64_t by_error[64]; /* answers, by their number in the table of errors */

static bool is_error(uint64_t value)
{
    switch (value) {
#define X(name, number, sentence) case number:
        TV_ERRORS(X)
#undef X
        return true;
    default:
        return false;
    }
}

/* All commands but these two answer with an error, success included. */
static bool tells_something(uint32_t command)
{
    return command == XMHF_HC_INFO || command == TV_HC_TEST;
}

static void one(unsigned ring, unsigned bits, bool vmcall, const uint64_t reg[5])
{
    struct exec x = exec_for(ring, bits);

    x.gpr[RAX] = reg[0];
    x.gpr[RCX] = reg[1];
    x.gpr[RDX] = reg[2];
    x.gpr[RSI] = reg[3];
    x.gpr[RDI] = reg[4];
    EXEC(&x, 0x0f, 0x01, (uint8_t)(vmcall ? 0xc1 : 0xd9));
    bool fault = x.vector == EXC_UD || x.vector == EXC_GP || x.vector == EXC_PF;
    CHECK(x.vector == VECTOR_DONE || (fault && at_start(&x)),
          "hypercall 0x%llx(0x%llx, 0x%llx, 0x%llx, 0x%llx), ring %u: vector %llu at +%llu",
          (unsigned long long)reg[0], (unsigned long long)reg[1], (unsigned long long)reg[2],
          (unsigned long long)reg[3], (unsigned long long)reg[4], ring,
          (unsigned long long)x.vector, (unsigned long long)(x.rip - x.start));
    if (x.vector == VECTOR_DONE && !tells_something((uint32_t)reg[0])) {
        CHECK(is_error(x.gpr[RAX]), "hypercall 0x%llx, ring %u: the answer 0x%llx is no error",
              (unsigned long long)reg[0], ring, (unsigned long long)x.gpr[RAX]);
        by_error[x.gpr[RAX] % ARRAY_SIZE(by_error)]++;
    }
    counts[x.vector == EXC_UD ? 1 : x.vector == EXC_GP ? 2 : x.vector == EXC_PF ? 3 : 0]++;
}

/* A value like the ones that break programs. */
static uint64_t value(void)
{
    static const uint64_t special[] = {
        0, 1, 0xfff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0xfee00000,
        0xfffff000,
        0x7fffffffffff, 0x7ffffffff000, 0x800000000000, 0xffff800000000000, ~0ULL, ~0xfffULL,
        0x4000000, 0x4000ff8, 0xa0000, 0xf0000,
    };
    uint64_t r = next();

    switch (r & 7) {
    case 0: return next();
    case 1: return (uint32_t)next();
    case 2: return next() % 0x2000;
    case 3: return 0x4000000 + next() % 0x100000; /* RAM that nobody uses */
    default: return special[(r >> 8) % ARRAY_SIZE(special)];
    }
}

static uint64_t command(void)
{
    static const uint64_t known[] = { TV_HC_REG, TV_HC_UNREG, TV_HC_TEST, XMHF_HC_INFO,
                                      XMHF_HC_HELLO, 3, 4, 5, 6, 7, 8, 0x101, 0x102, 0x103 };
    uint64_t r = next();

    return (r & 3) == 0 ? next() : known[(r >> 8) % ARRAY_SIZE(known)];
}

void guest_main(void)
{
    uint64_t n = number("calls", 20000), free_before = 0, ring0 = 0, kinds = 0;

    seed = number("seed", 1) * 0x9e3779b97f4a7c15ULL | 1;
    if (!hypervisor) {
        skip("bare: there is nobody to call");
    }
    free_before = info(XMHF_INFO_POOL_FREE);
    for (uint64_t i = 0; i < number("numbers", 65536); i++) {
        one(3, 64, i & 1, (const uint64_t[5]){ i });
    }
    for (uint64_t i = 0; i < n;) {
        const uint64_t reg[5] = { command(), value(), value(), value(), value() };
        uint64_t how = next();
        unsigned ring = (how & 0xe0) ? 3 : 0; /* one in eight comes besides, from ring 0 */

        ring == 3 ? i++ : ring0++;
        one(ring, how & 4 && !(how & 8) ? 32 : 64, how & 16, reg);
    }
    say("answered %llu, #UD %llu, #GP %llu, #PF %llu", (unsigned long long)counts[0],
        (unsigned long long)counts[1], (unsigned long long)counts[2],
        (unsigned long long)counts[3]);
    CHECK(info(XMHF_INFO_POOL_FREE) == free_before, "%llu pages of the pool, %llu before",
          (unsigned long long)info(XMHF_INFO_POOL_FREE), (unsigned long long)free_before);
    CHECK(counts[0] && counts[1], "no answers, or nothing refused");
    for (unsigned i = 0; i < ARRAY_SIZE(by_error); i++) {
        kinds += by_error[i] != 0;
    }
    pass("every number to %llu and %llu random calls from ring 3, %llu more from "
         "ring 0: %llu named "
         "errors or a fault, no page lost", (unsigned long long)number("numbers", 65536) - 1,
         (unsigned long long)n, (unsigned long long)ring0, (unsigned long long)kinds);
}
