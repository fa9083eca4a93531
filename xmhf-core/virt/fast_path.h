/* SPDX-License-Identifier: MIT */
/*
 * The fast path: exits that a back end ends by itself. CPUID with a question that was asked before
 * (a C library asks some dozens of times whenever a program starts), and on AMD the stores to the
 * APIC page that every interrupt makes. The back end's entry.S calls its fast function right after
 * the exit, while most of the guest's registers are still in the CPU; if that says no, the exit
 * takes the usual way, and nothing has changed (notes/decisions/fast-cpuid.md).
 *
 * An answer depends on the question, on what the CPU says now, on three bits of the guest's
 * CR4 and on XCR0. The first three are looked at each time; a new XCR0 forgets everything
 * (cpuid_forget).
 *
 * All on the calling CPU's own vCPU. On AMD with the guest's GS base: what is called finds no
 * this_vcpu().
 */
#ifndef XMHF_VIRT_FAST_PATH_H
#define XMHF_VIRT_FAST_PATH_H

#include <cpu/vcpu.h>
#include <debug/log_state.h>
#include <hw/apic.h>
#include <hw/insn.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

#define FAST_INLINE static inline __attribute__((always_inline))

/* The bits of CR4 that CPUID shows (cpuid_policy.c). */
#define CR4_IN_CPUID (CR4_OSXSAVE | CR4_PKE | CR4_KL)

/* Count an exit, and keep it for the crash record. */
FAST_INLINE void exit_note(struct vcpu *v, enum exit_kind kind, uint64_t raw)
{
    struct exit_trace *t = &v->trace[v->trace_next++ % VCPU_TRACE];

    v->exits[kind]++;
    t->raw = raw;
    t->kind = kind;
}

/* What a function of the fast path says; entry.S knows the numbers. */
enum { FAST_NO, FAST_DONE, FAST_NEW };

FAST_INLINE struct vcpu *vcpu_of(struct vcpu_regs *regs)
{
    return (struct vcpu *)((uint8_t *)regs - offsetof(struct vcpu, regs));
}

/* The vCPU whose registers entry.S has at hand, if nothing needs its run loop; else NULL. */
FAST_INLINE struct vcpu *fast_vcpu(struct vcpu_regs *regs)
{
    struct vcpu *v = vcpu_of(regs);

    return v->in_sandbox || (atomic_load_explicit(&v->requests, memory_order_relaxed)
                             | atomic_load_explicit(&log_waiting, memory_order_relaxed))
        ? NULL : v;
}

/* The subleaf that `ecx` asks for: 0 in those leaves that have none (SDM vol. 2, CPUID; APM vol.
 * 3, appendix E) and that programs ask for most, with whatever is in ECX. */
FAST_INLINE uint32_t cpuid_sub(uint32_t leaf, uint32_t ecx)
{
    return leaf <= 3 || leaf - CPUID_EXTENDED <= 8 ? 0 : ecx;
}

/* The subleaf, which has at most 16 bits where an answer is kept, and the guest's own settings. */
#define CPUID_SUB_MAX 0xffffu
FAST_INLINE uint32_t cpuid_question(uint32_t sub, uint64_t cr4)
{
    _Static_assert((CR4_IN_CPUID & (CPUID_SUB_MAX | ~0xffffffffULL)) == 0, "side by side");
    return sub | (uint32_t)(cr4 & CR4_IN_CPUID);
}

/* Where the answer to this question is kept. */
FAST_INLINE struct cpuid_memo *cpuid_memo(struct vcpu *v, uint32_t leaf, uint32_t sub)
{
    return &v->cpuid[(leaf ^ leaf >> 26 ^ sub << 3) % VCPU_CPUID];
}

/* The answer that the OS got to these EAX and ECX, if it would be the same now; else NULL. One
 * that was never filled in never matches: no CPU answers leaf 0 with zeros. */
