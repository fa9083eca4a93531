/* SPDX-License-Identifier: MIT */
/*
 * Task switches against SDM vol. 3, chapter 8, in guest memory made of data: what is saved and
 * loaded for CALL, JMP, IRET and events, of 32 and 16 bits; each check of table 8-1 with its fault,
 * before the point of no return with nothing changed.
 */
#include "unit.h"

#include "fake/machine.h"
#include <guest/phys.h>
#include <guest/task.h>
#include <guest/tss.h>
#include <virt/virt.h>
#include <x86/cpu.h>

#define MEM   0x20000u
#define GDT   0x1000u
#define OLD   0x2fc0u  /* the old TSS lies in two pages */
#define NEW   0x4fa8u  /* so does the new one */
#define LDT   0x6000u
#define STACK 0x8000u
#define PD    0x10000u /* page directory of 4 MiB pages, page table of the first behind it */

enum { OLD_SEL = 0x08, NEW_SEL = 0x10, LDT_SEL = 0x18, CODE0 = 0x20, DATA0 = 0x28, CODE3 = 0x33,
       DATA3 = 0x3b, READ0 = 0x40, ABSENT = 0x48, CONFORM = 0x50, LOCAL = 0x0f };

struct guest_phys_ops guest_phys_ops;
static struct vcpu v;
static struct segment seg[SEG_COUNT];
static struct guest_paging paging;
static uint32_t gdt_limit;
static struct task_state got;
static struct event injected[2];
static unsigned loads, injections, dones, cr3s;
static uint64_t cr2, cr3;
static bool bad_pdptes;

static void *map(gpa_t at, size_t len) { return machine_phys(at.a, len); }
static void get_paging(struct vcpu *c, struct guest_paging *p) { (void)c; *p = paging; }
static void get_segment(struct vcpu *c, enum segment_index i, struct segment *s)
{
    (void)c;
    *s = seg[i];
}
static void get_table(struct vcpu *c, enum table_register w, uint64_t *base, uint32_t *limit)
{
    (void)c;
    assert_int_equal(w, TABLE_GDTR);
    *base = GDT;
    *limit = gdt_limit;
}
static void load_task(struct vcpu *c, const struct task_state *t)
{
    c->regs = t->regs;
    got = *t;
    loads++;
}
static void event_done(struct vcpu *c) { (void)c; dones++; }
static void set_cr2(struct vcpu *c, uint64_t value) { (void)c; cr2 = value; }
static bool set_cr3(struct vcpu *c, uint64_t value)
{
    (void)c;
    cr3 = value;
    cr3s++;
    return !bad_pdptes;
}
static bool inject(struct vcpu *c, const struct event *ev)
{
    (void)c;
    assert_true(injections < ARRAY_SIZE(injected));
    injected[injections++] = *ev;
    return true;
}

static const struct virt_ops ops = {
    .get_paging = get_paging, .get_segment = get_segment, .get_table = get_table,
    .load_task = load_task,
    .event_done = event_done, .set_cr2 = set_cr2, .set_cr3 = set_cr3, .inject = inject,
};
const struct virt_ops *virt = &ops;

static uint32_t *word(uint32_t at) { return machine_phys(at, 4); }
static uint16_t *half(uint32_t at) { return machine_phys(at, 2); }

static void descriptor(uint32_t table, unsigned selector, uint32_t base, uint32_t limit,
                       uint16_t attr)
{
    uint32_t at = table + (selector & 0xfff8);

    *word(at) = base << 16 | (limit & 0xffff);
    *word(at + 4) = (base & 0xff000000) | (base >> 16 & 0xff) | (limit & 0xf0000)
        | (attr & 0xffu) << 8 | (attr & 0xf00u) << 12;
}

static unsigned type_of(unsigned selector) { return *word(GDT + selector + 4) >> 8 & 15; }

static bool new_is_32;

/* Field `i` of what is saved: EIP, EFLAGS, EAX to EDI, ES, CS, SS, DS, FS, GS. */
static uint32_t field(uint32_t tss, bool is_32, unsigned i)
{
    return is_32 ? *word(tss + 0x20 + 4 * i) : *half(tss + 0xe + 2 * i);
}

