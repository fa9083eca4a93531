/* SPDX-License-Identifier: MIT */
/*
 * A machine as a file of tests/vectors describes it, and what the hypervisor would say of it,
 * by the core's own rules (xmhf-core/virt/{svm,vmx}/caps.c). No hardware is touched.
 */
#ifndef XMHF_TOOLS_PROBE_VECTOR_H
#define XMHF_TOOLS_PROBE_VECTOR_H

#include <policy/cpuid_policy.h>
#include <xmhf/boot_info.h>

#define VECTOR_CPUID_MAX 1024
#define VECTOR_MSR_MAX   512
#define VECTOR_MEM_MAX   1024

struct vector_cpuid { uint32_t leaf, sub; struct cpuid_regs r; };
struct vector_msr { uint32_t index; bool absent; uint64_t value; };

/* One logical CPU, and the machine's memory map as the firmware tells it. */
struct vector {
    unsigned cpuids, msrs, mems;
    bool efi; /* the machine was started by EFI */
    struct vector_cpuid cpuid[VECTOR_CPUID_MAX];
    struct vector_msr msr[VECTOR_MSR_MAX];
    struct boot_mem mem[VECTOR_MEM_MAX];
};

void vector_clear(struct vector *v);

/* Add to `v`; false if it is full. Memory: `last` is the range's last byte, at least `start`,
 * and below 2^64 - 1. */
bool vector_add_cpuid(struct vector *v, uint32_t leaf, uint32_t sub, const struct cpuid_regs *r);
bool vector_add_msr(struct vector *v, uint32_t index, bool absent, uint64_t value);
bool vector_add_mem(struct vector *v, uint64_t start, uint64_t last, uint32_t type);

/* What is recorded, or NULL. */
const struct vector_cpuid *vector_find_cpuid(const struct vector *v, uint32_t leaf, uint32_t sub);
const struct vector_msr *vector_find_msr(const struct vector *v, uint32_t index);

/* The register of a recorded leaf; zeros if it isn't recorded. */
struct cpuid_regs vector_cpuid(const struct vector *v, uint32_t leaf, uint32_t sub);

bool vector_is_intel(const struct vector *v);

/* Read a file's text, whose form is told in tests/vectors/README.md. Returns 0, or the number of
 * the first line that isn't of that form, and `*why`. */
unsigned vector_parse(struct vector *v, const char *text, size_t size, const char **why);

/* What the boot stage would miss of the memory map, if one is recorded; else NULL. */
const char *vector_map_lacks(const struct vector *v);

enum judgement { RUNS, LACKS, UNKNOWN };

/* Would the hypervisor run on this machine, whose boot CPU is recorded? One sentence goes to
 * `out`. */
enum judgement vector_judge(const struct vector *v, char *out, size_t size);

/* The same for a further CPU of the machine, whose boot CPU `boot` runs it. */
enum judgement vector_judge_other(const struct vector *boot, const struct vector *v, char *out,
                                  size_t size);

#endif
