/* SPDX-License-Identifier: MIT */
/* lockdown-ctl: tells the hypapp lockdown where the kernel is, has it locked, shows counts. */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pal/pal.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>
#include <xmhf/lockdown.h>

#define PAGE      4096ull
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SITES_MAX 131072u
#define TRAMPOLINES_MAX 16384u
#define CODE_MAX  65536u
#define PTI_BIT   (1ull << 12)   /* Linux: clear in the CR3 that has the kernel mapped */

static _Noreturn void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("lockdown-ctl: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

/* Another hypapp gives #UD. */
static void on_sigill(int signal_number)
{
    static const char sentence[] = "lockdown-ctl: this hypervisor has no lockdown\n";

    (void)signal_number;
    _exit(write(2, sentence, sizeof(sentence) - 1) > 0 ? 1 : 3);
}

static void need_hypervisor(void)
{
    uint32_t r[4] = { 0 };

    __cpuid(1, r[0], r[1], r[2], r[3]);
    if (r[2] >> 31) {
        __cpuid(XMHF_CPUID_BASE, r[0], r[1], r[2], r[3]);
    }
    if (memcmp(&r[1], XMHF_CPUID_SIGNATURE, 12) != 0) {
        die("no XMHF hypervisor under this system");
    }
    signal(SIGILL, on_sigill);
}

/* --- the kernel's symbols and memory ----------------------------------------------- */

enum symbol { TEXT, ETEXT, RODATA, ERODATA, JUMP, EJUMP, CALLS, ECALLS, FTRACE_PAGES, FTRACE_CALL,
              FTRACE_REGS_CALL, TOP_TABLE, DIRECT_MAP, SYMBOLS };
static const char *const symbol_name[SYMBOLS] = {
    "_text", "_etext", "__start_rodata", "__end_rodata",
    "__start___jump_table", "__stop___jump_table", /* from here on a kernel may have none */
    "__start_static_call_sites", "__stop_static_call_sites",
    "ftrace_pages_start", "ftrace_call", "ftrace_regs_call", "init_top_pgt", "page_offset_base",
};
static uint64_t symbol[SYMBOLS];
static struct lockdown_site site[SITES_MAX];
static unsigned sites, left_out;
static int kcore;
static Elf64_Phdr *segment;
static unsigned segments;
static const uint8_t *text;      /* a copy, from symbol[TEXT] to text_end() */

static void open_kcore(void)
{
    Elf64_Ehdr h;

    kcore = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
    if (kcore < 0 || pread(kcore, &h, sizeof(h), 0) != sizeof(h)) {
        die("/proc/kcore: %s (it takes root, and no lockdown of Linux' own)", strerror(errno));
    }
    segments = h.e_phnum;
    segment = calloc(segments, sizeof(*segment));
    if (!segment || pread(kcore, segment, segments * sizeof(*segment), (off_t)h.e_phoff)
        != (ssize_t)(segments * sizeof(*segment))) {
        die("/proc/kcore has no list of segments");
    }
}

static void kernel_read(uint64_t from, void *to, size_t len)
{
    for (unsigned i = 0; i < segments; i++) {
        const Elf64_Phdr *p = &segment[i];
        if (p->p_type == PT_LOAD && from >= p->p_vaddr && from - p->p_vaddr < p->p_memsz) {
            if (pread(kcore, to, len, (off_t)(from - p->p_vaddr + p->p_offset)) == (ssize_t)len) {
                return;
            }
        }
    }
    die("the kernel's memory at 0x%" PRIx64 " can't be read", from);
}

/* A table of the kernel, all of it. The caller frees it. */
static void *kernel_table(uint64_t from, uint64_t end)
{
    char *t = malloc(end - from + 1);

    if (end < from || !t) {
        die("a table of the kernel has no end");
    }
    for (uint64_t at = from; at < end; at += PAGE) {
        kernel_read(at, t + (at - from), end - at < PAGE ? end - at : PAGE);
    }
    return t;
}

/* --- sites ----------------------------------------------------------------------------- */

static uint64_t text_end(void)
{
    return (symbol[ETEXT] + PAGE - 1) & ~(PAGE - 1);
}

/* Is a CALL, a JMP, the NOP, or what a static call is without a function, there now? */
static bool looks_right(uint64_t at, enum lockdown_site_kind kind)
{
    static const char nop[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 }, cs[] = { 0x2e, 0x2e, 0x2e, 0x31 },
                      data16[] = { 0x66, 0x66, 0x48, 0x31 };
    const uint8_t *b = text + (at - symbol[TEXT]);

    switch (kind) {
    case LOCKDOWN_JUMP2: return b[0] == 0xeb || (b[0] == 0x66 && b[1] == 0x90);
    case LOCKDOWN_JUMP5: return b[0] == 0xe9 || memcmp(b, nop, sizeof(nop)) == 0;
    case LOCKDOWN_CALL: return b[0] == 0xe8 || memcmp(b, nop, sizeof(nop)) == 0;
    case LOCKDOWN_STATIC: break;
    }
    return b[0] == 0xe8 || b[0] == 0xe9 || b[0] == 0xc3 || memcmp(b, nop, sizeof(nop)) == 0
        || memcmp(b, cs, sizeof(cs)) == 0 || memcmp(b, data16, sizeof(data16)) == 0;
}

static void add(uint64_t at, enum lockdown_site_kind kind, uint64_t target)
{
    if (at < symbol[TEXT] || at + 5 > symbol[ETEXT]) {
        return; /* a module's, or of the kernel's start, whose memory is long given away */
    }
    if (!looks_right(at, kind)) {
        left_out++;
        return;
    }
    if (sites == SITES_MAX) {
        die("the kernel has more than %u sites", SITES_MAX);
    }
    site[sites++] = (struct lockdown_site){
        .at = (uint32_t)kind << LOCKDOWN_AT_BITS | (uint32_t)(at - symbol[TEXT]),
        .target = target ? (uint32_t)(target - symbol[TEXT]) : 0,
    };
}

/* Linux' struct jump_entry: offsets count from their own place; arch/x86: 2 or 5 bytes. */
static void add_jump_labels(void)
{
    struct entry { int32_t code, target; uint64_t key; } *e;

    e = kernel_table(symbol[JUMP], symbol[EJUMP]);
    for (uint64_t i = 0; i < (symbol[EJUMP] - symbol[JUMP]) / sizeof(*e); i++) {
        uint64_t place = symbol[JUMP] + i * sizeof(*e);
        uint64_t code = place + (uint64_t)(int64_t)e[i].code;
        uint64_t target = place + 4 + (uint64_t)(int64_t)e[i].target;
        if (code >= symbol[TEXT] && code + 5 <= symbol[ETEXT]) {
            add(code, looks_right(code, LOCKDOWN_JUMP2) ? LOCKDOWN_JUMP2 : LOCKDOWN_JUMP5, target);
        }
    }
    free(e);
}

/* Linux' struct static_call_site: likewise. */
static void add_static_calls(void)
{
    struct entry { int32_t code, key; } *e = kernel_table(symbol[CALLS], symbol[ECALLS]);

    for (uint64_t i = 0; i < (symbol[ECALLS] - symbol[CALLS]) / sizeof(*e); i++) {
        add(symbol[CALLS] + i * sizeof(*e) + (uint64_t)(int64_t)e[i].code, LOCKDOWN_STATIC, 0);
    }
    free(e);
}

/* Linux' struct ftrace_page and dyn_ftrace: a list of arrays of addresses with flags. */
static void add_ftrace(void)
{
    struct { uint64_t next, records; int32_t count, order; } page;
    struct record { uint64_t ip, flags; } *r;
    uint64_t at = 0;

    if (!symbol[FTRACE_PAGES]) {
        return;
    }
    add(symbol[FTRACE_CALL], LOCKDOWN_CALL, 0);
    add(symbol[FTRACE_REGS_CALL], LOCKDOWN_CALL, 0);
    for (kernel_read(symbol[FTRACE_PAGES], &at, sizeof(at)); at != 0; at = page.next) {
        kernel_read(at, &page, sizeof(page));
        r = kernel_table(page.records, page.records + (uint64_t)page.count * sizeof(*r));
        for (int32_t i = 0; i < page.count; i++) {
            add(r[i].ip, LOCKDOWN_CALL, 0);
        }
        free(r);
    }
}

static uint64_t trampoline[TRAMPOLINES_MAX];
static unsigned trampolines;

/* Of a line of kallsyms: is it one that is asked for? */
static void take_symbol(uint64_t at, const char *name)
{
    if (strncmp(name, "__SCT__", 7) == 0 && trampolines < TRAMPOLINES_MAX) {
        trampoline[trampolines++] = at;
    }
    for (unsigned i = 0; i < SYMBOLS; i++) {
        if (strcmp(name, symbol_name[i]) == 0) {
            symbol[i] = at;
        }
    }
}

static void read_symbols(void)
{
    FILE *f = fopen("/proc/kallsyms", "re");
    char line[1024], *name;

    if (!f) {
        die("/proc/kallsyms: %s", strerror(errno));
    }
    while (fgets(line, sizeof(line), f)) { /* "ffffffff81000000 T _text\n"; modules' have a tab */
        uint64_t at = strtoull(line, &name, 16);
        if (strlen(name) > 3 && !strchr(name, '\t')) {
            name[strlen(name) - 1] = '\0';
            take_symbol(at, name + 3);
        }
    }
    fclose(f);
    for (unsigned i = 0; i <= ERODATA; i++) {
        if (!symbol[i]) {
            die("/proc/kallsyms doesn't tell %s (run as root, with kernel.kptr_restrict below 2)",
                symbol_name[i]);
        }
    }
}

static int by_offset(const void *a, const void *b)
{
    const struct lockdown_site *x = a, *y = b;
    const unsigned kind_bits = 32 - LOCKDOWN_AT_BITS;

    return x->at << kind_bits < y->at << kind_bits ? -1 : x->at << kind_bits > y->at << kind_bits;
}

static void find_sites(void)
{
    unsigned n = 0;

    text = kernel_table(symbol[TEXT], text_end());
    add_jump_labels();
    add_static_calls();
    add_ftrace();
    for (unsigned i = 0; i < trampolines; i++) {
        add(trampoline[i], LOCKDOWN_STATIC, 0);
    }
    qsort(site, sites, sizeof(site[0]), by_offset);
    for (unsigned i = 0; i < sites; i++) { /* a jump label may be in the table twice */
        if (n == 0 || by_offset(&site[n - 1], &site[i]) != 0) {
            site[n++] = site[i];
        }
    }
    sites = n;
}

/* Of /proc/cpuinfo; Linux leaves out what it doesn't use. */
static bool cpu_flag(const char *word)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[8192];
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f)) {
        found = strncmp(line, "flags", 5) == 0 && strstr(line, word);
    }
    if (f) {
        fclose(f);
    }
    return found;
}

