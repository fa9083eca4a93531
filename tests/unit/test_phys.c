/* SPDX-License-Identifier: MIT */
/* One byte of memory has one address: guest/phys.c, exit/nested_fault.c and cpu/width.c on recorded
 * CPUs whose memory encryption is switched on. */
#include "unit.h"

#include <cpu/vcpus.h>
#include <cpu/width.h>
#include <exit/dispatch.h>
#include <exit/operand.h>
#include <fake/machine.h>
#include <fake/phys.h>
#include <hw/insn.h>
#include <hypapp/hypapp.h>
#include <mm/host_map.h>
#include <policy/regions.h>
#include <smp/stop.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define RAM_SIZE 0x10000u
#define BASE     MIB(64) /* of the protected range */
#define SIZE     (MIB(16) - 3 * PAGE_SIZE)

static struct boot_info info;
static struct acpi_info acpi;
static struct vcpu v;
static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static unsigned gps, pfs;
static struct gm_fault told;
static uint8_t below_1m[MIB(1)];

struct vcpu *vcpus[CPU_MAX];
unsigned vcpu_count;
void kick(struct vcpu *w) { (void)w; fail(); }

void *host_phys(uint64_t at, uint64_t len)
{
    return at + len <= sizeof(below_1m) ? below_1m + at : NULL;
}
uint64_t host_map_ram(uint64_t start, uint64_t end) { return end > start ? end : start; }

/* --- what exit/nested_fault.c calls ------------------------------------------------------- */

unsigned exit_fetch(struct vcpu *w, uint8_t *buf, struct guest_paging *p)
{
    (void)w;
    (void)buf;
    (void)p;
    fail_msg("no store to the APIC page is expected");
    return 0;
}

void exit_skip(struct vcpu *w, unsigned len)
{
    (void)w;
    (void)len;
}

void ipi_guest_xapic(struct vcpu *w, unsigned reg, uint32_t value)
{
    (void)w;
    (void)reg;
    (void)value;
}

void hyp_inject_gp(struct vcpu *w)
{
    (void)w;
    gps++;
}

void hyp_inject_fault(struct vcpu *w, const struct gm_fault *f)
{
    (void)w;
    told = *f;
    pfs++;
}

static enum hyp_answer answer;
static unsigned asked;
static enum hyp_answer on_fault(struct vcpu *w, const struct exit *e)
{
    assert_true(w == &v && e->kind == EXIT_NESTED_FAULT);
    asked++;
    return answer;
}

const struct hypapp hypapp = { .name = "test", .fault = on_fault };

/* --- machines ------------------------------------------------------------------------------ */

static void load(const char *name)
{
    char part[300], path[4096];

    machine_reset(0);
    snprintf(part, sizeof(part), "tests/vectors/%s", name);
    machine_load(unit_source(path, sizeof(path), part));
}

static bool no_1g;

/* The core's start on it, with RAM to `top`. */
static int start(const char *name, uint64_t top)
{
    fake_1g = !no_1g;
    fake_phys_reset(strncmp(name, "vmx", 3) == 0, BASE, MIB(8) / PAGE_SIZE);
    info = (struct boot_info){ .protected_base = BASE, .protected_size = SIZE, .mem_count = 1,
                               .mem = { { .start = 0, .size = top, .type = BOOT_MEM_USABLE } } };
    return guest_phys_init(&info, &acpi);
}

#define GENOA  "svm/inst-0a10f11-k19-genoa-01.txt"
#define MILAN  "svm/inst-0a00f11-k19-milan-02.txt"
#define SPR    "vmx/inst-00806f8-sapphirerapids-05.txt"
#define BROADWELL_EP "vmx/inst-00406f1-broadwelle.txt" /* 46 bits */
#define ALDER  "vmx/inst-0090672-alderlake-01-lc-bc.txt"

