/* SPDX-License-Identifier: MIT */
/*
 * Plays UEFI firmware that starts the core: boots bare, in 64-bit mode with its own GDT, LDT, IDT,
 * page tables and timer, other CPUs in its loops (spin, MWAIT, HLT), and hands every CPU to the
 * core where it is. What each CPU has must be the same afterwards, as a guest, and after a refusal.
 *
 * Words: refuse=N  first N refusals of different kinds, then the launch
 *        no-mp     nobody can make the other CPUs call us: the core starts them itself
 *        x2apic    firmware has chosen that mode
 *        loop=N    all other CPUs wait in one of its loops: 0 spin, 1 MWAIT, 2 HLT
 */
#include <boot/common/console.h>
#include <boot/common/launch.h>
#include <boot/common/place.h>
#include <util/e820.h>
#include <util/fmt.h>
#include <x86/cpuid.h>
#include <x86/msr.h>
#include <xmhf/live.h>
#include "small_pal.h"

#define TIMER_VECTOR 0x40u
#define SEL_LDT      0x60u
#define LOW_PAGE     0x7000u /* beside TRAMPOLINE */

uint64_t live_call_checked(uint64_t target, void *arg, uint64_t cr3, uint64_t *broken);

static struct boot_info bi;
static const struct core_image *core;
static uint64_t shared_pml4[512] __attribute__((aligned(4096)));
static bool monitor; /* the CPU has MONITOR and MWAIT */

void boot_puts(const char *s)
{
    say("%s", s);
}

/* --- what a CPU has -------------------------------------------------------------------------- */

static const uint32_t kept_msrs[] = {
    MSR_EFER, MSR_IA32_PAT, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE,
    MSR_KERNEL_GS_BASE, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
    MSR_IA32_APIC_BASE,
};

struct seen {
    uint64_t cr0, cr2, cr3, cr4, xcr0, rflags, dr[8], msr[ARRAY_SIZE(kept_msrs)];
    struct live_table gdtr, idtr;
    uint16_t sel[8];
    uint8_t fpu[512] __attribute__((aligned(16)));
};

static struct seen before[CPU_LIMIT], after[CPU_LIMIT];

#define READ_DR(n) __asm__ volatile("mov %%dr" #n ", %0" : "=r"(s->dr[n]))
#define WRITE_DR(n, v) __asm__ volatile("mov %0, %%dr" #n :: "r"((uint64_t)(v)))

static void look(struct seen *s)
{
    memset(s, 0, sizeof(*s));
    s->cr0 = read_cr0();
    s->cr2 = read_cr2();
    s->cr3 = read_cr3();
    s->cr4 = read_cr4();
    if (s->cr4 & CR4_OSXSAVE) {
        uint32_t lo, hi;
        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
        s->xcr0 = lo | (uint64_t)hi << 32;
    }
    __asm__ volatile("pushfq; popq %0" : "=r"(s->rflags));
    s->rflags &= ~0x8d5ULL; /* what every instruction changes */
    READ_DR(0);
    READ_DR(1);
    READ_DR(2);
    READ_DR(3);
    READ_DR(6);
    READ_DR(7);
    for (unsigned i = 0; i < ARRAY_SIZE(kept_msrs); i++) {
        s->msr[i] = rdmsr(kept_msrs[i]);
    }
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(s->gdtr), "=m"(s->idtr));
    __asm__ volatile("mov %%es, %0; mov %%cs, %1; mov %%ss, %2; mov %%ds, %3"
                     : "=m"(s->sel[0]), "=m"(s->sel[1]), "=m"(s->sel[2]), "=m"(s->sel[3]));
    __asm__ volatile("mov %%fs, %0; mov %%gs, %1; sldt %2; str %3"
                     : "=m"(s->sel[4]), "=m"(s->sel[5]), "=m"(s->sel[6]), "=m"(s->sel[7]));
    __asm__ volatile("fxsave64 %0" : "=m"(s->fpu));
}

#define SAME(field, ...) CHECK(a->field == b->field, __VA_ARGS__, \
                               (unsigned long long)a->field, (unsigned long long)b->field)

