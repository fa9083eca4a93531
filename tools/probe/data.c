/* SPDX-License-Identifier: MIT */
/* A recorded machine's data: adding and finding. */
#include <probe/vector.h>

#include <x86/cpuid.h>

void vector_clear(struct vector *v)
{
    v->cpuids = v->msrs = v->mems = 0;
    v->efi = false;
}

bool vector_add_cpuid(struct vector *v, uint32_t leaf, uint32_t sub, const struct cpuid_regs *r)
{
    if (v->cpuids == VECTOR_CPUID_MAX) {
        return false;
    }
    v->cpuid[v->cpuids++] = (struct vector_cpuid){ leaf, sub, *r };
    return true;
}

bool vector_add_msr(struct vector *v, uint32_t index, bool absent, uint64_t value)
{
    if (v->msrs == VECTOR_MSR_MAX) {
        return false;
    }
    v->msr[v->msrs++] = (struct vector_msr){ index, absent, value };
    return true;
}

bool vector_add_mem(struct vector *v, uint64_t start, uint64_t last, uint32_t type)
{
    if (v->mems == VECTOR_MEM_MAX) {
        return false;
    }
    v->mem[v->mems++] = (struct boot_mem){ .start = start, .size = last - start + 1, .type = type };
    return true;
}

const struct vector_cpuid *vector_find_cpuid(const struct vector *v, uint32_t leaf, uint32_t sub)
{
    for (unsigned i = 0; i < v->cpuids; i++) {
        if (v->cpuid[i].leaf == leaf && v->cpuid[i].sub == sub) {
            return &v->cpuid[i];
        }
    }
    return NULL;
}

struct cpuid_regs vector_cpuid(const struct vector *v, uint32_t leaf, uint32_t sub)
{
    const struct vector_cpuid *c = vector_find_cpuid(v, leaf, sub);

    return c ? c->r : (struct cpuid_regs){ 0, 0, 0, 0 };
}

const struct vector_msr *vector_find_msr(const struct vector *v, uint32_t index)
{
    for (unsigned i = 0; i < v->msrs; i++) {
        if (v->msr[i].index == index) {
            return &v->msr[i];
        }
    }
    return NULL;
}

bool vector_is_intel(const struct vector *v)
{
    return vector_cpuid(v, CPUID_BASIC, 0).ebx == 0x756e6547; /* "Genu" */
}