static const struct {
    const char *name;
    uint32_t msr;      /* 0: encryption is off, or there is none */
    uint64_t value;
    unsigned width;
} machines[] = {
    { ALDER, MSR_IA32_TME_ACTIVATE, 0, 46 },                   /* not activated */
    { ALDER, MSR_IA32_TME_ACTIVATE, 0x0001000000000003, 46 },  /* one key */
    { ALDER, MSR_IA32_TME_ACTIVATE, 0x0001000400000003, 42 },
    { ALDER, MSR_IA32_TME_ACTIVATE, 0x000100040000000b, 42 },
    { ALDER, MSR_IA32_TME_ACTIVATE, 0x0001000400000001, 46 },  /* locked, but off */
    { SPR, MSR_IA32_TME_ACTIVATE, 0x0001000600000003, 46 },
    { SPR, MSR_IA32_TME_ACTIVATE, 0x0001005600000003, 46 },    /* 5 of 6 bits are TDX's */
    { SPR, MSR_IA32_TME_ACTIVATE, 0, 48 },                     /* 52, but our tables have 48 */
    { "vmx/inst-00406e3-skylake.txt", 0, 0, 39 },
    { GENOA, MSR_AMD_SYSCFG, 0, 48 },
    { GENOA, MSR_AMD_SYSCFG, BIT(23), 46 },                    /* C-bit 51, 6 bits less */
    /* C-bit 51 above the width, 5 less */
    { MILAN, MSR_AMD_SYSCFG, BIT(23) | 0x740000, 43 },
    { MILAN, MSR_AMD_SYSCFG, 0x740000, 48 },
    { "svm/inst-0860f01-k17-renoir.txt", MSR_AMD_SYSCFG, BIT(23), 44 }, /* C-bit 47, 4 less */
    { "svm/inst-0a70f41-k19-phoenix-03.txt", MSR_AMD_SYSCFG, BIT(23), 46 },
    { "svm/bochs-phenomx3-8650-toliman.txt", MSR_AMD_SYSCFG, BIT(23), 48 }, /* no leaf 8000_001F */
};

static void on(size_t i)
{
    load(machines[i].name);
    if (machines[i].msr) {
        machine_set_msr(machines[i].msr, machines[i].value);
    }
}

static void widths(void **state)
{
    unsigned bits;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
        on(i);
        bits = 0;
        const char *missing = phys_width(&bits);
        if (missing || bits != machines[i].width) {
            fail_msg("%s, MSR %x %llx: %u bits, not %u; %s", machines[i].name, machines[i].msr,
                     (unsigned long long)machines[i].value, bits, machines[i].width,
                     missing ? missing : "");
        }
    }
    load(ALDER); /* TME, and no MSR that tells of it */
    assert_non_null(strstr(phys_width(&bits), "IA32_TME_ACTIVATE"));
    load("svm/inst-0a50f00-k19-cezanne.txt"); /* SME without a place for the C-bit */
    machine_set_msr(MSR_AMD_SYSCFG, BIT(23));
    assert_non_null(strstr(phys_width(&bits), "C-bit"));
    load(ALDER); /* more keys than there are bits */
    machine_set_msr(MSR_IA32_TME_ACTIVATE, 0xf00000003);
    assert_non_null(strstr(phys_width(&bits), "makes sense"));
}

static void fault(uint64_t at, unsigned access, bool reserved, const uint64_t *linear)
{
    struct exit e = { .kind = EXIT_NESTED_FAULT };

    e.fault.addr = gpa(at);
    e.fault.access = access;
    e.fault.reserved = reserved;
    e.fault.has_linear = linear != NULL;
    e.fault.linear = linear ? *linear : 0;
    gps = pfs = 0;
    exit_nested_fault(&v, &e);
}

/* Every name that one or more bits above the width make of the range, the APIC page and others. */
static void has_one_name(unsigned width)
{
    static const uint64_t places[] = { BASE, BASE + MIB(16) - 8, 0, MIB(1), 0xfee00300, GIB(20) };
    struct nested_leaf leaf;

    for (unsigned bit = width; bit < 52; bit++) {
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
            uint64_t g = places[i] | BIT(bit) | (bit & 1 ? BIT(51) : 0);

            assert_true(guest_phys_beyond(gpa(g)));
            fault(g, ACCESS_READ | ACCESS_WRITE, false, NULL);
            assert_true(gps == 1 && pfs == 0);
            fault(g, ACCESS_EXEC, false, NULL);
            assert_true(gps == 1 && pfs == 0);
            if (g < BIT(48) && nested_lookup(&guest_nested, gpa(g), &leaf)) {
                fail_msg("width %u: 0x%llx is mapped", width, (unsigned long long)g);
            }
        }
    }
    for (unsigned bit = 32; bit < width; bit++) { /* device memory */
        fault(BIT(bit), ACCESS_READ, false, NULL);
        assert_true(gps == 0 && nested_lookup(&guest_nested, gpa(BIT(bit)), &leaf));
        assert_int_equal(leaf.h.a, BIT(bit));
    }
}