static void compare(unsigned cpu, const char *when)
{
    const struct seen *a = &before[cpu], *b = &after[cpu];

    SAME(cr0, "CPU %u, %s: CR0 was 0x%llx, is 0x%llx", cpu, when);
    SAME(cr2, "CPU %u, %s: CR2 was 0x%llx, is 0x%llx", cpu, when);
    SAME(cr3, "CPU %u, %s: CR3 was 0x%llx, is 0x%llx", cpu, when);
    SAME(cr4, "CPU %u, %s: CR4 was 0x%llx, is 0x%llx", cpu, when);
    SAME(xcr0, "CPU %u, %s: XCR0 was 0x%llx, is 0x%llx", cpu, when);
    SAME(rflags, "CPU %u, %s: RFLAGS was 0x%llx, is 0x%llx", cpu, when);
    SAME(gdtr.base, "CPU %u, %s: GDTR was 0x%llx, is 0x%llx", cpu, when);
    SAME(gdtr.limit, "CPU %u, %s: GDTR's limit was 0x%llx, is 0x%llx", cpu, when);
    SAME(idtr.base, "CPU %u, %s: IDTR was 0x%llx, is 0x%llx", cpu, when);
    SAME(idtr.limit, "CPU %u, %s: IDTR's limit was 0x%llx, is 0x%llx", cpu, when);
    for (unsigned i = 0; i < 8; i++) {
        SAME(dr[i], "CPU %u, %s: DR%u was 0x%llx, is 0x%llx", cpu, when, i);
        SAME(sel[i], "CPU %u, %s: selector %u was 0x%llx, is 0x%llx", cpu, when, i);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(kept_msrs); i++) {
        SAME(msr[i], "CPU %u, %s: MSR 0x%x was 0x%llx, is 0x%llx", cpu, when, kept_msrs[i]);
    }
    for (unsigned i = 0; i < 416; i++) { /* the rest is for software */
        SAME(fpu[i], "CPU %u, %s: FPU state, byte %u was 0x%llx, is 0x%llx", cpu, when, i);
    }
}

/* Make all of it unlike what a reset leaves, and unlike other CPUs'. */
static void dirty(struct cpu *c)
{
    uint64_t n = 0x1000ULL * (c->index + 1), ldt = (uintptr_t)&c->gdt[SEL_LDT / 8 + 2];
    uint8_t fpu[512] __attribute__((aligned(16))) = { 0x7f, 0x03 };

    c->gdt[SEL_LDT / 8] = 7 | (ldt & 0xffffff) << 16 | 0x82ULL << 40 | (ldt >> 24 & 0xff) << 56;
    c->gdt[SEL_LDT / 8 + 1] = ldt >> 32;
    c->gdt[SEL_LDT / 8 + 2] = 0x00cf93000000ffff;
    __asm__ volatile("lldt %w0; mov %w1, %%fs; mov %w2, %%gs" :: "r"(SEL_LDT), "r"(4u), "r"(0u));
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_DE
              | (cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE ? CR4_OSXSAVE : 0));
    if (read_cr4() & CR4_OSXSAVE) {
        __asm__ volatile("xsetbv" :: "a"(c->index & 1 ? 1 : 3), "d"(0), "c"(0));
    }
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE); /* but not NXE */
    wrmsr(MSR_IA32_PAT, 0x0007040600070406ULL ^ (c->index & 1 ? 0x0100000000000000ULL : 0));
    wrmsr(MSR_STAR, 0x0023001000000000ULL + n);
    wrmsr(MSR_LSTAR, 0xffffffff81000000ULL + n);
    wrmsr(MSR_CSTAR, 0xffffffff82000000ULL + n);
    wrmsr(MSR_SFMASK, 0x700 + c->index);
    wrmsr(MSR_FS_BASE, 0x7f0000000000ULL + n);
    wrmsr(MSR_GS_BASE, 0xffff880000000000ULL + n);
    wrmsr(MSR_KERNEL_GS_BASE, 0xffff890000000000ULL + n);
    wrmsr(MSR_IA32_SYSENTER_CS, 0x10 + 8 * c->index);
    wrmsr(MSR_IA32_SYSENTER_ESP, 0xffffc00000000000ULL + n);
    wrmsr(MSR_IA32_SYSENTER_EIP, 0xffffffff83000000ULL + n);
    WRITE_DR(0, 0xdead0000 + n);
    WRITE_DR(1, 0xdead0001 + n);
    WRITE_DR(2, 0xdead0002 + n);
    WRITE_DR(3, 0xdead0003 + n);
    WRITE_DR(7, 0x455); /* local, execute: nobody goes there */
    __asm__ volatile("mov %0, %%cr2" :: "r"(0x12340000 + n));
    write_cr0((read_cr0() & ~CR0_WP) | CR0_MP | (c->index & 1 ? CR0_NE : 0));
    for (unsigned i = 32; i < 416; i++) { /* ST0 to ST7 (10 bytes of 16), XMM0 to XMM15 */
        fpu[i] = i < 160 && i % 16 >= 10 ? 0 : (uint8_t)(i * 7 + c->index);
    }
    fpu[4] = 0xff; /* all x87 registers are in use */
    fpu[24] = 0x80, fpu[25] = 0x3f; /* MXCSR: rounds to minus infinity */
    __asm__ volatile("fxrstor64 %0" :: "m"(fpu));
}

