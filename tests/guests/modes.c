/* SPDX-License-Identifier: MIT */
/* Through all modes of the CPU and back, many times; exits are decoded right in each. */
#include "guest.h"
#include "modes.h"

struct stop { uint32_t cr0, cr4, efer, ebx, vmmcall, vmcall, unused[2]; };

extern const uint8_t modes_start[], modes_end[];
static uint64_t pae_pdpt[512] __attribute__((aligned(4096)));
static uint32_t two_level[1024] __attribute__((aligned(4096)));

static volatile uint32_t *at(unsigned address) { return (volatile uint32_t *)(uintptr_t)address; }

/* How many instructions are hypercalls here: none bare, VMCALL on all CPUs, VMMCALL on AMD's. */
static unsigned calls;

static void prepare(void)
{
    for (unsigned i = 0; i < 4; i++) {
        pae_pdpt[i] = (uintptr_t)page_pd[i] | PTE_P; /* the other bits are reserved there */
    }
    for (unsigned i = 0; i < 1024; i++) {
        two_level[i] = i << 22 | 0x87;
    }
    memcpy((void *)(uintptr_t)TRAMPOLINE, modes_start, (size_t)(modes_end - modes_start));
    memset((void *)(uintptr_t)MODES_RSP, 0, 0x400);
    *at(MODES_PAE) = (uint32_t)(uintptr_t)pae_pdpt;
    *at(MODES_TWO) = (uint32_t)(uintptr_t)two_level;
    *at(MODES_CALL) = calls;
}

static const struct { const char *name; bool pe, pg, pae, lme, lma; } want[MODES_STOPS] = {
    { "compatibility mode", true, true, true, true, true },
    { "32-bit, no paging", true, false, true, false, false },
    { "PAE paging", true, true, true, false, false },
    { "two-level paging", true, true, false, false, false },
    { "16-bit protected", true, false, false, false, false },
    { "real mode", false, false, false, false, false },
    { "32-bit again", true, false, false, false, false },
    { "64-bit", true, true, true, true, true },
};

static void check(unsigned round, uint32_t ebx)
{
    const struct stop *s = (const struct stop *)(uintptr_t)MODES_RECORD;

    for (unsigned i = 0; i < MODES_STOPS; i++, s++) {
        bool right = !!(s->cr0 & CR0_PE) == want[i].pe && !!(s->cr0 & CR0_PG) == want[i].pg
            && !!(s->cr4 & CR4_PAE) == want[i].pae && !!(s->efer & EFER_LME) == want[i].lme
            && !!(s->efer & EFER_LMA) == want[i].lma && !(s->efer & EFER_SVME);
        CHECK(right, "round %u, %s: CR0 0x%x, CR4 0x%x, EFER 0x%x", round, want[i].name, s->cr0,
              s->cr4, s->efer);
        CHECK(s->ebx == ebx, "round %u, %s: CPUID gave 0x%x", round, want[i].name, s->ebx);
        CHECK(s->vmcall == (calls > 0 ? XMHF_VERSION : 0)
              && s->vmmcall == (calls > 1 ? XMHF_VERSION : 0),
              "round %u, %s: hypercalls gave 0x%x and 0x%x", round, want[i].name, s->vmmcall,
              s->vmcall);
    }
}

void guest_main(void)
{
    void (*tour)(void) = (void (*)(void))(uintptr_t)TRAMPOLINE;
    unsigned rounds = (unsigned)number("rounds", 1000);
    uint32_t ebx = cpuid(0, 0).ebx;

    calls = !hypervisor ? 0 : hypercall_byte() == 0xd9 ? 2 : 1;
    prepare();
    for (unsigned i = 0; i < rounds; i++) {
        tour();
        check(i, ebx);
    }
    /* UD2, the wrong CPU's instruction, and, unless a hypapp answers with a named error,
     * unknown hypercalls. */
    CHECK(*at(MODES_UD) == (calls == 1 ? 2 : 1) * rounds
          || (hypervisor && *at(MODES_UD) == 3 * rounds),
          "%u #UDs in real mode", *at(MODES_UD));
    pass("%u tours through %u modes; CPUID, RDMSR and hypercalls in each", rounds, MODES_STOPS);
}
