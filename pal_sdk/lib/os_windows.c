/* SPDX-License-Identifier: MIT */
/* PAL memory and exceptions on Windows. */
#include "os.h"
#include <stdatomic.h>
#include <windows.h>

/* --- memory --------------------------------------------------------------------------- */

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

static void *allocate(size_t size, DWORD rights)
{
    void *p = VirtualAlloc(NULL, size, MEM_COMMIT | MEM_RESERVE, rights);

    if (p) {
        /* As on Linux, registration works without it. */
        lock(p, size);
    }
    return p;
}

void *pal_os_alloc(size_t size)
{
    return allocate(size, PAGE_EXECUTE_READWRITE);
}

void *pal_os_alloc_data(size_t size)
{
    return allocate(size, PAGE_READWRITE);
}

bool pal_os_executable(void *page)
{
    DWORD old;

    return VirtualProtect(page, 4096, PAGE_EXECUTE_READWRITE, &old) != 0;
}

void pal_os_free(void *memory, size_t size)
{
    (void)size; /* MEM_RELEASE wants 0 */
    VirtualFree(memory, 0, MEM_RELEASE);
}

/* There is no fork. */
uint32_t pal_os_generation(void)
{
    return 1;
}

/* --- faults --------------------------------------------------------------------------- */

#define HANDLERS 3

static pal_fault_handler *_Atomic handlers[HANDLERS];

static unsigned vector_of(const EXCEPTION_RECORD *r)
{
    switch (r->ExceptionCode) {
    case EXCEPTION_INT_DIVIDE_BY_ZERO:
    case EXCEPTION_INT_OVERFLOW:        return 0;
    case EXCEPTION_SINGLE_STEP:         return 1;
    case EXCEPTION_BREAKPOINT:          return 3;
    case EXCEPTION_ILLEGAL_INSTRUCTION: return 6;
    case EXCEPTION_PRIV_INSTRUCTION:    return 13;
    case EXCEPTION_DATATYPE_MISALIGNMENT: return 17;
    case EXCEPTION_ACCESS_VIOLATION: /* #GP tells no address */
        return r->NumberParameters >= 2 && r->ExceptionInformation[1] == ~(ULONG_PTR)0 ? 13 : 14;
    default:                            return 0xff;
    }
}

#ifdef __x86_64__
#define REGISTER(name) R##name
#else
#define REGISTER(name) E##name
#endif

static struct pal_fault fault_of(const EXCEPTION_POINTERS *e)
{
    const CONTEXT *c = e->ContextRecord;
    const EXCEPTION_RECORD *r = e->ExceptionRecord;

    return (struct pal_fault){ vector_of(r), c->REGISTER(ip), c->REGISTER(sp), c->REGISTER(bp),
                               c->REGISTER(ax), c->REGISTER(cx), c->REGISTER(dx),
                               r->NumberParameters >= 2 ? r->ExceptionInformation[1] : 0 };
}

static LONG CALLBACK on_exception(EXCEPTION_POINTERS *e)
{
    CONTEXT *c = e->ContextRecord;
    struct pal_fault f = fault_of(e);

    for (unsigned i = 0; f.vector != 0xff && i < HANDLERS; i++) {
        pal_fault_handler *h = atomic_load(&handlers[i]);
        if (h && h(&f)) {
            c->REGISTER(ip) = f.ip;
            c->REGISTER(sp) = f.sp;
            c->REGISTER(bp) = f.bp;
            c->REGISTER(ax) = f.ax;
            c->REGISTER(cx) = f.cx;
            c->REGISTER(dx) = f.dx;
            return EXCEPTION_CONTINUE_EXECUTION;
        }
    }
    return EXCEPTION_CONTINUE_SEARCH;
}

bool pal_os_on_fault(pal_fault_handler *handler)
{
    static _Atomic bool done;

    for (unsigned i = 0; i < HANDLERS; i++) {
        pal_fault_handler *none = NULL;
        if (atomic_load(&handlers[i]) == handler
            || atomic_compare_exchange_strong(&handlers[i], &none, handler)) {
            return atomic_exchange(&done, true) || AddVectoredExceptionHandler(1, on_exception);
        }
    }
    return false;
}

static pal_fault_handler *_Atomic last_handler;
static LPTOP_LEVEL_EXCEPTION_FILTER filter_before;

static LONG CALLBACK on_fatal(EXCEPTION_POINTERS *e)
{
    struct pal_fault f = fault_of(e);

    atomic_load(&last_handler)(&f);
    return filter_before ? filter_before(e) : EXCEPTION_CONTINUE_SEARCH;
}

bool pal_os_on_fatal(pal_fault_handler *handler)
{
    static _Atomic bool done;

    atomic_store(&last_handler, handler);
    if (!atomic_exchange(&done, true)) {
        filter_before = SetUnhandledExceptionFilter(on_fatal);
    }
    return true;
}

void pal_os_complain(const char *text, size_t bytes)
{
    DWORD n;

    WriteFile(GetStdHandle(STD_ERROR_HANDLE), text, (DWORD)bytes, &n, NULL);
}