static void no_second_name(void **state)
{
    const struct cpuid_guest guest = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
        unsigned width = machines[i].width;

        on(i);
        assert_int_equal(start(machines[i].name, GIB(16)), 0);
        has_one_name(width);
        assert_int_equal(guest_phys_ops.maxphyaddr, width);
        assert_int_equal(cpuid_guest_view(hw_cpuid, CPUID_ADDRESS_SIZES, 0, &guest).eax & 0xff,
                         width);
        assert_false(cpuid_guest_view(hw_cpuid, CPUID_EXT_FEATURES, 0,
                                      &guest).ecx & CPUID_7_0_ECX_TME);
        if (machines[i].msr == MSR_AMD_SYSCFG) {
            assert_int_equal(cpuid_guest_view(hw_cpuid, CPUID_SEV, 0, &guest).eax, 0);
        }
        /* RAM that would need those bits: the map and the CPU don't fit. */
        assert_int_equal(start(machines[i].name, BIT(width)), 0);
        assert_int_equal(start(machines[i].name, BIT(width) + PAGE_SIZE), -1);
        assert_non_null(strstr(fake_log, "RAM up to"));
    }
    printf("%zu machines: no address bit above the width is mapped or shown\n",
           ARRAY_SIZE(machines));
}

/* Where RAM may be plugged in is RAM; where it can't be it isn't, whatever the SRAT says. */
static void plugged_in(void **state)
{
    (void)state;
    load(SPR);
    machine_set_msr(MSR_IA32_TME_ACTIVATE, 0x0001000600000003); /* 46 bits */
    acpi.hotplug_count = 2;
    acpi.hotplug[0] = (struct acpi_range){ 0, GIB(20) };
    acpi.hotplug[1] = (struct acpi_range){ BIT(46) - GIB(1), BIT(46) + GIB(1) };
    assert_int_equal(start(SPR, GIB(2)), 0);
    acpi.hotplug_count = 0;
    assert_non_null(guest_phys_ops.map(gpa(GIB(5)), PAGE_SIZE));
    assert_non_null(guest_phys_ops.map(gpa(BIT(46) - PAGE_SIZE), PAGE_SIZE));
    assert_null(guest_phys_ops.map(gpa(BIT(46)), PAGE_SIZE));
    assert_null(guest_phys_ops.map(gpa(GIB(5) | BIT(46)), PAGE_SIZE));
    assert_null(guest_phys_ops.map(gpa(0xfee00000), PAGE_SIZE));
    assert_null(guest_phys_ops.map(gpa(BASE), PAGE_SIZE));
    assert_null(guest_phys_ops.map(gpa(GIB(20)), PAGE_SIZE));
    assert_non_null(guest_phys_ops.map(gpa(GIB(2) - PAGE_SIZE), PAGE_SIZE));
    assert_int_equal(start(SPR, GIB(2)), 0);
    assert_null(guest_phys_ops.map(gpa(GIB(5)), PAGE_SIZE));
}

/* Sockets for 1 TiB take no page of the pool before there is RAM in them. */
static void empty_sockets_take_no_pages(void **state)
{
    (void)state;
    load(BROADWELL_EP);
    fake_split = true;
    assert_int_equal(start(BROADWELL_EP, MIB(256)), 0);
    const size_t kept = fake_pool_kept;
    acpi.hotplug_count = 1;
    acpi.hotplug[0] = (struct acpi_range){ GIB(4), GIB(1028) };
    assert_int_equal(start(BROADWELL_EP, MIB(256)), 0);
    acpi.hotplug_count = 0;
    fake_split = false;
    assert_non_null(guest_phys_ops.map(gpa(GIB(1000)), PAGE_SIZE));
    assert_int_equal(fake_pool_kept, kept);
}

/* --- what the guest gets -------------------------------------------------------------------- */

static void *small_ram(gpa_t g, size_t len)
{
    return g.a < RAM_SIZE && len <= RAM_SIZE - g.a ? ram + g.a : NULL;
}

static void set(uint64_t table, unsigned index, uint64_t entry)
{
    memcpy(ram + table + 8 * index, &entry, 8);
}

