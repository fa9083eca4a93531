/* SPDX-License-Identifier: MIT */
/* PAL memory on Windows. */
#include "os.h"
#include <windows.h>

void *pal_os_alloc(size_t size)
{
    SIZE_T low, high;
    void *p = VirtualAlloc(NULL, size, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);

    if (p == NULL) {
        return NULL;
    }
    /* What can be locked is bounded by the working set's minimum. */
    if (GetProcessWorkingSetSize(GetCurrentProcess(), &low, &high)) {
        SetProcessWorkingSetSize(GetCurrentProcess(), low + size, high + size);
    }
    VirtualLock(p, size);
    return p;
}

void pal_os_free(void *memory, size_t size)
{
    (void)size; /* MEM_RELEASE wants 0 */
    VirtualFree(memory, 0, MEM_RELEASE);
}
