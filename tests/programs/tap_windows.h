/* SPDX-License-Identifier: MIT */
/* What the PAL test programs need of Windows. */
#ifndef PAL_TAP_WINDOWS_H
#define PAL_TAP_WINDOWS_H

#include <process.h>
#include <setjmp.h>
#include <windows.h>

/* --- faults: if (CATCH()) { may fault } else { tap_signal, tap_address tell } --------- */

#define SIGBUS  7
#define SIGTRAP 5

/* Of each thread. tap_armed = 0 after the "if": a fault elsewhere ends the program. */
static __thread jmp_buf tap_jump;
static __thread volatile int tap_signal, tap_armed;
static __thread void *volatile tap_address;

static inline void tap_land(void)
{
    static const uint32_t mxcsr = 0x1f80; /* what faulted may have unmasked exceptions */

    __asm__ volatile("ldmxcsr %0; fnclex" : : "m"(mxcsr));
    longjmp(tap_jump, 1);
}

/* The signal that Linux makes of the same fault; 0: it is no fault. */
static inline int tap_signal_of(DWORD code)
{
    switch (code) {
    case EXCEPTION_ACCESS_VIOLATION: case EXCEPTION_PRIV_INSTRUCTION: case EXCEPTION_GUARD_PAGE:
    case EXCEPTION_STACK_OVERFLOW:
        return SIGSEGV;
    case EXCEPTION_ILLEGAL_INSTRUCTION:
        return SIGILL;
    case EXCEPTION_DATATYPE_MISALIGNMENT: case EXCEPTION_IN_PAGE_ERROR:
        return SIGBUS;
    case EXCEPTION_BREAKPOINT: case EXCEPTION_SINGLE_STEP:
        return SIGTRAP;
    case EXCEPTION_INT_DIVIDE_BY_ZERO: case EXCEPTION_INT_OVERFLOW:
    case EXCEPTION_FLT_DIVIDE_BY_ZERO:
    case EXCEPTION_FLT_INVALID_OPERATION: case EXCEPTION_FLT_STACK_CHECK:
    case STATUS_FLOAT_MULTIPLE_FAULTS: case STATUS_FLOAT_MULTIPLE_TRAPS:
        return SIGFPE;
    default:
        return 0;
    }
}

/* The thread goes on in tap_land, a little below where its stack was. */
static LONG CALLBACK tap_handler(EXCEPTION_POINTERS *e)
{
    const EXCEPTION_RECORD *r = e->ExceptionRecord;
    CONTEXT *c = e->ContextRecord;
    int number = tap_signal_of(r->ExceptionCode);

    if (number == 0 || !tap_armed) {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    tap_armed = 0;
    tap_signal = number;
    tap_address = r->ExceptionCode == EXCEPTION_ACCESS_VIOLATION
                      ? (void *)r->ExceptionInformation[1] : r->ExceptionAddress;
#ifdef __x86_64__
    c->Rsp = ((c->Rsp - 1024) & ~(DWORD64)15) - 8;
    c->Rip = (uintptr_t)tap_land;
#else
    c->Esp = ((c->Esp - 1024) & ~15u) - 4;
    c->Eip = (uintptr_t)tap_land;
#endif
    c->EFlags &= ~0x500u; /* DF, TF */
    return EXCEPTION_CONTINUE_EXECUTION;
}

static inline void tap_catch_signals(void)
{
    AddVectoredExceptionHandler(1, tap_handler);
}

/* With no frame longjmp doesn't unwind the stack: there is nothing to unwind a PAL's stub by. And
 * not __builtin_setjmp: in a function that calls nothing gcc drops the place where it lands. */
#ifdef __x86_64__
#define TAP_SETJMP(buffer) _setjmp(buffer, NULL)
#else
#define TAP_SETJMP(buffer) _setjmp3(buffer, NULL)
#endif
#define CATCH() (tap_signal = 0, tap_armed = 1, TAP_SETJMP(tap_jump) == 0)

/* --- a thread that is interrupted: suspended and resumed, every so many microseconds ---- */

static volatile unsigned tap_ticks;
static volatile LONG tap_tick_us;
static HANDLE tap_ticked, tap_ticking;

static inline DWORD WINAPI tap_tick_thread(void *unused)
{
    (void)unused;
    while (tap_tick_us != 0) {
        Sleep((DWORD)tap_tick_us / 1000);
        SuspendThread(tap_ticked);
        tap_ticks++;
        ResumeThread(tap_ticked);
    }
    return 0;
}

/* Interrupt the thread that calls this; 0 us: no more. */
static inline void tap_ticker(long us)
{
    tap_tick_us = us;
    if (us != 0) {
        DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &tap_ticked,
                        0, FALSE, DUPLICATE_SAME_ACCESS);
        tap_ticking = CreateThread(NULL, 0, tap_tick_thread, NULL, 0, NULL);
    } else {
        WaitForSingleObject(tap_ticking, INFINITE);
        CloseHandle(tap_ticking);
        CloseHandle(tap_ticked);
    }
}

static inline void tap_no_ticks(void)
{
}

/* --- memory and processes ------------------------------------------------------------- */

/* Pages that can be read, written and executed. They are there when they are touched. */
static inline void *tap_pages(size_t pages)
{
    return VirtualAlloc(NULL, pages * PAL_PAGE, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
}

#define TAP_PROCESSES 12 /* how many are a matter of seconds, in a guest with Wine */

/* What another process may do: they are numbered, for there is no fork. The program is started
 * again as  PROGRAM --child N,  and main() calls tap_child_main() first. */
typedef int (*tap_child)(void);

static inline void tap_child_main(int argc, char **argv, const tap_child *children)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0) {
        ExitProcess((UINT)children[strtoul(argv[2], NULL, 10)]());
    }
}

/* One that is killed some time later; up to so many milliseconds are of interest. */
#define TAP_CHILD_MS 2000
typedef HANDLE tap_process;

static inline tap_process tap_child_start(const tap_child *children, unsigned i)
{
    char program[MAX_PATH], line[MAX_PATH + 32];
    STARTUPINFOA start = { .cb = sizeof(start) };
    PROCESS_INFORMATION made;

    (void)children;
    GetModuleFileNameA(NULL, program, sizeof(program));
    snprintf(line, sizeof(line), "\"%s\" --child %u", program, i);
    if (!CreateProcessA(program, line, NULL, NULL, FALSE, 0, NULL, NULL, &start, &made)) {
        return NULL;
    }
    CloseHandle(made.hThread);
    return made.hProcess;
}

static inline void tap_child_kill(tap_process child)
{
    TerminateProcess(child, 9);
    WaitForSingleObject(child, INFINITE);
    CloseHandle(child);
}

/* The exit status of another process that runs children[i]; -1 if it didn't start. */
static inline int tap_child_run(const tap_child *children, unsigned i)
{
    char program[MAX_PATH], number[12];

    (void)children;
    snprintf(number, sizeof(number), "%u", i);
    GetModuleFileNameA(NULL, program, sizeof(program));
    return (int)_spawnl(_P_WAIT, program, program, "--child", number, NULL);
}

#endif
