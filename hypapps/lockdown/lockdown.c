/* SPDX-License-Identifier: MIT */
/* Lockdown: once the guest says so its kernel's text, entries and protections stay as they are. */
#include "sites.h"
#include <hypapp/hypapp.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <x86/msr.h>
#include <xmhf/hypercall.h>

#define CR4_PINNED (CR4_SMEP | CR4_SMAP | CR4_UMIP)
#define GATE_SIZE  16u   /* of a 64-bit IDT (SDM vol. 3, 6.14.1) */
#define UNFINISHED (-1)  /* or an enum lockdown_error: what an operation gives */
#define RANGES     3u    /* numbered as the refusals of writes to them: text, rodata, IDT */

static _Atomic enum { OPEN, LOCKING, LOCKED } state;
static atomic_flag busy;        /* guards the text, the sites, and what stands below */
static struct range { uint64_t va, pages; gpa_t gpa; } range[RANGES + 1];
static struct range *const idt = &range[LOCKDOWN_K_IDT_PAGE];
static uint64_t token, cr3_clear, protections;   /* the last one: bits_on at the lock */
static struct page_set code;                     /* what ring 0 may execute besides the text */
static struct hyp_rights_plan plan;
static atomic_uint_fast64_t refused[LOCKDOWN_KIND_COUNT], patches;
static struct { uint32_t index; uint64_t value; } pinned[] = {
    { MSR_STAR, 0 }, { MSR_LSTAR, 0 }, { MSR_CSTAR, 0 }, { MSR_SFMASK, 0 },
    { MSR_IA32_SYSENTER_CS, 0 }, { MSR_IA32_SYSENTER_EIP, 0 },
};
static uint32_t idt_limit, data_rights;   /* the latter: where no text is */
static bool emptied[CPU_MAX];   /* the pinned IDT was replaced by one without gates */

static enum hyp_answer refuse(unsigned kind)
{
#define X(name, sentence) sentence,
    static const char *const what[] = { LOCKDOWN_KINDS(X) };
#undef X

    atomic_fetch_add(&refused[kind], 1);
    log_line("lockdown: refused: %s", what[kind]);
    return HYP_REFUSE;
}

/* The caller, with page tables that have all of the kernel. */
static struct hyp_caller kernel(struct vcpu *v)
{
    struct hyp_caller c;

    hyp_caller(v, &c);
    c.paging.cr3 &= ~cr3_clear;
    return c;
}

static enum lockdown_error add_range(struct vcpu *v, uint64_t va, uint64_t pages, uint64_t kind)
{
    const struct hyp_caller c = kernel(v);
    struct range r = range[kind];
    struct gm_fault f;

    for (gpa_t g; pages > 0; pages--, va += PAGE_SIZE, r.pages++) {
        if (va % PAGE_SIZE || gm_translate(&c, gva(va), ACCESS_READ, &g, NULL, &f) != GM_OK) {
            return LOCKDOWN_E_NOT_RAM;
        }
        if (kind == LOCKDOWN_CODE && !page_set_add(&code, g)) {
            return LOCKDOWN_E_FULL;
        }
        r = r.pages && kind != LOCKDOWN_CODE ? r : (struct range){ .va = va, .gpa = g };
        if (va != r.va + r.pages * PAGE_SIZE || g.a != r.gpa.a + r.pages * PAGE_SIZE) {
            return LOCKDOWN_E_SCATTERED;
        }
    }
    range[kind] = r;
    return LOCKDOWN_E_OK;
}

static enum lockdown_error add_sites(struct vcpu *v, uint64_t from, uint64_t n)
{
    uint32_t page = site_count / LOCKDOWN_SITES_PAGE;
    const struct hyp_caller c = kernel(v);
    struct gm_fault f;

    if (n > LOCKDOWN_SITES_PAGE || site_count % LOCKDOWN_SITES_PAGE || page == SITE_PAGES) {
        return page == SITE_PAGES ? LOCKDOWN_E_FULL : LOCKDOWN_E_BAD;
    }
    if (gm_read_kernel(&c, gva(from), site_page[page], n * sizeof(*site_page[0]), &f) != GM_OK) {
        return LOCKDOWN_E_NOT_RAM;
    }
    site_count += (unsigned)n;
    return LOCKDOWN_E_OK;
}

/* Those of the pinned bits that are on. CR0 and CR4 have none in common; EFER's is 32 higher. */
static uint64_t bits_on(struct vcpu *v)
{
    const struct guest_paging p = kernel(v).paging;

    return (p.cr0 & CR0_WP) | (p.cr4 & CR4_PINNED) | (p.efer & EFER_NXE) << 32;
}