/* --- the timer ------------------------------------------------------------------------------- */

static void lapic_write(unsigned reg, uint32_t v)
{
    if (x2apic) {
        wrmsr(MSR_X2APIC_FIRST + reg / 16, v);
    } else {
        apic_write(reg, v);
    }
}

static volatile unsigned ticks;

static void on_timer(struct trap_frame *f)
{
    (void)f;
    ticks++;
    lapic_write(0xb0, 0);
}

static void start_timer(void)
{
    handlers[TIMER_VECTOR] = on_timer;
    lapic_write(0xf0, 0x1ff);
    lapic_write(0x3e0, 0xb);
    lapic_write(0x320, 0x20000 | TIMER_VECTOR); /* periodic */
    lapic_write(0x380, 1000000);
    sti();
}

static void check_timer(const char *when)
{
    uint64_t flags;
    unsigned first = ticks;

    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    CHECK(flags & RFLAGS_IF, "%s: interrupts are off", when);
    for (unsigned i = 0; i < 2000 && ticks < first + 5; i++) {
        delay_us(1000);
    }
    CHECK(ticks >= first + 5, "%s: the timer has stopped", when);
}

/* --- the other CPUs -------------------------------------------------------------------------- */

enum job { IDLE, TAKE, COUNT, ODD, PAL };

static struct mailbox { volatile uint64_t job, done, answer; uint64_t pad[5]; }
    mail[CPU_LIMIT] __attribute__((aligned(64)));

static uint64_t call_core(unsigned cpu, uint64_t target, void *arg)
{
    uint64_t broken = 0, answer;

    look(&before[cpu]);
    answer = live_call_checked(target, arg, (uintptr_t)shared_pml4, &broken);
    look(&after[cpu]);
    CHECK(!broken, "CPU %u: a register is lost", cpu);
    return answer;
}

/* The descriptors of LDTR and TR are beyond the GDT's limit, as after a change of tables. */
static uint64_t with_odd_gdt(unsigned cpu)
{
    struct live_table gdtr, small;
    uint64_t answer;

    __asm__ volatile("sgdt %0" : "=m"(gdtr));
    small = gdtr;
    small.limit = SEL_TSS - 1; /* SEL_LDT is behind it */
    __asm__ volatile("lgdt %0" :: "m"(small));
    answer = call_core(cpu, core->take, NULL);
    __asm__ volatile("lgdt %0" :: "m"(gdtr));
    return answer;
}

static void obey(struct cpu *c, struct mailbox *m)
{
    switch ((enum job)m->job) {
    case TAKE: m->answer = call_core(c->index, core->take, NULL); break;
    case ODD: m->answer = with_odd_gdt(c->index); break;
    case COUNT: c->count[1]++; break;
    case PAL: call_pal(c); break;
    case IDLE: break;
    }
    m->job = IDLE;
    __atomic_fetch_add(&m->done, 1, __ATOMIC_SEQ_CST);
}