/* Linear 0x1000 n has an entry of its own in one table. */
static void page_tables(void)
{
    memset(ram, 0, sizeof(ram));
    set(0x1000, 0, 0x2000 | PTE_P | PTE_RW | PTE_US | PTE_A);
    set(0x2000, 0, 0x3000 | PTE_P | PTE_RW | PTE_US | PTE_A);
    set(0x3000, 0, 0x4000 | PTE_P | PTE_RW | PTE_US | PTE_A);
    fake_paging = (struct guest_paging){ .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x1000,
                                         .cr4 = CR4_PAE,
                                         .efer = EFER_LMA | EFER_LME | EFER_NXE,
                                         .mode = MODE_LONG64 };
    guest_phys_ops.map = small_ram;
    memset(guest_phys_ops.window, 0, sizeof(guest_phys_ops.window));
}

static void faults_as_hardware(void **state)
{
    const uint64_t linear = 0x5008, odd = 0x0000900000000000;
    struct guest_phys_ops was;

    (void)state;
    load(SPR);
    machine_set_msr(MSR_IA32_TME_ACTIVATE, 0x0001000600000003);
    assert_int_equal(start(SPR, GIB(16)), 0);
    was = guest_phys_ops;
    page_tables();
    const uint64_t entry = BASE | BIT(46) | PTE_P | PTE_RW | PTE_A;
    set(0x4000, 5, entry);
    fault(BASE | BIT(46), ACCESS_WRITE, false, &linear);
    assert_true(pfs == 1 && gps == 0 && told.canonical && told.addr.a == linear);
    assert_int_equal(told.error, PF_PRESENT | PF_RSVD | PF_WRITE);
    fake_paging.cpl = 3;
    set(0x4000, 5, entry | PTE_US);
    fault(BASE | BIT(46), ACCESS_EXEC, false, &linear);
    assert_int_equal(told.error, PF_PRESENT | PF_RSVD | PF_USER | PF_FETCH);
    uint64_t seen;
    memcpy(&seen, ram + 0x4000 + 8 * 5, 8);
    assert_int_equal(seen, entry | PTE_US); /* and no dirty bit */
    /* another CPU has changed it meanwhile */
    set(0x4000, 5, 0x5000 | PTE_P | PTE_RW | PTE_US | PTE_A);
    fault(BASE | BIT(46), ACCESS_READ, false, &linear);
    assert_true(gps == 1 && pfs == 0);
    fault(BASE | BIT(46), ACCESS_READ, false, &odd);
    assert_true(gps == 1 && pfs == 0);
    fake_paging.cr3 = BASE | BIT(46); /* a root that isn't there */
    fault(BASE | BIT(46), ACCESS_READ, false, &linear);
    assert_true(gps == 1 && pfs == 0);
    guest_phys_ops = was;
}

/* What the core reads for the guest is what the guest could read itself: of the low page it sees
 * zeros, and an entry in the BIOS isn't the operand. */
static void reads_for_the_guest(void **state)
{
    struct guest_phys_ops was;
    uint8_t bytes[4] = { 0 };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        load(i ? GENOA : BROADWELL_EP);
        assert_int_equal(start(i ? GENOA : BROADWELL_EP, GIB(1)), 0);
        was = guest_phys_ops;
        page_tables();
        memset(below_1m, 0x5a, sizeof(below_1m));
        struct guest_paging p = { 0 }; /* no paging: linear is physical */
        gps = 0;
        assert_true(linear_read(&v, &p, 0xf0ffe, bytes, 4) && gps == 0);
        assert_memory_equal(bytes, "ZZZZ", 4);
        assert_false(linear_read(&v, &p, low_page + 8, bytes, 4));
        assert_false(linear_read(&v, &p, low_page - 2, bytes, 4) && gps == 2);
        assert_int_equal(guest_phys_device_rights(gpa(0xb8000), ACCESS_READ | ACCESS_EXEC), 0);
        assert_int_equal(guest_phys_device_rights(gpa(0xb9000), 0), 0);
        assert_true(linear_read(&v, &p, 0xb8000, bytes, 4));
        assert_false(linear_read(&v, &p, 0xb9000, bytes, 4));
        const struct walk code = { .gpa = gpa(0xf0123), .beside_ram = true };
        assert_ptr_equal(guest_phys_firmware(&code, ACCESS_EXEC), below_1m + 0xf0123);
        /* the BIOS, and a table there */
        fake_paging.cpl = 0;
        set(0x4000, 5, 0xf0000 | PTE_P | PTE_RW | PTE_A);
        assert_true(linear_read(&v, &fake_paging, 0x5008, bytes, 4));
        fake_paging.cr3 = 0xf0000;
        assert_false(linear_read(&v, &fake_paging, 0x5008, bytes, 4));
        guest_phys_ops = was;
    }
}

