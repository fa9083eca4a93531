/* SPDX-License-Identifier: MIT */
/* PAL memory on Windows. */
#include "os.h"
#include <windows.h>

/* Windows lets a process lock as much as its working set's minimum, about 200 KiB at first. This
 * is raised only when it is in the way: memory that was freed makes room in it for the next PAL. */
static void lock(void *p, SIZE_T size)
{
    SIZE_T low, high;

    if (VirtualLock(p, size)) {
        return;
    }
    if (GetProcessWorkingSetSize(GetCurrentProcess(), &low, &high)
        && SetProcessWorkingSetSize(GetCurrentProcess(), low + size, high + size)) {
        VirtualLock(p, size);
    }
}

void *pal_os_alloc(size_t size)
{
    void *p = VirtualAlloc(NULL, size, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);

    if (p) {
        /* As on Linux, registration works without it. */
        lock(p, size);
    }
    return p;
}

void pal_os_free(void *memory, size_t size)
{
    (void)size; /* MEM_RELEASE wants 0 */
    VirtualFree(memory, 0, MEM_RELEASE);
}
