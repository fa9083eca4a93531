/* SPDX-License-Identifier: MIT */
/*
 * A machine as a file of tests/vectors describes it, and what the hypervisor would say of it,
 * by the core's own rules (xmhf-core/virt/{svm,vmx}/caps.c). No hardware is touched.
 */
#ifndef XMHF_TOOLS_PROBE_VECTOR_H
#define XMHF_TOOLS_PROBE_VECTOR_H

#include <exit/cpuid_policy.h>
#include <xmhf/types.h>

#define VECTOR_CPUID_MAX 1024
#define VECTOR_MSR_MAX   512

struct vector_cpuid { uint32_t leaf, sub; struct cpuid_regs r; };
struct vector_msr { uint32_t index; bool absent; uint64_t value; };

/* One logical CPU. */
struct vector {
    unsigned cpuids, msrs;
    struct vector_cpuid cpuid[VECTOR_CPUID_MAX];
    struct vector_msr msr[VECTOR_MSR_MAX];
};

/* Add to `v`; false if it is full. */
bool vector_add_cpuid(struct vector *v, uint32_t leaf, uint32_t sub, const struct cpuid_regs *r);
bool vector_add_msr(struct vector *v, uint32_t index, bool absent, uint64_t value);

/* The register of a recorded leaf; zeros if it isn't recorded. */
struct cpuid_regs vector_cpuid(const struct vector *v, uint32_t leaf, uint32_t sub);

/* Read a file's text. Returns 0, or the number of the first line that makes no sense. */
unsigned vector_parse(struct vector *v, const char *text, size_t size);

enum judgement { RUNS, LACKS, UNKNOWN };

/* Would the hypervisor run on this CPU? One sentence goes to `out`. */
enum judgement vector_judge(const struct vector *v, char *out, size_t size);

/* The same for a further CPU of the machine, whose boot CPU `boot` runs it. */
enum judgement vector_judge_other(const struct vector *boot, const struct vector *v, char *out,
                                  size_t size);

#endif
