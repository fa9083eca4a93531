/* SPDX-License-Identifier: MIT */
/*
 * The core's own address space (notes/memory.md):
 *   CORE_VA    the protected range, linear: text RX, rodata R, everything else RW, NX
 *   DIRECT_VA  all other RAM, RW NX, at DIRECT_VA + physical address
 *   STACK_VA   per CPU stacks with unmapped guard pages between them
 *   MMIO_VA    uncached device pages; 1 GiB further on, while booting, windows to firmware tables;
 *              2 GiB further on the picture that is on the screen at boot
 */
#ifndef XMHF_MM_HOST_MAP_H
#define XMHF_MM_HOST_MAP_H

#include <cpu/vcpu.h>
#include <xmhf/boot_info.h>

#define DIRECT_VA 0xffff800000000000ULL
#define STACK_VA  0xffffff8000000000ULL
#define MMIO_VA   0xffffff0000000000ULL

/* Per CPU four stacks, each at the end of its place; guard pages below. */
#define STACK_SLOT  0x20000ULL
#define STACK_PITCH 0x8000ULL
#define STACK_MAIN  0x4000ULL
#define STACK_IST   0x2000ULL

#define IST_NMI 1
#define IST_MC  2
#define IST_DF  3

/* Build the tables and switch to them. Needs the pool. */
void host_map_init(const struct boot_info *bi);

/* Before that: `top` is the highest of four levels of tables, in use now, whose upper half becomes
 * the core's: under it the core is all there, with what it has in the lower half. */
void host_map_share(uint64_t *top);

/* What host_map_stacks has returned, or will. */
static inline uint64_t host_stacks(unsigned cpu) { return STACK_VA + cpu * STACK_SLOT; }

/* Map a picture of `size` bytes, uncached, once; NULL where it can't be one: RAM is there, or no
 * address. With our tables in use. */
volatile void *host_map_picture(const struct boot_info *bi, uint64_t base, uint64_t size);

/* Map one CPU's stacks: main 16 KiB, IST 8 KiB each. Returns the handle for
 * host_stack_top(handle, 0 = main or IST_*). */
uint64_t host_map_stacks(unsigned cpu);
uint64_t host_stack_top(uint64_t stacks, unsigned which);

/* End (exclusive) of the stack that `rsp` lies in; `rsp` itself if it is in none. */
static inline uint64_t host_stack_end(uint64_t rsp)
{
    if (rsp < STACK_VA || rsp >= STACK_VA + CPU_MAX * STACK_SLOT) {
        return rsp;
    }
    return align_up(rsp, STACK_PITCH);
}

/* Lowest address of the stack that `rsp` lies in, or below which it lies in the guard pages. */
static inline uint64_t host_stack_floor(uint64_t rsp)
{
    uint64_t end = host_stack_end(rsp);

    return end == rsp ? rsp : end - ((end - STACK_VA) % STACK_SLOT == STACK_PITCH ? STACK_MAIN
                                                                                 : STACK_IST);
}

/* Has a stack no room left for an exception's frame? */
static inline bool host_stack_overflowed(uint64_t rsp)
{
    return host_stack_end(rsp) != rsp && rsp < host_stack_floor(rsp) + 64;
}

/* Zero the stacks of `cpu`, which are mapped, but for what is in use above `rsp` if that lies
 * in one of them (reset and panic path: they may hold PAL words). */
void host_wipe_stacks(unsigned cpu, uint64_t rsp);

/* Map a device page uncached; returns a pointer to `addr` itself. */
volatile void *host_map_mmio(uint64_t addr);

/* Add [start, end), whole 2 MiB pages above 4 GiB, to the direct map: RAM that may come later.
 * Returns where it ends now: `end`, or less if that would take too many tables. Boot CPU, once
 * for each range. */
uint64_t host_map_ram(uint64_t start, uint64_t end);

/* The page at `addr` (4 KiB aligned), which is memory: in the direct map, or mapped now, cached.
 * Boot only. */
void *host_map_page(uint64_t addr);

/* Any physical memory that is in the direct map (RAM or ACPI), or NULL. */
void *host_phys(uint64_t addr, uint64_t len);

/*
 * Firmware's tables, wherever they lie, but for the protected range: like host_phys, and what is
 * not in the direct map is mapped to be read only, at most 2 MiB. NULL if it can't be. The fourth
 * next call takes the place of this one. Boot CPU, before the others start; host_unmap_firmware
 * takes all of it away again.
 */
const void *host_map_firmware(uint64_t addr, size_t len);
void host_unmap_firmware(void);

/* CR3 of the core, and of a copy of it that also identity maps the first 2 MiB (for
 * the AP trampoline). */
uint64_t host_cr3(void);
uint64_t host_trampoline_cr3(void);

#endif
