/* SPDX-License-Identifier: MIT */
/* Chooses the back end: asks each vendor's whether it can use this machine's CPUs. */
#include <debug/log.h>
#include <virt/virt.h>

const struct virt_ops *virt;

bool virt_choose(void)
{
    static const struct virt_ops *const vendors[] = { &svm_ops, &vmx_ops };
    const char *missing[ARRAY_SIZE(vendors)];

    for (size_t i = 0; i < ARRAY_SIZE(vendors); i++) {
        missing[i] = vendors[i]->probe();
        if (!missing[i]) {
            virt = vendors[i];
            return true;
        }
    }
    log_error("cannot start: for %s this CPU lacks %s; for %s it lacks %s", vendors[0]->name,
              missing[0], vendors[1]->name, missing[1]);
    return false;
}
