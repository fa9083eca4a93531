/* SPDX-License-Identifier: MIT */
/* probe: records a machine as a test vector, and says whether the hypervisor would run on it.
 * See tools/man/probe.1. */
#define _GNU_SOURCE /* sched_setaffinity */
#include <probe/vector.h>

#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <unistd.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define CPUS_MAX 1024

/* Exit status: as the judgement; TROUBLE also for wrong usage. */
enum { WOULD_RUN, WOULD_NOT, CANT_TELL, TROUBLE };

static const char usage[] =
    "usage: probe [FILE]\n"
    "       probe --check FILE...\n"
    "Record this machine as text (to FILE, or standard output): CPUID, MSRs of VMX, SVM and the\n"
    "MTRRs, the firmware's memory map, the places of ACPI tables. Then say in one line whether\n"
    "the hypervisor would run here, or what is missing. For root, on Linux; needs\n"
    "/dev/cpu/0/msr (modprobe msr).\n"
    "\n"
    "  --check  judge machines recorded earlier instead\n"
    "  --help   this text\n"
    "\n"
    "Ends with 0 if it would run (with --check: on all), 1 if not, 2 if that can't be told,\n"
    "3 if something went wrong.\n";

static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("probe: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* --- CPUID ------------------------------------------------------------------------------ */

static struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid_regs r;

    __cpuid_count(leaf, sub, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

/* How many subleaves to record; which are there is for the reader to see. */
static uint32_t subleaves(uint32_t leaf)
{
    static const struct { uint32_t leaf, count; } several[] = {
        { 0x4, 8 }, { 0x7, 3 }, { 0xb, 6 }, { 0xd, 64 }, { 0xf, 2 }, { 0x10, 4 }, { 0x12, 8 },
        { 0x14, 2 }, { 0x17, 4 }, { 0x18, 16 }, { 0x1b, 4 }, { 0x1d, 2 }, { 0x1f, 8 }, { 0x20, 1 },
        { 0x24, 2 }, { 0x8000001d, 8 }, { 0x80000020, 6 }, { 0x80000026, 6 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(several); i++) {
        if (several[i].leaf == leaf) {
            return several[i].count;
        }
    }
    return 1;
}

static void read_leaf(struct vector *v, uint32_t leaf)
{
    for (uint32_t sub = 0; sub < subleaves(leaf); sub++) {
        struct cpuid_regs r = cpuid(leaf, sub);

        if (sub == 0 || r.eax || r.ebx || (r.ecx & ~0xffu)
            || (leaf != 0xb && leaf != 0x1f && r.edx)) {
            vector_add_cpuid(v, leaf, sub, &r);
        }
    }
}

/* Not leaf 3: it may be this very CPU's serial number. */
static void read_cpuid(struct vector *v)
{
    static const uint32_t bases[] = { CPUID_BASIC, CPUID_HYPERVISOR, CPUID_EXTENDED };

    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        uint32_t last = cpuid(bases[i], 0).eax;

        if (bases[i] == CPUID_HYPERVISOR
            && !(cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_HYPERVISOR)) {
            continue;
        }
        for (uint32_t leaf = bases[i]; leaf <= last && leaf < bases[i] + 0x100; leaf++) {
            if (leaf != 3) {
                read_leaf(v, leaf);
            }
        }
    }
}

/* --- MSRs ------------------------------------------------------------------------------- */

/* Ranges that are tried; the kernel answers a fault with an error. */
static const struct { uint32_t first, last; } msr_ranges[] = {
    { MSR_IA32_APIC_BASE, MSR_IA32_APIC_BASE },
    { MSR_IA32_FEATURE_CONTROL, MSR_IA32_FEATURE_CONTROL },
    { MSR_IA32_MKTME_KEYID_PARTITIONING, MSR_IA32_MKTME_KEYID_PARTITIONING },
    { MSR_IA32_MTRRCAP, MSR_IA32_MTRRCAP },
    { MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE },
    { MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_ARCH_CAPABILITIES },
    { MSR_IA32_MTRR_PHYSBASE0, MSR_IA32_MTRR_PHYS_LAST },
    { MSR_IA32_MTRR_FIX64K_00000, MSR_IA32_MTRR_FIX64K_00000 },
    { MSR_IA32_MTRR_FIX16K_80000, MSR_IA32_MTRR_FIX16K_A0000 },
    { MSR_IA32_MTRR_FIX4K_C0000, MSR_IA32_MTRR_FIX4K_F8000 },
    { MSR_IA32_PAT, MSR_IA32_PAT },
    { MSR_IA32_MTRR_DEF_TYPE, MSR_IA32_MTRR_DEF_TYPE },
    { MSR_IA32_VMX_BASIC, MSR_IA32_VMX_EXIT_CTLS2 },
    { MSR_IA32_TME_CAPABILITY, MSR_IA32_TME_ACTIVATE },
    { MSR_EFER, MSR_EFER },
    { MSR_AMD_SYSCFG, MSR_AMD_SYSCFG },
    { MSR_AMD_HWCR, MSR_AMD_HWCR },
    { MSR_AMD_TOP_MEM, MSR_AMD_TOP_MEM },
    { MSR_AMD_TOP_MEM2, MSR_AMD_TOP_MEM2 },
    { MSR_AMD_VM_CR, MSR_AMD_VM_CR },
};

static int open_msr(unsigned cpu)
{
    char path[64];

    snprintf(path, sizeof(path), "/dev/cpu/%u/msr", cpu);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        complain("can't open %s: %s%s", path, strerror(errno),
                 errno == ENOENT || errno == ENXIO ? "; run  modprobe msr"
                 : geteuid() != 0 ? "; run this as root"
                 : errno == EPERM ? "; a kernel locked down (Secure Boot) doesn't allow it" : "");
    }
    return fd;
}

static bool read_msrs(struct vector *v, unsigned cpu)
{
    int fd = open_msr(cpu);

    if (fd < 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(msr_ranges); i++) {
        for (uint32_t msr = msr_ranges[i].first; msr <= msr_ranges[i].last; msr++) {
            uint64_t value = 0;
            bool there = pread(fd, &value, 8, msr) == 8;

            if (!there && errno != EIO) {
                complain("reading MSR 0x%x of CPU %u: %s", msr, cpu, strerror(errno));
                close(fd);
                return false;
            }
            vector_add_msr(v, msr, !there, value);
        }
    }
    close(fd);
    return true;
}

/* Fill `v` with what CPU `cpu` says. False and a complaint if it can't be read. */
static bool read_cpu(struct vector *v, unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        complain("can't run on CPU %u: %s", cpu, strerror(errno));
        return false;
    }
    vector_clear(v);
    read_cpuid(v);
    return read_msrs(v, cpu);
}