/* --- what ring 0 executes besides the text --------------------------------------------- */

/* Entries of page tables: SDM vol. 3, 4.5. */
#define PRESENT 1ull
#define USER    4ull
#define LARGE   0x80ull
#define NX      (1ull << 63)
#define TABLE   0x000ffffffffff000ull

static uint64_t code[CODE_MAX];  /* addresses of pages */
static unsigned codes;
static uint64_t direct_map;      /* where the kernel has physical address 0 */

static void add_code(uint64_t at, uint64_t end)
{
    for (; at < end; at += PAGE) {
        if (at >= symbol[TEXT] && at < text_end()) {
            continue;
        }
        if (codes == CODE_MAX) {
            die("ring 0 can execute more than %u pages besides the text", CODE_MAX);
        }
        code[codes++] = at;
    }
}

/* The executable pages below a table of `level`, whose first entry is for the address `base`; of
 * the top one only the kernel's half. */
static void walk(uint64_t table, unsigned level, uint64_t base, bool top)
{
    const uint64_t size = 1ull << (12 + 9 * (level - 1));
    uint64_t entry[512];

    kernel_read(table, entry, sizeof(entry));
    for (unsigned i = top ? 256 : 0; i < 512; i++) {
        const uint64_t e = entry[i], at = base + i * size;
        if (!(e & PRESENT) || (e & NX)) {
            continue;
        }
        if (level > 1 && !(e & LARGE)) {
            walk(direct_map + (e & TABLE), level - 1, at, false);
        } else if (!(e & USER)) { /* SMEP keeps ring 0 from the others */
            add_code(at, at + size);
        }
    }
}