static void set_field(unsigned i, uint32_t value)
{
    if (new_is_32) {
        *word(NEW + 0x20 + 4 * i) = value;
    } else {
        *half(NEW + 0xe + 2 * i) = (uint16_t)value;
    }
}

/* A ring-0 task, and a new one of ring 3. */
static void up(bool old_is_32, bool is_32)
{
    static const uint16_t selectors[] = { DATA3, CODE3, DATA3, DATA3, DATA3, 0 };

    machine_reset(MEM);
    guest_phys_ops.map = map;
    guest_phys_ops.maxphyaddr = 36;
    new_is_32 = is_32;
    gdt_limit = 0x57;
    paging = (struct guest_paging){ .cr0 = CR0_PE, .cpl = 0, .mode = MODE_PROT32 };
    descriptor(GDT, OLD_SEL, OLD, old_is_32 ? 0x67 : 0x2b, old_is_32 ? 0x8b : 0x83);
    descriptor(GDT, NEW_SEL, NEW, is_32 ? 0x67 : 0x2b, is_32 ? 0x89 : 0x81);
    descriptor(GDT, LDT_SEL, LDT, 0x0f, 0x82);
    descriptor(GDT, CODE0, 0, 0xfffff, 0xc9a);
    descriptor(GDT, DATA0, 0, 0xfffff, 0xc92);
    descriptor(GDT, CODE3, 0, 0xfffff, 0xcfa);
    descriptor(GDT, DATA3, 0, 0xfffff, 0xcf2);
    descriptor(GDT, READ0, 0, 0xfffff, 0xcf1);
    descriptor(GDT, ABSENT, 0, 0xfffff, 0xc72);
    descriptor(GDT, CONFORM, 0, 0xfffff, 0xc9e);
    descriptor(LDT, LOCAL, 0x123000, 0x7ff, 0x4f2);
    memset(seg, 0, sizeof(seg));
    seg[SEG_TR] = (struct segment){ OLD_SEL, old_is_32 ? 0x8b : 0x83, old_is_32 ? 0x67 : 0x2b,
                                    OLD };
    seg[SEG_CS].selector = CODE0;
    seg[SEG_SS].selector = seg[SEG_DS].selector = seg[SEG_ES].selector = DATA0;
    v = (struct vcpu){ .regs = { .rip = 0x401000, .rflags = RFLAGS_ONE | RFLAGS_NT | RFLAGS_IF } };
    for (unsigned i = 0; i < 8; i++) {
        v.regs.gpr[i] = 0x11110000u + i;
        set_field(2 + i, 0x2220u + i);
    }
    set_field(0, 0x7000);
    set_field(1, RFLAGS_IF | 8);
    for (unsigned i = 0; i < (is_32 ? 6 : 4); i++) {
        set_field(10 + i, selectors[i]);
    }
    set_field(2 + GPR_RSP, STACK);
    if (is_32) {
        *word(NEW + 0x60) = LDT_SEL;
        *word(NEW + 0x1c) = 0x5000;
    } else {
        *half(NEW + 0x2a) = LDT_SEL;
    }
    loads = injections = dones = cr3s = 0;
    bad_pdptes = false;
}

static struct exit by(enum task_source source)
{
    return (struct exit){ .kind = EXIT_TASK_SWITCH, .insn_len = source == TASK_EVENT ? 0 : 5,
                          .task = { .selector = NEW_SEL, .source = (uint8_t)source,
                                    .external = source == TASK_EVENT } };
}

static void assert_loaded(uint16_t selector, enum segment_index i, uint16_t attr, uint32_t base)
{
    assert_int_equal(got.seg[i].selector, selector);
    assert_int_equal(got.seg[i].attr, attr);
    assert_int_equal(got.seg[i].base, base);
}

/* The old task, saved; the new one, as up() made it; busy bits, NT and link by the source (table
 * 8-2). */