static int pin(struct vcpu *v, bool exec)
{
    const bool told = range[LOCKDOWN_TEXT].pages && range[LOCKDOWN_RODATA].pages;
    uint64_t va;

    if (!told || (exec && !(data_rights & ACCESS_EXEC_USER))) {
        return told ? LOCKDOWN_E_NO_EXEC : LOCKDOWN_E_BAD;
    }
    hyp_get_idtr(v, &va, &idt_limit);
    for (unsigned i = 0; i < ARRAY_SIZE(pinned); i++) {
        hyp_msr_value(v, pinned[i].index, &pinned[i].value);
    }
    protections = bits_on(v);
    idt->pages = 0;
    if (idt_limit >= PAGE_SIZE || add_range(v, va, 1, LOCKDOWN_K_IDT_PAGE) != LOCKDOWN_E_OK) {
        return LOCKDOWN_E_BAD_IDT;
    }
    plan_begin(&plan, exec ? &code : NULL, ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC_USER);
    for (struct range *r = range; r <= idt; r++) {
        plan_add(&plan, r->gpa, r->pages, r > range ? data_rights : ACCESS_READ | ACCESS_EXEC);
    }
    state = LOCKING;
    return UNFINISHED;
}

/* One step. A range that can't be locked is told when all have their rights back. */
static int lock(struct vcpu *v, bool exec)
{
    if (state == OPEN) {
        return pin(v, exec);
    }
    enum hyp_rights_answer a = hyp_rights_plan(v, &plan);
    if (a != HYP_RIGHTS_AGAIN) {
        state = a == HYP_RIGHTS_DONE ? LOCKED : OPEN;
        log_line("lockdown: %s", state == LOCKED ? "locked" : "could not lock");
    }
    return state == LOCKING ? UNFINISHED : state == LOCKED ? LOCKDOWN_E_OK : LOCKDOWN_E_NO_RIGHTS;
}

static int operate(struct vcpu *v, uint64_t op)
{
    uint64_t rdx = v->regs.gpr[GPR_RDX], rsi = v->regs.gpr[GPR_RSI];
    uint64_t pages = rsi >> PAGE_SHIFT, kind = rsi % PAGE_SIZE;

    if (state == LOCKED || (state != OPEN && op != LOCKDOWN_LOCK)) {
        return LOCKDOWN_E_LOCKED;
    }
    switch (op) {
    case LOCKDOWN_BEGIN:
        site_count = 0;
        memset(range, 0, sizeof(range));
        page_set_clear(&code);
        cr3_clear = rdx;
        return LOCKDOWN_E_OK;
    case LOCKDOWN_RANGE:
        return kind > LOCKDOWN_CODE || kind == LOCKDOWN_K_IDT_PAGE || pages == 0
            || pages > LOCKDOWN_RANGE_MAX ? LOCKDOWN_E_BAD : add_range(v, rdx, pages, kind);
    case LOCKDOWN_SITES: return add_sites(v, rdx, rsi);
    case LOCKDOWN_LOCK: return lock(v, rdx != 0);
    default: return LOCKDOWN_E_BAD;
    }
}

static enum hc_result on_hypercall(struct vcpu *v, uint32_t cmd)
{
    const struct hyp_caller c = kernel(v);
    int error = LOCKDOWN_E_NOT_ALLOWED;

    if (cmd != XMHF_HC_LOCKDOWN) {
        return HC_UNKNOWN;
    }
    /* Only who may call takes `busy`, which patches wait for. */
    if (c.paging.mode == MODE_LONG64 && (c.paging.cpl == 0 || v->regs.gpr[GPR_RDI] == token)) {
        if (atomic_flag_test_and_set(&busy)) {
            return HC_AGAIN;
        }
        error = operate(v, v->regs.gpr[GPR_RCX]);
        atomic_flag_clear(&busy);
    }
    v->regs.gpr[GPR_RAX] = error == UNFINISHED ? v->regs.gpr[GPR_RAX] : (unsigned)error;
    return error == UNFINISHED ? HC_AGAIN : HC_DONE;
}

static enum hyp_answer on_port(struct vcpu *v, struct hyp_io *io)
{
    bool ours = state == OPEN && io->in && io->size == 4 && io->port % 4 == 0;

    (void)v;
    io->value = !ours ? io->value : (uint32_t)(io->port == LOCKDOWN_PORT ? token : token >> 32);
    return ours ? HYP_DONE : HYP_CORE;
}

/* Write what the guest stores to the text, if it is a patch. */
static bool patch(const struct hyp_store *st)
{
    uint64_t text = range[LOCKDOWN_TEXT].gpa.a, at = st->gpa.a - text;
    uint8_t b[SITE_MAX_LEN];
    struct site s;

    if (!sites_find(at, &s) || at - s.at + st->len > site_len(&s)
        || gp_read(gpa(text + s.at), b, site_len(&s)) != GM_OK) {
        return false;
    }
    memcpy(b + (at - s.at), st->bytes, st->len);
    return site_allows(&s, b, range[LOCKDOWN_TEXT].pages * PAGE_SIZE)
        && gp_write(st->gpa, st->bytes, st->len) == GM_OK;
}

static enum hyp_answer on_fault(struct vcpu *v, const struct exit *e)
{
    bool write = e->fault.access & ACCESS_WRITE, done = false;
    struct hyp_store st;
    unsigned kind = plan_row(&plan, e->fault.addr);