/* --- text of CPUID and MSRs ------------------------------------------------------------- */

static void copy_text(char *to, const uint32_t *words, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < 4 * n; i++) {
        char c = (char)(words[i / 4] >> (8 * (i % 4)));
        if (c >= 0x20 && c < 0x7f && (c != ' ' || (at && to[at - 1] != ' '))) {
            to[at++] = c;
        }
    }
    to[at] = 0;
}

static void write_head(FILE *f, const struct vector *v, unsigned cpus)
{
    struct cpuid_regs r = vector_cpuid(v, 0, 0), one = vector_cpuid(v, 1, 0);
    const uint32_t vendor[3] = { r.ebx, r.edx, r.ecx };
    uint32_t brand[12], base = one.eax >> 8 & 15;
    char vendor_text[16], brand_text[64];

    for (unsigned i = 0; i < 3; i++) {
        struct cpuid_regs b = vector_cpuid(v, 0x80000002 + i, 0);
        memcpy(&brand[4 * i], &b, 16);
    }
    copy_text(vendor_text, vendor, 3);
    copy_text(brand_text, brand, 12);
    fprintf(f, "# CPU: %s, vendor %s, family %u model %u stepping %u\n", brand_text, vendor_text,
            base == 15 ? base + (one.eax >> 20 & 255) : base,
            (one.eax >> 4 & 15) | (one.eax >> 12 & 0xf0), one.eax & 15);
    fprintf(f, "# source: probe, logical CPU 0 of %u\n", cpus);
    fprintf(f, "# complete: yes (MSRs 480..493)\n");
    fprintf(f, "# boot: %s\n", v->efi ? "EFI" : "BIOS");
}