static void every_way(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        const enum task_source source = i & 3;
        const bool old_is_32 = i & 4, is_32 = i & 8;
        const bool nested = source == TASK_CALL || source == TASK_EVENT;
        const uint32_t mask = old_is_32 ? 0xffffffff : 0xffff;
        const struct exit e = by(source);

        up(old_is_32, is_32);
        if (source == TASK_IRET) {
            descriptor(GDT, NEW_SEL, NEW, is_32 ? 0x67 : 0x2b, is_32 ? 0x8b : 0x83);
        }
        *half(NEW) = 0x7777;
        task_switch(&v, &e);
        assert_true(loads == 1 && injections == 0 && dones == 1);
        assert_int_equal(field(OLD, old_is_32, 0), (0x401000 + e.insn_len) & mask);
        assert_int_equal(field(OLD, old_is_32, 1),
                         RFLAGS_ONE | RFLAGS_IF | (source == TASK_IRET ? 0 : RFLAGS_NT));
        for (unsigned r = 0; r < 8; r++) {
            assert_int_equal(field(OLD, old_is_32, 2 + r), (0x11110000u + r) & mask);
            assert_int_equal(v.regs.gpr[r], r == GPR_RSP ? STACK : 0x2220u + r);
        }
        assert_int_equal(field(OLD, old_is_32, 10), DATA0);
        assert_int_equal(field(OLD, old_is_32, 11), CODE0);
        assert_int_equal(field(OLD, old_is_32, 12), DATA0);
        assert_int_equal(v.regs.rip, 0x7000);
        assert_int_equal(v.regs.rflags, RFLAGS_ONE | RFLAGS_IF | (nested ? RFLAGS_NT : 0));
        assert_int_equal(*half(NEW), nested ? OLD_SEL : 0x7777);
        assert_int_equal(type_of(OLD_SEL) & 2, nested ? 2 : 0);
        assert_int_equal(type_of(NEW_SEL) & 2, 2);
        assert_loaded(NEW_SEL, SEG_TR, is_32 ? 0x8b : 0x83, NEW);
        assert_loaded(LDT_SEL, SEG_LDTR, 0x82, LDT);
        assert_loaded(CODE3, SEG_CS, 0xcfb, 0);
        assert_loaded(DATA3, SEG_SS, 0xcf3, 0);
        assert_loaded(DATA3, SEG_DS, 0xcf3, 0);
        assert_loaded(is_32 ? DATA3 : 0, SEG_FS, is_32 ? 0xcf3 : 0, 0);
        assert_loaded(0, SEG_GS, 0, 0);
        assert_int_equal(got.seg[SEG_CS].limit, 0xffffffff);
        assert_int_equal(type_of(CODE3 & ~7u), 11); /* accessed */
        assert_int_equal(got.nmi, source == TASK_IRET ? -1 : 0);
        assert_int_equal(cr3s, 0); /* no paging */
    }
}

static void assert_fault(unsigned vector, uint32_t error)
{
    assert_int_equal(injections, 1);
    assert_int_equal(injected[0].vector, vector);
    assert_true(injected[0].has_error);
    assert_int_equal(injected[0].error, error);
    assert_int_equal(dones, 0);
}

/* Nothing was changed: a fault at the instruction, or on top of the event. */
static void refused(const struct exit *e, unsigned vector, uint32_t error)
{
    static uint8_t before[MEM];
    const struct vcpu_regs regs = v.regs;

    memcpy(before, machine_phys(0, MEM), MEM);
    task_switch(&v, e);
    assert_fault(vector, error);
    assert_int_equal(loads, 0);
    assert_memory_equal(before, machine_phys(0, MEM), MEM);
    assert_memory_equal(&regs, &v.regs, sizeof(regs));
}

