/* SPDX-License-Identifier: MIT */
/* The fake core: see fake_core.h. */
#include "fake/fake_core.h"
#include "unit.h"

#include <debug/log.h>
#include <facts/facts.h>
#include <x86/cpu.h>

#define MAPS_MAX 8192u
#define LEAF_BIT BIT(11)

struct map { uint64_t cr3, va, g; unsigned rights; bool absent; };

struct fake_core fake;

static struct map maps[MAPS_MAX];   /* open-addressed by (cr3, va); va 1: deleted */
static uint8_t ram[FAKE_RAM_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t pool[FAKE_POOL_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static bool pool_used[FAKE_POOL_PAGES];
static unsigned pool_stack[FAKE_POOL_PAGES];
static unsigned ram_next;
static uint64_t random_state;
static uint64_t last_fault_cr3;

/* --- log ------------------------------------------------------------------------ */

void log_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(fake.log, sizeof(fake.log), fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    printf("panic: %s\n", fmt);
    abort();
}

/* --- the guest's memory --------------------------------------------------------- */

static struct map *map_slot(uint64_t cr3, uint64_t va)
{
    uint64_t h = (cr3 ^ va) * 0x9e3779b97f4a7c15ULL;
    struct map *deleted = NULL;

    for (unsigned i = 0;; i++) {
        struct map *m = &maps[((h >> 40) + i) % MAPS_MAX];
        assert_true(i < MAPS_MAX);
        if (m->va == 1 && !deleted) {
            deleted = m;
        }
        if (m->rights == 0 && m->va != 1) {
            return deleted ? deleted : m;
        }
        if (m->cr3 == cr3 && m->va == va && m->rights != 0) {
            return m;
        }
    }
}

void fake_map(uint64_t cr3, uint64_t va, uint64_t g, unsigned rights)
{
    *map_slot(cr3, va) = (struct map){ cr3, va, g, rights | ACCESS_USER, false };
}

void fake_unmap(uint64_t cr3, uint64_t va)
{
    struct map *m = map_slot(cr3, va);

    if (m->rights != 0) {
        *m = (struct map){ .va = 1 };
    }
}

uint64_t fake_map_new(uint64_t cr3, uint64_t va, unsigned n, unsigned rights)
{
    uint64_t first = (uint64_t)ram_next << PAGE_SHIFT;

    for (unsigned i = 0; i < n; i++) {
        assert_true(ram_next < FAKE_RAM_PAGES);
        fake_map(cr3, va + i * PAGE_SIZE, (uint64_t)ram_next++ << PAGE_SHIFT, rights);
    }
    return first;
}

void fake_absent(uint64_t cr3, uint64_t va)
{
    map_slot(cr3, va)->absent = true;
}

bool fake_resolve(void)
{
    struct map *m = map_slot(last_fault_cr3, align_down(fake.fault.addr.a, PAGE_SIZE));
    bool was = m->rights != 0 && m->absent;

    m->absent = m->rights != 0 ? false : m->absent;
    return was;
}

uint8_t *fake_ram(uint64_t g)
{
    assert_true(g < FAKE_RAM_PAGES * PAGE_SIZE);
    return &ram[g >> PAGE_SHIFT][g & PAGE_MASK];
}

uint8_t *fake_at(uint64_t cr3, uint64_t va)
{
    struct map *m = map_slot(cr3, align_down(va, PAGE_SIZE));

    assert_true(m->rights != 0);
    return fake_ram(m->g + (va & PAGE_MASK));
}

/* The address space that CR3 names: PAE's tables are aligned to 32 bytes. */
static uint64_t space_of(const struct guest_paging *p)
{
    bool pae = !(p->efer & EFER_LMA) && (p->cr4 & CR4_PAE);

    return p->cr3 & (pae ? 0xffffffe0ULL : 0x000ffffffffff000ULL);
}

static bool canonical(const struct guest_paging *p, uint64_t va)
{
    return p->efer & EFER_LMA ? (uint64_t)((int64_t)(va << 16) >> 16) == va : va >> 32 == 0;
}

/* What another CPU does meanwhile, once. */
static void other_cpu(void (**what)(void))
{
    void (*now)(void) = *what;

    *what = NULL;
    if (now) {
        now();
    }
}

static enum gm_result reach(const struct hyp_caller *c, uint64_t va, unsigned access, void **at,
                            gpa_t *g, struct gm_fault *f)
{
    const struct map *m = map_slot(space_of(&c->paging), align_down(va, PAGE_SIZE));
    bool there = m->rights != 0 && !m->absent;

    other_cpu(&fake.on_access);
    *f = (struct gm_fault){ gva(va), PF_USER, canonical(&c->paging, va) };
    if (access & ACCESS_WRITE) {
        f->error |= PF_WRITE;
    }
    if (++fake.guest_accesses == fake.fault_at || !f->canonical || !there) {
        return GM_FAULT;
    }
    if ((access & ~m->rights & FAKE_RWX) != 0) {
        f->error |= PF_PRESENT;
        return GM_FAULT;
    }
    if (fake.keyed != 0 && fake.keyed == align_down(va, PAGE_SIZE) && (c->paging.pkru & 4)) {
        f->error |= PF_PRESENT | PF_PK;
        return GM_FAULT;
    }
    if (m->g >= FAKE_RAM_PAGES * PAGE_SIZE) {
        return GM_NOT_RAM;
    }
    *g = gpa(m->g);
    *at = fake_ram(m->g + (va & PAGE_MASK));
    return GM_OK;
}

static enum gm_result copy(const struct hyp_caller *c, uint64_t va, uint8_t *bytes, size_t len,
                           bool to_guest, struct gm_fault *f)
{
    for (int pass = to_guest ? 0 : 1; pass < 2; pass++) {
        for (size_t done = 0; done < len;) {
            size_t n = (size_t)(PAGE_SIZE - ((va + done) & PAGE_MASK));
            void *at;
            gpa_t g;
            enum gm_result r =
                reach(c, va + done, to_guest ? ACCESS_WRITE : ACCESS_READ, &at, &g, f);
            if (r != GM_OK) {
                return r;
            }
            n = n < len - done ? n : len - done;
            if (pass == 1) {
                memcpy(to_guest ? at : bytes + done, to_guest ? bytes + done : at, n);
            }
            done += n;
        }
    }
    return GM_OK;
}

struct guest_phys_ops guest_phys_ops;

enum gm_result gm_read(const struct hyp_caller *c, gva_t from, void *to, size_t len,
                       struct gm_fault *f)
{
    return copy(c, from.a, to, len, false, f);
}

enum gm_result gm_read_first(const struct hyp_caller *c, gva_t from, uint64_t *to, size_t n,
                             struct walk_memo *m, struct gm_fault *f)
{
    assert_false(c->no_ad);
    (void)m;
    return gm_read(c, from, to, 8 * n, f);
}

enum gm_result gm_write(const struct hyp_caller *c, gva_t to, const void *from, size_t len,
                        struct gm_fault *f)
{
    return copy(c, to.a, (uint8_t *)(uintptr_t)from, len, true, f);
}

enum gm_result gm_page(const struct hyp_caller *c, gva_t va, unsigned access, void **page,
                       gpa_t *g, struct gm_fault *f)
{
    assert_int_equal(va.a & PAGE_MASK, 0);
    return reach(c, va.a, access, page, g, f);
}

/* Tables as of a process that is no more where nothing is mapped; an absent page is swapped out. */
void gm_trace(const struct guest_paging *p, gva_t va, struct trace *t)
{
    const struct map *m = map_slot(space_of(p), align_down(va.a, PAGE_SIZE));
    const unsigned depth = p->efer & EFER_LMA ? 4 : p->cr4 & CR4_PAE ? 3 : 2;

    *t = (struct trace){ .end = TRACE_ABSENT, .depth = 1 };
    if (fake.trace_set) {
        *t = fake.trace;
    } else if (m->rights != 0) {
        for (unsigned i = 0; i < depth; i++) {
            t->entry[i] = m->g + ((uint64_t)(i + 1) << 40 | PTE_P);
        }
        t->depth = depth;
        t->end = m->absent ? TRACE_ABSENT : TRACE_PAGE;
        t->entry[depth - 1] &= ~(uint64_t)m->absent;
    }
}

bool gm_same_kernel(struct vcpu *v, const struct guest_paging *p)
{
    assert_false(v->in_sandbox);
    (void)p;
    return !fake.other_kernel;
}

/* --- the caller ----------------------------------------------------------------- */

void hyp_caller(struct vcpu *v, struct hyp_caller *c)
{
    assert_false(v->in_sandbox);
    *c = fake.caller;
}

static void inject(struct vcpu *v, enum fake_injection what)
{
    assert_false(v->in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    fake.injected = what;
    fake.injected_rip = v->regs.rip;
}

void hyp_inject_fault(struct vcpu *v, const struct gm_fault *f)
{
    inject(v, f->canonical ? FAKE_PF : FAKE_GP);
    fake.fault = *f;
    last_fault_cr3 = space_of(&fake.caller.paging);
}

void hyp_inject_gp(struct vcpu *v) { inject(v, FAKE_GP); }
void hyp_inject_ud(struct vcpu *v) { inject(v, FAKE_UD); }
void hyp_post_mc(struct vcpu *v) { inject(v, FAKE_MC); }
void fake_clear(void) { fake.injected = FAKE_NONE; }

/* --- the pool ------------------------------------------------------------------- */

static unsigned pool_index(const void *page)
{
    size_t at = (size_t)((const uint8_t *)page - pool[0]);

    assert_true((const uint8_t *)page >= pool[0] && at < sizeof(pool));
    assert_int_equal(at % PAGE_SIZE, 0);
    return (unsigned)(at / PAGE_SIZE);
}

void *pool_alloc(void)
{
    unsigned i;

    if (++fake.pool_allocs == fake.pool_fail_at || fake.pool_free == 0) {
        return NULL;
    }
    i = pool_stack[--fake.pool_free];
    pool_used[i] = true;
    return pool[i];
}

void pool_free(void *page)
{
    unsigned i = pool_index(page);

    assert_true(pool_used[i]);
    for (unsigned k = 0; k < PAGE_SIZE; k++) {
        assert_int_equal(pool[i][k], 0);
    }
    pool_used[i] = false;
    pool_stack[fake.pool_free++] = i;
    other_cpu(&fake.on_free);
}

void pool_free_dirty(void *page)
{
    memset(pool[pool_index(page)], 0, PAGE_SIZE);
    pool_free(page);
}

bool pool_alloc_many(void **out, size_t n)
{
    if (fake.pool_free < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = pool_alloc();
        if (!out[i]) {
            while (i-- > 0) {
                pool_free(out[i]);
                out[i] = NULL;
            }
            return false;
        }
    }
    return true;
}

size_t pool_free_count(void) { return fake.pool_free; }
size_t pool_total(void) { return FAKE_POOL_PAGES; }
hpa_t core_hpa(const void *va) { return hpa((uintptr_t)va); }
void *core_va(hpa_t h) { return (void *)(uintptr_t)h.a; }

/* --- the sandbox ---------------------------------------------------------------- */

size_t xstate_size(void) { return fake.xstate_size; }

void xstate_init(void *area)
{
    memset(area, 0, fake.xstate_size);
    *(uint64_t *)area = 0x37f;
}

void sandbox_enter(struct vcpu *v, const struct sandbox *sb, const struct vcpu_regs *regs,
                   const void *xstate)
{
    assert_false(v->in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal((uintptr_t)xstate % 64, 0);
    v->regs = *regs;
    v->in_sandbox = true;
    fake.os_fpu = fake.fpu;
    fake.fpu = *(const uint64_t *)xstate;
    fake.sandbox = sb;
    fake.entered = *sb;
    assert_int_equal(sb->segments != NULL, sb->mode == SANDBOX_16);
    if (sb->segments) {
        memcpy(fake.segments, sb->segments, sizeof(fake.segments));
    }
    fake.enters++;
}

void sandbox_leave(struct vcpu *v, struct vcpu_regs *regs, void *xstate)
{
    assert_true(v->in_sandbox);
    if (regs) {
        *regs = v->regs;
        memset(xstate, 0x5a, fake.xstate_size); /* all of it must be ours */
        *(uint64_t *)xstate = fake.fpu;
    }
    fake.fpu = fake.os_fpu;
    memset(&v->regs, 0, sizeof(v->regs));
    v->in_sandbox = false;
    fake.sandbox = NULL;
    fake.leaves++;
}

/* What is left of the sandbox in any register would be seen. */
void sandbox_leave_registers(struct vcpu *v, void *xstate)
{
    assert_null(xstate);
    sandbox_leave(v, NULL, NULL);
    memset(&v->regs, 0xa5, sizeof(v->regs));
}

uint64_t sandbox_new_tag(void)
{
    static uint64_t tag;

    return ++tag;
}

struct hyp_sha256 hyp_sha256(void)
{
    return (struct hyp_sha256){ sha256_blocks, HYP_SHA256_COST_MAX };
}

bool random_bytes(void *out, size_t len)
{
    for (size_t i = 0; !fake.no_entropy && i < len; i++) {
        ((uint8_t *)out)[i] = (uint8_t)(unit_random(&random_state) >> 24);
    }
    return !fake.no_entropy;
}

bool random_refresh(void)
{
    bool due = fake.refresh_due;

    fake.refresh_due = false;
    return due;
}

/* --- virt_ops ------------------------------------------------------------------- */

static uint64_t f_leaf(hpa_t h, unsigned rights, enum mem_type type, unsigned level)
{
    assert_int_equal(type, MT_WB);
    assert_int_equal(level, 1);
    return h.a | LEAF_BIT | (uint64_t)rights << 1 | 1;
}
static uint64_t f_table(hpa_t h, unsigned level) { (void)level; return h.a | 1; }
static bool f_present(uint64_t e) { return (e & 1) != 0; }
static bool f_is_leaf(uint64_t e, unsigned level) { (void)level; return (e & LEAF_BIT) != 0; }
static hpa_t f_addr(uint64_t e) { return hpa(e & ~PAGE_MASK); }
static unsigned f_rights(uint64_t e) { return (unsigned)(e >> 1) & 7; }

static const struct nested_format fake_format = {
    .leaf = f_leaf, .table = f_table, .present = f_present, .is_leaf = f_is_leaf,
    .addr = f_addr, .rights = f_rights,
};

static void f_get_segment(struct vcpu *v, enum segment_index i, struct segment *s)
{
    if (v->in_sandbox) {
        assert_int_equal(fake.entered.mode, SANDBOX_16); /* nobody asks for others' */
        *s = fake.segments[i];
        return;
    }
    *s = fake.segment;
    if (i == SEG_FS || i == SEG_GS) {
        s->base += i == SEG_FS ? fake.fs_base : fake.gs_base;
    }
}

static void f_clear_shadow(struct vcpu *v) { assert_false(v->in_sandbox); }
static void f_forget(struct vcpu *v, uint64_t tag)
{
    (void)v;
    assert_true(tag != 0);
    fake.forgotten++;
}

static const struct virt_ops fake_virt = {
    .name = "fake", .nested = &fake_format, .hypercall_insn = { 0x0f, 0x01, 0xd9 },
    .get_segment = f_get_segment, .clear_shadow = f_clear_shadow, .sandbox_forget = f_forget,
};
const struct virt_ops *virt = &fake_virt;

/* Nested walk: core pointer to the guest-physical page, or NULL. */
static uint8_t *nested_at(uint64_t g, unsigned *rights)
{
    const uint64_t *t = core_va(fake.entered.nested_root);

    for (unsigned level = 4; level > 1; level--) {
        uint64_t e = t[g >> (12 + 9 * (level - 1)) & 511];
        if (!f_present(e)) {
            return NULL;
        }
        assert_false(f_is_leaf(e, level));
        t = core_va(f_addr(e));
    }
    t = &t[g >> 12 & 511];
    if (!f_present(*t)) {
        return NULL;
    }
    assert_true(f_is_leaf(*t, 1));
    *rights = f_rights(*t);
    return core_va(f_addr(*t));
}

uint64_t fake_pal_leaf(uint64_t va, unsigned *nested, uint8_t **page)
{
    uint64_t e = fake.entered.cr3.a;

    for (unsigned level = 4; level >= 1; level--) {
        const uint64_t *t = (const uint64_t *)(void *)nested_at(e & PTE_ADDR, nested);
        assert_non_null(t);
        e = t[va >> (12 + 9 * (level - 1)) & 511];
        if (!(e & 1)) {
            return 0;
        }
    }
    *page = nested_at(e & PTE_ADDR, nested);
    return e;
}

uint8_t *fake_pal_at(uint64_t va, unsigned *rights)
{
    unsigned nested;
    uint64_t g = fake.entered.cr3.a;
    unsigned r = FAKE_RWX;

    for (unsigned level = 4; level >= 1; level--) {
        const uint64_t *t = (const uint64_t *)(void *)nested_at(g, &nested);
        uint64_t e;
        assert_non_null(t);
        assert_int_equal(nested, FAKE_RW); /* a CPU writes to the tables, nobody executes them */
        e = t[va >> (12 + 9 * (level - 1)) & 511];
        if (!(e & 1)) {
            return NULL;
        }
        assert_true((e & 4) && (e & 0x20)); /* user, accessed */
        r &= ~((e & 2 ? 0 : ACCESS_WRITE) | (e & BIT(63) ? ACCESS_EXEC : 0));
        g = e & 0x000ffffffffff000ULL;
    }
    uint8_t *page = nested_at(g, &nested);
    assert_non_null(page);
    *rights = r & nested;
    return page + (va & PAGE_MASK);
}

/* --- start ---------------------------------------------------------------------- */

void fake_reset(struct vcpu *v)
{
    memset(&fake, 0, sizeof(fake));
    memset(maps, 0, sizeof(maps));
    memset(ram, 0, sizeof(ram));
    memset(pool, 0, sizeof(pool));
    memset(pool_used, 0, sizeof(pool_used));
    memset(v, 0, sizeof(*v));
    ram_next = 0;
    random_state = 88172645463325252ULL;
    for (unsigned i = 0; i < FAKE_POOL_PAGES; i++) {
        pool_stack[i] = i;
    }
    fake.pool_free = FAKE_POOL_PAGES;
    fake.xstate_size = 832;
    fake.caller.paging.cpl = 3;
    fake.caller.paging.mode = MODE_LONG64;
    fake.caller.paging.cr0 = CR0_PE | CR0_PG;
    fake.caller.paging.cr4 = CR4_PAE;
    fake.caller.paging.efer = EFER_LME | EFER_LMA | EFER_NXE;
    fake.segment = (struct segment){ .limit = 0xffffffff };
    fake.caller.interrupts_on = true;
    assert_int_equal(hypapp.init(), 0);
}
