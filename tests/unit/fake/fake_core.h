/* SPDX-License-Identifier: MIT */
/*
 * A fake of the services that xmhf-core/hypapp/hypapp.h offers: one guest with RAM and
 * simple page tables, a page pool that checks what comes back, and a record of injections
 * and sandbox switches. Anything that would harm a real machine fails the test.
 */
#ifndef XMHF_TESTS_FAKE_CORE_H
#define XMHF_TESTS_FAKE_CORE_H

#include <facts/options.h>
#include <hypapp/hypapp.h>

#define FAKE_RAM_PAGES  2048u
#define FAKE_POOL_PAGES 6000u
#define FAKE_MMIO       (1ULL << 40)   /* GPA of a device page */

#define FAKE_RW  (ACCESS_READ | ACCESS_WRITE)
#define FAKE_RX  (ACCESS_READ | ACCESS_EXEC)
#define FAKE_RWX (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)

enum fake_injection { FAKE_NONE, FAKE_PF, FAKE_GP, FAKE_UD, FAKE_MC };

struct fake_core {
    /* the guest */
    struct hyp_caller caller;       /* what hyp_caller tells */
    struct segment segment;         /* CS, SS, DS ... of the guest */
    /* the bases of those two: which thread it is; 0: as the others' */
    uint64_t fs_base, gs_base;
    enum fake_injection injected;   /* since fake_clear() */
    struct gm_fault fault;          /* of FAKE_PF */
    uint64_t injected_rip;
    /* what gm_trace tells: `trace`, not what follows from the maps */
    bool trace_set;
    struct trace trace;
    bool other_kernel;              /* gm_same_kernel says no */
    uint64_t keyed;                 /* this page, at that address, has protection key 1; 0: none */
    unsigned guest_accesses;        /* calls of gm_* so far */
    unsigned fault_at;              /* make this access fail (counted from 1; 0: none) */
    void (*on_access)(void);        /* what another CPU does before the next access */
    /* the pool */
    unsigned pool_free;
    unsigned pool_fail_at;          /* make this allocation fail (counted from 1; 0: none) */
    unsigned pool_allocs;
    void (*on_free)(void);          /* what another CPU does when the next page is given back */
    bool no_entropy, refresh_due;   /* random_bytes has none; random_refresh has work, once */
    /* the sandbox */
    const struct sandbox *sandbox;  /* entered now, or NULL */
    struct sandbox entered;         /* copy of the last one */
    struct segment segments[SANDBOX_OWN_SEGMENTS]; /* and of those that it says; its code's now */
    unsigned enters, leaves, forgotten;
    size_t xstate_size;
    uint64_t fpu;                   /* stands for all FPU registers */
    uint64_t os_fpu;
    char log[256];                  /* the last line */
};
extern struct fake_core fake;
/* What was on the hypervisor's command line; fake_reset leaves it. */

/* Everything as after boot; the whole pool free and zero. Calls hypapp.init(). */
void fake_reset(struct vcpu *v);
/* Forget the injection. */
void fake_clear(void);

/* Map a page of address space `cr3` to guest-physical `g`, which is RAM or FAKE_MMIO. */
void fake_map(uint64_t cr3, uint64_t va, uint64_t g, unsigned rights);
void fake_unmap(uint64_t cr3, uint64_t va);
/* Map `n` fresh RAM pages; returns the GPA of the first. */
uint64_t fake_map_new(uint64_t cr3, uint64_t va, unsigned n, unsigned rights);
/* As an OS does after a fault: map the page of the last FAKE_PF to its saved frame. */
void fake_absent(uint64_t cr3, uint64_t va);     /* the page goes away, its frame stays */
bool fake_resolve(void);                         /* false: it wasn't one of those */
/* Guest RAM, and the process's view of it (fails the test if not mapped). */
uint8_t *fake_ram(uint64_t g);
uint8_t *fake_at(uint64_t cr3, uint64_t va);

/* The leaf of the PAL's page tables for an address, whoever may use it, with the nested rights of
 * its page and where that is for the core. 0: not mapped. */
uint64_t fake_pal_leaf(uint64_t va, unsigned *nested, uint8_t **page);
/* The PAL's view of its own address space while the sandbox is entered: core pointer and
 * effective rights, through its page tables and the nested tables. NULL: not mapped. */
uint8_t *fake_pal_at(uint64_t va, unsigned *rights);

#endif