static void faults_of_the_old_task(void **state)
{
    static const struct {
        uint16_t selector, attr;
        uint32_t limit;
        uint8_t vector, back;
    } cases[] = {
        { 0, 0x89, 0x67, EXC_GP, EXC_TS }, { NEW_SEL | 4, 0x89, 0x67, EXC_GP, EXC_TS },
        { 0x58, 0x89, 0x67, EXC_GP, EXC_TS }, { CODE0, 0x89, 0x67, EXC_GP, EXC_TS },
        { LDT_SEL, 0x89, 0x67, EXC_GP, EXC_TS }, { NEW_SEL, 0x8b, 0x67, EXC_GP, 0 },
        { NEW_SEL, 0x89, 0x67, 0, EXC_TS }, { NEW_SEL, 0x09, 0x67, EXC_NP, 0 },
        { NEW_SEL, 0x0b, 0x67, EXC_GP, EXC_NP }, { NEW_SEL, 0x89, 0x66, EXC_TS, 0 },
        { NEW_SEL, 0x8b, 0x66, 0, EXC_TS }, { NEW_SEL, 0x81, 0x2a, EXC_TS, 0 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases) * 4; i++) {
        struct exit e = by(i & 3);
        unsigned c = i / 4, vector = e.task.source == TASK_IRET ? cases[c].back : cases[c].vector;

        up(true, true);
        descriptor(GDT, NEW_SEL, NEW, cases[c].limit, cases[c].attr);
        e.task.selector = cases[c].selector;
        if (vector) {
            refused(&e, vector, (e.task.selector & 0xfffcu) | (e.task.source == TASK_EVENT));
        }
    }
    up(true, true); /* the old TSS can't hold what is to be saved */
    seg[SEG_TR].limit = 0x5e;
    const struct exit jump = by(TASK_JMP);
    refused(&jump, EXC_TS, OLD_SEL);
    struct exit soft = by(TASK_EVENT); /* INT n is no external event */
    soft.task.external = false;
    soft.insn_len = 2;
    up(true, true);
    descriptor(GDT, NEW_SEL, NEW, 0x67, 0x09);
    refused(&soft, EXC_NP, NEW_SEL);
}

/* Behind the point of no return: the new task's registers, and its fault; the event waits for
 * that. */
