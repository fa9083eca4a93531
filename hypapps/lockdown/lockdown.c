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
#define RANGES     3u    /* numbered as the refusals of writes to them: text, rodata, IDT */

static _Atomic enum { OPEN, LOCKING, UNDOING, LOCKED } state;
static atomic_flag busy;        /* guards the text, the sites, and what stands below */
static struct range { uint64_t va, pages; gpa_t gpa; } range[RANGES];
static struct range *const idt = &range[LOCKDOWN_K_IDT_PAGE];
static uint64_t token, cr3_clear;
static unsigned next, data_rights;   /* range to lock or give back; rights where no text is */
static atomic_uint_fast64_t refused[LOCKDOWN_KIND_COUNT], patches;
static struct { uint32_t index; uint64_t value; } pinned[] = {
    { MSR_EFER, 0 }, { MSR_STAR, 0 }, { MSR_LSTAR, 0 }, { MSR_CSTAR, 0 }, { MSR_SFMASK, 0 },
    { MSR_IA32_SYSENTER_CS, 0 }, { MSR_IA32_SYSENTER_EIP, 0 },
};
static uint32_t idt_limit;
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

/* Is `va` a page of the kernel's RAM? */
static bool find(struct vcpu *v, uint64_t va, gpa_t *g)
{
    const struct hyp_caller c = kernel(v);
    struct gm_fault f;

    return va % PAGE_SIZE == 0 && gm_translate(&c, gva(va), ACCESS_READ, g, NULL, &f) == GM_OK;
}

