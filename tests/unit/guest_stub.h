/* SPDX-License-Identifier: MIT */
/*
 * A guest for handlers of instructions: two pages of memory at linear and guest-physical 0x5000,
 * the code in `code`, and counters of what became of it. For one file of a test program.
 */
#ifndef XMHF_TESTS_GUEST_STUB_H
#define XMHF_TESTS_GUEST_STUB_H

#include "unit.h"

#include <exit/dispatch.h>
#include <guest/inject.h>
#include <guest/phys.h>
#include <hypapp/hypapp.h>
#include <virt/virt.h>
#include <x86/cpu.h>

static struct vcpu v;
static struct guest_paging guest;
static uint8_t code[16], ram[2 * PAGE_SIZE];
static unsigned code_size, skips, gps, faults, agains;
static bool read_only;
static uint64_t mapped_page; /* device memory at linear 0x8000, if any */
static struct event injected;
static struct segment segments[SEG_COUNT];
static struct { uint64_t base; uint32_t limit; } tables[2];

static void *ram_map(gpa_t g, size_t len)
{
    return g.a >= 0x5000 && g.a + len <= 0x7000 ? ram + (g.a - 0x5000) : NULL;
}
struct guest_phys_ops guest_phys_ops = { .map = ram_map };
void *guest_phys_firmware(const struct walk *w, unsigned right)
{
    (void)w;
    (void)right;
    return NULL;
}

enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out)
{
    (void)phys;
    (void)p;
    *out = (struct walk){ .gpa = gpa(va.a), .canonical = true };
    if (mapped_page != 0 && va.a >> PAGE_SHIFT == 0x8 && !(read_only && (access & ACCESS_WRITE))) {
        out->gpa = gpa(mapped_page | (va.a & PAGE_MASK));
        return WALK_NOT_RAM;
    }
    if (va.a < 0x5000 || va.a >= 0x7000 || (read_only && (access & ACCESS_WRITE))) {
        return WALK_FAULT;
    }
    out->ptr = ram + (va.a - 0x5000);
    return WALK_OK;
}

unsigned exit_fetch(struct vcpu *cpu, uint8_t *buf, struct guest_paging *p)
{
    (void)cpu;
    *p = guest;
    memcpy(buf, code, code_size);
    return code_size;
}

void exit_skip(struct vcpu *cpu, unsigned len) { cpu->regs.rip += len; skips++; }
void hyp_inject_gp(struct vcpu *cpu) { (void)cpu; gps++; }
void hyp_inject_fault(struct vcpu *cpu, const struct gm_fault *f) { (void)cpu; (void)f; faults++; }
static bool inject(struct vcpu *cpu, const struct event *e)
{
    (void)cpu;
    injected = *e;
    faults++;
    return true;
}
static void end_shadow(struct vcpu *cpu) { (void)cpu; agains++; }
static void get_paging(struct vcpu *cpu, struct guest_paging *p) { (void)cpu; *p = guest; }
static void get_segment(struct vcpu *cpu, enum segment_index i, struct segment *s)
{
    (void)cpu;
    *s = segments[i];
}
static void set_segment(struct vcpu *cpu, enum segment_index i, const struct segment *s)
{
    (void)cpu;
    segments[i] = *s;
}
static void get_table(struct vcpu *cpu, enum table_register i, uint64_t *base, uint32_t *limit)
{
    (void)cpu;
    *base = tables[i].base;
    *limit = tables[i].limit;
}
static void set_table(struct vcpu *cpu, enum table_register i, uint64_t base, uint32_t limit)
{
    (void)cpu;
    tables[i].base = base;
    tables[i].limit = limit;
}
static const struct virt_ops ops = {
    .get_paging = get_paging, .get_segment = get_segment, .set_segment = set_segment,
    .get_table = get_table,
    .set_table = set_table, .inject = inject, .end_shadow = end_shadow,
};
const struct virt_ops *virt = &ops;

/* 64-bit code in ring 0. */
static void guest_reset(void)
{
    v = (struct vcpu){ .regs.rip = 0x1000 };
    guest = (struct guest_paging){ .mode = MODE_LONG64, .cr0 = CR0_PG | CR0_PE, .cr4 = CR4_PAE,
                                   .efer = EFER_LMA | EFER_LME };
    memset(segments, 0, sizeof(segments));
    memset(tables, 0, sizeof(tables));
    memset(ram, 0, sizeof(ram));
    read_only = false;
    mapped_page = 0;
}

static void use(const uint8_t *bytes, unsigned n)
{
    memcpy(code, bytes, n);
    code_size = n;
    skips = gps = faults = agains = 0;
}
#define USE(...) use((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

#endif
