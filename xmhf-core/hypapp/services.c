/* SPDX-License-Identifier: MIT */
/* What the core does for hypapps besides memory and sandboxes: callers, random. */
#include <cpu/clock.h>
#include <hw/insn.h>
#include <hw/sha256.h>
#include <hypapp/memory.h>
#include <hypapp/services.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

void hyp_caller(struct vcpu *v, struct hyp_caller *c)
{
    virt->get_paging(v, &c->paging);
    c->interrupts_on = v->regs.rflags & RFLAGS_IF;
    c->event_queued = virt->event_queued(v);
    c->no_ad = false;
}

bool hyp_msr_value(struct vcpu *v, uint32_t index, uint64_t *value)
{
    return virt->state_msr_read(v, index, value) || hw_rdmsr_safe(index, value);
}

/* splitmix64: spreads what entropy there is. */
static uint64_t spread(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

struct word { uint64_t bytes; } __attribute__((packed, may_alias));

void hyp_random(void *out, size_t len)
{
    static _Atomic uint64_t state;
    static _Atomic int have_rdrand = -1;
    uint8_t *p = out;

    if (have_rdrand < 0) {
        have_rdrand = (hw_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_RDRAND) != 0;
    }
    while (len > 0) {
        uint64_t r = 0;
        size_t n = len < 8 ? len : 8;
        for (int i = 0; have_rdrand && i < 10 && !hw_rdrand(&r); i++) {
        }
        r ^= spread(atomic_fetch_add(&state, 1) ^ clock_now());
        if (n == 8) {
            ((struct word *)p)->bytes = r;
        } else {
            memcpy(p, &r, n);
        }
        p += n;
        len -= n;
    }
}

struct hyp_sha256 hyp_sha256(void)
{
    /* The extensions are used with SSSE3 and SSE2, which every CPU with them has (SDM vol. 1,
     * 12.5). */
    if (hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES
        && (hw_cpuid(CPUID_EXT_FEATURES, 0).ebx & CPUID_7_0_EBX_SHA)) {
        return (struct hyp_sha256){ hw_sha256_blocks, 180 };
    }
    return (struct hyp_sha256){ sha256_blocks, HYP_SHA256_COST_MAX };
}