static enum lockdown_error add_range(struct vcpu *v, uint64_t va, uint64_t pages, uint64_t kind)
{
    if (kind > LOCKDOWN_RODATA || pages == 0 || pages > LOCKDOWN_RANGE_MAX) {
        return LOCKDOWN_E_BAD;
    }
    struct range r = range[kind];
    for (gpa_t g; pages > 0; pages--, va += PAGE_SIZE, r.pages++) {
        if (!find(v, va, &g)) {
            return LOCKDOWN_E_NOT_RAM;
        }
        r = r.pages ? r : (struct range){ .va = va, .gpa = g };
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

static enum lockdown_error pin(struct vcpu *v)
{
    if (range[LOCKDOWN_TEXT].pages == 0 || range[LOCKDOWN_RODATA].pages == 0) {
        return LOCKDOWN_E_BAD;
    }
    hyp_get_idtr(v, &idt->va, &idt_limit);
    idt->pages = idt_limit < PAGE_SIZE && find(v, idt->va, &idt->gpa);
    for (unsigned i = 0; i < ARRAY_SIZE(pinned); i++) {
        hyp_msr_value(v, pinned[i].index, &pinned[i].value);
    }
    return idt->pages ? LOCKDOWN_E_OK : LOCKDOWN_E_BAD_IDT;
}

/* One step. A range that can't be locked is told when all have their rights back. */
static enum hc_result lock(struct vcpu *v, enum lockdown_error *error)
{
    if (state == OPEN) {
        next = 0;
        *error = pin(v);
        state = *error == LOCKDOWN_E_OK ? LOCKING : OPEN;
        return state == LOCKING ? HC_AGAIN : HC_DONE;
    }
    if (next == RANGES) {
        *error = state == LOCKING ? LOCKDOWN_E_OK : LOCKDOWN_E_NO_RIGHTS;
        state = state == LOCKING ? LOCKED : OPEN;
        log_line("lockdown: %s", state == LOCKED ? "locked" : "could not lock");
        return HC_DONE;
    }
    unsigned rights = state == UNDOING ? ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC
        : next == LOCKDOWN_TEXT ? ACCESS_READ | ACCESS_EXEC : data_rights;
    enum hyp_rights_answer a = hyp_rights(v, range[next].gpa, range[next].pages, rights);
    bool bad = state == LOCKING && a != HYP_RIGHTS_DONE && a != HYP_RIGHTS_AGAIN;
    state = bad ? UNDOING : state;
    next = bad ? 0 : next + (a != HYP_RIGHTS_AGAIN);
    return HC_AGAIN;
}

static enum hc_result operate(struct vcpu *v, uint64_t op, enum lockdown_error *error)
{
    uint64_t rdx = v->regs.gpr[GPR_RDX], rsi = v->regs.gpr[GPR_RSI];

    *error = LOCKDOWN_E_OK;
    if (state == LOCKED || (state != OPEN && op != LOCKDOWN_LOCK)) {
        *error = LOCKDOWN_E_LOCKED;
    } else if (op == LOCKDOWN_BEGIN) {
        site_count = 0;
        memset(range, 0, sizeof(range));
        cr3_clear = rdx;
    } else if (op == LOCKDOWN_RANGE) {
        *error = add_range(v, rdx, rsi >> PAGE_SHIFT, rsi % PAGE_SIZE);
    } else if (op == LOCKDOWN_SITES) {
        *error = add_sites(v, rdx, rsi);
    } else if (op == LOCKDOWN_LOCK) {
        return lock(v, error);
    } else {
        *error = LOCKDOWN_E_BAD;
    }
    return HC_DONE;
}

static enum hc_result on_hypercall(struct vcpu *v, uint32_t cmd)
{
    enum lockdown_error error = LOCKDOWN_E_NOT_ALLOWED;
    const struct hyp_caller c = kernel(v);
    enum hc_result result = HC_DONE;

    if (cmd != XMHF_HC_LOCKDOWN || atomic_flag_test_and_set(&busy)) {
        return cmd != XMHF_HC_LOCKDOWN ? HC_UNKNOWN : HC_AGAIN;
    }
    if (c.paging.mode == MODE_LONG64 && (c.paging.cpl == 0 || v->regs.gpr[GPR_RDI] == token)) {
        result = operate(v, v->regs.gpr[GPR_RCX], &error);
    }
    atomic_flag_clear(&busy);
    v->regs.gpr[GPR_RAX] = result == HC_DONE ? error : v->regs.gpr[GPR_RAX];
    return result;
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
    unsigned kind = 0;

    while (kind < RANGES && e->fault.addr.a - range[kind].gpa.a >= range[kind].pages * PAGE_SIZE) {
        kind++;
    }
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

/* Has this CPU the pinned IDT? One that comes out of a reset hasn't, and sets itself up first. */
static bool held(struct vcpu *v)
{
    uint64_t base;
    uint32_t limit;

    hyp_get_idtr(v, &base, &limit);
    return state == LOCKED && ((base == idt->va && limit == idt_limit)
                               || (emptied[v->index] && limit < GATE_SIZE - 1));
}

static enum hyp_answer on_cr_write(struct vcpu *v, unsigned cr, uint64_t *value)
{
    const struct hyp_caller c = kernel(v);
    uint64_t now = cr == 0 ? c.paging.cr0 & CR0_WP : c.paging.cr4 & CR4_PINNED;

    return !(now & ~*value) || !held(v) ? HYP_CORE
        : refuse(cr == 0 ? LOCKDOWN_K_CR0 : LOCKDOWN_K_CR4);
}

static enum hyp_answer on_msr(struct vcpu *v, uint32_t index, bool write, uint64_t *value)
{
    for (unsigned i = 0; i < ARRAY_SIZE(pinned) && write && held(v); i++) {
        uint64_t bits = index == MSR_EFER ? EFER_NXE : ~0ull;
        if (pinned[i].index == index && ((*value ^ pinned[i].value) & bits)) {
            return refuse(index == MSR_EFER ? LOCKDOWN_K_EFER : LOCKDOWN_K_SYSCALL);
        }
    }
    return HYP_CORE;
}

/* A table without a gate is let through: the next exception ends the machine, as kernels do that
 * have no other way to. What is loaded after it is judged as if the pinned one were there still. */
static enum hyp_answer on_table_write(struct vcpu *v, enum hyp_table which, uint64_t base,
                                      uint32_t limit)
{
    bool other = base != idt->va || limit != idt_limit, was = held(v);

    if (which == HYP_IDT && was && other && limit >= GATE_SIZE - 1) {
        return refuse(LOCKDOWN_K_IDTR);
    }
    emptied[v->index] = which == HYP_IDT ? was && other : emptied[v->index];
    return HYP_CORE;
}

static bool on_info(struct vcpu *v, uint32_t which, uint64_t *value)
{
    const uint64_t told[LOCKDOWN_INFO_REFUSED] = {
        state == LOCKED, range[0].pages + range[1].pages + idt->pages, site_count, patches };
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
        | -!pool_alloc_many((void **)site_page, SITE_PAGES);

    for (unsigned i = 0; i < ARRAY_SIZE(pinned); i++) {
        bad |= hyp_msr_range(pinned[i].index, pinned[i].index, ACCESS_WRITE);
    }
    data_rights = ACCESS_READ | (hyp_user_exec() == 0 ? ACCESS_EXEC_USER : ACCESS_EXEC);
    hyp_random(&token, sizeof(token));
    log_line("lockdown: %s", bad ? "no memory, or the core can't watch it all" : "not locked yet");
    return bad;
}

const struct hypapp hypapp = {
    .name = "lockdown", .init = lockdown_init, .hypercall = on_hypercall, .info = on_info,
    .fault = on_fault, .cr_write = on_cr_write, .msr = on_msr, .table_write = on_table_write,
};