/* The firmware's map may end in reserved memory at 1 TiB (AMD's, for HyperTransport): without
 * leaves of 1 GiB that alone would take more tables than a small machine has. */
static void reserved_memory_takes_no_tables(void **state)
{
    (void)state;
    load(GENOA);
    fake_1g = false;
    fake_phys_reset(false, BASE, MIB(1) / PAGE_SIZE);
    info = (struct boot_info){ .protected_base = BASE, .protected_size = MIB(16), .mem_count = 2,
                               .mem = { { .start = 0, .size = MIB(128), .type = BOOT_MEM_USABLE },
                                        { .start = 0xfd00000000, .size = 0x300000000,
                                          .type = BOOT_MEM_RESERVED } } };
    assert_int_equal(guest_phys_init(&info, &acpi), 0);
    assert_true(fake_pool_used < 32);
    fault(0xfd00000000, ACCESS_READ, false, NULL); /* it is there when it is touched */
    assert_int_equal(gps, 0);
}

/* PALs have all pages that there are. Devices in new regions can be reached all the same, and code
 * in new places runs, as many of either as pages are kept for; neither takes the other's. */
static void full_pool(bool leaves_1g, bool split, uint64_t step, const char *name)
{
    const uint64_t top = MIB(256);
    unsigned devices = 0;

    load(name);
    no_1g = !leaves_1g;
    fake_split = split;
    assert_int_equal(start(name, top), 0);
    fake_pool_used = fake_pool_total;
    for (uint64_t at = 0; split && at < top; at += MIB(2)) {
        if (!guest_phys_protected(gpa(at))) {
            assert_true(guest_phys_make_executable(gpa(at + 0x5123)));
            assert_true(guest_phys_make_executable(gpa(at)));
        }
    }
    for (uint64_t at = GIB(512); devices < 64 && guest_phys_map_device(gpa(at + 0x1234));
         at += step) {
        devices++;
        assert_true(guest_phys_map_device(gpa(at)));
    }
    /* One of the tables of a CPU without 1 GiB leaves is for 512 of the others. */
    assert_true(devices >= (leaves_1g ? 64 : 63));
    no_1g = fake_split = false;
}

static void a_full_pool_takes_nothing_from_the_os(void **state)
{
    (void)state;
    full_pool(true, false, GIB(512), GENOA);
    full_pool(true, true, GIB(512), BROADWELL_EP);
    full_pool(false, true, GIB(1), BROADWELL_EP);
    full_pool(false, false, GIB(1), BROADWELL_EP);
}

/* The CPU refuses an entry of ours: whatever the address, the instruction isn't done again. */
static void reserved_never_loops(void **state)
{
    (void)state;
    for (unsigned intel = 0; intel < 2; intel++) {
        load(intel ? SPR : GENOA);
        machine_set_msr(intel ? MSR_IA32_TME_ACTIVATE : MSR_AMD_SYSCFG, 0);
        assert_int_equal(start(intel ? SPR : GENOA, GIB(16)), 0);
        fault(GIB(20), ACCESS_READ, false, NULL); /* device memory */
        assert_true(gps == 0 && pfs == 0);
        fault(GIB(20), ACCESS_READ, true, NULL);
        assert_true(gps == 1 && strstr(fake_log, "500000000"));
        fault(GIB(20), ACCESS_EXEC, true, NULL);
        assert_int_equal(gps, 1);
    }
}

static unsigned handled;
static void handle(struct vcpu *w, const struct exit *e)
{
    (void)w;
    (void)e;
    handled++;
}

