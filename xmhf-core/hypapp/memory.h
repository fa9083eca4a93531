/* SPDX-License-Identifier: MIT */
/* Services for hypapps: who calls, and the guest's memory. Rights of its pages, and what they don't
 * bind: guest/rights.h. */
#ifndef XMHF_HYPAPP_MEMORY_H
#define XMHF_HYPAPP_MEMORY_H

#include <cpu/vcpu.h>
#include <guest/inject.h>
#include <guest/phys.h>
#include <guest/rights.h>
#include <guest/trace.h>
#include <guest/walk.h>
#include <virt/exit.h>

/* --- the caller ------------------------------------------------------------- */

/* Who made the hypercall. */
struct hyp_caller {
    struct guest_paging paging;   /* .cpl, .mode, .cr3 ... */
    bool interrupts_on;           /* RFLAGS.IF */
    bool event_queued;            /* something is to be injected at the next entry */
    bool no_ad;                   /* set no accessed bits: `paging` is remembered, and what
                                     were tables may be something else by now */
};
/* Always about the OS: not to be called before sandbox_leave. */
void hyp_caller(struct vcpu *v, struct hyp_caller *c);

/* --- guest memory (hypapp/guest_mem.c) -------------------------------------- */

enum gm_result {
    GM_OK = 0,
    GM_FAULT,      /* absent or forbidden: hyp_inject_fault, then HC_AGAIN/HC_SWITCHED */
    GM_NOT_RAM,    /* device, ROM, or memory of the hypervisor */
};

/* Copy between guest-virtual memory of the caller (rights as c says; ACCESS_USER is
 * forced) and the core. May cross pages. A copy to the guest checks all pages before
 * the first byte is written. */
enum gm_result gm_read(const struct hyp_caller *c, gva_t from, void *to, size_t len,
                       struct gm_fault *f);
enum gm_result gm_write(const struct hyp_caller *c, gva_t to, const void *from, size_t len,
                        struct gm_fault *f);
/* gm_read of `n` words, at a place that is read again and again: the walk is remembered in `m`,
 * and confirmed the next time. */
enum gm_result gm_read_first(const struct hyp_caller *c, gva_t from, uint64_t *to, size_t n,
                             struct walk_memo *m, struct gm_fault *f);
static inline enum gm_result gm_read_again(const struct hyp_caller *c, gva_t from, uint64_t *to,
                                           size_t n, struct walk_memo *m, struct gm_fault *f)
{
    const size_t offset = from.a & PAGE_MASK;

    if (offset % 8 != 0 || offset + 8 * n > PAGE_SIZE
        || !walk_again(&guest_phys_ops, m, &c->paging, from)) {
        return gm_read_first(c, from, to, n, m, f);
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = ((const uint64_t *)(m->bytes + offset))[i];
    }
    return GM_OK;
}

/* The page at `va` (4 KiB aligned), for `access` (ACCESS_*): its GPA and a core pointer
 * to its 4096 bytes. The guest may remap it at any time; use the pointer at once. */
enum gm_result gm_page(const struct hyp_caller *c, gva_t va, unsigned access, void **page,
                       gpa_t *g, struct gm_fault *f);

/*
 * Translate and read as the guest's kernel would: with ring 0's rights whoever `c` is, SMEP and
 * SMAP put aside, and no bit set in any table. gm_translate gives the GPA of the byte at `va` and,
 * if not NULL, the effective rights of its page (ACCESS_*).
 */
enum gm_result gm_translate(const struct hyp_caller *c, gva_t va, unsigned access, gpa_t *g,
                            unsigned *rights, struct gm_fault *f);
enum gm_result gm_read_kernel(const struct hyp_caller *c, gva_t from, void *to, size_t len,
                              struct gm_fault *f);

/*
 * Guest-physical memory, for the hypapp's own use: whatever rights its pages have. GM_OK, or
 * GM_NOT_RAM where not all of it is the guest's RAM, and nothing has been copied. A write of 1, 2,
 * 4 or 8 bytes to a multiple of its length is one store, as other CPUs see it.
 */
enum gm_result gp_read(gpa_t from, void *to, size_t len);
enum gm_result gp_write(gpa_t to, const void *from, size_t len);

/* --- stores that fault (hypapp/store.c) ------------------------------------- */

/*
 * What the instruction at RIP, whose write has faulted (hypapp.fault), stores: MOV, or MOVS and
 * STOS forwards, with REP as many elements as fit in here. False: another instruction, or one that
 * can't be read, or the fault was a page walk's or an event delivery's. The bytes of a string are
 * consecutive in guest-physical memory. Of a MOV `gpa` is where the CPU says that it faulted: one
 * that crosses pages may have begun before, or reach into a next page of which nothing is known
 * here.
 */
struct hyp_store {
    gpa_t gpa;
    unsigned len;            /* bytes, 1 to 8 */
    uint8_t bytes[8];
    /* for hyp_store_done */
    unsigned insn_len, address_bits;
    bool rep, movs;
    uint64_t count;          /* elements of a string; 0: it is none */
};
bool hyp_store(struct vcpu *v, const struct exit *e, struct hyp_store *out);
/* The store has been carried out: move RIP behind it, and the registers of a string on. */
void hyp_store_done(struct vcpu *v, const struct hyp_store *s);

/* What the tables of an address space, which was remembered, hold now (guest/trace.h). Paging is
 * on in `p`. */
void gm_trace(const struct guest_paging *p, gva_t va, struct trace *t);
/* Do the remembered tables lead to this CPU's TSS, as those of every process of this kernel must?
 * The running process's tables are the measure: also true if they don't lead there themselves. Not
 * to be called while a sandbox is entered. */
bool gm_same_kernel(struct vcpu *v, const struct guest_paging *p);

#endif
