/* SPDX-License-Identifier: MIT */
/* PAL memory on Linux. */
#define _GNU_SOURCE
#include "os.h"
#include <sys/mman.h>

void *pal_os_alloc(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);

    if (p == MAP_FAILED) {
        return NULL;
    }
    /* A child must not have a copy of a PAL's stubs: the hypervisor knows the owner by them, and
     * once the owner has died another process may get the place of its page table. The memory is
     * new, so no child has it yet. */
    if (madvise(p, size, MADV_DONTFORK) != 0) {
        munmap(p, size);
        return NULL;
    }
    /* All works without it; but swapping in what a call needs takes its time. */
    (void)mlock(p, size);
    return p;
}

void pal_os_free(void *memory, size_t size)
{
    munmap(memory, size);
}