/* Who takes the instruction at RIP apart isn't called for an access that isn't its own. */
static void handlers_see_operands_only(void **state)
{
    static const struct region device = { GIB(3), PAGE_SIZE, ACCESS_READ | ACCESS_WRITE, handle };
    struct exit e = { .kind = EXIT_NESTED_FAULT,
                      .fault = { .addr = gpa(GIB(3) + 8), .access = ACCESS_WRITE } };

    (void)state;
    load(GENOA);
    assert_int_equal(start(GENOA, GIB(1)), 0);
    assert_int_equal(region_add(REGION_MEMORY, &device), 0);
    gps = 0;
    exit_nested_fault(&v, &e);
    assert_true(handled == 1 && gps == 0);
    e.fault.walk = true;
    exit_nested_fault(&v, &e);
    assert_true(handled == 1 && gps == 1);
    e.fault.walk = false;
    fake_queued = true; /* the stack of an event */
    exit_nested_fault(&v, &e);
    assert_true(handled == 1 && gps == 2);
    fake_queued = false;
}

/* What isn't whole pages of the guest's RAM, or no right that tables have. */
static void refused_rights(uint64_t page, unsigned rx)
{
    const struct { uint64_t first, pages; unsigned rights; } row[] = {
        { page + 8, 1, rx }, { page, 0, rx }, { page, ~0ULL, rx }, { page, 1ULL << 52, rx },
        { page, 1, ACCESS_WRITE }, { page, 1, rx | ACCESS_USER }, { BASE, 1, rx },
        { BASE - PAGE_SIZE, 2, rx }, { low_page, 1, rx }, { 0xfee00000, 1, rx },
        { MIB(128), 1, rx },
    };

    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        assert_int_equal(hyp_rights(&v, gpa(row[i].first), row[i].pages, row[i].rights),
                         HYP_RIGHTS_REFUSED);
    }
}

/* What becomes of a store to `page`, whose right to write is taken, by each of the answers. */
static void each_answer(uint64_t page)
{
    const enum hyp_answer refused[] = { HYP_CORE, HYP_REFUSE },
        left[] = { HYP_DONE, HYP_AGAIN, HYP_SWITCHED };

    asked = 0;
    for (unsigned i = 0; i < 2; i++) {
        answer = refused[i];
        fault(page + 8, ACCESS_WRITE, false, NULL);
        assert_true(gps == 1 && asked == 1 + i);
    }
    for (unsigned i = 0; i < 3; i++) {
        answer = left[i];
        fake_shadows_ended = 0;
        fault(page + 8, ACCESS_READ | ACCESS_WRITE, false, NULL);
        assert_true(gps == 0 && asked == 3 + i);
        /* interrupts come between the tries, in the shadow of MOV SS too */
        assert_int_equal(fake_shadows_ended, answer == HYP_AGAIN);
    }
    answer = HYP_AGAIN;
    fake_queued = true; /* which comes first anyway */
    fake_shadows_ended = 0;
    fault(page + 8, ACCESS_WRITE, false, NULL);
    assert_true(gps == 0 && fake_shadows_ended == 0);
    fake_queued = false;
}

/* A right that was taken away is the hypapp's business; one that is there again is nobody's. Memory
 * that is none of the guest's RAM has no rights to take. */
static void rights_of_pages(void **state)
{
    const uint64_t page = MIB(40) + 0x7000;
    const unsigned rx = ACCESS_READ | ACCESS_EXEC, rwx = rx | ACCESS_WRITE;

    (void)state;
    vcpus[0] = &v;
    vcpu_count = 1;
    atomic_store(&v.online, true);
    for (unsigned kind = 0; kind < 3; kind++) {
        fake_split = kind == 2;
        load(kind ? ALDER : GENOA);
        machine_set_msr(kind ? MSR_IA32_TME_ACTIVATE : MSR_AMD_SYSCFG, 0);
        assert_int_equal(start(kind ? ALDER : GENOA, MIB(128)), 0);
        assert_int_equal(hyp_rights(&v, gpa(page), 1, rx), HYP_RIGHTS_DONE);
        each_answer(page);
        asked = 5;
        fault(page + 8, ACCESS_READ, false, NULL);
        fault(page + 8, ACCESS_EXEC, false, NULL);
        fault(page - 8, ACCESS_WRITE, false, NULL);
        assert_true(gps == 0 && asked == 5);
        fault(MIB(40) + PAGE_SIZE_2M, ACCESS_EXEC, false, NULL); /* for CVE-2018-12207 */
        assert_true(gps == 0 && asked == 5);
        assert_int_equal(hyp_rights(&v, gpa(page), 1, 0), HYP_RIGHTS_DONE);
        fault(page, ACCESS_READ, false, NULL);
        assert_true(gps == 0 && asked == 6);
        assert_int_equal(hyp_rights(&v, gpa(page), 1, rwx), HYP_RIGHTS_DONE);
        fault(page, ACCESS_WRITE, false, NULL); /* another CPU remembered it */
        assert_true(gps == 0 && asked == 6);
        refused_rights(page, rx);
    }
    fake_split = false;
}

