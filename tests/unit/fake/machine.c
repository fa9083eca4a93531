/* SPDX-License-Identifier: MIT */
/* The fake machine: hw/insn.h's functions on plain data. */
#include "machine.h"

#include "unit.h"

#include <hw/insn.h>
#include <sched.h>

struct machine machine;

void machine_reset(uint64_t mem_size)
{
    free(machine.mem);
    memset(&machine, 0, sizeof(machine));
    machine.xcr0 = 1;
    machine.random = 1;
    machine.mem_size = mem_size;
    machine.mem = mem_size != 0 ? calloc(1, mem_size) : NULL;
}

void machine_set_cpuid(uint32_t leaf, uint32_t sub, struct cpuid_regs r)
{
    assert_true(machine.cpuid_count < MACHINE_CPUID_MAX);
    machine.cpuid[machine.cpuid_count++] = (struct machine_cpuid){ leaf, sub, r };
    if (leaf == 0) {
        machine.intel = r.ebx == 0x756e6547; /* "Genu" */
    }
}

uint64_t *machine_msr(uint32_t index)
{
    for (unsigned i = 0; i < machine.msr_count; i++) {
        if (machine.msr[i].index == index) {
            return &machine.msr[i].value;
        }
    }
    return NULL;
}

void machine_set_msr(uint32_t index, uint64_t value)
{
    uint64_t *old = machine_msr(index);

    if (old) {
        *old = value;
        return;
    }
    assert_true(machine.msr_count < MACHINE_MSR_MAX);
    machine.msr[machine.msr_count++] = (struct machine_msr){ index, value };
}

void machine_load(const char *path)
{
    char line[512];
    FILE *f = fopen(path, "r");

    if (!f) {
        fail_msg("can't open %s", path);
        return;
    }
    while (fgets(line, sizeof(line), f)) {
        struct cpuid_regs r;
        uint32_t leaf, sub;
        unsigned long long value;

        if (sscanf(line, "cpuid %x %x %x %x %x %x", &leaf, &sub, &r.eax, &r.ebx, &r.ecx,
                   &r.edx) == 6) {
            machine_set_cpuid(leaf, sub, r);
        } else if (sscanf(line, "msr %x %llx", &leaf, &value) == 2) {
            machine_set_msr(leaf, value);
        }
    }
    fclose(f);
}

void *machine_phys(uint64_t at, size_t len)
{
    if (at > machine.mem_size || len > machine.mem_size - at) {
        return NULL;
    }
    return machine.mem + at;
}

/* --- CPUID -------------------------------------------------------------------- */

static const struct machine_cpuid *find_cpuid(uint32_t leaf, uint32_t sub)
{
    for (unsigned i = 0; i < machine.cpuid_count; i++) {
        if (machine.cpuid[i].leaf == leaf && machine.cpuid[i].sub == sub) {
            return &machine.cpuid[i];
        }
    }
    return NULL;
}

/* Leaves that look at ECX: an unknown subleaf of them is empty. */
static bool has_subleaves(uint32_t leaf)
{
    static const uint32_t leaves[] = {
        0x4, 0x7, 0xb, 0xd, 0xf, 0x10, 0x12, 0x14, 0x17, 0x18, 0x1d, 0x1f, 0x20, 0x8000001d,
        0x80000020, 0x80000026,
    };

    for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
        if (leaves[i] == leaf) {
            return true;
        }
    }
    return false;
}

static bool in_range(uint32_t leaf)
{
    const struct machine_cpuid *base = find_cpuid(leaf & 0xffff0000u, 0);

    return base && leaf <= base->r.eax;
}

struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t sub)
{
    const struct machine_cpuid *e;

    if (!in_range(leaf)) {
        if (!machine.intel || leaf == 0) {
            return (struct cpuid_regs){ 0, 0, 0, 0 };
        }
        leaf = hw_cpuid(0, 0).eax;
    }
    e = find_cpuid(leaf, sub);
    if (!e && !has_subleaves(leaf)) {
        e = find_cpuid(leaf, 0);
    }
    return e ? e->r : (struct cpuid_regs){ 0, 0, 0, 0 };
}

/* --- MSRs ----------------------------------------------------------------------- */

bool hw_rdmsr_safe(uint32_t msr, uint64_t *v)
{
    const uint64_t *p = machine_msr(msr);

    if (p) {
        *v = *p;
    } else if (machine.no_faults && msr != machine.may_fault) {
        fail_msg("RDMSR %#x: no such MSR on this machine", msr);
    }
    return p != NULL;
}

bool hw_wrmsr_safe(uint32_t msr, uint64_t v)
{
    uint64_t *p = msr != 0 && msr == machine.tsc_msr ? &machine.tsc : machine_msr(msr);

    if (p) {
        *p = v;
    }
    return p != NULL;
}

uint64_t hw_rdmsr(uint32_t msr)
{
    uint64_t v = 0;

    if (!hw_rdmsr_safe(msr, &v)) {
        fail_msg("#GP: RDMSR %#x", msr);
    }
    return v;
}

void hw_wrmsr(uint32_t msr, uint64_t v)
{
    if (!hw_wrmsr_safe(msr, v)) {
        fail_msg("#GP: WRMSR %#x", msr);
    }
}

/* --- control registers, FPU ----------------------------------------------------- */

