/* SPDX-License-Identifier: MIT */
/* The smallest useful hypapp: it counts CPUID exits and tells the count on request. */
#include <hypapp/hypapp.h>
#include <xmhf/hypercall.h>

static atomic_uint_fast64_t cpuid_exits;

static int hello_init(void)
{
    log_line("helloworld: hypercall 0x%x tells the number of CPUID exits", XMHF_HC_HELLO);
    return 0;
}

static bool hello_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid_regs *r)
{
    (void)v;
    (void)leaf;
    (void)sub;
    (void)r;
    atomic_fetch_add_explicit(&cpuid_exits, 1, memory_order_relaxed);
    return true; /* count them all */
}

static enum hc_result hello_hypercall(struct vcpu *v, uint32_t cmd)
{
    if (cmd != XMHF_HC_HELLO) {
        return HC_UNKNOWN;
    }
    v->regs.gpr[GPR_RAX] = atomic_load_explicit(&cpuid_exits, memory_order_relaxed);
    return HC_DONE;
}

const struct hypapp hypapp = {
    .name = "helloworld",
    .init = hello_init,
    .cpuid = hello_cpuid,
    .hypercall = hello_hypercall,
};