/* Every page of the range, and those behind its end, which are in 2 MiB with it. */
static void ends_of_the_range(void **state)
{
    struct nested_leaf leaf, low;

    (void)state;
    for (unsigned split = 0; split < 2; split++) {
        fake_split = split;
        load(ALDER);
        machine_set_msr(MSR_IA32_TME_ACTIVATE, 0);
        assert_int_equal(start(ALDER, MIB(128)), 0);
        assert_true(nested_lookup(&guest_nested, gpa(low_page), &low)); /* zeros */
        for (uint64_t g = BASE - MIB(2); g < BASE + MIB(20); g += PAGE_SIZE) {
            const bool ours = g >= BASE && g < BASE + SIZE;

            assert_true(nested_lookup(&guest_nested, gpa(g), &leaf));
            assert_true(ours ? leaf.h.a == low.h.a && leaf.rights == ACCESS_READ
                        : leaf.h.a == g && (leaf.rights & ACCESS_WRITE));
            assert_int_equal(guest_phys_protected(gpa(g)), ours);
            assert_true(!guest_phys_ops.map(gpa(g), 1) == ours);
        }
        assert_true(guest_phys_protected(gpa(BASE + SIZE - 1)));
    }
    fake_split = false;
}

/* The low page is the protected range's, and a page of which some bytes are guarded is read-only;
 * all around them is as it was, executable too where large leaves are not. */
static void single_pages(void **state)
{
    const uint64_t page = MIB(200) + 0x5000; /* in the device memory of start() */
    struct nested_leaf leaf;

    (void)state;
    for (unsigned split = 0; split < 2; split++) {
        fake_split = split;
        load(ALDER);
        machine_set_msr(MSR_IA32_TME_ACTIVATE, 0);
        assert_int_equal(start(ALDER, MIB(128)), 0);
        assert_true(guest_phys_protected(gpa(low_page))
                    && guest_phys_protected(gpa(low_page + 0xfff)));
        assert_false(guest_phys_protected(gpa(low_page - 1)));
        assert_null(guest_phys_ops.map(gpa(low_page), 1));
        assert_non_null(guest_phys_ops.map(gpa(low_page - 1), 1));
        assert_true(nested_lookup(&guest_nested, gpa(low_page), &leaf));
        assert_true(leaf.h.a != low_page && leaf.rights == ACCESS_READ);
        assert_int_equal(guest_phys_write_protect(gpa(page)), 0);
        assert_true(nested_lookup(&guest_nested, gpa(page), &leaf));
        assert_true(leaf.h.a == page && leaf.rights == (ACCESS_READ | ACCESS_EXEC));
        const uint64_t around[] = { low_page - 1, low_page + PAGE_SIZE, page - 1,
                                    page + PAGE_SIZE };
        for (size_t i = 0; i < ARRAY_SIZE(around); i++) {
            assert_true(nested_lookup(&guest_nested, gpa(around[i]), &leaf)
                        && leaf.h.a == around[i]);
            assert_int_equal(leaf.rights, ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC);
        }
        assert_int_equal(guest_phys_write_protect(gpa(MIB(100))), -1); /* RAM */
        assert_int_equal(guest_phys_write_protect(gpa(BASE)), -1);
        assert_int_equal(guest_phys_write_protect(gpa(page + 8)), -1);
    }
    fake_split = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths),
        cmocka_unit_test(no_second_name),
        cmocka_unit_test(handlers_see_operands_only),
        cmocka_unit_test(rights_of_pages),
        cmocka_unit_test(ends_of_the_range),
        cmocka_unit_test(single_pages),
        cmocka_unit_test(plugged_in),
        cmocka_unit_test(empty_sockets_take_no_pages),
        cmocka_unit_test(faults_as_hardware),
        cmocka_unit_test(reads_for_the_guest),
        cmocka_unit_test(reserved_never_loops),
        cmocka_unit_test(reserved_memory_takes_no_tables),
        cmocka_unit_test(a_full_pool_takes_nothing_from_the_os),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
