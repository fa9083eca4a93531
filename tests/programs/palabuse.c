/*
 * Gives the hypervisor bad registrations and random hypercalls from ring 3, and
 * checks that each is refused, that nothing was changed and nothing leaked.
 *
 * SPDX-License-Identifier: MIT
 *
 * usage: palabuse foreign PROTECTED-ADDRESS FILE... | palabuse fuzz COUNT SEED
 * Prints what was refused and how; exit status 0 if all went as it must. Wants to be root, and
 * Linux' option iomem=relaxed: without it /dev/mem doesn't have the local APIC.
 */
#define _GNU_SOURCE
#include "hypercall.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xmhf/hypercall.h>
#include <xmhf/trustvisor.h>

#define PAGE 4096ul
#define FAULT (~0ull) /* stands for "the caller got a signal" */

static sigjmp_buf after_fault;
static int failures;

static void on_signal(int number)
{
    (void)number;
    siglongjmp(after_fault, 1);
}

/* A hypercall, with FAULT as the result if it raises a signal. */
static uint64_t guarded(uint64_t command, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    if (sigsetjmp(after_fault, 1))
        return FAULT;
    return hypercall(command, a1, a2, a3, a4);
}

static uint64_t pool_free(void)
{
    return hypercall(XMHF_HC_INFO, XMHF_INFO_POOL_FREE, 0, 0, 0);
}

/* --- registrations ---------------------------------------------------------- */

static uint8_t *memory; /* CODE, DATA, STACK, PARAM: a page each */
static struct tv_pal_sections sections;
static struct tv_pal_params params;
static uint64_t entry;

static void fill_memory(void)
{
    memset(memory, 0xc3, 4 * PAGE); /* "ret" everywhere */
}

/* What a sound registration of `memory` says. */
static void describe(void)
{
    static const uint32_t types[] = { TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK,
                                      TV_SECTION_PARAM };

    memset(&sections, 0, sizeof sections);
    memset(&params, 0, sizeof params);
    sections.num_sections = 4;
    for (unsigned i = 0; i < 4; i++)
        sections.sections[i] = (struct tv_pal_section){
            types[i], 1, (uintptr_t)memory + i * PAGE };
    params.num_params = 1;
    params.params[0].type = TV_PARAM_INTEGER;
    entry = (uintptr_t)memory;
}

static void must_be(int good, const char *what, const char *how)
{
    if (!good) {
        printf("BAD: %s %s\n", what, how);
        failures++;
    }
}

static void good_registration(void)
{
    fill_memory();
    describe();
}

static uint64_t register_now(void)
{
    return guarded(TV_HC_REG, (uintptr_t)&sections, 0, (uintptr_t)&params, entry);
}

static const char *name_of(uint64_t error)
{
    switch (error) {
#define X(name, number, sentence) case number: return #name;
    TV_ERRORS(X)
#undef X
    case FAULT: return "a fault in the caller";
    default: return "an unknown value";
    }
}

/* Try what is in `sections`, `params` and `entry`; it must not be accepted. */
static void must_refuse(const char *what)
{
    static uint8_t before[4 * PAGE];
    uint64_t free_before = pool_free(), error;

    memcpy(before, memory, sizeof before);
    error = register_now();
    printf("%s: %s\n", what, name_of(error));
    must_be(error != TV_OK && strcmp(name_of(error), "an unknown value") != 0, what,
            "was not refused");
    must_be(memcmp(before, memory, sizeof before) == 0, what, "changed the caller's memory");
    must_be(pool_free() == free_before, what, "changed the number of free pool pages");
    good_registration();
}

static void structural_cases(void)
{
    good_registration(); sections.num_sections = 0; must_refuse("no sections");
    sections.num_sections = 11; must_refuse("11 sections");
    sections.num_sections = 0xffffffff; must_refuse("2^32-1 sections");
    sections.sections[1].type = 9; must_refuse("an unknown section type");
    sections.sections[1].start_addr += 8; must_refuse("a misaligned section");
    sections.sections[1].start_addr += 8; sections.sections[1].page_num = 0;
    must_refuse("a misaligned empty section");
    sections.sections[2].page_num = 0; must_refuse("an empty stack");
    sections.sections[1].page_num = 0xffffffff; must_refuse("a section of 16 TiB");
    sections.sections[1].start_addr = ~0ull << 12; sections.sections[1].page_num = 2;
    must_refuse("a section that wraps around");
    sections.sections[1].start_addr = 0x0000800000000000ull; must_refuse("a non-canonical section");
    sections.sections[1].start_addr = 0xffff888000000000ull; must_refuse("a kernel address");
    sections.sections[1].start_addr = sections.sections[0].start_addr;
    must_refuse("a section twice");
    sections.sections[0].type = TV_SECTION_DATA; must_refuse("no code");
    sections.sections[2].type = TV_SECTION_DATA; must_refuse("no stack");
    params.num_params = 0; must_refuse("0 parameters");
    params.num_params = 11; must_refuse("11 parameters");
    params.params[0].type = 7; must_refuse("an unknown parameter type");
    params.params[0].type = TV_PARAM_POINTER; params.params[0].size = ~0ull;
    must_refuse("a parameter of 2^64-1 words");
    params.params[0].type = TV_PARAM_POINTER; params.params[0].size = 1ull << 61;
    must_refuse("a parameter whose size in bytes wraps to 0");
    entry += PAGE; must_refuse("an entry outside CODE");
    entry = 0; must_refuse("an entry at 0");
    entry += PAGE - 1; must_refuse("an entry without room for the stub");
}

