/* SPDX-License-Identifier: MIT */
/*
 * Everything that must not be registered: each case gives exactly the named error, or the
 * fault that the caller's own write would have got; nothing is changed, nothing leaks.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "tap.h"
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES 16
#ifdef __x86_64__
#define IN_KERNEL ((void *)0xffffffff81000000)
#define NOWHERE   ((void *)0x8000000000000000) /* not canonical */
#else
#define IN_KERNEL ((void *)0xffffe000)         /* of 64-bit kernels too: where stacks never reach */
#define NOWHERE   ((void *)0xfffffffc)         /* the structure would end above 4 GiB */
#endif

static uint8_t *arena;   /* PAGES pages, RWX */
static struct tv_pal_sections sections;
static struct tv_pal_params params;
static uint64_t entry;
static uint64_t pool_before;

PAL_CODE static PAL_ABI pal_word identity(pal_word x) { return x; }

static void section(unsigned i, uint32_t type, const void *start, uint32_t pages)
{
    sections.sections[i] = (struct tv_pal_section){ type, pages, (uintptr_t)start };
}

/* A registration with nothing wrong: CODE, DATA, STACK, PARAM; one integer. */
static void good(void)
{
    memset(&sections, 0, sizeof(sections));
    memset(&params, 0, sizeof(params));
    sections.num_sections = 4;
    section(0, TV_SECTION_CODE, arena, 1);
    section(1, TV_SECTION_DATA, arena + PAL_PAGE, 1);
    section(2, TV_SECTION_STACK, arena + 2 * PAL_PAGE, 1);
    section(3, TV_SECTION_PARAM, arena + 3 * PAL_PAGE, 1);
    params.num_params = 1;
    params.params[0].type = TV_PARAM_INTEGER;
    entry = (uintptr_t)arena + 16;
    for (unsigned i = 0; i < PAGES * PAL_PAGE; i++) {
        arena[i] = (uint8_t)(i * 11 + (i >> 12));
    }
}

static bool arena_untouched(void)
{
    for (unsigned i = 0; i < PAGES * PAL_PAGE; i++) {
        if (arena[i] != (uint8_t)(i * 11 + (i >> 12))) {
            return false;
        }
    }
    return true;
}

static uint64_t reg(const void *s, const void *p)
{
    return pal_hypercall(TV_HC_REG, (uintptr_t)s, 0, (uintptr_t)p, entry);
}

static void expect(uint64_t error, const char *what)
{
    uint64_t got = 0;

    if (!CATCH()) {
        ok(false, "%s: signal %d at %p instead of %s", what, (int)tap_signal, tap_address,
           pal_error_name(error));
        return;
    }
    got = reg(&sections, &params);
    if (got == TV_OK) {
        pal_hypercall(TV_HC_UNREG, entry, 0, 0, 0);
    }
    ok(got == error && (error == TV_OK || arena_untouched())
       && tap_no_leak(&pool_before),
       "%s: %s%s", what, pal_error_name(got), got == error ? "" : " (unexpected)");
    good();
}

/* SIGSEGV in [from, from + len). */
static void expect_fault(const void *from, size_t len, const char *what)
{
    volatile uint64_t got;
    uintptr_t at;

    if (CATCH()) {
        got = reg(&sections, &params);
        ok(false, "%s: %s instead of SIGSEGV", what, pal_error_name(got));
        if (got == TV_OK) {
            pal_hypercall(TV_HC_UNREG, entry, 0, 0, 0);
        }
    } else {
        at = (uintptr_t)tap_address;
        ok(tap_signal == SIGSEGV && at >= (uintptr_t)from && at < (uintptr_t)from + len
           && tap_no_leak(&pool_before),
           "%s: SIGSEGV", what);
    }
    good();
}

/* --- descriptors ---------------------------------------------------------------------------- */

static void test_counts(void)
{
    static const uint32_t bad[] = { 0, 11, 0x80000000, 0xffffffff };

    for (unsigned i = 0; i < 4; i++) {
        char what[64];
        sections.num_sections = bad[i];
        snprintf(what, sizeof(what), "%u sections", bad[i]);
        expect(TV_BAD_SECTIONS, what);
        params.num_params = bad[i];
        snprintf(what, sizeof(what), "%u parameters", bad[i]);
        expect(TV_BAD_PARAMS, what);
    }
}