static void write_cpu(FILE *f, const struct vector *v)
{
    for (unsigned i = 0; i < v->cpuids; i++) {
        const struct vector_cpuid *c = &v->cpuid[i];
        fprintf(f, "cpuid %08x %x %08x %08x %08x %08x\n", c->leaf, c->sub, c->r.eax, c->r.ebx,
                c->r.ecx, c->r.edx);
    }
    for (unsigned i = 0; i < v->msrs; i++) {
        const struct vector_msr *m = &v->msr[i];
        if (m->absent) {
            fprintf(f, "absent %x\n", m->index);
        } else {
            fprintf(f, "msr %x %016llx\n", m->index, (unsigned long long)m->value);
        }
    }
}

/* --- MTRRs, for people (SDM vol. 3, 12.11) ------------------------------------------------ */

static bool get_msr(const struct vector *v, uint32_t index, uint64_t *value)
{
    for (unsigned i = 0; i < v->msrs; i++) {
        if (v->msr[i].index == index) {
            *value = v->msr[i].value;
            return !v->msr[i].absent;
        }
    }
    return false;
}

static const char *mtrr_type(uint64_t type)
{
    static const char *const names[] = { "uncachable", "write-combining", NULL, NULL,
                                         "write-through", "write-protect", "write-back" };

    return type < ARRAY_SIZE(names) && names[type] ? names[type] : "reserved";
}

static void write_fixed(FILE *f, const struct vector *v)
{
    static const struct { uint32_t msr, count, start, size; } fixed[] = {
        { MSR_IA32_MTRR_FIX64K_00000, 1, 0, 0x10000 },
        { MSR_IA32_MTRR_FIX16K_80000, 2, 0x80000, 0x4000 },
        { MSR_IA32_MTRR_FIX4K_C0000, 8, 0xc0000, 0x1000 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
        for (uint32_t n = 0; n < 8 * fixed[i].count; n++) {
            uint64_t value;
            uint32_t start = fixed[i].start + n * fixed[i].size;

            if (get_msr(v, fixed[i].msr + n / 8, &value)) {
                fprintf(f, "mtrr fixed %05x %05x %s\n", start, start + fixed[i].size - 1,
                        mtrr_type(value >> (8 * (n % 8)) & 0xff));
            }
        }
    }
}

static void write_mtrrs(FILE *f, const struct vector *v)
{
    uint64_t deftype, cap, base, mask;

    if (!get_msr(v, MSR_IA32_MTRR_DEF_TYPE, &deftype) || !get_msr(v, MSR_IA32_MTRRCAP, &cap)) {
        return;
    }
    fprintf(f, "mtrr deftype %llx\n", (unsigned long long)deftype);
    fprintf(f, "mtrr default %s\n", mtrr_type(deftype & 0xff));
    write_fixed(f, v);
    for (uint32_t n = 0; n < (cap & 0xff); n++) {
        if (!get_msr(v, MSR_IA32_MTRR_PHYSBASE0 + 2 * n, &base)
            || !get_msr(v, MSR_IA32_MTRR_PHYSMASK0 + 2 * n, &mask)) {
            continue;
        }
        if (mask >> 11 & 1) {
            fprintf(f, "mtrr var %u %llx %llx %s\n", n, (unsigned long long)(base & ~0xfffULL),
                    (unsigned long long)(mask & ~0xfffULL), mtrr_type(base & 0xff));
        } else {
            fprintf(f, "mtrr var %u disabled\n", n);
        }
    }
}

/* --- memory map, ACPI -------------------------------------------------------------------- */

/* A small file as text; "" if it can't be read. */
static void slurp(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

    if (fd >= 0) {
        close(fd);
    }
    buf[n > 0 ? n : 0] = 0;
}

/* Linux's words (arch/x86/kernel/e820.c) for the firmware's numbers. */
static unsigned e820_type(const char *text)
{
    static const struct { const char *text; unsigned type; } types[] = {
        { "System RAM", 1 }, { "Reserved", 2 }, { "ACPI Tables", 3 },
        { "ACPI Non-volatile Storage", 4 }, { "Unusable memory", 5 },
        { "Persistent Memory (legacy)", 12 }, { "Persistent Memory", 7 },
        { "Soft Reserved", 0xefffffff },
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strncmp(text, types[i].text, strlen(types[i].text)) == 0) {
            return types[i].type;
        }
    }
    return 2;
}