uint64_t hw_read_cr0(void) { return machine.cr0; }
uint64_t hw_read_cr2(void) { return machine.cr2; }
uint64_t hw_read_cr3(void) { return machine.cr3; }
uint64_t hw_read_cr4(void) { return machine.cr4; }
void hw_write_cr0(uint64_t v) { machine.cr0 = v; }
void hw_write_cr2(uint64_t v) { machine.cr2 = v; }
void hw_write_cr3(uint64_t v) { machine.cr3 = v; machine.cr3_loads++; }
void hw_write_cr4(uint64_t v) { machine.cr4 = v; }
uint64_t hw_read_dr6(void) { return machine.dr6; }
void hw_write_dr6(uint64_t value) { machine.dr6 = value; }
void hw_invlpg(uint64_t va) { (void)va; machine.invlpgs++; }
uint64_t hw_xgetbv(void) { return machine.xcr0; }
void hw_xsetbv(uint64_t v) { machine.xcr0 = v; }
uint32_t hw_rdpkru(void) { return machine.pkru; }

static size_t xsave_bytes(void)
{
    uint32_t size = hw_cpuid(0xd, 0).ecx;

    return size == 0 || size > MACHINE_XSTATE ? MACHINE_XSTATE : size;
}

void hw_xsave(void *area, uint64_t mask)
{
    (void)mask;
    assert_int_equal((uintptr_t)area % 64, 0);
    memcpy(area, machine.xstate, xsave_bytes());
}

/* Bytes 6 to 23 of the image: opcode and pointers of the last x87 instruction. */
static void load_xstate(const uint8_t *area, size_t size)
{
    if (machine.x87_pointers_stay && !(area[2] & 0x80)) {
        memcpy(machine.xstate, area, 6);
        memcpy(machine.xstate + 24, area + 24, size - 24);
    } else {
        memcpy(machine.xstate, area, size);
    }
}

void hw_x87_forget(void) { memset(machine.xstate + 6, 0xfe, 18); }

void hw_xrstor(const void *area, uint64_t mask)
{
    (void)mask;
    assert_int_equal((uintptr_t)area % 64, 0);
    load_xstate(area, xsave_bytes());
}

void hw_fxsave(void *area)
{
    assert_int_equal((uintptr_t)area % 16, 0);
    memcpy(area, machine.xstate, 512);
}

void hw_fxrstor(const void *area)
{
    assert_int_equal((uintptr_t)area % 16, 0);
    load_xstate(area, 512);
}

/* --- ports, memory, the rest ----------------------------------------------------- */

static void out(uint16_t port, uint8_t size, uint32_t value)
{
    if (machine.out_count < MACHINE_LOG_MAX) {
        machine.out[machine.out_count] = (struct machine_out){ port, size, value,
                                                                  machine.wbinvds, machine.gif };
    }
    machine.out_count++;
    if (machine.on_out) {
        machine.on_out();
    }
}

static uint32_t in(uint16_t port)
{
    machine.gif_at_in = machine.gif;
    return machine.port[port];
}

uint8_t hw_in8(uint16_t port) { return (uint8_t)in(port); }
uint16_t hw_in16(uint16_t port) { return (uint16_t)in(port); }
uint32_t hw_in32(uint16_t port) { return in(port); }
void hw_out8(uint16_t port, uint8_t v) { out(port, 1, v); }
void hw_out16(uint16_t port, uint16_t v) { out(port, 2, v); }
void hw_out32(uint16_t port, uint32_t v) { out(port, 4, v); }
uint32_t hw_mmio_read32(const volatile void *p) { return *(const volatile uint32_t *)p; }
void hw_mmio_write32(volatile void *p, uint32_t v) { *(volatile uint32_t *)p = v; }

/* Threads of a test may be more than the host has CPUs: the one whose turn it is needs one. */
void hw_pause(void)
{
    if (machine.on_pause) {
        machine.on_pause();
    }
    sched_yield();
}

void hw_cli(void) { }
void hw_sti(void) { }

void hw_wbinvd(void)
{
    if (machine.on_wbinvd) {
        machine.on_wbinvd();
    }
    machine.wbinvds++;
}

void hw_hlt(void)
{
    machine.halts++;
    if (machine.on_halt) {
        machine.on_halt();
    }
}

uint64_t hw_rdtsc(void)
{
    return machine.tsc += 100 + (machine.jitter ? unit_below(&machine.random, machine.jitter) : 0);
}

static bool random_word(enum machine_noise how, uint64_t *v)
{
    const unsigned nth = machine.noise_words++;

    switch (machine.noise_until != 0 && nth >= machine.noise_until ? NOISE_STUCK : how) {
    case NOISE_STUCK: *v = machine.stuck_at; break;
    case NOISE_UNEVEN: *v = nth % 64 + 1; break;
    case NOISE_SELDOM: *v = unit_random(&machine.random); return *v % 8 == 0;
    case NOISE_EMPTY: *v = 0; return false;
    default: *v = unit_random(&machine.random); break;
    }
    return true;
}

bool hw_rdrand(uint64_t *v) { return random_word(machine.rdrand, v); }
bool hw_rdseed(uint64_t *v) { return random_word(machine.rdseed, v); }

void hw_fill64(void *dst, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        memcpy((char *)dst + 8 * i, &value, 8);
    }
}

void hw_copy64(void *dst, const void *src, size_t n) { memmove(dst, src, 8 * n); }
void hw_copy64_down(void *dst, const void *src, size_t n) { memmove(dst, src, 8 * n); }