static void find_code(void)
{
    const unsigned levels = cpu_flag(" la57 ") ? 5 : 4;

    if (!symbol[TOP_TABLE] || !symbol[DIRECT_MAP]) {
        die("/proc/kallsyms doesn't tell init_top_pgt and page_offset_base");
    }
    kernel_read(symbol[DIRECT_MAP], &direct_map, sizeof(direct_map));
    walk(symbol[TOP_TABLE], levels, levels == 5 ? 0 - (1ull << 57) : 0 - (1ull << 48), true);
}

/* --- locking ----------------------------------------------------------------------------- */

static uint64_t token;

static uint64_t told(unsigned item)
{
    return pal_info(XMHF_INFO_LOCKDOWN + item);
}

static uint64_t try_call(enum lockdown_op op, uint64_t a, uint64_t b)
{
    return pal_hypercall(XMHF_HC_LOCKDOWN, op, a, b, token);
}

static void need(uint64_t e)
{
    static const char *const sentence[] = {
#define X(name, text) text,
        LOCKDOWN_ERRORS(X)
#undef X
    };

    if (e != LOCKDOWN_E_OK) {
        die("refused: %s", e < ARRAY_SIZE(sentence) ? sentence[e] : "no known reason");
    }
}

static void call(enum lockdown_op op, uint64_t a, uint64_t b)
{
    need(try_call(op, a, b));
}

