/* SPDX-License-Identifier: MIT */
/* What native mode needs of Windows. A PAL's stack that is full ends the process here: the system
 * tells of exceptions on the stack where they are. */
#include "native.h"
#include <cpuid.h>
#include <string.h>
#include <windows.h>

#define PAGE 4096u

void *native_memory_make(size_t size)
{
    return CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_EXECUTE_READWRITE,
                              (DWORD)((uint64_t)size >> 32), (DWORD)size, NULL);
}

void native_memory_free(void *memory)
{
    CloseHandle(memory);
}

bool native_memory_write(void *memory, size_t offset, const void *from, size_t bytes)
{
    char *p = MapViewOfFile(memory, FILE_MAP_WRITE, 0, 0, 0);

    if (!p) {
        return false;
    }
    memcpy(p + offset, from, bytes);
    return UnmapViewOfFile(p) != 0;
}

bool native_map(void *memory, uintptr_t address, size_t size)
{
    DWORD old;
    void *p = MapViewOfFileEx(memory, FILE_MAP_WRITE | FILE_MAP_EXECUTE, 0, 0, 0,
                              (void *)address);

    return p && VirtualProtect(p, size, PAGE_NOACCESS, &old);
}

void native_unmap(uintptr_t address, size_t size)
{
    (void)size;
    UnmapViewOfFile((void *)address);
}

bool native_rights(uintptr_t address, size_t size, unsigned rights)
{
    DWORD old;

    return VirtualProtect((void *)address, size, rights & NATIVE_EXECUTE ? PAGE_EXECUTE_READ
                          : rights & NATIVE_WRITE ? PAGE_READWRITE : PAGE_READONLY, &old) != 0;
}

static SRWLOCK lock = SRWLOCK_INIT;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;

void native_lock(void)
{
    AcquireSRWLockExclusive(&lock);
}

void native_unlock(void)
{
    ReleaseSRWLockExclusive(&lock);
}

void native_wait(void)
{
    SleepConditionVariableSRW(&changed, &lock, INFINITE, 0);
}

void native_wake(void)
{
    WakeAllConditionVariable(&changed);
}

bool native_signal_stack(void)
{
    return true;
}

typedef BOOLEAN(NTAPI *generator)(PVOID to, ULONG bytes);

/* By RDRAND, which may fail for a moment (SDM vol. 1, 7.3.17.1: ten tries). */
static bool cpu_random(uint8_t *to, size_t bytes)
{
    unsigned a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_RDRND)) {
        return false;
    }
    for (size_t done = 0; done < bytes;) {
        const size_t some = bytes - done < sizeof(a) ? bytes - done : sizeof(a);
        bool good = false;
        for (unsigned tries = 0; tries < 10 && !good; tries++) {
            __asm__ volatile("rdrand %0" : "=r"(a), "=@ccc"(good));
        }
        if (!good) {
            return false;
        }
        memcpy(to + done, &a, some);
        done += some;
    }
    return true;
}

/* The library is looked for when it is needed, so that programs without random numbers need no
 * other. A small Wine has none. */
bool native_random(void *to, size_t bytes)
{
    HMODULE library = LoadLibraryA("advapi32.dll");
    generator make = NULL; /* RtlGenRandom */

    if (library) {
        make = (generator)(void (*)(void))GetProcAddress(library, "SystemFunction036");
    }
    return make ? make(to, (ULONG)bytes) != 0 : cpu_random(to, bytes);
}

/* --- budgets: there are none here, since nothing ends another thread's call ------------------ */

uint64_t native_ticks_ns(uint64_t ticks)
{
    (void)ticks;
    return 0;
}

void native_timer_start(uint64_t ns)
{
    (void)ns;
}

uint64_t native_timer_stop(uint64_t given)
{
    return given;
}

static size_t guarded_pages(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

void *native_guarded(size_t bytes)
{
    const size_t inner = guarded_pages(bytes);
    char *p = VirtualAlloc(NULL, inner + 2 * PAGE, MEM_RESERVE, PAGE_NOACCESS);

    if (!p || (inner != 0 && !VirtualAlloc(p + PAGE, inner, MEM_COMMIT, PAGE_READWRITE))) {
        return NULL;
    }
    return p + PAGE + inner - (bytes + 15) / 16 * 16;
}

void native_guarded_free(void *p, size_t bytes)
{
    if (p) {
        VirtualFree((char *)p + (bytes + 15) / 16 * 16 - guarded_pages(bytes) - PAGE, 0,
                    MEM_RELEASE);
    }
}
