/* SPDX-License-Identifier: MIT */
/* Stopping the OS's performance counters while a sandbox runs (AMD). */
#ifndef XMHF_SVM_PMU_H
#define XMHF_SVM_PMU_H

#include <xmhf/types.h>

#define SVM_PMU_MAX 6 /* PERF_CTL of the extended set; the old one has 4 */
#define SVM_PMU_OLD 4

struct svm_pmu {
    uint64_t saved[SVM_PMU_MAX]; /* 0: it wasn't enabled */
    unsigned count;              /* enabled ones */
    bool extended;
};

/* Clear the enable bits, remembering what was set. */
void svm_pmu_pause(struct svm_pmu *p);
/* Put back what svm_pmu_pause found. */
void svm_pmu_resume(struct svm_pmu *p);

#endif