static void tell_range(enum lockdown_range kind, uint64_t from, uint64_t end)
{
    for (uint64_t at = from; at < end; at += LOCKDOWN_RANGE_MAX * PAGE) {
        uint64_t pages = (end - at) / PAGE;
        pages = pages > LOCKDOWN_RANGE_MAX ? LOCKDOWN_RANGE_MAX : pages;
        call(LOCKDOWN_RANGE, at, pages << 12 | kind);
    }
}

/* What is no RAM stays executable without being told. */
static void tell_code(void)
{
    for (unsigned i = 0; i < codes; i++) {
        uint64_t e = try_call(LOCKDOWN_RANGE, code[i], 1 << 12 | LOCKDOWN_CODE);
        need(e == LOCKDOWN_E_NOT_RAM ? LOCKDOWN_E_OK : e);
    }
}

static void tell_sites(void)
{
    for (unsigned i = 0; i < sites; i += LOCKDOWN_SITES_PAGE) {
        unsigned n = sites - i < LOCKDOWN_SITES_PAGE ? sites - i : LOCKDOWN_SITES_PAGE;
        call(LOCKDOWN_SITES, (uintptr_t)(site + i), n);
    }
}

/* Write to a switch of the kernel. False: it isn't there. */
static bool set(const char *path, char value)
{
    int f = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = f >= 0 && write(f, &value, 1) == 1;

    if (!ok && errno != ENOENT) {
        die("%s: %s", path, strerror(errno));
    }
    if (f >= 0) {
        close(f);
    }
    return ok;
}

/* ftrace and kprobes have the kernel write to its text what is refused, which it takes for a bug of
 * its own and doesn't survive. Root can turn them on again. */
static void disable_patching(void)
{
    set("/proc/sys/kernel/ftrace_enabled", '0');
    set("/sys/kernel/debug/kprobes/enabled", '0');
}

static int lock(bool modules, bool exec)
{
    need_hypervisor();
    if (told(LOCKDOWN_INFO_STATE)) {
        die("it is locked already");
    }
    if (exec && !told(LOCKDOWN_INFO_CAN_EXEC)) {
        need(LOCKDOWN_E_NO_EXEC);
    }
    if (ioperm(LOCKDOWN_PORT, 8, 1) != 0) {
        die("no access to port 0x%x: %s (it takes root)", LOCKDOWN_PORT, strerror(errno));
    }
    token = inl(LOCKDOWN_PORT) | (uint64_t)inl(LOCKDOWN_PORT + 4) << 32;
    read_symbols();
    open_kcore();
    find_sites();
    if (!modules && !set("/proc/sys/kernel/modules_disabled", '1')) {
        die("this kernel can't disable modules: --keep-modules");
    }
    disable_patching();
    if (exec) {
        find_code();
    }
    call(LOCKDOWN_BEGIN, cpu_flag(" pti ") ? PTI_BIT : 0, 0);
    tell_range(LOCKDOWN_TEXT, symbol[TEXT], text_end());
    tell_range(LOCKDOWN_RODATA, symbol[RODATA], (symbol[ERODATA] + PAGE - 1) & ~(PAGE - 1));
    tell_sites();
    tell_code();
    call(LOCKDOWN_LOCK, exec, 0);
    printf("locked: %u sites can be patched, %u were left out\n", sites, left_out);
    if (exec) {
        printf("ring 0 executes its text and %" PRIu64 " other pages\n", told(LOCKDOWN_INFO_CODE));
    }
    return 0;
}

