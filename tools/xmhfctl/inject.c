/* SPDX-License-Identifier: MIT */
/* Hypercalls made by another process: see inject.h, and notes/decisions/xmhfctl-gdb.md. */
#define _GNU_SOURCE
#include "inject.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM  8192u
#define STEPS 1000u /* faults of the OS's own may come before the instruction is done */

typedef struct user_regs_struct registers;

static bool failed(struct inject *in, const char *problem)
{
    in->problem = problem;
    return false;
}

static int open_proc(pid_t pid, const char *name, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return open(path, flags | O_CLOEXEC);
}

/* --- what is where in the process ------------------------------------------------------ */

/* The program's first instruction: nobody comes there again. */
static bool find_code(struct inject *in)
{
    uint64_t words[256];
    const int fd = open_proc(in->pid, "auxv", O_RDONLY);
    const ssize_t size = fd < 0 ? -1 : read(fd, words, sizeof(words));
    const unsigned count = size < 0 ? 0 : (unsigned)(size / (in->bits / 8));

    if (fd >= 0) {
        close(fd);
    }
    for (unsigned i = 0; i + 1 < count; i += 2) {
        const uint64_t type = in->bits == 64 ? words[i] : ((uint32_t *)words)[i];

        if (type == AT_ENTRY) {
            in->code = in->bits == 64 ? words[i + 1] : ((uint32_t *)words)[i + 1];
            return true;
        }
    }
    return failed(in, "its start isn't in /proc/PID/auxv");
}

/* The lowest part of the first thread's stack, which it may need later. */
static bool find_room(struct inject *in)
{
    char line[512];
    const int fd = open_proc(in->pid, "maps", O_RDONLY);
    FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
    unsigned long long start, end;

    in->room = 0;
    while (maps && fgets(line, sizeof(line), maps)) {
        if (strstr(line, "[stack]") && sscanf(line, "%llx-%llx", &start, &end) == 2
            && end - start > ROOM) {
            in->room = start;
        }
    }
    if (maps) {
        fclose(maps);
    }
    return in->room != 0 || failed(in, "it has no stack in /proc/PID/maps");
}

static bool find_bits(struct inject *in)
{
    unsigned char head[5] = { 0 };
    const int fd = open_proc(in->pid, "exe", O_RDONLY);
    const bool good = fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head)
        && memcmp(head, ELFMAG, 4) == 0;

    if (fd >= 0) {
        close(fd);
    }
    in->bits = head[EI_CLASS] == ELFCLASS32 ? 32 : 64;
    return good || failed(in, "its program can't be read");
}

size_t inject_read(const struct inject *in, uint64_t address, void *to, size_t bytes)
{
    const ssize_t got = pread(in->memory, to, bytes, (off_t)address);

    return got < 0 ? 0 : (size_t)got;
}

static bool write_memory(const struct inject *in, uint64_t address, const void *from,
                         size_t bytes)
{
    return pwrite(in->memory, from, bytes, (off_t)address) == (ssize_t)bytes;
}

/* --- threads ----------------------------------------------------------------------------- */

static bool known(const struct inject *in, pid_t thread)
{
    for (unsigned i = 0; i < in->count; i++) {
        if (in->threads[i] == thread) {
            return true;
        }
    }
    return false;
}

/* Stop one thread. False if it has ended meanwhile, or may not be stopped. */
static bool stop(struct inject *in, pid_t thread)
{
    int status;

    if (ptrace(PTRACE_SEIZE, thread, 0, 0) != 0) {
        return false;
    }
    in->threads[in->count++] = thread;
    ptrace(PTRACE_INTERRUPT, thread, 0, 0);
    return waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status);
}

/* Stop all that are there now and aren't stopped yet; how many these were. */
static unsigned stop_new(struct inject *in)
{
    char path[64];
    struct dirent *entry;
    unsigned stopped = 0;
    DIR *tasks;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)in->pid);
    tasks = opendir(path);
    while (tasks && (entry = readdir(tasks))) {
        const pid_t thread = atoi(entry->d_name);

        if (thread > 0 && in->count < INJECT_THREADS && !known(in, thread)) {
            stopped += stop(in, thread);
        }
    }
    if (tasks) {
        closedir(tasks);
    }
    return stopped;
}

