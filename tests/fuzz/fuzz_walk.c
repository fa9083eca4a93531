/* SPDX-License-Identifier: MIT */
/* Guest page walks against the reference of the unit tests, on tables made of the input:
 * 16 bytes of registers and address, then 10-byte edits of an 8-page memory. */
#include <guest/walk.h>
#include <stdlib.h>
#include <string.h>
#include <x86/cpu.h>

#include "walk_ref.h"

#define CHECK(cond) do { if (!(cond)) { abort(); } } while (0)
#define RAM_SIZE (8 * PAGE_SIZE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static uint8_t before[RAM_SIZE], expected[RAM_SIZE];
static uint8_t far_page[PAGE_SIZE] __attribute__((aligned(4096)));

/* Also something at 1 GiB and above, for large pages; read-only for all the walk knows. */
static void *map(gpa_t g, size_t len)
{
    CHECK((g.a & PAGE_MASK) + len <= PAGE_SIZE);
    if (g.a < RAM_SIZE) {
        return ram + g.a;
    }
    return len == 1 && g.a >= GIB(1) && g.a < GIB(2) ? far_page + (g.a & PAGE_MASK) : NULL;
}

/* The first 16 bytes: mode and rights bits, PKRU, widths, address. */
static void set_up(const uint8_t *d, struct guest_phys_ops *phys, struct guest_paging *p,
                   uint64_t *va, unsigned *access)
{
    unsigned mode = d[0] & 7;

    *phys = (struct guest_phys_ops){ .map = map, .maxphyaddr = 32 + d[1] % 21,
                                     .page1g = d[1] >= 128 };
    if (d[3] & 64) { /* found in another way, but the same memory */
        phys->base = (uintptr_t)ram;
        phys->window[d[3] >> 7].size = RAM_SIZE;
    }
    *p = (struct guest_paging){
        .cr0 = CR0_PE | (mode != 0 ? CR0_PG : 0) | (d[0] & 8 ? CR0_WP : 0),
        .cr3 = (uint64_t)(d[2] & 7) << PAGE_SHIFT | (d[2] & 0xf8u) << 2,
        .cr4 = (mode == 1 ? CR4_PSE : mode == 2 ? 0 : CR4_PAE) | (mode >= 6 ? CR4_LA57 : 0) |
               (d[0] & 16 ? CR4_SMEP : 0) | (d[0] & 32 ? CR4_SMAP : 0),
        .efer = (mode >= 4 ? EFER_LMA | EFER_LME : 0) | (d[0] & 64 ? EFER_NXE : 0),
        .cpl = d[0] & 128 ? 3 : 0,
        .ac = d[3] & 16,
    };
    *access = d[3] & 15;
    *access |= *access == 0;
    memcpy(&p->pkru, d + 4, 4);
    memcpy(va, d + 8, 8);
    if (d[3] & 32) { /* near the start of everything */
        *va &= 0x0000008040201fffULL;
    }
}

static void edit(const uint8_t *d)
{
    uint64_t e;
    size_t at = (size_t)(d[0] | (unsigned)d[1] << 8) % (RAM_SIZE / 8) * 8;

    memcpy(&e, d + 2, 8);
    memcpy(ram + at, &e, 8);
}

/* Tables that lead somewhere without any edit: page n points to n + 1. */
static void initial_ram(void)
{
    memset(ram, 0, sizeof(ram));
    for (unsigned page = 0; page < 8; page++) {
        uint64_t e = (uint64_t)(page + 1) % 8 << PAGE_SHIFT | PTE_P | PTE_RW | PTE_US;
        memcpy(ram + page * PAGE_SIZE, &e, 8);
        memcpy(ram + page * PAGE_SIZE + 8, &e, 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_phys_ops phys;
    struct guest_paging p;
    struct walk w = { 0 }, r = { 0 };
    enum walk_result got, want;
    unsigned access;
    uint64_t va;

    if (size < 16) {
        return 0;
    }
    set_up(data, &phys, &p, &va, &access);
    initial_ram();
    for (size_t at = 16; at + 10 <= size; at += 10) {
        edit(data + at);
    }
    memcpy(before, ram, RAM_SIZE);
    want = ref_walk(&phys, &p, va, access, &r);
    memcpy(expected, ram, RAM_SIZE);
    memcpy(ram, before, RAM_SIZE);
    got = guest_walk(&phys, &p, gva(va), access, &w);
    CHECK(got == want && w.canonical == r.canonical);
    CHECK(memcmp(ram, expected, RAM_SIZE) == 0);
    if (got == WALK_FAULT) {
        CHECK(w.error == r.error);
    } else {
        CHECK(w.gpa.a == r.gpa.a);
    }
    if (got == WALK_OK) {
        CHECK(w.rights == r.rights && w.ptr == r.ptr);
    }
    return 0;
}
