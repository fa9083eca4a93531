/* SPDX-License-Identifier: MIT */
/*
 * What a hypapp may ask to see of the guest's doings. Each service here is for the hypapp's `init`
 * alone, and gives 0, or -1 with nothing changed: no room, a bad range, or somebody has it already.
 * A callback that is NULL is as if it answered HYP_CORE.
 * What nobody asked for doesn't exit, and costs nothing.
 */
#ifndef XMHF_HYPAPP_ASK_H
#define XMHF_HYPAPP_ASK_H

#include <cpu/vcpu.h>
#include <xmhf/access.h>
#include <xmhf/types.h>

/* What becomes of an access that a hypapp was asked about. RIP is still at the instruction, and
 * whatever the CPU checks before such an exit has been checked. */
enum hyp_answer {
    HYP_CORE,      /* as if the hypapp weren't there, with the value as it is now */
    HYP_DONE,      /* the hypapp has carried it out; the core skips the instruction */
    HYP_AGAIN,     /* run the instruction again, interrupts first */
    HYP_REFUSE,    /* #GP(0) */
    HYP_SWITCHED,  /* an exception is queued, or RIP set: leave everything as it is */
};

/* An access to ports. Of INS and OUTS each element is one. */
struct hyp_io {
    uint16_t port;   /* the first of them */
    uint8_t size;    /* 1, 2 or 4 ports, that is bytes */
    bool in;
    uint32_t value;  /* OUT: what the guest writes. IN: 0; with HYP_DONE what the guest reads */
};
typedef enum hyp_answer hyp_io_fn(struct vcpu *v, struct hyp_io *io);

/*
 * `fn` is asked before each access that touches one of the ports [first, first + count). The core's
 * own ports (reset, sleep, A20) can be among them: the hypapp is asked first, and HYP_CORE gives the
 * core its turn. Of ranges of several calls the one that has the lowest byte's port is asked.
 */
int hyp_ports(uint16_t first, uint32_t count, hyp_io_fn *fn);
/* What the guest would read there without the hypapp; for an `fn` that changes what it reads. */
uint32_t hyp_port_in(struct vcpu *v, uint16_t port, unsigned size);

/* An access to a device's memory, 1, 2, 4 or 8 bytes that don't cross a page. */
struct hyp_mmio {
    gpa_t at;
    uint8_t size;
    bool write;
    uint64_t value;  /* a write's. Of a read: 0; with HYP_DONE what the guest reads */
};
typedef enum hyp_answer hyp_mmio_fn(struct vcpu *v, struct hyp_mmio *m);

/*
 * `fn` is asked about the guest's accesses to [base, base + size), whole pages of a device below 4 GiB
 * and not RAM. `access`: ACCESS_WRITE, or ACCESS_READ | ACCESS_WRITE (no CPU lets a page be written
 * that can't be read). An instruction that reads and writes is two accesses, in this order. Those that
 * the core can't take apart (SIMD, x87, far pointers) get #GP(0) and a log line; a fetch gets #GP(0).
 */
int hyp_mmio(gpa_t base, uint64_t size, unsigned access, hyp_mmio_fn *fn);

/* hypapp.msr is asked at each RDMSR (ACCESS_READ in `access`) and WRMSR (ACCESS_WRITE) of
 * [first, last]. Before the policy looks: what is denied is asked about too. */
int hyp_msr_range(uint32_t first, uint32_t last, unsigned access);

/* hypapp.cr_write is asked at each write of CR0 or CR4 that changes one of `bits`; of CR3 at each.
 * `cr`: 0, 3, 4. More bits are added to those asked for before. */
int hyp_cr_bits(unsigned cr, uint64_t bits);

/* hypapp.table_write is asked at each LGDT, LIDT, LLDT and LTR. */
int hyp_trap_tables(void);
enum hyp_table { HYP_GDT, HYP_IDT, HYP_LDT, HYP_TR };

/*
 * The hypapp's own boot module: the first one whose command line starts with the word "hypapp" (the
 * guest doesn't get it). NULL: there is none. Its memory is the guest's from the start on, who could
 * have read it anyway: what is to be kept is copied.
 */
const void *hyp_module(size_t *size);

#endif