/* Where a CPU waits: firmware's three ways. */
enum wait { SPIN, MWAIT, HALT, WAITS };

static enum wait wait_of(unsigned cpu)
{
    enum wait wait = (enum wait)number("loop", cpu % WAITS);

    return wait == MWAIT && !monitor ? SPIN : wait;
}

/* Firmware's loop. One that halts is ended by INIT only, so it spins until it is told to halt
 * (count[2]). */
static void loop(struct cpu *c)
{
    const enum wait wait = wait_of(c->index);
    struct mailbox *m = &mail[c->index];

    for (;;) {
        if (m->job != IDLE) {
            obey(c, m);
        } else if (wait == HALT && c->count[2]) {
            __asm__ volatile("cli; hlt");
        } else if (wait == MWAIT) {
            __asm__ volatile("monitor" :: "a"(&m->job), "c"(0), "d"(0));
            if (m->job == IDLE) {
                __asm__ volatile("mwait" :: "a"(0), "c"(0));
            }
        } else {
            pause();
        }
    }
}

static void enter_x2apic(void)
{
    wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_EXTD);
}

static void firmware_ap(struct cpu *c)
{
    if (word("x2apic")) {
        enter_x2apic();
    }
    dirty(c);
    loop(c);
}

/* Give a job to CPUs [from, to) and wait until it is done. Returns one that is silent, or 0. */
static unsigned try_give(enum job job, unsigned from, unsigned to, unsigned seconds)
{
    uint64_t done[CPU_LIMIT];

    for (unsigned i = from; i < to; i++) {
        done[i] = mail[i].done;
        mail[i].job = job;
    }
    for (unsigned i = from; i < to; i++) {
        for (unsigned ms = 0; ms < seconds * 1000 && mail[i].done == done[i]; ms++) {
            delay_us(1000);
        }
        if (mail[i].done == done[i]) {
            return i;
        }
    }
    return 0;
}

static void give(enum job job, unsigned from, unsigned to, unsigned seconds)
{
    unsigned silent = try_give(job, from, to, seconds);

    CHECK(!silent, "CPU %u doesn't answer to job %u", silent, job);
}

/* An emulator's MWAIT may not be ended by another CPU's store. That of Bochs, here the machine of
 * Intel, is ended by the first store to a page, but not by later ones, bare too. */
static void try_mwait(void)
{
    monitor = hypercall_byte() != 0xc1 && (cpuid(1, 0).ecx & CPUID_1_ECX_MONITOR);
    CHECK(ap_run(1, firmware_ap), "CPU 1 doesn't start");
    delay_us(10000); /* it waits now */
    if (monitor && try_give(COUNT, 1, 2, 1) != 0) {
        monitor = false;
        mail[1].job = IDLE;
        say("no MWAIT: here no store ends it, without us either");
    }
    CHECK(monitor || number("loop", WAITS) != MWAIT, "this machine has no MWAIT");
}

/* --- starting the core ----------------------------------------------------------------------- */

static void fill_info(const char *options)
{
    memset(&bi, 0, sizeof(bi));
    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);
        bi.mem[bi.mem_count++] = (struct boot_mem){ .start = e.start, .size = e.size,
                                                        .type = e.type };
    }
    int n = e820_sanitize(bi.mem, bi.mem_count, BOOT_MEM_MAX);
    CHECK(n > 0, "the BIOS' memory map makes no sense");
    bi.mem_count = (uint32_t)n;
    /* Bochs keeps an INIT for ever once it has exited (run.py:icr_option). */
    fmt_snprintf(bi.cmdline, sizeof(bi.cmdline), "%s%s", options,
                 hypercall_byte() == 0xc1 && cpu_total() > 1 ? " trap-icr" : "");
    bi.screen.kind = BOOT_SCREEN_NONE;
    bi.firmware = BOOT_FIRMWARE_UEFI;
    bi.start = BOOT_START_LIVE;
    bi.low_page = LOW_PAGE;
    bi.tsc_start = rdtsc();
    for (unsigned i = 1; i < cpu_total() && !word("no-mp"); i++) {
        bi.cpu_apic_id[bi.cpu_count++] = i;
    }
    for (uint64_t at = 0xe0000; at < 0x100000 && !bi.rsdp; at += 16) {
        bi.rsdp = memcmp((const void *)(uintptr_t)at, "RSD PTR ", 8) == 0 ? at : 0;
    }
}

