/* SPDX-License-Identifier: MIT */
/* PAL memory, processes and signals on Linux. */
#define _GNU_SOURCE
#include "os_linux.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* --- memory --------------------------------------------------------------------------- */

static void *map(size_t size, int rights)
{
    void *p = mmap(NULL, size, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

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

void *pal_os_alloc(size_t size)
{
    return map(size, PROT_READ | PROT_WRITE | PROT_EXEC);
}

void *pal_os_alloc_data(size_t size)
{
    return map(size, PROT_READ | PROT_WRITE);
}

bool pal_os_executable(void *page)
{
    return mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

void pal_os_free(void *memory, size_t size)
{
    munmap(memory, size);
}

/* --- processes ------------------------------------------------------------------------ */

#define NO_PAGE ((_Atomic uint32_t *)-1) /* the kernel is older than MADV_WIPEONFORK, 4.14 */

/* A page that is zeros in each child. Process numbers come again, its contents don't. */
static _Atomic uint32_t *fork_page(void)
{
    static _Atomic uint32_t *_Atomic page;
    _Atomic uint32_t *p = atomic_load(&page), *none = NULL;

    if (p) {
        return p;
    }
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        return NO_PAGE;
    }
    if (madvise(p, 4096, MADV_WIPEONFORK) != 0) {
        munmap(p, 4096);
        p = NO_PAGE;
    }
    if (!atomic_compare_exchange_strong(&page, &none, p)) {
        if (p != NO_PAGE) {
            munmap(p, 4096);
        }
        p = none; /* another thread's */
    }
    return p;
}

uint32_t pal_os_generation(void)
{
    static _Atomic uint32_t last; /* a child goes on counting */
    _Atomic uint32_t *page = fork_page();
    uint32_t now;

    if (page == NO_PAGE) {
        return (uint32_t)getpid();
    }
    now = atomic_load(page);
    if (now == 0) {
        const uint32_t next = atomic_fetch_add(&last, 1) + 1;
        if (atomic_compare_exchange_strong(page, &now, next)) {
            now = next;
        }
    }
    return now;
}

/* --- faults --------------------------------------------------------------------------- */

static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE };
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

#define HANDLERS 3

static struct sigaction before[SIGNALS];
static pal_fault_handler *_Atomic handlers[HANDLERS], *_Atomic last_handler;

#ifdef __x86_64__
#define REGISTER(name) REG_R##name
#else
#define REGISTER(name) REG_E##name
#endif

struct pal_fault pal_linux_fault(void *context, uintptr_t address)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

    return (struct pal_fault){
        (unsigned)r[REG_TRAPNO], (uintptr_t)r[REGISTER(IP)], (uintptr_t)r[REGISTER(SP)],
        (uintptr_t)r[REGISTER(BP)], (uintptr_t)r[REGISTER(AX)], (uintptr_t)r[REGISTER(CX)],
        (uintptr_t)r[REGISTER(DX)], address,
    };
}

void pal_linux_go_on(void *context, const struct pal_fault *f)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

    r[REGISTER(IP)] = (greg_t)f->ip;
    r[REGISTER(SP)] = (greg_t)f->sp;
    r[REGISTER(BP)] = (greg_t)f->bp;
    r[REGISTER(AX)] = (greg_t)f->ax;
    r[REGISTER(CX)] = (greg_t)f->cx;
    r[REGISTER(DX)] = (greg_t)f->dx;
}

static bool handled(void *context, uintptr_t address, bool others)
{
    struct pal_fault f = pal_linux_fault(context, address);
    pal_fault_handler *fatal = others ? NULL : atomic_load(&last_handler);

    for (unsigned i = 0; i < HANDLERS; i++) {
        pal_fault_handler *h = atomic_load(&handlers[i]);
        if (h && h(&f)) {
            pal_linux_go_on(context, &f);
            return true;
        }
    }
    if (fatal) {
        fatal(&f);
    }
    return false;
}

/* As if we weren't here. The signal comes again by itself only if it was the instruction's: what is
 * left of a PAL that died would raise another one, so it is sent with all that it tells. */
void pal_linux_as_before(int number, siginfo_t *info, void *context, const struct sigaction *old)
{
    const struct sigaction by_default = { .sa_handler = SIG_DFL };

    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(number, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(number);
    } else if (old->sa_handler == SIG_DFL || info->si_code > 0) { /* a fault can't be ignored */
        sigaction(number, &by_default, NULL);
        syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), number, info);
    }
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    const int saved = errno;

    for (unsigned i = 0; i < SIGNALS; i++) {
        if (signals[i] == number
            && (info->si_code <= 0
                || !handled(context, (uintptr_t)info->si_addr,
                            before[i].sa_handler != SIG_DFL))) {
            pal_linux_as_before(number, info, context, &before[i]);
        }
    }
    errno = saved;
}

static bool install(void)
{
    static _Atomic bool done;
    struct sigaction action = { .sa_sigaction = on_signal,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

    if (atomic_exchange(&done, true)) {
        return true;
    }
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], NULL, &before[i]);
        if (sigaction(signals[i], &action, NULL) != 0) {
            return false;
        }
    }
    return true;
}

bool pal_os_on_fault(pal_fault_handler *handler)
{
    for (unsigned i = 0; i < HANDLERS; i++) {
        pal_fault_handler *none = NULL;
        if (atomic_load(&handlers[i]) == handler
            || atomic_compare_exchange_strong(&handlers[i], &none, handler)) {
            return install();
        }
    }
    return false;
}

bool pal_os_on_fatal(pal_fault_handler *handler)
{
    atomic_store(&last_handler, handler);
    return install();
}

void pal_os_complain(const char *text, size_t bytes)
{
    while (bytes != 0) {
        const ssize_t n = write(STDERR_FILENO, text, bytes);
        if (n <= 0) {
            return;
        }
        text += n;
        bytes -= (size_t)n;
    }
}