static void test_types(void)
{
    static const uint32_t bad[] = { 0, 6, 7, 8, 0x80000001 };

    for (unsigned i = 0; i < 5; i++) {
        char what[64];
        sections.sections[1].type = bad[i];
        snprintf(what, sizeof(what), "section type 0x%x", bad[i]);
        expect(TV_BAD_SECTION_TYPE, what);
        params.params[0].type = bad[i] == 6 ? 3 : bad[i];
        snprintf(what, sizeof(what), "parameter type 0x%x", params.params[0].type);
        expect(TV_BAD_PARAM_TYPE, what);
    }
    sections.sections[0].type = TV_SECTION_DATA;
    expect(TV_NO_CODE, "no CODE");
    sections.sections[2].type = TV_SECTION_DATA;
    expect(TV_NO_STACK, "no STACK");
    sections.sections[3].type = TV_SECTION_DATA;
    expect(TV_NO_PARAM, "no PARAM");
}

static void test_places(void)
{
    static const struct { uint64_t start; uint32_t pages; const char *what; } bad[] = {
        { 0x10000, 0x100000, "page_num << 12 is 0 in 32 bits" },
        { 0x10000, 0xffffffff, "2^32-1 pages" },
        { 0xfffffffffffff000, 1, "the last page of all" },
        { 0xfffffffffffff000, 2, "wrapping around" },
        { 0xffff888000000000, 1, "the kernel's half" },
        { 0x0000800000000000, 1, "a non-canonical address" },
        { 0x00007ffffffff000, 2, "out of the lower half" },
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        sections.sections[1].start_addr = bad[i].start;
        sections.sections[1].page_num = bad[i].pages;
        expect(TV_BAD_SIZE, bad[i].what);
    }
    sections.sections[1].start_addr += 8;
    expect(TV_MISALIGNED, "misaligned by 8");
    sections.sections[1].start_addr |= 0xfff;
    expect(TV_MISALIGNED, "misaligned by 4095");
    section(1, TV_SECTION_DATA, arena, 0);
    expect(TV_OK, "an empty section is as if it weren't there");
    section(1, TV_SECTION_DATA, arena, 1);
    expect(TV_OVERLAP, "DATA over CODE");
    section(1, TV_SECTION_DATA, arena + PAL_PAGE, 2);
    expect(TV_OVERLAP, "DATA reaching into STACK");
}

static void test_entries(void)
{
    static const struct { int64_t offset; const char *what; } bad[] = {
        { -1, "just before CODE" }, { 4094, "two bytes before the end of CODE" },
        { 4096, "in DATA" }, { 0x100000, "far away" },
    };

    for (unsigned i = 0; i < 4; i++) {
        char what[64];
        entry = (uintptr_t)arena + (uint64_t)bad[i].offset;
        snprintf(what, sizeof(what), "entry %s", bad[i].what);
        expect(TV_BAD_ENTRY, what);
    }
    entry = 0;
    expect(TV_BAD_ENTRY, "entry 0");
    entry = 0xffff800000000000;
    expect(TV_BAD_ENTRY, "entry in the kernel");
}

static void test_param_sizes(void)
{
    static const uint64_t bad[] = {
        PAL_PAGE / sizeof(pal_word), 1ULL << 61, 1ULL << 62, (1ULL << 62) + 1, UINT64_MAX,
    };

    for (unsigned i = 0; i < 5; i++) {
        char what[64];
        params.params[0].type = TV_PARAM_POINTER;
        params.params[0].size = bad[i];
        snprintf(what, sizeof(what), "a pointer of 0x%llx words", (unsigned long long)bad[i]);
        expect(TV_PARAMS_TOO_BIG, what);
    }
}

static void test_descriptor_memory(void)
{
    if (CATCH()) {
        ok(false, "sections at NULL: %s", pal_error_name(reg(NULL, &params)));
    } else {
        ok(tap_signal == SIGSEGV && !tap_address, "sections at NULL: SIGSEGV");
    }
    if (CATCH()) {
        ok(false, "parameters in the kernel: %s",
           pal_error_name(reg(&sections, IN_KERNEL)));
    } else {
        ok(tap_signal == SIGSEGV, "parameters in the kernel: SIGSEGV");
    }
    if (CATCH()) {
        ok(false, "sections at %p: %s", NOWHERE, pal_error_name(reg(NOWHERE, &params)));
    } else {
        ok(tap_signal == SIGSEGV, "sections at %p: SIGSEGV", NOWHERE);
    }
}

/* --- pages ---------------------------------------------------------------- */

/* In every role. */
static void fault_in_all_roles(const void *page, const char *what)
{
    for (unsigned i = 0; i < 4; i++) {
        char text[128];
        section(i, sections.sections[i].type, page, 1);
        if (i == 0) {
            entry = (uintptr_t)page;
        }
        snprintf(text, sizeof(text), "%s as section %u", what, i);
        expect_fault(page, PAL_PAGE, text);
    }
}