static void load_core(const char *options)
{
    const struct boot_mem avoid[] = { { .start = 0, .size = MIB(8) } };
    struct boot_wanted wanted;
    const char *why = "";

    fill_info(options);
    core = boot_core();
    CHECK(core, "the core in this file is damaged");
    boot_wanted(&bi, core, &wanted);
    CHECK(boot_place(&bi, wanted.core_mem[0], wanted.palmem, avoid, 1, &why) == 0
          || boot_place(&bi, wanted.core_mem[1], wanted.palmem, avoid, 1, &why) == 0, "%s", why);
    boot_fill(&bi, core);
    memcpy(shared_pml4, page_pml4, sizeof(page_pml4));
    boot_map_core(shared_pml4, &bi);
}

static bool is_guest(void)
{
    return cpuid(XMHF_CPUID_BASE, 0).ebx == 0x46484d58; /* "XMHF" */
}

static uint64_t enter_core(const char *options)
{
    uint64_t answer;

    load_core(options);
    answer = call_core(0, core->entry, &bi);
    compare(0, answer ? "refused by core_entry" : "after core_entry");
    CHECK(!is_guest(), "core_entry has made a guest of its caller");
    check_timer("after core_entry");
    return answer;
}

/* --- refusals -------------------------------------------------------------------------------- */

static void expect_refusal(const char *text)
{
    size_t n = strlen(text);
    const char *p = bi.refusal;

    while (*p && strncmp(p, text, n) != 0) {
        p++;
    }
    CHECK(*p, "refused with \"%s\", which doesn't say \"%s\"", bi.refusal, text);
    say("refused: %s", bi.refusal);
}

/* All that have called core_take have come back natively, and the boot CPU will. */
static void expect_decline(unsigned from, unsigned to, const char *text)
{
    uint64_t answer;

    for (unsigned i = from; i < to; i++) {
        CHECK(mail[i].answer == 1, "CPU %u got %llu", i, (unsigned long long)mail[i].answer);
        compare(i, "declined");
    }
    answer = call_core(0, core->take, NULL);
    CHECK(answer == 1, "the boot CPU got %llu", (unsigned long long)answer);
    compare(0, "declined");
    CHECK(!is_guest(), "the boot CPU is a guest");
    expect_refusal(text);
    check_timer("after a decline");
}

static void refuse(unsigned kinds)
{
    CHECK(enter_core("palmem=abc cpus=1") == 0 || cpu_total() > 1 || word("no-mp"),
          "refused with \"%s\"", bi.refusal);
    if (cpu_total() > 1 && !word("no-mp")) {
        expect_refusal("MP services");
    }
    load_core("");
    bi.rsdp = 0x1000;
    CHECK(call_core(0, core->entry, &bi) == 1, "started without ACPI");
    compare(0, "refused");
    expect_refusal("ACPI");
    if (kinds < 2 || cpu_total() < 2) {
        return;
    }
    CHECK(enter_core("") == 0, "refused with \"%s\"", bi.refusal);
    give(ODD, cpu_total() - 1, cpu_total(), 20); /* one can't; the others come later */
    give(TAKE, 1, cpu_total() - 1, 20);
    expect_decline(1, cpu_total(), "LDTR names no LDT");
    CHECK(enter_core("") == 0, "refused with \"%s\"", bi.refusal);
    give(TAKE, 1, cpu_total() - 1, 20); /* one doesn't come at all */
    expect_decline(1, cpu_total() - 1, "other CPUs");
}

/* --- and the launch -------------------------------------------------------------------------- */

static void nothing(struct cpu *c) { (void)c; }

/* Zeros, whatever was there. */
static void check_hidden(uint64_t at, uint64_t size)
{
    for (uint64_t a = at; a < at + size; a += 8) {
        uint64_t value = *(volatile uint64_t *)(uintptr_t)a;
        CHECK(value == 0, "0x%llx at 0x%llx can be read", (unsigned long long)value,
              (unsigned long long)a);
    }
}