FAST_INLINE const struct cpuid_regs *cpuid_again(struct vcpu *v, uint32_t leaf, uint32_t ecx,
                                                  uint64_t cr4)
{
    const uint32_t sub = cpuid_sub(leaf, ecx);
    const struct cpuid_memo *m = cpuid_memo(v, leaf, sub);

    if (m->leaf != leaf || m->question != cpuid_question(sub, cr4) || sub > CPUID_SUB_MAX) {
        return NULL;
    }
    struct cpuid_regs r = hw_cpuid(leaf, sub);
    return r.eax == m->raw.eax && r.ebx == m->raw.ebx && r.ecx == m->raw.ecx
            && r.edx == m->raw.edx
        ? &m->answer : NULL;
}

/* What the OS is told about the question in v->regs: its RAX, RBX, RCX and RDX become the answer,
 * which is kept for the next time if that would be the same. `cr4`: the OS's (exit/cpuid.c). */
void cpuid_answer(struct vcpu *v, uint64_t cr4);

/* The bytes at `rip`, if it is 64-bit code (`code64`) and `len` of them lie in the code page that
 * an exit was decoded in last; else NULL. The guest may have remapped that page meanwhile; if the
 * old one has the same instruction there, only the guest's own next RIP can be wrong. */
FAST_INLINE const uint8_t *known_code(const struct code_page *code, bool code64, uint64_t cr3,
                                      uint64_t rip, size_t len)
{
    size_t offset = rip & PAGE_MASK;

    return code64 && ((code->page ^ rip >> PAGE_SHIFT) | (code->cr3 ^ cr3)) == 0
        && code->bytes != NULL
            && offset + len <= PAGE_SIZE
        ? code->bytes + offset : NULL;
}

/* A store of a doubleword: MOV r/m32,r32 or MOV r/m32,imm32. */
struct fast_store { unsigned len; bool imm; uint8_t reg; uint32_t value; };

/* Decode one in 64-bit code, of the forms that kernels use for device memory: no prefix but a REX
 * without W. `b` has 16 bytes and is nobody else's. False: anything else, the usual way knows. */
FAST_INLINE bool fast_store(const uint8_t *b, struct fast_store *st)
{
    unsigned i = (b[0] & 0xf0) == 0x40, rex = i ? b[0] : 0;
    unsigned opcode = b[i], modrm = b[i + 1], mod = modrm >> 6, base = modrm & 7;

    if ((rex & 8) || mod == 3 || (opcode != 0x89 && (opcode != 0xc7 || (modrm & 0x38)))) {
        return false;
    }
    i += 2;
    if (base == 4) {
        base = b[i++] & 7;
    }
    i += mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
    st->imm = opcode == 0xc7;
    st->reg = (uint8_t)((modrm >> 3 & 7) | (rex & 4) << 1);
    st->value = b[i] | (uint32_t)b[i + 1] << 8 | (uint32_t)b[i + 2] << 16
        | (uint32_t)b[i + 3] << 24;
    st->len = st->imm ? i + 4 : i;
    return true;
}

/* May this store go to the xAPIC as it is? Those registers that guest/ipi.c takes no notice of, and
 * fixed interrupts to others. */
FAST_INLINE bool fast_apic_register(unsigned offset, uint32_t value)
{
    return offset == APIC_EOI || offset == APIC_TPR || offset == APIC_ICR2
        || offset == APIC_INITIAL_COUNT || (offset == APIC_ICR && !(value & ICR_DELIVERY_BITS));
}

/* May RIP simply move from `rip` to `next`? Not without more thought: single-stepping, RFLAGS.RF to
 * be cleared, a RIP that may have to wrap. */
FAST_INLINE bool fast_moves(uint64_t rip, uint64_t next, uint64_t rflags)
{
    return ((rflags & (RFLAGS_TF | RFLAGS_RF)) | (rip ^ next) >> 32) == 0;
}

#endif
