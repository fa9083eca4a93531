/* SPDX-License-Identifier: MIT */
/* RDMSR and WRMSR exits: carries out policy/msr_policy.c. */
#include <cpu/clock.h>
#include <debug/log.h>
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <guest/apic_mode.h>
#include <guest/icr.h>
#include <guest/ipi.h>
#include <hw/insn.h>
#include <hypapp/hypapp.h>
#include <policy/asked.h>
#include <policy/cr.h>
#include <policy/msr_policy.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define SHADOW_MAX 48 /* MTRRs: 32 variable, 11 fixed, 1 default type; and some */

/* What the guest has written to the MSR_SHADOW registers of each CPU. */
static struct shadow { uint32_t count; struct { uint32_t index; uint64_t value; } msr[SHADOW_MAX]; }
    shadows[CPU_MAX];
static uint64_t efer_bits; /* that this CPU has */

void exit_msr_init(void)
{
    efer_bits = efer_supported(hw_cpuid);
}

static bool shadow_read(const struct shadow *s, uint32_t index, uint64_t *value)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->msr[i].index == index) {
            *value = s->msr[i].value;
            return true;
        }
    }
    return false;
}

static bool shadow_write(struct shadow *s, uint32_t index, uint64_t value)
{
    uint32_t i = 0;

    while (i < s->count && s->msr[i].index != index) {
        i++;
    }
    if (i == SHADOW_MAX) {
        return false;
    }
    s->msr[i].index = index;
    s->msr[i].value = value;
    s->count = i == s->count ? i + 1 : s->count;
    return true;
}

static bool apic_base_write(struct vcpu *v, uint64_t value)
{
    if (!apic_mode_write(v, value)) {
        return false;
    }
    cpuid_forget(v); /* leaf 1 tells whether it is on */
    return true;
}

/* Write a counter's control, but without AnyThread. That bit would have it count the other
 * hyperthread too, where a PAL may run, and counters stop on the PAL's own thread only (SDM vol.
 * 3, 20.2.3). */
static bool counter_write(uint32_t index, uint64_t value)
{
    uint64_t any = index == MSR_IA32_FIXED_CTR_CTRL ? FIXED_CTR_ANY : PERFEVTSEL_ANY;

    return hw_wrmsr_safe(index, value & ~any);
}

/* Does the write change only those bits that the table's row lets it? A register that can't be
 * read counts as 0. */
static bool bits_allowed(uint32_t index, uint64_t value)
{
    uint64_t bits = msr_write_bits(index), now = 0;

    if (~bits != 0 && !hw_rdmsr_safe(index, &now)) {
        now = 0;
    }
    return ((value ^ now) & ~bits) == 0;
}

/* Write an MSR of a machine-check bank. By its STATUS a machine check is judged, so the guest must
 * not forge it: it takes only 0, as a CPU has it (SDM vol. 3, 16.3.2.2; APM vol. 2, 9.3.2.2). */
static bool bank_write(uint32_t index, uint64_t value)
{
    bool status = index >= MSR_AMD_SMCA_FIRST ? (index & 15) == 1 : (index & 3) == 1;

    return (value == 0 || !status) && hw_wrmsr_safe(index, value);
}

/* AMD's IntPending: bits may be cleared. */
static bool int_pending_write(uint64_t value)
{
    uint64_t now = 0;

    return hw_rdmsr_safe(MSR_AMD_INT_PENDING, &now) && !(value & ~now)
        && bits_allowed(MSR_AMD_INT_PENDING, value) && hw_wrmsr_safe(MSR_AMD_INT_PENDING, value);
}

/* Write a register whose bits turn on mitigations that PALs rely on too: they may be set, not
 * cleared. */
static bool set_only_write(uint32_t index, uint64_t value)
{
    uint64_t now = 0;

    return hw_rdmsr_safe(index, &now) && !(now & ~value) && bits_allowed(index, value)
        && hw_wrmsr_safe(index, value);
}

static bool in_range(uint32_t index, uint32_t first, uint32_t last)
{
    return index >= first && index <= last;
}

static bool special_write(struct vcpu *v, uint32_t index, uint64_t value)
{
    if (index == MSR_IA32_FIXED_CTR_CTRL
        || in_range(index, MSR_IA32_PERFEVTSEL0, MSR_IA32_PERFEVTSEL7)) {
        return counter_write(index, value);
    }
    if (in_range(index, MSR_IA32_MC0_CTL, MSR_IA32_MC31_MISC)
        || in_range(index, MSR_AMD_SMCA_FIRST, MSR_AMD_SMCA_LAST)) {
        return bank_write(index, value);
    }
    if (in_range(index, MSR_X2APIC_FIRST, MSR_X2APIC_LAST) && index != MSR_X2APIC_ICR) {
        return hw_wrmsr_safe(index, icr_lvt_without_init((uint32_t)value) | value);
    }
    switch (index) {
    case MSR_IA32_APIC_BASE:
        return apic_base_write(v, value);
    case MSR_X2APIC_ICR:
        return ipi_guest_x2apic(v, value);
    case MSR_IA32_XSS:
        return value == 0;
    case MSR_IA32_TSC:
    case MSR_IA32_TSC_ADJUST:
        return clock_guest_write(index, value);
    case MSR_IA32_MCG_STATUS:
        return value == 0 && hw_wrmsr_safe(index, value);
    case MSR_IA32_BNDCFGS: /* branches without BND empty BND0-3 (SDM vol. 1, E.5.3) */
        return value == 0 && hw_wrmsr_safe(index, value);
    case MSR_IA32_MISC_ENABLE:
        return (!virt->misc_enable || bits_allowed(index, value)) && hw_wrmsr_safe(index, value);
    case MSR_AMD_INT_PENDING:
        return int_pending_write(value);
    case MSR_AMD_FP_CFG:
    case MSR_AMD_DE_CFG:
        return set_only_write(index, value);
    default:
        return hw_wrmsr_safe(index, value);
    }
}