static void check_guest(void)
{
    CHECK(is_guest(), "the boot CPU isn't a guest");
    check_timer("as a guest");
    check_hidden(bi.protected_base, MIB(1));
    check_hidden(bi.protected_base + bi.protected_size - PAGE_SIZE, PAGE_SIZE);
    check_hidden(LOW_PAGE, PAGE_SIZE);
    CHECK(try_write64(bi.protected_base, 1) == EXC_GP, "the protected range can be written");
    CHECK(info(XMHF_INFO_CPUS) == cpu_total(), "the core has another number of CPUs");
}

static void launch(void)
{
    uint64_t answer = enter_core("");
    const unsigned others = word("no-mp") ? 1 : cpu_total();

    CHECK(answer == 0, "refused with \"%s\"", bi.refusal);
    CHECK(*(volatile uint64_t *)(uintptr_t)bi.protected_base == CORE_IMAGE_MAGIC,
          "the core isn't where it should be");
    give(TAKE, 1, others, 20);
    for (unsigned i = 1; i < others; i++) {
        CHECK(mail[i].answer == 0, "CPU %u got %llu", i, (unsigned long long)mail[i].answer);
        compare(i, "taken");
    }
    answer = call_core(0, core->take, NULL);
    CHECK(answer == 0, "declined with \"%s\"", bi.refusal);
    compare(0, "taken");
}

/* Those that can be are woken by a store; each of them by INIT, too, wherever it is. */
static void wake_others(void)
{
    for (unsigned i = 1; i < cpu_total(); i++) {
        if (!word("no-mp")) {
            uint64_t count = cpu_of(i)->count[1];
            give(COUNT, i, i + 1, 5);
            CHECK(cpu_of(i)->count[1] == count + 1, "CPU %u isn't woken by a store", i);
            cpu_of(i)->count[2] = 1; /* those that can halt do now */
            delay_us(2000);
        }
        CHECK(ap_run(i, nothing), "CPU %u isn't woken by INIT", i);
        cpu_of(i)->count[2] = 0;
        CHECK(ap_run(i, firmware_ap), "CPU %u isn't woken by a second INIT", i);
    }
    give(COUNT, 1, cpu_total(), 5);
}

/* A program in ring 3 of the firmware's, on each CPU that has been taken: as it is, and in its
 * loop. */
static void use_pal(void)
{
    const unsigned cpus = word("no-mp") ? 1 : cpu_total();
    const uint64_t pages_free = info(XMHF_INFO_POOL_FREE);

    register_pal(1);
    for (unsigned i = 0; i < cpus; i++) {
        result = 0;
        if (i == 0) {
            call_pal(this_cpu());
        } else {
            give(PAL, i, i + 1, 20);
        }
        CHECK(result == 42 + i, "on CPU %u the PAL gave %llu", i, (unsigned long long)result);
    }
    CHECK(pages[4][0] == 0, "the PAL's data is in the firmware's page");
    unregister_pal();
    CHECK(info(XMHF_INFO_POOL_FREE) == pages_free, "the pool has not all pages back");
    check_timer("after a PAL");
}

void guest_main(void)
{
    CHECK(!is_guest(), "there is a hypervisor already");
    if (word("x2apic")) {
        enter_x2apic();
        x2apic = true;
    }
    if (cpu_total() > 1 && !word("no-mp")) {
        try_mwait();
    }
    for (unsigned i = 1; i < cpu_total() && !word("no-mp"); i++) {
        CHECK(ap_run(i, firmware_ap), "CPU %u doesn't start", i);
    }
    dirty(cpu_of(0));
    start_timer();
    if (number("refuse", 0)) {
        refuse((unsigned)number("refuse", 0));
    }
    launch();
    check_guest();
    use_pal();
    wake_others();
    check_timer("at the end");
    pass("%u CPUs were taken where they were%s, used a PAL, were woken again", cpu_total(),
         number("refuse", 0) ? " after refusals" : "");
}