    if (write && kind == LOCKDOWN_TEXT && hyp_store(v, e, &st)) {
        if (atomic_flag_test_and_set(&busy)) {
            return HYP_AGAIN;
        }
        done = patch(&st);
        atomic_flag_clear(&busy);
    }
    if (!done) {
        return refuse(write && kind < RANGES ? kind : LOCKDOWN_K_EXEC);
    }
    atomic_fetch_add(&patches, 1);
    hyp_store_done(v, &st);
    return HYP_DONE;
}

/* Has this CPU the pinned IDT? One that comes out of an INIT hasn't, and sets itself up first. */
static bool is_pinned(struct vcpu *v)
{
    uint64_t base;
    uint32_t limit;

    hyp_get_idtr(v, &base, &limit);
    return state == LOCKED && ((base == idt->va && limit == idt_limit)
                               || (emptied[v->index] && limit < GATE_SIZE - 1));
}

/* Judge a write that clears some of what bits_on tells. */
static enum hyp_answer keep_bits(struct vcpu *v, unsigned kind, uint64_t cleared)
{
    return (bits_on(v) & cleared) && is_pinned(v) ? refuse(kind) : HYP_CORE;
}

static enum hyp_answer on_cr_write(struct vcpu *v, unsigned cr, uint64_t *value)
{
    return cr == 0 ? keep_bits(v, LOCKDOWN_K_CR0, CR0_WP & ~*value)
        : keep_bits(v, LOCKDOWN_K_CR4, CR4_PINNED & ~*value);
}

/* The entries of system calls outlast an INIT (SDM vol. 3, table 10-1; APM vol. 2, table 14-1), and
 * kernels write the same on each CPU: they are pinned whichever IDT it has. */
static enum hyp_answer on_msr(struct vcpu *v, uint32_t index, bool write, uint64_t *value)
{
    for (unsigned i = 0; i < ARRAY_SIZE(pinned) && write && state == LOCKED; i++) {
        if (pinned[i].index == index && *value != pinned[i].value) {
            return refuse(LOCKDOWN_K_SYSCALL);
        }
    }
    return write && index == MSR_EFER ? keep_bits(v, LOCKDOWN_K_EFER, (EFER_NXE & ~*value) << 32)
        : HYP_CORE;
}

/* A table without a gate is let through: the next exception ends the machine, as some kernels do.
 * What follows is judged as if the pinned one were there. Who loads that has the protections on. */
static enum hyp_answer on_table_write(struct vcpu *v, enum hyp_table which, uint64_t base,
                                      uint32_t limit)
{
    bool other = base != idt->va || limit != idt_limit, was = is_pinned(v);

    if (which != HYP_IDT || state != LOCKED) {
        return HYP_CORE;
    }
    if (other ? was && limit >= GATE_SIZE - 1 : (protections & ~bits_on(v)) != 0) {
        return refuse(LOCKDOWN_K_IDTR);
    }
    emptied[v->index] = was && other;
    return HYP_CORE;
}

static bool on_info(struct vcpu *v, uint32_t which, uint64_t *value)
{
    const uint64_t told[LOCKDOWN_INFO_REFUSED] = {
        state == LOCKED, range[0].pages + range[1].pages + idt->pages, site_count, patches,
        data_rights & ACCESS_EXEC_USER ? 1 : 0, code.count };
    uint32_t i = which - XMHF_INFO_LOCKDOWN;
    bool ours = i < LOCKDOWN_INFO_REFUSED + LOCKDOWN_KIND_COUNT;

    (void)v;
    *value = !ours ? 0 : i < LOCKDOWN_INFO_REFUSED ? told[i] : refused[i - LOCKDOWN_INFO_REFUSED];
    return ours;
}

static int lockdown_init(void)
{
    int bad = hyp_ports(LOCKDOWN_PORT, 8, on_port) | hyp_cr_bits(0, CR0_WP)
        | hyp_cr_bits(4, CR4_PINNED) | hyp_trap_tables(1u << HYP_IDT)
        | hyp_msr_range(MSR_EFER, MSR_SFMASK, ACCESS_WRITE)   /* with those of SYSCALL */
        | hyp_msr_range(MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, ACCESS_WRITE)
        | -!pool_alloc_many((void **)site_page, SITE_PAGES) | -!page_set_init(&code);

    data_rights = ACCESS_READ | (hyp_user_exec() == 0 ? ACCESS_EXEC_USER : ACCESS_EXEC);
    bad |= -!hyp_random(&token, sizeof(token));
    log_line("lockdown: %s", bad ? "no memory, no random numbers, or the core can't watch it all"
                                 : "not locked yet");
    return bad;
}

const struct hypapp hypapp = {
    .name = "lockdown", .init = lockdown_init, .hypercall = on_hypercall, .info = on_info,
    .fault = on_fault, .cr_write = on_cr_write, .msr = on_msr, .table_write = on_table_write,
};