static uint64_t checksum(const void *page)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < PAL_PAGE; i++) {
        sum = sum * 31 + ((const uint8_t *)page)[i];
    }
    return sum;
}

/* A file's pages, mapped without the right to write. */
static void test_file(const char *path)
{
    int fd = open(path, O_RDONLY);
    char what[128];

    if (fd < 0) {
        skip("no %s here", path);
        return;
    }
    for (int flags = MAP_SHARED; flags <= MAP_PRIVATE; flags++) {
        void *p = mmap(NULL, PAL_PAGE, PROT_READ | PROT_EXEC, flags, fd, 0);
        uint64_t before;
        if (p == MAP_FAILED) {
            skip("%s can't be mapped", path);
            continue;
        }
        before = checksum(p);
        snprintf(what, sizeof(what), "%s mapped %s", path,
                 flags == MAP_SHARED ? "shared" : "private");
        fault_in_all_roles(p, what);
        ok(checksum(p) == before, "%s is unchanged", what);
        munmap(p, PAL_PAGE);
    }
    close(fd);
}

static void test_read_only(void)
{
    void *text = (void *)((uintptr_t)&pal_hypercall & ~0xfffUL);
    uint64_t before = checksum(text);
    uint8_t *zero = mmap(NULL, PAL_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *none = mmap(NULL, PAL_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
    volatile uint8_t byte = *zero;

    (void)byte;
    fault_in_all_roles(text, "the program's text");
    ok(checksum(text) == before, "the program's text is unchanged");
    fault_in_all_roles(zero, "the zero page");
    fault_in_all_roles(none, "a page without rights");
    if (vdso) {
        fault_in_all_roles(vdso, "the vDSO");
        fault_in_all_roles((uint8_t *)vdso - PAL_PAGE, "the page before the vDSO");
    }
    munmap(none, PAL_PAGE);
    fault_in_all_roles(none, "an unmapped page");
}

/* The zero page under a writable mapping: the guest makes a page of it, all is well. */
static void test_copy_on_write(void)
{
    uint8_t *p = mmap(NULL, 4 * PAL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile uint8_t sum = 0;

    for (unsigned i = 0; i < 4; i++) {
        sum = (uint8_t)(sum + p[i * PAL_PAGE]);
        section(i, sections.sections[i].type, p + i * PAL_PAGE, 1);
    }
    entry = (uintptr_t)p;
    expect(TV_OK, "copy-on-write zero pages");
    munmap(p, 4 * PAL_PAGE);
    p = mmap(NULL, 4 * PAL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    for (unsigned i = 0; i < 4; i++) {
        section(i, sections.sections[i].type, p + i * PAL_PAGE, 1);
    }
    entry = (uintptr_t)p;
    expect(TV_OK, "pages never touched");
    munmap(p, 4 * PAL_PAGE);
}

static void test_duplicate(void)
{
    int fd = memfd_create("pal", 0);
    uint8_t *a, *b;

    if (fd < 0 || ftruncate(fd, PAL_PAGE) != 0) {
        skip("no memfd");
        return;
    }
    a = mmap(NULL, PAL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    b = mmap(NULL, PAL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memset(a, 0x77, PAL_PAGE);
    section(1, TV_SECTION_DATA, a, 1);
    section(2, TV_SECTION_STACK, b, 1);
    expect(TV_DUPLICATE_PAGE, "one page at two addresses");
    ok(a[0] == 0x77 && b[4095] == 0x77, "which is unchanged");
    section(1, TV_SECTION_DATA, a, 1);
    expect(TV_OK, "a shared page that may be written");
    munmap(a, PAL_PAGE);
    munmap(b, PAL_PAGE);
    close(fd);
}

static void try_physical(int fd, off_t at, const char *what)
{
    void *p = mmap(NULL, PAL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);

    if (p == MAP_FAILED) {
        skip("%s can't be mapped", what);
        return;
    }
    section(1, TV_SECTION_DATA, p, 1);
    expect(TV_NOT_RAM, what);
    munmap(p, PAL_PAGE);
}

static void test_not_ram(void)
{
    int fd = open("/dev/mem", O_RDWR | O_SYNC);

    if (fd < 0) {
        skip("no /dev/mem");
        return;
    }
    try_physical(fd, 0xfee00000, "the local APIC's page");
    try_physical(fd, 0xfec00000, "the I/O APIC's page");
    try_physical(fd, 0xf0000, "the BIOS ROM");
    try_physical(fd, 0xb8000, "video memory");
    close(fd);
}

/* A line "[xmhf] protected range: N KiB at 0xADDRESS" of the log tells where it is. */
static void test_protected_range(const char *address)
{
    int fd = open("/dev/mem", O_RDWR | O_SYNC);

    if (fd < 0 || !address) {
        skip("the protected range's address is the first argument");
        return;
    }
    try_physical(fd, (off_t)strtoull(address, NULL, 0), "the protected range");
    close(fd);
}

/* --- state ---------------------------------------------------------------- */

static void test_state(void)
{
    uint64_t e;

    memcpy(arena + 16, __start_pal_code, 64);
    ok(pal_hypercall(TV_HC_UNREG, entry, 0, 0, 0) == TV_NOT_FOUND,
       "unregister what isn't registered");
    e = reg(&sections, &params);
    tap_no_error(e, "register");
    ok(reg(&sections, &params) == TV_EXISTS, "register twice: TV_EXISTS");
    entry += 64;
    ok(reg(&sections, &params) == TV_OVERLAP, "another PAL's pages: TV_OVERLAP");
    ok(pal_hypercall(TV_HC_UNREG, entry, 0, 0, 0) == TV_NOT_FOUND, "unregister by a wrong entry");
    entry -= 64;
    ok(pal_hypercall(TV_HC_UNREG, entry, 0, 0, 0) == TV_OK, "unregister");
    good();
}

static void test_no_memory(void)
{
    uint32_t pages = 50000;
    void *p = mmap(NULL, (size_t)pages * PAL_PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    section(1, TV_SECTION_DATA, p, pages);
    expect(TV_NO_MEMORY, "more than the pool has");
    munmap(p, (size_t)pages * PAL_PAGE);
}

/* A pointer that the PAL's result can't be written to faults at the call. */
static void test_call_pointers(void)
{
    static const pal_word constant[64] __attribute__((aligned(4096))) = { 1, 2, 3 };
    pal_word variable[64] = { 5 };
    struct pal_spec spec = PAL_SPEC(identity);
    struct pal p;
    pal_word (PAL_ABI *call)(const void *);

    pal_create(&p, &spec);
    pal_add_pointer(&p, 64);
    call = (pal_word (PAL_ABI *)(const void *))(uintptr_t)p.entry;
    tap_no_error(pal_register(&p), "register");
    if (CATCH()) {
        call(constant);
        ok(false, "a read-only buffer");
    } else {
        ok(tap_signal == SIGSEGV && tap_address == constant, "a read-only buffer: SIGSEGV at it");
    }
    if (CATCH()) {
        call(NULL);
        ok(false, "a NULL buffer");
    } else {
        ok(tap_signal == SIGSEGV && !tap_address, "a NULL buffer: SIGSEGV at it");
    }
    ok(call(variable) >= (uintptr_t)p.param && variable[0] == 5, "the PAL works on");
    ok(pal_unregister(&p) == TV_OK, "and is unregistered");
    pal_destroy(&p);
}

static void test_commands(void)
{
    static const uint32_t unsupported[] = { 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 21, 22, 23 };
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
        n += pal_hypercall(unsupported[i], 0, 0, 0, 0) == TV_NOT_SUPPORTED;
    }
    ok(n == 14, "micro-TPM, SHARE and NV commands: TV_NOT_SUPPORTED");
    ok(pal_hypercall(TV_HC_TEST, 1, 2, 3, 4) == TV_OK, "TV_HC_TEST");
    ok(pal_hypercall(200, 0, 0, 0, 0) == TV_UNKNOWN_COMMAND, "command 200: TV_UNKNOWN_COMMAND");
}

int main(int argc, char **argv)
{
    tap_need_hypervisor();
    tap_catch_signals();
    arena = mmap(NULL, PAGES * PAL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pool_before = pal_info(XMHF_INFO_POOL_FREE);
    good();
    expect(TV_OK, "nothing wrong");
    test_counts();
    test_types();
    test_places();
    test_entries();
    test_param_sizes();
    test_descriptor_memory();
    test_read_only();
    test_file("/bin/su");
    test_file("/bin/busybox");
    test_file("/proc/self/exe");
    test_copy_on_write();
    test_duplicate();
    test_not_ram();
    test_protected_range(argc > 1 ? argv[1] : NULL);
    test_state();
    test_no_memory();
    test_call_pointers();
    test_commands();
    ok(tap_no_leak(&pool_before), "nothing leaked");
    return tap_end();
}