/* Read the firmware's map as this kernel has kept it. */
static void read_e820(struct vector *v)
{
    for (unsigned i = 0;; i++) {
        char path[80], start[32], end[32], type[64];

        snprintf(path, sizeof(path), "/sys/firmware/memmap/%u/start", i);
        slurp(path, start, sizeof(start));
        snprintf(path, sizeof(path), "/sys/firmware/memmap/%u/end", i);
        slurp(path, end, sizeof(end));
        snprintf(path, sizeof(path), "/sys/firmware/memmap/%u/type", i);
        slurp(path, type, sizeof(type));
        if (!start[0] || !end[0]
            || !vector_add_mem(v, strtoull(start, NULL, 16), strtoull(end, NULL, 16),
                               e820_type(type))) {
            return;
        }
    }
}

static void write_e820(FILE *f, const struct vector *v)
{
    if (v->mems == 0) {
        fprintf(f, "# e820: this kernel has no /sys/firmware/memmap\n");
    }
    for (unsigned i = 0; i < v->mems; i++) {
        const struct boot_mem *m = &v->mem[i];
        fprintf(f, "e820 %llx %llx %u\n", (unsigned long long)m->start,
                (unsigned long long)(m->start + m->size - 1), m->type);
    }
}

/* The kernel's first messages tell where ACPI tables are: "ACPI: APIC 0x... 0000ED (v01 ...". */
static unsigned write_acpi(FILE *f)
{
    int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
    char *log = size > 0 ? malloc((size_t)size + 1) : NULL;
    int n = log ? klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, size) : -1;
    unsigned count = 0;

    if (n >= 0) {
        char *save = NULL;

        log[n] = 0;
        for (char *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            const char *at = strstr(line, "ACPI: ");
            unsigned long long where;
            char name[5];
            unsigned len;

            if (at && sscanf(at, "ACPI: %4[A-Z0-9_!] 0x%llx %x (", name, &where, &len) == 3) {
                fprintf(f, "acpi %s %llx %x\n", name, where, len);
                count++;
            }
        }
    }
    free(log);
    return count;
}

