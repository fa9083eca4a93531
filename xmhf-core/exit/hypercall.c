/* SPDX-License-Identifier: MIT */
/* Hypercalls: the hypapp first, then XMHF_HC_INFO; and exceptions, of which a #UD may be one. */
#include <cpu/random.h>
#include <cpu/vcpus.h>
#include <debug/testpanic.h>
#include <exit/answer.h>
#include <exit/counters.h>
#include <exit/dispatch.h>
#include <facts/facts.h>
#include <guest/phys.h>
#include <hypapp/hypapp.h>
#include <insn/insn.h>
#include <util/string.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <xmhf/hypercall.h>

/* Exit counters: of all CPUs, or of one. */
static bool exit_info(uint64_t which, uint64_t *value)
{
    uint64_t cpu = which >> 16, item = which & 0xffff;
    bool longest = item >= XMHF_INFO_LONGEST;
    uint64_t kind = item - (longest ? XMHF_INFO_LONGEST : XMHF_INFO_EXITS);

    if (kind >= EXIT_KIND_COUNT || cpu > vcpu_count) {
        return false;
    }
    if (longest) {
        *value = cpu == 0 ? exit_longest((enum exit_kind)kind) : vcpus[cpu - 1]->longest[kind];
    } else {
        *value = cpu == 0 ? exit_count((enum exit_kind)kind) : vcpus[cpu - 1]->exits[kind];
    }
    return true;
}

static bool core_info(uint64_t which, uint64_t *value)
{
    switch (which) {
    case XMHF_INFO_VERSION: *value = XMHF_VERSION; return true;
    case XMHF_INFO_CPUS: *value = vcpu_count; return true;
    case XMHF_INFO_POOL_TOTAL: *value = pool_total(); return true;
    case XMHF_INFO_POOL_FREE: *value = pool_free_count() + guest_phys_tables(); return true;
    case XMHF_INFO_PROTECTED_SIZE: *value = core_protected_size(); return true;
    case XMHF_INFO_DMA_PROTECTION: *value = core_dma_protection(); return true;
    case XMHF_INFO_BOOT_TICKS: *value = core_boot_ticks(); return true;
    case XMHF_INFO_RANDOM: *value = random_status(); return true;
    default: break;
    }
    return exit_info(which, value);
}

/* Both instructions have 3 bytes. Where the CPU doesn't tell the length, a guest that puts
 * prefixes before them goes on in the middle of its own instruction. */
static unsigned hypercall_len(const struct exit *e)
{
    return e->kind == EXIT_HYPERCALL && e->insn_len ? e->insn_len : 3;
}

/* What the hypapp doesn't know. Out of line, so that calls of PALs save no registers for it. */
__attribute__((noinline))
static void core_hypercall(struct vcpu *v, const struct exit *e)
{
    uint64_t *rax = &v->regs.gpr[GPR_RAX];
    struct guest_paging p;
    uint64_t value = 0;

    virt->get_paging(v, &p);
    uint64_t rcx = v->regs.gpr[GPR_RCX];
    uint64_t which = p.mode == MODE_LONG64 ? rcx : (uint32_t)rcx;
    if ((uint32_t)*rax == XMHF_HC_INFO
        && (core_info(which, &value)
            || (hypapp.info && hypapp.info(v, (uint32_t)which, &value)))) {
        *rax = value;
        exit_skip(v, hypercall_len(e));
        return;
    }
    hyp_inject_ud(v);
}

void exit_hypercall(struct vcpu *v, const struct exit *e)
{
    uint32_t cmd = (uint32_t)v->regs.gpr[GPR_RAX];

    if (cmd == XMHF_HC_PANIC && core_options()->testpanic) {
        testpanic(v->regs.gpr[GPR_RCX]);
    }
    switch (hypapp.hypercall ? hypapp.hypercall(v, cmd) : HC_UNKNOWN) {
    case HC_SWITCHED:
        return;
    case HC_DONE:
        exit_skip(v, hypercall_len(e));
        return;
    case HC_AGAIN:
        exit_again(v);
        return;
    case HC_UNKNOWN:
        core_hypercall(v, e);
        return;
    }
}

/* A #UD by exactly the other vendor's instruction is a hypercall. */
void exit_exception(struct vcpu *v, const struct exit *e)
{
    uint8_t buf[INSN_MAX];
    struct guest_paging p;

    if (e->exception.vector == EXC_UD && virt->foreign_hypercall) {
        unsigned n = exit_fetch(v, buf, &p);
        if (n == 0) {
            return;
        }
        if (n >= 3 && memcmp(buf, virt->foreign_hypercall, 3) == 0) {
            exit_hypercall(v, e);
            return;
        }
    }
    const struct event ev = {
        .vector = e->exception.vector, .type = EVENT_EXCEPTION,
        .has_error = e->exception.has_error, .error = e->exception.error,
    };
    if (e->exception.vector == EXC_PF) {
        virt->set_cr2(v, e->exception.addr); /* an intercepted one doesn't (APM vol. 2, 15.12.15) */
    }
    virt->inject(v, &ev);
}
