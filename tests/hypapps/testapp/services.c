/* SPDX-License-Identifier: MIT */
/* The test hypapp's use of services: each is called as the guest says, and its result told. */
#include "testapp.h"
#include "testapp_services.h"

#include <util/string.h>
#include <x86/cpu.h>

/* --- a sandbox ------------------------------------------------------------ */

enum { N_L4, N_L3, N_L2, N_L1, G_L4, G_L3, G_L2, G_L1, CODE, PAGES };

static void *page[PAGES];
static struct sandbox sandbox;

struct cpu {
    struct vcpu_regs os;    /* while the sandbox runs */
    uint8_t xstate[3072] __attribute__((aligned(64)));
};

int testapp_sandbox_init(void)
{
    const unsigned rights = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC;

    if (!pool_alloc_many(page, PAGES)) {
        return -1;
    }
    *(uint64_t *)page[N_L4] = hyp_nested_table(core_hpa(page[N_L3]), 4);
    *(uint64_t *)page[N_L3] = hyp_nested_table(core_hpa(page[N_L2]), 3);
    *(uint64_t *)page[N_L2] = hyp_nested_table(core_hpa(page[N_L1]), 2);
    for (unsigned i = G_L4; i <= CODE; i++) { /* guest-physical i pages */
        ((uint64_t *)page[N_L1])[i] = hyp_nested_leaf(core_hpa(page[i]), rights, MT_WB, 1);
    }
    for (unsigned i = G_L4; i < G_L1; i++) {
        *(uint64_t *)page[i] = (i + 1) * PAGE_SIZE | 7;
    }
    *(uint64_t *)page[G_L1] = CODE * PAGE_SIZE | 5; /* linear 0: present, user */
    memcpy(page[CODE], (const uint8_t[]){ 0x48, 0xff, 0xc0 }, 3); /* INC RAX */
    memcpy((uint8_t *)page[CODE] + 3, hyp_call_insn(), HYP_CALL_LEN);
    sandbox = (struct sandbox){ .nested_root = core_hpa(page[N_L4]), .cr3 = gpa(G_L4 * PAGE_SIZE),
                                .mode = SANDBOX_64, .tag = sandbox_new_tag() };
    return hyp_nested_addr(*(uint64_t *)page[N_L4]).a == core_hpa(page[N_L3]).a ? 0 : -1;
}

int testapp_sandbox_cpu(struct vcpu *v)
{
    _Static_assert(sizeof(struct cpu) <= PAGE_SIZE, "one page");
    struct cpu *c = pool_alloc();

    if (!c || xstate_size() > sizeof(c->xstate)) {
        log_line("testapp: no room for the FPU's state");
        return -1;
    }
    v->hypapp = c;
    return 0;
}

static enum hc_result enter(struct vcpu *v, uint64_t value)
{
    struct cpu *c = v->hypapp;
    const struct vcpu_regs regs = { .gpr[GPR_RAX] = value };

    c->os = v->regs;
    xstate_init(c->xstate);
    sandbox_enter(v, &sandbox, &regs, c->xstate);
    return HC_SWITCHED;
}

/* Anything but its hypercall: the OS executes its own once more. */
void testapp_sandbox_exit(struct vcpu *v, const struct exit *e)
{
    struct cpu *c = v->hypapp;
    struct vcpu_regs regs;

    sandbox_leave(v, &regs, c->xstate);
    v->regs = c->os;
    if (e->kind == EXIT_HYPERCALL) {
        v->regs.gpr[GPR_RAX] = regs.gpr[GPR_RAX];
        v->regs.rip += HYP_CALL_LEN;
        hyp_clear_shadow(v);
    }
}

/* --- the rest ------------------------------------------------------------- */

static uint64_t swap(uint64_t at, uint64_t value)
{
    uint64_t old;

    return gp_read(gpa(at), &old, sizeof(old)) == GM_OK
        && gp_write(gpa(at), &value, sizeof(value)) == GM_OK ? old : ~0ULL;
}

static uint64_t table(struct vcpu *v, uint64_t which)
{
    uint64_t base;
    uint32_t limit;

    if (which < 2) {
        hyp_get_idtr(v, &base, &limit);
    } else {
        hyp_get_gdtr(v, &base, &limit);
    }
    return which % 2 ? limit : base;
}

static uint64_t take_and_give(void)
{
    size_t before = pool_free_count();
    void *p = pool_alloc();
    bool taken = p && pool_free_count() == before - 1 && core_va(core_hpa(p)) == p;

    if (p) {
        memset(p, 1, PAGE_SIZE);
        pool_free_dirty(p);
    }
    return taken && pool_free_count() == before && before < pool_total();
}

static uint64_t hash_is_right(void)
{
    /* FIPS 180-2, B.1 */
    static const uint8_t start[] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea };
    struct sha256 s;
    uint8_t out[32];

    sha256_init(&s, hyp_sha256().blocks);
    sha256_update(&s, "abc", 3);
    sha256_final(&s, out);
    return memcmp(out, start, sizeof(start)) == 0;
}

static uint64_t kernel(struct vcpu *v, uint64_t op, uint64_t at)
{
    struct hyp_caller c;
    struct gm_fault f;
    uint64_t word = 0;
    gpa_t g = { 0 };

    hyp_caller(v, &c);
    if (op == TA_TRANSLATE) {
        return gm_translate(&c, gva(at), ACCESS_READ, &g, NULL, &f) == GM_OK ? g.a : ~0ULL;
    }
    return gm_read_kernel(&c, gva(at), &word, sizeof(word), &f) == GM_OK ? word : ~0ULL;
}

enum hc_result testapp_service(struct vcpu *v, uint64_t op, uint64_t a, uint64_t b)
{
    uint64_t *rax = &v->regs.gpr[GPR_RAX];
    struct segment cs;
    enum hyp_rights_answer rights;

    switch (op) {
    case TA_RIGHTS:
        rights = hyp_rights(v, gpa(a), b, (unsigned)v->regs.gpr[GPR_RDI]);
        *rax = rights == HYP_RIGHTS_AGAIN ? *rax : rights;
        return rights == HYP_RIGHTS_AGAIN ? HC_AGAIN : HC_DONE;
    case TA_GP: *rax = swap(a, b); break;
    case TA_KERNEL:
    case TA_TRANSLATE: *rax = kernel(v, op, a); break;
    case TA_MSR_VALUE: *rax = hyp_msr_value(v, (uint32_t)a, rax) ? *rax : ~0ULL; break;
    case TA_TABLES: *rax = table(v, a); break;
    case TA_UD: hyp_inject_ud(v); return HC_SWITCHED;
    case TA_PORT: *rax = hyp_port_in(v, (uint16_t)a, 1); break;
    case TA_POOL: *rax = take_and_give(); break;
    case TA_SHA: *rax = hash_is_right(); break;
    case TA_RANDOM: return hyp_random(rax, sizeof(*rax)) ? HC_DONE : HC_UNKNOWN;
    case TA_SEGMENT:
        hyp_get_segment(v, SEG_CS, &cs);
        *rax = cs.selector;
        break;
    case TA_SANDBOX: return enter(v, a);
    default: return HC_UNKNOWN;
    }
    return HC_DONE;
}