/* Tables that the kernel has; their places are not in the files. */
static void write_acpi_names(FILE *f)
{
    DIR *d = opendir("/sys/firmware/acpi/tables");
    struct dirent *e;

    while (d && (e = readdir(d)) != NULL) {
        if (e->d_name[0] >= 'A' && e->d_name[0] <= 'Z') {
            fprintf(f, "# acpi %s: its place is no longer in the kernel's messages\n", e->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
}

/* EFI's systab has a line ACPI20=0x... */
static void write_efi_rsdp(FILE *f)
{
    char text[512];

    slurp("/sys/firmware/efi/systab", text, sizeof(text));
    const char *at = strstr(text, "ACPI20=0x");
    if (at) {
        fprintf(f, "acpi RSDP %llx 24\n", strtoull(at + 9, NULL, 16));
    }
}

/* --- this machine -------------------------------------------------------------------------- */

static bool write_machine(FILE *f, const struct vector *v, unsigned cpus)
{
    write_head(f, v, cpus);
    write_cpu(f, v);
    write_mtrrs(f, v);
    write_e820(f, v);
    write_efi_rsdp(f);
    if (write_acpi(f) == 0) {
        write_acpi_names(f);
    }
    return fflush(f) == 0 && !ferror(f);
}

/* What the core needs besides the CPU. */
static enum judgement judge_rest(char *out, size_t size)
{
    if (access("/sys/firmware/acpi/tables", F_OK) == 0
        && access("/sys/firmware/acpi/tables/APIC", F_OK) != 0) {
        snprintf(out, size, "would not run: missing ACPI's list of CPUs (MADT)");
        return LACKS;
    }
    return RUNS;
}

/* The boot CPU is in `boot`; `allowed`: all that we may run on. */
static enum judgement judge_machine(const struct vector *boot, const cpu_set_t *allowed,
                                    char *out, size_t size)
{
    static struct vector other;
    enum judgement j = vector_judge(boot, out, size);
    char text[240];

    for (unsigned cpu = 1; j == RUNS && cpu < CPUS_MAX; cpu++) {
        if (!CPU_ISSET(cpu, allowed)) {
            continue;
        }
        j = read_cpu(&other, cpu) ? vector_judge_other(boot, &other, text, sizeof(text)) : UNKNOWN;
        if (j != RUNS) {
            snprintf(out, size, "CPU %u: %s", cpu, j == UNKNOWN ? "can't be read" : text);
        }
    }
    return j == RUNS ? judge_rest(out, size) : j;
}

static int probe(const char *path)
{
    static struct vector boot;
    cpu_set_t allowed;
    char text[300];

    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || !read_cpu(&boot, 0)) {
        return TROUBLE;
    }
    read_e820(&boot);
    boot.efi = access("/sys/firmware/efi", F_OK) == 0;
    FILE *f = path ? fopen(path, "w") : stdout;
    if (!f || !write_machine(f, &boot, (unsigned)CPU_COUNT(&allowed)) || (path && fclose(f) != 0)) {
        complain("can't write %s: %s", path ? path : "standard output", strerror(errno));
        return TROUBLE;
    }
    enum judgement j = judge_machine(&boot, &allowed, text, sizeof(text));
    fprintf(path ? stdout : stderr, "%s\n", text);
    return (int)j;
}

/* --- recorded machines ---------------------------------------------------------------------- */

static int check_file(const char *path, bool name_it)
{
    static struct vector v;
    static char data[1 << 20];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(data, 1, sizeof(data), f) : 0;
    char text[300];

    if (!f || ferror(f) || n == sizeof(data)) {
        complain("can't read %s: %s", path,
                 n == sizeof(data) ? "it is too large" : strerror(errno));
        if (f) {
            fclose(f);
        }
        return TROUBLE;
    }
    fclose(f);
    const char *why;
    unsigned line = vector_parse(&v, data, n, &why);
    if (line) {
        complain("%s:%u: this is not a line of a machine's record: %s", path, line, why);
        return TROUBLE;
    }
    enum judgement j = vector_judge(&v, text, sizeof(text));
    printf(name_it ? "%s: %s\n" : "%.0s%s\n", path, text);
    return (int)j;
}

static int check(char **paths, int count)
{
    int worst = WOULD_RUN;

    for (int i = 0; i < count; i++) {
        int status = check_file(paths[i], count > 1);
        worst = status > worst ? status : worst;
    }
    return worst;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "check", no_argument, NULL, 'c' }, { "help", no_argument, NULL, 'h' }, { 0 },
    };
    bool recorded = false;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c != 'c') {
            fputs("try probe --help\n", stderr);
            return TROUBLE;
        }
        recorded = true;
    }
    if (recorded ? optind == argc : argc - optind > 1) {
        fputs(usage, stderr);
        return TROUBLE;
    }
    return recorded ? check(argv + optind, argc - optind) : probe(argv[optind]);
}
