/* SPDX-License-Identifier: MIT */
/* What native mode needs of Linux. */
#define _GNU_SOURCE
#include "native.h"
#include "os_linux.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

void *native_memory_make(size_t size)
{
    const int fd = memfd_create("pal", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)size) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    return (void *)((intptr_t)fd + 1);
}

static int fd_of(const void *memory)
{
    return (int)((intptr_t)memory - 1);
}

void native_memory_free(void *memory)
{
    close(fd_of(memory));
}

bool native_memory_write(void *memory, size_t offset, const void *from, size_t bytes)
{
    return pwrite(fd_of(memory), from, bytes, (off_t)offset) == (ssize_t)bytes;
}

bool native_map(void *memory, uintptr_t address, size_t size)
{
    void *p = mmap((void *)address, size, PROT_NONE, MAP_SHARED | MAP_FIXED_NOREPLACE,
                   fd_of(memory), 0);

    if (p == MAP_FAILED) {
        return false;
    }
    if (p != (void *)address || madvise(p, size, MADV_DONTFORK) != 0) {
        munmap(p, size); /* an older kernel took the address for a wish */
        return false;
    }
    return true;
}

void native_unmap(uintptr_t address, size_t size)
{
    munmap((void *)address, size);
}

bool native_rights(uintptr_t address, size_t size, unsigned rights)
{
    return mprotect((void *)address, size, (rights & NATIVE_READ ? PROT_READ : 0)
                    | (rights & NATIVE_WRITE ? PROT_WRITE : 0)
                    | (rights & NATIVE_EXECUTE ? PROT_EXEC : 0)) == 0;
}

/* --- threads -------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void native_lock(void)
{
    (void)pthread_mutex_lock(&lock);
}

void native_unlock(void)
{
    (void)pthread_mutex_unlock(&lock);
}

void native_wait(void)
{
    (void)pthread_cond_wait(&changed, &lock);
}

void native_wake(void)
{
    (void)pthread_cond_broadcast(&changed);
}

/* --- a stack for handlers: the PAL's own may be what is full -------------------------------- */

#define SIGNAL_STACK 65536u

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void drop(void *stack)
{
    const stack_t none = { .ss_flags = SS_DISABLE };

    sigaltstack(&none, NULL);
    free(stack);
}

static void make_key(void)
{
    (void)pthread_key_create(&key, drop);
}

bool native_signal_stack(void)
{
    stack_t now = { 0 };
    stack_t ours = { .ss_size = SIGNAL_STACK };

    if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE)) {
        return true;
    }
    (void)pthread_once(&once, make_key);
    ours.ss_sp = malloc(SIGNAL_STACK);
    if (!ours.ss_sp || sigaltstack(&ours, NULL) != 0
        || pthread_setspecific(key, ours.ss_sp) != 0) {
        drop(ours.ss_sp);
        return false;
    }
    return true;
}

bool native_random(void *to, size_t bytes)
{
    return getrandom(to, bytes, 0) == (ssize_t)bytes; /* at most 256 are never fewer */
}

/* --- budgets -------------------------------------------------------------------------------- */

/*
 * A timer of the thread's own CPU time for each call of a PAL that has a budget, so that a debugger
 * or a busy machine takes nothing away. Its signal is the one that says so, SIGXCPU; one that isn't
 * the timer's goes to whoever had it before. While the thread is in a hypercall of the PAL's, or on
 * its way in or out, the signal comes again a millisecond later.
 */
#define AGAIN_NS 1000000

static __thread struct {
    int id;                  /* the kernel's */
    bool runs;
    volatile bool expired;
    bool was_blocked;        /* the signal */
} timer;
static struct sigaction cpu_before;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;
static double tick_ns;       /* 0: there are no timers */

/* As the kernel has it, for programs whose time_t is wider than a word too. */
struct timer_words {
    long again_s, again_ns, s, ns;
};

static void on_timer(int number, siginfo_t *info, void *context)
{
    const int saved = errno;
    const bool ours = info->si_code == SI_TIMER && info->si_value.sival_ptr == &timer;
    struct pal_fault f = pal_linux_fault(context, 0);

    if (ours && timer.runs) {
        timer.expired = true;
        if (native_expired(&f)) {
            pal_linux_go_on(context, &f);
        }
    } else if (!ours && ((cpu_before.sa_flags & SA_SIGINFO) || cpu_before.sa_handler != SIG_IGN)) {
        pal_linux_as_before(number, info, context, &cpu_before);
    }
    errno = saved;
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The TSC's frequency, as it is in 10 ms. */
static void measure(void)
{
    const struct timespec some = { .tv_nsec = 10000000 };
    struct sigaction action = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    const int64_t start = now_ns();
    const uint64_t ticks = __builtin_ia32_rdtsc();

    nanosleep(&some, NULL);
    if (sigaction(SIGXCPU, NULL, &cpu_before) == 0 && sigaction(SIGXCPU, &action, NULL) == 0) {
        tick_ns = (double)(now_ns() - start) / (double)(__builtin_ia32_rdtsc() - ticks);
    }
}

uint64_t native_ticks_ns(uint64_t ticks)
{
    double ns;

    (void)pthread_once(&cpu_once, measure);
    ns = (double)ticks * tick_ns;
    return tick_ns == 0 || ns > 1e18 ? 0 : (uint64_t)ns + 1; /* 30 years are no budget */
}

static void block(int how)
{
    sigset_t mine, old;

    sigemptyset(&mine);
    sigaddset(&mine, SIGXCPU);
    timer.was_blocked = pthread_sigmask(how, &mine, &old) == 0 && sigismember(&old, SIGXCPU) == 1;
}

void native_timer_start(uint64_t ns)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGXCPU };
    const struct timer_words when = { 0, AGAIN_NS, (long)(ns / 1000000000u),
                                      (long)(ns % 1000000000u) };

    event.sigev_value.sival_ptr = &timer;
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    timer.expired = false;
    timer.runs = syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &timer.id) == 0;
    if (timer.runs) {
        block(SIG_UNBLOCK);
        syscall(SYS_timer_settime, timer.id, 0, &when, NULL);
    }
}

uint64_t native_timer_stop(uint64_t given)
{
    struct timer_words now = { 0, 0, 0, 0 };
    uint64_t left;

    if (!timer.runs) {
        return given;
    }
    syscall(SYS_timer_gettime, timer.id, &now);
    syscall(SYS_timer_delete, timer.id);
    timer.runs = false;
    if (timer.was_blocked) {
        block(SIG_BLOCK);
    }
    left = (uint64_t)now.s * 1000000000u + (uint64_t)now.ns;
    return timer.expired || left == 0 ? 1 : left;
}

/* --- guarded bytes ------------------------------------------------------------------------ */

#define PAGE 4096u

static size_t guarded_pages(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

void *native_guarded(size_t bytes)
{
    const size_t inner = guarded_pages(bytes);
    char *p = mmap(NULL, inner + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        return NULL;
    }
    if (inner != 0 && mprotect(p + PAGE, inner, PROT_READ | PROT_WRITE) != 0) {
        munmap(p, inner + 2 * PAGE);
        return NULL;
    }
    return p + PAGE + inner - (bytes + 15) / 16 * 16;
}

void native_guarded_free(void *p, size_t bytes)
{
    const size_t inner = guarded_pages(bytes);
    char *end = (char *)p + (bytes + 15) / 16 * 16;

    if (p) {
        munmap(end - inner - PAGE, inner + 2 * PAGE);
    }
}