/* What `lock` would tell. */
static int list(void)
{
    static const char *const name[] = { "jump labels, 2 bytes", "jump labels, 5 bytes",
                                        "ftrace entries", "static calls" };
    unsigned count[4] = { 0 };

    read_symbols();
    open_kcore();
    find_sites();
    find_code();
    for (unsigned i = 0; i < sites; i++) {
        count[site[i].at >> LOCKDOWN_AT_BITS]++;
    }
    printf("text       0x%" PRIx64 " to 0x%" PRIx64 "\n", symbol[TEXT], text_end());
    printf("read-only  0x%" PRIx64 " to 0x%" PRIx64 "\n", symbol[RODATA], symbol[ERODATA]);
    for (unsigned i = 0; i < 4; i++) {
        printf("%9u  %s\n", count[i], name[i]);
    }
    printf("%9u  left out: not what a site holds\n", left_out);
    printf("%9u  pages that ring 0 can execute besides the text\n", codes);
    return 0;
}

static int status(void)
{
    static const char *const sentence[] = {
#define X(name, text) text,
        LOCKDOWN_KINDS(X)
#undef X
    };

    need_hypervisor();
    printf("%s\n", told(LOCKDOWN_INFO_STATE) ? "locked" : "not locked");
    printf("%12" PRIu64 "  pages\n", told(LOCKDOWN_INFO_PAGES));
    printf("%12" PRIu64 "  sites\n", told(LOCKDOWN_INFO_SITES));
    printf("%12" PRIu64 "  stores to sites let through\n", told(LOCKDOWN_INFO_PATCHES));
    printf("refused:\n");
    for (unsigned i = 0; i < LOCKDOWN_KIND_COUNT; i++) {
        printf("%12" PRIu64 "  %s\n", told(LOCKDOWN_INFO_REFUSED + i), sentence[i]);
    }
    return 0;
}

static int usage(FILE *to, int result)
{
    fputs("usage: lockdown-ctl lock [--keep-modules] [--exec]\n"
          "       lockdown-ctl status\n"
          "       lockdown-ctl list\n"
          "       lockdown-ctl --help\n\n"
          "Runs in the guest of a hypervisor that was configured with --with-hypapp=lockdown.\n\n"
          "  lock     lock the kernel's text and read-only data, CR0.WP, CR4.SMEP, SMAP, UMIP,\n"
          "           EFER.NXE, IDT and the entries of system calls, until the machine is reset.\n"
          "           As root, when all modules are loaded: no more can be, by\n"
          "           kernel.modules_disabled, unless --keep-modules is given. Turns off\n"
          "           kernel.ftrace_enabled and kprobes, which would patch more than may be\n"
          "           --exec: on CPUs with mode-based execute control (Intel's MBEC) ring 0 also\n"
          "           executes no other memory than it can now. Then new BPF programs, seccomp\n"
          "           filters (so sandboxed services that start later), ftrace's trampolines and\n"
          "           modules stop the kernel's thread that runs them, or the kernel\n"
          "  status   is it locked, and what was refused, by kind\n"
          "  list     what lock would tell the hypervisor, which needn't be there; as root\n", to);
    return result;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool keep = false, exec = false;

    for (int i = 2; i < argc; i++) {
        keep = keep || strcmp(argv[i], "--keep-modules") == 0;
        exec = exec || strcmp(argv[i], "--exec") == 0;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        return usage(stdout, 0);
    }
    if (strcmp(word, "lock") == 0 && argc == 2 + keep + exec) {
        return lock(keep, exec);
    }
    if (strcmp(word, "status") == 0 && argc == 2) {
        return status();
    }
    return strcmp(word, "list") == 0 && argc == 2 ? list() : usage(stderr, 2);
}
