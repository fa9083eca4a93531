/* SPDX-License-Identifier: MIT */
/* What native mode needs of Linux. */
#define _GNU_SOURCE
#include "native.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>
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

uintptr_t native_thread(void)
{
    return (uintptr_t)pthread_self();
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

/* The kernel looks at both addresses; where it may not do that for us the copy is a plain one. */
bool native_copy(void *to, const void *from, size_t bytes)
{
    const struct iovec there = { (void *)(uintptr_t)from, bytes }, here = { to, bytes };
    const ssize_t n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);

    if (n < 0 && errno != EFAULT) {
        memcpy(to, from, bytes);
        return true;
    }
    return n == (ssize_t)bytes;
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
