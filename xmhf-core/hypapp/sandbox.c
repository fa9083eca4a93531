/* SPDX-License-Identifier: MIT */
/* Switching a CPU between the OS and a sandbox: registers, FPU and SIMD, XCR0. Eager both
 * ways: nothing of one side is in a register while the other runs. */
#include <debug/log.h>
#include <hw/insn.h>
#include <hypapp/sandbox.h>
#include <hypapp/sandbox_state.h>
#include <mm/pool.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

#define XSTATE_MAX PAGE_SIZE

static bool have_xsave;
static bool x87_stays;          /* loading a state leaves x87's pointers: AMD without XSAVEERPTR */
static uint64_t host_xcr0;      /* every component that this CPU has, less the hidden ones */
static size_t area_size;
static void *os_area[CPU_MAX];  /* the OS's FPU state while a sandbox runs */
static _Atomic uint64_t next_tag = 1;

#define HOST_COMPONENTS (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_BNDREGS | XCR0_BNDCSR | XCR0_OPMASK \
    | XCR0_ZMM_HI256 | XCR0_HI16_ZMM | XCR0_PKRU)

int sandbox_init(void)
{
    have_xsave = hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_XSAVE;
    x87_stays = (hw_cpuid(CPUID_EXT_AMD, 0).ecx & CPUID_8_1_ECX_SVM)
        && !(hw_cpuid(CPUID_ADDRESS_SIZES, 0).ebx & CPUID_8_8_EBX_XSAVEERPTR);
    area_size = 512;
    if (have_xsave) {
        struct cpuid_regs d = hw_cpuid(CPUID_XSTATE, 0);
        host_xcr0 = (d.eax | (uint64_t)d.edx << 32) & HOST_COMPONENTS;
        const uint64_t had = hw_xgetbv(); /* that of a reset, or of who started us */
        hw_xsetbv(host_xcr0);
        area_size = hw_cpuid(CPUID_XSTATE, 0).ebx;
        hw_xsetbv(had);
    }
    if (area_size > XSTATE_MAX) {
        log_error("cannot start: FPU state of %zu bytes is larger than a page", area_size);
        return -1;
    }
    return 0;
}

int sandbox_cpu_init(struct vcpu *v)
{
    os_area[v->index] = pool_boot_pages(1);
    return os_area[v->index] ? 0 : -1;
}

size_t xstate_size(void)
{
    return area_size;
}

void xstate_init(void *area)
{
    uint8_t *p = area;
    const uint16_t cw = 0x37f;
    const uint32_t mxcsr = 0x1f80;

    memset(p, 0, area_size);
    memcpy(p, &cw, sizeof(cw));
    memcpy(p + 24, &mxcsr, sizeof(mxcsr));
    /* XSTATE_BV = 0 in the XSAVE header: every component in its initial state, and MXCSR
     * from the area (SDM vol. 1, 13.8). x87 and SSE are marked so that both are loaded. */
    if (have_xsave) {
        p[512] = XCR0_X87 | XCR0_SSE;
    }
}

uint64_t sandbox_new_tag(void)
{
    return atomic_fetch_add(&next_tag, 1);
}

/* FPU and SIMD state: to `to`, if it isn't NULL, and from `from`. */
static inline void swap_xstate(void *to, const void *from)
{
    if (!have_xsave) {
        if (to) {
            hw_fxsave(to);
        }
        if (x87_stays) {
            hw_x87_forget();
        }
        hw_fxrstor(from);
        return;
    }
    const uint64_t components = host_xcr0;
    if (to) {
        hw_xsave(to, components);
    }
    if (x87_stays) {
        hw_x87_forget();
    }
    hw_xrstor(from, components);
}

void sandbox_enter(struct vcpu *v, const struct sandbox *sb, const struct vcpu_regs *regs,
                   const void *xstate)
{
    /* All that POPF in ring 3 changes: code that was interrupted behind one goes on as it was
     * (notes/bugs/flags-lost-behind-popf.md). */
    const uint64_t user_flags = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF
        | RFLAGS_TF | RFLAGS_DF | RFLAGS_OF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID;

    if (have_xsave) {
        v->guest_xcr0 = hw_xgetbv();
        if (v->guest_xcr0 != host_xcr0) {
            hw_xsetbv(host_xcr0);
        }
    }
    swap_xstate(os_area[v->index], xstate);
    if (regs != &v->regs) {
        v->regs = *regs;
    }
    v->regs.rflags = (regs->rflags & user_flags) | RFLAGS_ONE | RFLAGS_IF;
    v->in_sandbox = true;
    virt->sandbox_enter(v, sb);
}

void sandbox_leave_registers(struct vcpu *v, void *xstate)
{
    swap_xstate(xstate, os_area[v->index]);
    if (have_xsave && v->guest_xcr0 != host_xcr0) {
        hw_xsetbv(v->guest_xcr0);
    }
    v->regs.rflags = RFLAGS_ONE;
    v->in_sandbox = false;
    virt->sandbox_leave(v);
}

void sandbox_leave(struct vcpu *v, struct vcpu_regs *regs, void *xstate)
{
    if (regs) {
        *regs = v->regs;
    }
    sandbox_leave_registers(v, regs ? xstate : NULL);
    v->regs = (struct vcpu_regs){ .rflags = RFLAGS_ONE };
}