void inject_close(struct inject *in)
{
    for (unsigned i = 0; i < in->count; i++) {
        ptrace(PTRACE_DETACH, in->threads[i], 0, 0);
    }
    in->count = 0;
    if (in->memory >= 0) {
        close(in->memory);
    }
    in->memory = -1;
}

bool inject_open(struct inject *in, pid_t pid)
{
    memset(in, 0, sizeof(*in));
    in->pid = pid;
    in->memory = -1;
    if (kill(pid, 0) != 0 && errno == ESRCH) {
        return failed(in, "there is no such process");
    }
    while (stop_new(in) > 0) {
    }
    if (in->count == 0) {
        return failed(in, "it can't be stopped: only root and who started it may, and only one "
                      "debugger at a time");
    }
    in->memory = open_proc(pid, "mem", O_RDWR);
    if (in->memory < 0) {
        failed(in, "its memory can't be opened");
    }
    if (in->memory < 0 || !find_bits(in) || !find_code(in) || !find_room(in)) {
        inject_close(in);
        return false;
    }
    return true;
}

/* --- the call ---------------------------------------------------------------------------- */

/* VMCALL or VMMCALL, as this CPU has it. */
static const uint8_t *instruction(void)
{
    static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 }, vmmcall[] = { 0x0f, 0x01, 0xd9 };
    uint32_t eax = 0, ebx, ecx, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
    return ebx == 0x756e6547u ? vmcall : vmmcall; /* "Genu" */
}

/* Let a thread execute what is at `code`, once. */
static bool step(struct inject *in, pid_t thread)
{
    for (unsigned i = 0; i < STEPS; i++) {
        registers now;
        int status;

        if (ptrace(PTRACE_SINGLESTEP, thread, 0, 0) != 0
            || waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status)) {
            return failed(in, "it has ended");
        }
        if (WSTOPSIG(status) == SIGILL || WSTOPSIG(status) == SIGSEGV) {
            return failed(in, "the hypervisor doesn't answer");
        }
        ptrace(PTRACE_GETREGS, thread, 0, &now);
        if (now.rip != in->code) {
            return true;
        }
    }
    return failed(in, "a step takes too long");
}

static void load(registers *r, const struct inject *in, const struct inject_call *call)
{
    r->rip = in->code;
    r->orig_rax = (unsigned long long)-1; /* no system call is begun anew meanwhile */
    r->rax = call->command;
    r->rcx = call->rcx;
    r->rdx = call->rdx;
    r->rsi = call->rsi;
    r->rdi = call->rdi;
}

/* With the instruction and the argument in place. */
static bool run(struct inject *in, const struct inject_call *call, uint64_t *result)
{
    const pid_t thread = in->threads[0];
    registers before, now;
    bool good;

    if (ptrace(PTRACE_GETREGS, thread, 0, &before) != 0) {
        return failed(in, "its registers can't be read");
    }
    now = before;
    load(&now, in, call);
    ptrace(PTRACE_SETREGS, thread, 0, &now);
    good = step(in, thread);
    ptrace(PTRACE_GETREGS, thread, 0, &now);
    ptrace(PTRACE_SETREGS, thread, 0, &before);
    *result = in->bits == 64 ? now.rax : (uint32_t)now.rax;
    return good;
}

bool inject_call(struct inject *in, const struct inject_call *call, const void *from, void *to,
                 size_t bytes, uint64_t *result)
{
    uint8_t code[3], room[ROOM];
    bool good;

    if (bytes > ROOM || inject_read(in, in->code, code, sizeof(code)) != sizeof(code)
        || inject_read(in, in->room, room, bytes) != bytes) {
        return failed(in, "its memory can't be read");
    }
    if (!write_memory(in, in->code, instruction(), sizeof(code))
        || !write_memory(in, in->room, from, bytes)) {
        return failed(in, "its memory can't be written");
    }
    good = run(in, call, result);
    if (good && inject_read(in, in->room, to, bytes) != bytes) {
        good = failed(in, "its memory can't be read");
    }
    write_memory(in, in->code, code, sizeof(code));
    write_memory(in, in->room, room, bytes);
    return good;
}