static void faults_of_the_new_task(void **state)
{
    enum { ES = 10, CS, SS, DS, FS, GS };
    static const struct { unsigned field, selector; uint8_t vector; } cases[] = {
        { CS, 3, EXC_TS }, { CS, DATA3, EXC_TS }, { CS, 0x5b, EXC_TS }, { CS, CODE0 | 3, EXC_TS },
        { CS, LDT_SEL | 3, EXC_TS }, { SS, 0, EXC_TS }, { SS, CODE3, EXC_TS },
        { SS, DATA0, EXC_TS },
        { SS, READ0 | 3, EXC_TS }, { SS, DATA3 & ~3u, EXC_TS }, { SS, ABSENT | 3, EXC_SS },
        { DS, ABSENT | 3, EXC_NP }, { ES, DATA0, EXC_TS }, { DS, NEW_SEL, EXC_TS },
        { GS, 0x63, EXC_TS },
        { FS, LDT_SEL, EXC_TS }, { FS, 0x17, EXC_TS },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct exit e = by(i & 1 ? TASK_EVENT : TASK_CALL);

        up(true, true);
        set_field(cases[i].field, cases[i].selector);
        task_switch(&v, &e);
        assert_fault(cases[i].vector, (cases[i].selector & 0xfffc) | (i & 1));
        assert_int_equal(loads, 1);
        assert_int_equal(v.regs.rip, 0x7000);
        assert_int_equal(type_of(NEW_SEL) & 2, 2);
    }
    static const struct { uint16_t selector, attr; } ldts[] = {
        { LDT_SEL | 4, 0x82 }, { 0x58, 0x82 }, { LDT_SEL, 0x02 }, { LDT_SEL, 0x92 },
        { CODE0, 0x82 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(ldts); i++) {
        const struct exit e = by(TASK_CALL);

        up(true, true);
        descriptor(GDT, LDT_SEL, LDT, 0x0f, ldts[i].attr);
        *word(NEW + 0x60) = ldts[i].selector;
        task_switch(&v, &e);
        assert_fault(EXC_TS, ldts[i].selector & 0xfffc);
        assert_false(got.seg[SEG_CS].attr); /* stays as it was */
    }
}

static void segments_of_other_kinds(void **state)
{
    const struct exit e = by(TASK_JMP);

    (void)state;
    /* of the LDT; null; conforming code to read; code of a lower ring, conforming */
    up(true, true);
    set_field(10, LOCAL);
    set_field(13, 3);
    set_field(14, CONFORM | 3);
    set_field(11, CONFORM | 3);
    task_switch(&v, &e);
    assert_int_equal(injections, 0);
    assert_loaded(LOCAL, SEG_ES, 0x4f3, 0x123000);
    assert_int_equal(got.seg[SEG_ES].limit, 0x7ff);
    assert_loaded(3, SEG_DS, 0, 0);
    assert_loaded(CONFORM | 3, SEG_FS, 0xc9f, 0);
    assert_loaded(CONFORM | 3, SEG_CS, 0xc9f, 0);
    up(true, true); /* virtual-8086 mode: no descriptors */
    set_field(1, RFLAGS_VM | RFLAGS_ONE);
    for (unsigned i = 10; i < 16; i++) {
        set_field(i, 0x1230 + i);
    }
    task_switch(&v, &e);
    assert_int_equal(injections, 0);
    assert_true(v.regs.rflags & RFLAGS_VM);
    assert_loaded(0x1230 + 11, SEG_CS, 0xf3, (0x1230 + 11) << 4);
    assert_int_equal(got.seg[SEG_CS].limit, 0xffff);
    assert_loaded(0x1230 + 15, SEG_GS, 0xf3, (0x1230 + 15) << 4);
}

static void the_error_code_is_pushed(void **state)
{
    struct exit e = by(TASK_EVENT);

    (void)state;
    e.task.has_error = true;
    e.task.error = 0xabcd1234;
    for (unsigned is_32 = 0; is_32 < 2; is_32++) {
        up(true, is_32);
        task_switch(&v, &e);
        assert_true(injections == 0 && dones == 1);
        assert_int_equal(v.regs.gpr[GPR_RSP], STACK - (is_32 ? 4 : 2));
        assert_int_equal(*word(STACK - 4), is_32 ? 0xabcd1234 : 0x12340000);
    }
    /* a limit below, expand-down above and below, a wrap of a 16-bit stack */
    static const struct { uint32_t esp, limit, attr; bool good; } stacks[] = {
        { 0x8000, 0x7fff, 0x4f2, true }, { 0x8000, 0x7ffe, 0x4f2, false },
        { 0x8000, 0x7ffb, 0x4f6, true }, { 0x8000, 0x7ffc, 0x4f6, false },
        { 0x12340004, 0xffff, 0x0f2, true }, { 2, 0xffff, 0x0f2, false },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(stacks); i++) {
        up(true, true);
        descriptor(GDT, DATA3, 0, stacks[i].limit, (uint16_t)stacks[i].attr);
        set_field(2 + GPR_RSP, stacks[i].esp);
        task_switch(&v, &e);
        assert_int_equal(injections == 0, stacks[i].good);
        if (stacks[i].good) {
            assert_int_equal(v.regs.gpr[GPR_RSP], stacks[i].esp - 4);
        } else {
            assert_fault(EXC_SS, 1);
        }
    }
}

static void the_debug_trap(void **state)
{
    const struct exit e = by(TASK_JMP);

    (void)state;
    up(true, true);
    *half(NEW + 0x64) = 1;
    task_switch(&v, &e);
    assert_true(got.debug && dones == 1 && injections == 1 && injected[0].vector == EXC_DB);
    up(true, true);
    task_switch(&v, &e);
    assert_true(!got.debug && injections == 0);
}

static void nmis_are_blocked(void **state)
{
    struct exit e = by(TASK_EVENT);

    (void)state;
    e.task.nmi = true;
    up(true, true);
    task_switch(&v, &e);
    assert_int_equal(got.nmi, 1);
}

/* Both tasks have the same tables, of all memory. */
static void paged(void)
{
    paging.cr0 |= CR0_PG | CR0_WP;
    paging.cr3 = PD;
    *word(NEW + 0x1c) = PD;
    *word(PD) = (PD + PAGE_SIZE) | 0x27;
    for (unsigned page = 0; page < MEM / PAGE_SIZE; page++) {
        *word(PD + PAGE_SIZE + 4 * page) = page << 12 | 0x67;
    }
}

/* All memory is reached by the guest's page tables: one page after the other absent or
 * read-only. */
static void with_paging(void **state)
{
    static const struct { uint32_t page, error; bool before; } touched[] = {
        { GDT, 0, true }, { OLD, PF_WRITE, true }, { 0x3000, PF_WRITE, true }, { 0x4000, 0, true },
        { 0x5000, 0, true }, { LDT, 0, false }, { STACK - 4, PF_WRITE | PF_USER, false },
    };
    struct exit e = by(TASK_EVENT);

    (void)state;
    e.task.has_error = true;
    for (unsigned i = 0; i < ARRAY_SIZE(touched) + 2; i++) {
        up(true, true);
        paged();
        set_field(10, LOCAL);
        if (i < ARRAY_SIZE(touched)) {
            *word(PD + PAGE_SIZE + (touched[i].page >> 12) * 4) = 0;
            cr2 = 0;
            if (touched[i].before) {
                refused(&e, EXC_PF, touched[i].error);
            } else {
                task_switch(&v, &e);
                assert_int_equal(loads, 1);
            }
            assert_int_equal(injected[0].vector, EXC_PF);
            assert_int_equal(injected[0].error, touched[i].error);
            assert_int_equal(cr2 >> 12, touched[i].page >> 12);
            continue;
        }
        bad_pdptes = i > ARRAY_SIZE(touched);
        task_switch(&v, &e);
        assert_true(cr3s == 1 && cr3 == PD);
        if (bad_pdptes) {
            assert_fault(EXC_GP, 1);
        } else {
            assert_int_equal(injections, 0);
        }
    }
}

/* CS and SS are accessed both or neither: the stack's descriptor can't be written. */
static void a_stack_that_faults_leaves_code_alone(void **state)
{
    const struct exit e = by(TASK_EVENT);

    (void)state;
    up(true, true);
    paged();
    set_field(12, LOCAL);
    *word(PD + PAGE_SIZE + (LDT >> 12) * 4) = LDT | 0x65;
    task_switch(&v, &e);
    assert_fault(EXC_PF, PF_WRITE | 1);
    assert_int_equal(loads, 1);
    assert_int_equal(type_of(CODE3 & ~7u), 10);
    assert_true(!got.seg[SEG_CS].attr && !got.seg[SEG_SS].attr);
}

static uint64_t asked_about;
static bool may;
static bool may_load(struct vcpu *c, uint64_t *value)
{
    assert_ptr_equal(c, &v);
    asked_about = *value;
    return may;
}

/* Who wants to know of CR3 is asked first; what is refused is the new task's #GP. */
static void cr3_is_asked_about(void **state)
{
    const struct exit e = by(TASK_EVENT);

    (void)state;
    task_on_cr3(may_load);
    for (unsigned i = 0; i < 2; i++) {
        up(true, true);
        paged();
        may = i == 0;
        asked_about = 0;
        task_switch(&v, &e);
        assert_int_equal(asked_about, PD);
        assert_int_equal(cr3s, may);
        assert_int_equal(loads, 1);
        if (may) {
            assert_int_equal(injections, 0);
        } else {
            assert_fault(EXC_GP, 1);
        }
    }
    task_on_cr3(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way),
        cmocka_unit_test(faults_of_the_old_task),
        cmocka_unit_test(faults_of_the_new_task),
        cmocka_unit_test(segments_of_other_kinds),
        cmocka_unit_test(the_error_code_is_pushed),
        cmocka_unit_test(the_debug_trap),
        cmocka_unit_test(nmis_are_blocked),
        cmocka_unit_test(with_paging),
        cmocka_unit_test(cr3_is_asked_about),
        cmocka_unit_test(a_stack_that_faults_leaves_code_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