/* Each section in turn at a mapping that is not the caller's to write. */
static void foreign_case(const char *what, void *at)
{
    static const char *const section[] = { "CODE", "DATA", "STACK", "PARAM" };
    char name[128];

    must_be(at != MAP_FAILED, what, "cannot be mapped");
    if (at == MAP_FAILED)
        return;
    for (unsigned i = 0; i < 4; i++) {
        sections.sections[i].start_addr = (uintptr_t)at;
        if (i == 0)
            entry = (uintptr_t)at;
        snprintf(name, sizeof name, "%s as %s", what, section[i]);
        must_refuse(name);
    }
}

static void *map_physical(uint64_t address)
{
    int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                                          (off_t)address);

    if (fd >= 0)
        close(fd);
    return at;
}

static void physical_cases(uint64_t protected_address)
{
    foreign_case("the local APIC", map_physical(0xfee00000));
    foreign_case("the HPET", map_physical(0xfed00000));
    foreign_case("the BIOS ROM", map_physical(0xf0000));
    foreign_case("the video memory", map_physical(0xa0000));
    foreign_case("the protected range", map_physical(protected_address));
}

/* As a user who may only read these files. */
static void file_cases(char **path, int count)
{
    char name[128];

    for (int i = 0; i < count; i++) {
        const char *base = strrchr(path[i], '/') ? strrchr(path[i], '/') + 1 : path[i];
        int fd = open(path[i], O_RDONLY | O_CLOEXEC);

        snprintf(name, sizeof name, "%s, private", base);
        foreign_case(name, mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
        snprintf(name, sizeof name, "%s, shared", base);
        foreign_case(name, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
        close(fd);
    }
}

/* --- another process that has the same pages ----------------------------------- */

struct view { const uint8_t *at; size_t size; uint64_t sum; };

static uint64_t sum_of(const struct view *v)
{
    uint64_t sum = 0xcbf29ce484222325ull; /* FNV-1a */

    for (size_t i = 0; i < v->size; i++)
        sum = (sum ^ v->at[i]) * 0x100000001b3ull;
    return sum;
}

/* Hold the files and the zero page, and say by the status whether they stayed what they were. */
static void witness(char **path, int count, int ready, int end)
{
    struct view view[16] = { { 0 } };
    unsigned changed = 0;
    char c = 0;

    for (int i = 0; i <= count && i < 16; i++) {
        int fd = i < count ? open(path[i], O_RDONLY | O_CLOEXEC) : -1;
        struct stat st = { .st_size = PAGE };

        if (i < count && fstat(fd, &st) != 0)
            _exit(1);
        view[i].size = (size_t)st.st_size;
        view[i].at = mmap(NULL, view[i].size, PROT_READ, i < count ? MAP_SHARED
                          : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
        if (view[i].at == MAP_FAILED)
            _exit(1);
        view[i].sum = sum_of(&view[i]);
    }
    if (write(ready, &c, 1) != 1 || read(end, &c, 1) != 1)
        _exit(1);
    for (int i = 0; i <= count && i < 16; i++)
        changed += sum_of(&view[i]) != view[i].sum;
    _exit(changed == 0 ? 0 : 2);
}

static pid_t start_witness(char **path, int count, int *end)
{
    int ready[2], go[2];
    pid_t pid;
    char c;

    if (pipe(ready) != 0 || pipe(go) != 0 || (pid = fork()) < 0)
        return -1;
    if (pid == 0)
        witness(path, count, ready[1], go[0]);
    close(ready[1]); /* the witness' end tells that it failed */
    *end = go[1];
    return read(ready[0], &c, 1) == 1 ? pid : -1;
}

static void ask_witness(pid_t pid, int end, int count)
{
    int status = -1;

    must_be(pid > 0 && write(end, "", 1) == 1 && waitpid(pid, &status, 0) == pid, "the witness",
            "is not there");
    must_be(status == 0, "another process", "sees other bytes than before, or died");
    if (status == 0)
        printf("another process: %d files and the zero page are as before\n", count);
}

static void foreign_cases(uint64_t protected_address, char **path, int count)
{
    volatile uint8_t *zero = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int end = -1;
    pid_t pid = start_witness(path, count, &end);
    uint8_t *other;

    must_be(pid > 0, "the witness", "did not start");
    (void)zero[0]; /* now it is the kernel's zero page */
    physical_cases(protected_address);
    must_be(setgid(65534) == 0 && setuid(65534) == 0, "nobody", "can't be impersonated");
    foreign_case("the zero page", (void *)(uintptr_t)zero);
    foreign_case("an unmapped address", (void *)0x10000);
    file_cases(path, count);

    /* Another PAL's section: register one, then use its DATA for a second. */
    other = memory;
    if (register_now() != TV_OK) {
        printf("BAD: a good registration was refused\n");
        failures++;
        return;
    }
    printf("a good registration: OK\n");
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    good_registration();
    foreign_case("another PAL's DATA", other + PAGE);
    entry = (uintptr_t)other;
    must_refuse("another PAL's entry");
    must_be(hypercall(TV_HC_UNREG, (uintptr_t)other, 0, 0, 0) == TV_OK, "unregistering",
            "was refused");
    must_be(guarded(TV_HC_UNREG, (uintptr_t)other, 0, 0, 0) != TV_OK, "unregistering twice",
            "was accepted");
    ask_witness(pid, end, count);
}

/* --- random hypercalls -------------------------------------------------------- */

static uint64_t random_state;

/* xorshift64*: the same sequence for the same seed. */
static uint64_t next_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dull;
}

static uint64_t random_argument(void)
{
    uint64_t r = next_random();

    switch (next_random() % 8) {
    case 0: return 0;
    case 1: return r;
    case 2: return r & 0xff;
    case 3: return (uintptr_t)&sections;
    case 4: return (uintptr_t)&params;
    case 5: return (uintptr_t)memory + r % (4 * PAGE);
    case 6: return 0xffff800000000000ull | r;
    default: return ~0ull - (r & 0xfff);
    }
}

static uint64_t random_command(void)
{
    uint64_t r = next_random();

    switch (r >> 60) {
    case 0: return r; /* what is above EAX must not matter */
    case 1: case 2: case 3: case 4: case 5: return TV_HC_REG;
    case 6: case 7: return TV_HC_UNREG;
    case 8: return XMHF_HC_INFO;
    default: return (r >> 8) & 0x1ff;
    }
}

/* Spoil a registration in one place or two, in the structures that arguments point to. */
static void random_registration(void)
{
    uint8_t *at = (uint8_t *)(next_random() & 1 ? (void *)&sections : (void *)&params);

    describe();
    for (unsigned n = (unsigned)(next_random() % 3); n > 0; n--)
        at[next_random() % sizeof sections] = (uint8_t)next_random();
}

/* Answers come from the table of errors, but for two commands that tell something. */
static void must_be_named(uint64_t command, uint64_t result)
{
    if ((uint32_t)command != XMHF_HC_INFO && (uint32_t)command != TV_HC_TEST
        && strcmp(name_of(result), "an unknown value") == 0) {
        printf("BAD: command 0x%llx gave 0x%llx\n", (unsigned long long)command,
               (unsigned long long)result);
        failures++;
    }
}

static void fuzz(unsigned long count, uint64_t seed)
{
    unsigned long faults = 0, registered = 0;
    uint64_t free_before = pool_free(), result;

    for (uint64_t command = 0; command < 65536; command++) {
        result = guarded(command, 0, 0, 0, 0);
        must_be_named(command, result);
        faults += result == FAULT;
    }
    printf("commands 0 to 65535 with no arguments: %lu faults\n", faults);
    faults = 0;
    random_state = seed | 1;
    for (unsigned long i = 0; i < count; i++) {
        uint64_t command = random_command(), where;

        random_registration();
        if (command == TV_HC_REG && next_random() % 4)
            result = register_now();
        else
            result = guarded(command, random_argument(), random_argument(),
                             random_argument(), random_argument());
        must_be_named(command, result);
        faults += result == FAULT;
        /* Any address in CODE may have become an entry: take back what was accepted. */
        if ((uint32_t)command == TV_HC_REG && result == TV_OK) {
            registered++;
            for (where = 0; where < 4 * PAGE; where++)
                if (guarded(TV_HC_UNREG, (uintptr_t)memory + where, 0, 0, 0) == TV_OK)
                    break;
            fill_memory();
        }
    }
    printf("%lu random hypercalls: %lu faults, %lu registrations accepted and taken back\n",
           count, faults, registered);
    if (pool_free() != free_before) {
        printf("BAD: %lld pool pages leaked\n", (long long)(free_before - pool_free()));
        failures++;
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_signal };

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int number = 1; number < 32; number++)
        if (number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGTRAP)
            sigaction(number, &action, NULL);
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || guarded(TV_HC_TEST, 0, 0, 0, 0) == FAULT) {
        printf("BAD: there is no hypervisor that answers\n");
        return 2;
    }
    good_registration();
    if (argc == 4 && strcmp(argv[1], "fuzz") == 0) {
        fuzz(strtoul(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
    } else if (argc > 3 && strcmp(argv[1], "foreign") == 0) {
        structural_cases();
        foreign_cases(strtoull(argv[2], NULL, 0), argv + 3, argc - 3);
    } else {
        fprintf(stderr, "usage: palabuse foreign PROTECTED-ADDRESS FILE... | fuzz COUNT SEED\n");
        return 2;
    }
    puts(failures ? "some went wrong" : "all as it must be");
    return failures != 0;
}
