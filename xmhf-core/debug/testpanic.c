/* SPDX-License-Identifier: MIT */
/* Crashes on purpose (boot option testpanic). tests/e2e knows these functions' names. */
#include <debug/log.h>
#include <debug/testpanic.h>
#include <hw/insn.h>
#include <x86/msr.h>

#define INLINE static inline __attribute__((always_inline))
#define ALONE  static __attribute__((noinline))

enum testpanic_kind {
#define X(name, number) TESTPANIC_##name = number,
    TESTPANIC_KINDS(X)
#undef X
};

/* The predecessor's crash: an MSR that this CPU doesn't have, behind layers of inlining. */
INLINE uint64_t testpanic_read_one(uint32_t msr) { return hw_rdmsr(msr); }
INLINE uint64_t testpanic_read_all(void)
{
    return testpanic_read_one(MSR_IA32_VMX_VMFUNC);
}
ALONE void testpanic_rdmsr(void) { (void)testpanic_read_all(); }

/* An emulator that forgives reads may still refuse an address that isn't a page's. */
INLINE void testpanic_write_one(uint32_t msr, uint64_t v) { hw_wrmsr(msr, v); }
ALONE void testpanic_wrmsr(void) { testpanic_write_one(MSR_AMD_VM_HSAVE_PA, 1); }

/* Each call keeps a frame, as its result is used after the next one. */
ALONE uint64_t testpanic_recurse(uint64_t depth)
{
    volatile uint64_t frame[8];

    for (unsigned i = 0; i < ARRAY_SIZE(frame); i++) {
        frame[i] = depth;
    }
    return depth == ~0ULL ? 0 : testpanic_recurse(depth + 1) + frame[depth % ARRAY_SIZE(frame)];
}

ALONE void testpanic_assertion(uint64_t kind) { ASSERT(kind != TESTPANIC_ASSERTION); }

ALONE void testpanic_null_pointer(void)
{
    volatile uintptr_t null = 0; /* volatile: the compiler mustn't know */

    *(volatile uint32_t *)(null + 16) = 1;
}

_Noreturn void testpanic(uint64_t kind)
{
    switch (kind) {
    case TESTPANIC_RDMSR: testpanic_rdmsr(); break;
    case TESTPANIC_STACK_OVERFLOW: (void)testpanic_recurse(0); break;
    case TESTPANIC_ASSERTION: testpanic_assertion(kind); break;
    case TESTPANIC_NULL_POINTER: testpanic_null_pointer(); break;
    case TESTPANIC_WRMSR: testpanic_wrmsr(); break;
    default: break;
    }
    panic("asked for by a hypercall");
}