static bool special_read(const struct vcpu *v, uint32_t index, uint64_t *value)
{
    bool ok = hw_rdmsr_safe(index, value);

    switch (index) {
    case MSR_IA32_APIC_BASE:
        *value = apic_mode_read(v, *value);
        return ok;
    case MSR_IA32_FEATURE_CONTROL: /* locked, VMX and SMX off */
        *value = FEATURE_CONTROL_LOCK | (ok ? *value & FEATURE_CONTROL_LMCE : 0);
        return ok;
    case MSR_IA32_MISC_ENABLE:
        /* Every CPU with VMX has it, and Linux reads it before it can take a fault; an
         * emulator that lacks it wouldn't get through. */
        *value = ok ? *value : 0;
        return ok || virt->misc_enable;
    default:
        return ok;
    }
}

static bool state_msr_write(struct vcpu *v, uint32_t index, uint64_t value)
{
    struct guest_paging p;
    uint64_t now;

    if (index == MSR_EFER) {
        virt->get_paging(v, &p);
        virt->state_msr_read(v, index, &now);
        if (!efer_valid(value, now, efer_bits, p.cr0 & CR0_PG)) {
            return false;
        }
    }
    if (index == MSR_IA32_PAT && !pat_valid(value)) {
        return false;
    }
    return virt->state_msr_write(v, index, value);
}

static bool msr_read(struct vcpu *v, uint32_t index, uint64_t *value)
{
    switch (msr_read_action(index)) {
    case MSR_PASS: /* it exits because the hypapp asked */
        return virt->state_msr_read(v, index, value) || hw_rdmsr_safe(index, value);
    case MSR_HARDWARE: return hw_rdmsr_safe(index, value);
    case MSR_GUEST_STATE: return virt->state_msr_read(v, index, value);
    case MSR_SHADOW:
        return shadow_read(&shadows[v->index], index, value) || hw_rdmsr_safe(index, value);
    case MSR_IGNORE: *value = 0; return true;
    case MSR_SPECIAL: return special_read(v, index, value);
    case MSR_DENY: break;
    }
    return false;
}

/* Does this write start a performance counter? The sandbox stops them then. */
static bool starts_counter(uint32_t index, uint64_t value)
{
    bool control = (index >= MSR_AMD_PERF_CTL0 && index <= MSR_AMD_PERF_CTL3)
        || (index >= MSR_AMD_PERF_CTL0_EXT && index <= MSR_AMD_PERF_CTR5_EXT && !(index & 1));

    return control && (value & PERF_CTL_EN);
}

static bool msr_write(struct vcpu *v, uint32_t index, uint64_t value)
{
    uint64_t now;

    switch (msr_write_action(index)) {
    case MSR_PASS:
        if (virt->state_msr_read(v, index, &now)) {
            return virt->state_msr_write(v, index, value);
        }
        /* fall through */
    case MSR_HARDWARE:
        if (!bits_allowed(index, value)) {
            return false;
        }
        v->counting |= starts_counter(index, value);
        return hw_wrmsr_safe(index, value);
    case MSR_GUEST_STATE: return state_msr_write(v, index, value);
    case MSR_SHADOW: /* it must exist */
        return hw_rdmsr_safe(index, &now) && shadow_write(&shadows[v->index], index, value);
    case MSR_IGNORE: return true;
    case MSR_SPECIAL: return special_write(v, index, value);
    case MSR_DENY: break;
    }
    return false;
}

void exit_rdmsr(struct vcpu *v, const struct exit *e)
{
    static const uint8_t opcode[] = { 0x0f, 0x32 };
    struct guest_paging p;
    unsigned len = exit_insn_len(v, e, opcode, sizeof(opcode), &p);
    uint64_t value = 0;

    if (len == 0) {
        return;
    }
    enum hyp_answer a = hypapp.msr && asked_msr(e->msr.index, ACCESS_READ)
        ? hypapp.msr(v, e->msr.index, false, &value) : HYP_CORE;
    if (a == HYP_CORE) {
        a = msr_read(v, e->msr.index, &value) ? HYP_DONE : HYP_REFUSE;
    }
    if (a == HYP_DONE) {
        v->regs.gpr[GPR_RAX] = (uint32_t)value;
        v->regs.gpr[GPR_RDX] = value >> 32;
    }
    (void)exit_answered(v, a, len);
}

void exit_wrmsr(struct vcpu *v, const struct exit *e)
{
    static const uint8_t opcode[] = { 0x0f, 0x30 };
    struct guest_paging p;
    unsigned len = exit_insn_len(v, e, opcode, sizeof(opcode), &p);
    uint64_t value = (uint32_t)v->regs.gpr[GPR_RAX] | v->regs.gpr[GPR_RDX] << 32;

    if (len == 0) {
        return;
    }
    enum hyp_answer a = hypapp.msr && asked_msr(e->msr.index, ACCESS_WRITE)
        ? hypapp.msr(v, e->msr.index, true, &value) : HYP_CORE;
    if (a == HYP_CORE) {
        a = msr_write(v, e->msr.index, value) ? HYP_DONE : HYP_REFUSE;
    }
    (void)exit_answered(v, a, len);
}
