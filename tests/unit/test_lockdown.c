/* SPDX-License-Identifier: MIT */
/* hypapps/lockdown/lockdown.c: who may lock what, and what is refused then. The core is a fake. */
#include "unit.h"
#include <hypapp/hypapp.h>
#include <x86/cpu.h>
#include <x86/msr.h>
#include <xmhf/hypercall.h>
#include <xmhf/lockdown.h>

#define VA      0xffffffff81000000ull   /* of guest-physical 0x1000000 */
#define TEXT    VA
#define RODATA  (VA + 8 * PAGE_SIZE)
#define IDT     (VA + 12 * PAGE_SIZE)
#define BUFFER  0x7000ull               /* the tool's page, mapped as it is in memory */
#define ABSENT  (VA + 100 * PAGE_SIZE)
#define GPA(va) ((va) - VA + 0x1000000)
#define PAGES   16u
#define LIMIT   0xfffu

static uint8_t ram[PAGES * PAGE_SIZE], buffer[PAGE_SIZE];
static unsigned rights[PAGES];
static struct vcpu cpu[2];
static struct hyp_caller caller;
static struct { uint32_t index; uint64_t value; } msr[] = {
    { MSR_EFER, EFER_NXE | EFER_SCE | EFER_LME | EFER_LMA }, { MSR_STAR, 0x23001000000000 },
    { MSR_LSTAR, TEXT + 0x100 }, { MSR_CSTAR, TEXT + 0x200 }, { MSR_SFMASK, 0x47700 },
    { MSR_IA32_SYSENTER_CS, 0x10 }, { MSR_IA32_SYSENTER_EIP, TEXT + 0x300 },
};
static struct { uint64_t base; uint32_t limit; } idtr[2];
static hyp_io_fn *port_fn;
static unsigned again, refuse_at, no_memory_at, rights_calls;   /* of hyp_rights */
static unsigned watched;                /* of `msr`, by hyp_msr_range */
static bool scattered, stranger_calls;  /* the latter: while gm_read_kernel runs */
static struct hyp_store store;          /* what the instruction writes; no length: unknown */
static unsigned stores_done;
static char log_text[300];

/* --- the core -------------------------------------------------------------------- */

void hyp_caller(struct vcpu *v, struct hyp_caller *c)
{
    (void)v;
    *c = caller;
}

enum gm_result gm_translate(const struct hyp_caller *c, gva_t va, unsigned access, gpa_t *g,
                            unsigned *r, struct gm_fault *f)
{
    (void)f;
    assert_true(access == ACCESS_READ && !r);
    /* Bit 12: the user's half of a PTI pair of tables. */
    if (va.a < VA || va.a >= VA + PAGES * PAGE_SIZE || (c->paging.cr3 & 0x1000)) {
        return GM_FAULT;
    }
    *g = gpa(GPA(va.a) + (scattered && va.a >= TEXT + PAGE_SIZE ? PAGE_SIZE : 0));
    return GM_OK;
}

enum gm_result gm_read_kernel(const struct hyp_caller *c, gva_t from, void *to, size_t len,
                              struct gm_fault *f)
{
    (void)c;
    (void)f;
    if (from.a != BUFFER) {
        return GM_FAULT;
    }
    if (stranger_calls) {
        cpu[1].regs.gpr[GPR_RDI] = 0;
        assert_int_equal(hypapp.hypercall(&cpu[1], XMHF_HC_LOCKDOWN), HC_DONE);
        assert_int_equal(cpu[1].regs.gpr[GPR_RAX], LOCKDOWN_E_NOT_ALLOWED);
    }
    memcpy(to, buffer, len);
    return GM_OK;
}

bool pool_alloc_many(void **out, size_t n)
{
    static uint8_t pool[3 * (256 + 64) + 64][PAGE_SIZE];
    static size_t used;

    assert_true(used + n <= sizeof(pool) / PAGE_SIZE);
    for (size_t i = 0; i < n; i++) {
        out[i] = pool[used++];
    }
    return true;
}

enum hyp_rights_answer hyp_rights(struct vcpu *v, gpa_t first, uint64_t pages, unsigned r)
{
    (void)v;
    rights_calls++;
    if (again > 0) {
        again--;
        return HYP_RIGHTS_AGAIN;
    }
    if (r != (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)
        && (rights_calls == refuse_at || rights_calls == no_memory_at)) {
        return rights_calls == refuse_at ? HYP_RIGHTS_REFUSED : HYP_RIGHTS_NO_MEMORY;
    }
    for (uint64_t i = 0; i < pages; i++) {
        rights[(first.a - GPA(VA)) / PAGE_SIZE + i] = r;
    }
    return HYP_RIGHTS_DONE;
}

/* All of it is the guest's RAM, in two pieces. */
bool guest_map_ram(unsigned i, uint64_t *start, uint64_t *end)
{
    *start = GPA(VA) + (i == 0 ? 8 * PAGE_SIZE : 0);
    *end = i == 0 ? GPA(VA) + PAGES * PAGE_SIZE : GPA(VA) + 8 * PAGE_SIZE;
    return i < 2;
}

enum gm_result gp_read(gpa_t from, void *to, size_t len)
{
    memcpy(to, ram + (from.a - GPA(VA)), len);
    return GM_OK;
}

enum gm_result gp_write(gpa_t to, const void *from, size_t len)
{
    memcpy(ram + (to.a - GPA(VA)), from, len);
    return GM_OK;
}

bool hyp_store(struct vcpu *v, const struct exit *e, struct hyp_store *out)
{
    (void)v;
    (void)e;
    *out = store;
    return store.len != 0;
}

void hyp_store_done(struct vcpu *v, const struct hyp_store *s)
{
    (void)v;
    assert_int_equal(s->gpa.a, store.gpa.a);
    stores_done++;
}

static void get_table(struct vcpu *v, enum table_register which, uint64_t *base, uint32_t *limit)
{
    assert_int_equal(which, TABLE_IDTR);
    *base = idtr[v->index].base;
    *limit = idtr[v->index].limit;
}

static const struct virt_ops ops = { .get_table = get_table };
const struct virt_ops *virt = &ops;

static uint64_t *msr_at(uint32_t index)
{
    for (unsigned i = 0; i < sizeof(msr) / sizeof(msr[0]); i++) {
        if (msr[i].index == index) {
            return &msr[i].value;
        }
    }
    return NULL;
}

bool hyp_msr_value(struct vcpu *v, uint32_t index, uint64_t *value)
{
    (void)v;
    *value = msr_at(index) ? *msr_at(index) : 0;
    return msr_at(index) != NULL;
}

int hyp_ports(uint16_t first, uint32_t count, hyp_io_fn *fn)
{
    assert_true(first == LOCKDOWN_PORT && count == 8);
    port_fn = fn;
    return 0;
}

int hyp_cr_bits(unsigned cr, uint64_t bits) { return bits && (cr == 0 || cr == 4) ? 0 : -1; }
int hyp_msr_range(uint32_t first, uint32_t last, unsigned access)
{
    for (uint32_t i = first; i <= last && access == ACCESS_WRITE; i++) {
        watched += msr_at(i) != NULL;
    }
    return access == ACCESS_WRITE ? 0 : -1;
}
static int no_user_exec;
int hyp_user_exec(void) { return no_user_exec; }
int hyp_trap_tables(unsigned tables) { return tables == 1u << HYP_IDT ? 0 : -1; }
bool random_bytes(void *out, size_t len) { return memset(out, 0x5a, len); }

void log_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(log_text, sizeof(log_text), fmt, ap);
    va_end(ap);
}

/* --- the guest ------------------------------------------------------------------- */

#define TOKEN 0x5a5a5a5a5a5a5a5aull

static uint64_t call_with(uint64_t token, enum lockdown_op op, uint64_t a, uint64_t b)
{
    struct vcpu *v = &cpu[0];

    for (unsigned tries = 0; tries < 1000; tries++) {
        v->regs.gpr[GPR_RCX] = op;
        v->regs.gpr[GPR_RDX] = a;
        v->regs.gpr[GPR_RSI] = b;
        v->regs.gpr[GPR_RDI] = token;
        if (hypapp.hypercall(v, XMHF_HC_LOCKDOWN) == HC_DONE) {
            return v->regs.gpr[GPR_RAX];
        }
    }
    fail_msg("no end");
    return 0;
}

static uint64_t call(enum lockdown_op op, uint64_t a, uint64_t b)
{
    return call_with(TOKEN, op, a, b);
}

static uint64_t info(unsigned item)
{
    uint64_t value;

    assert_true(hypapp.info(&cpu[0], XMHF_INFO_LOCKDOWN + item, &value));
    return value;
}

static uint64_t refused(enum lockdown_kind kind)
{
    return info(LOCKDOWN_INFO_REFUSED + kind);
}

/* The sites: a jump label of 5 bytes at 0x100, an ftrace entry at 0x200. */
static void tell(void)
{
    static const struct lockdown_site sites[] = {
        { (uint32_t)LOCKDOWN_JUMP5 << 30 | 0x100, 0x180 },
        { (uint32_t)LOCKDOWN_CALL << 30 | 0x200, 0 },
    };

    assert_int_equal(call(LOCKDOWN_BEGIN, 0x1000, 0), LOCKDOWN_E_OK);
    assert_int_equal(call(LOCKDOWN_RANGE, TEXT, 4 << 12 | LOCKDOWN_TEXT), LOCKDOWN_E_OK);
    assert_int_equal(call(LOCKDOWN_RANGE, TEXT + 4 * PAGE_SIZE, 4 << 12 | LOCKDOWN_TEXT),
                     LOCKDOWN_E_OK);
    assert_int_equal(call(LOCKDOWN_RANGE, RODATA, 2 << 12 | LOCKDOWN_RODATA), LOCKDOWN_E_OK);
    memcpy(buffer, sites, sizeof(sites));
    assert_int_equal(call(LOCKDOWN_SITES, BUFFER, 2), LOCKDOWN_E_OK);
    memcpy(ram + 0x100, "\x0f\x1f\x44\x00\x00", 5);
    memcpy(ram + 0x200, "\x0f\x1f\x44\x00\x00", 5);
}

/* Pages that ring 0 may execute, but ring 3 all. */
static unsigned executable(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < PAGES; i++) {
        n += (rights[i] & ACCESS_EXEC) != 0;
        assert_true(rights[i] & (ACCESS_EXEC | ACCESS_EXEC_USER));
    }
    return n;
}

static unsigned writable(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < PAGES; i++) {
        unsigned exec = i < 8 ? ACCESS_EXEC : ACCESS_EXEC_USER; /* text, and what isn't */
        n += (rights[i] & ACCESS_WRITE) != 0;
        assert_true(rights[i] == (ACCESS_READ | exec) || (rights[i] & ACCESS_WRITE));
    }
    return n;
}

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PAGES; i++) {
        rights[i] = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC;
    }
    cpu[1].index = 1;
    idtr[0].base = idtr[1].base = IDT;
    idtr[0].limit = idtr[1].limit = LIMIT;
    caller = (struct hyp_caller){ .paging = { .cpl = 3, .mode = MODE_LONG64, .cr3 = 0x1000,
                                              .cr0 = CR0_WP, .cr4 = CR4_SMEP | CR4_UMIP,
                                              .efer = *msr_at(MSR_EFER) } };
    return 0;
}

/* --- before it is locked ----------------------------------------------------------- */

static void test_who(void **state)
{
    struct hyp_io io = { .port = LOCKDOWN_PORT, .size = 4, .in = true };

    (void)state;
    assert_int_equal(hypapp.init(), 0);
    assert_int_equal(watched, sizeof(msr) / sizeof(msr[0]));
    assert_int_equal(hypapp.hypercall(&cpu[0], XMHF_HC_HELLO), HC_UNKNOWN);
    assert_int_equal(call_with(0, LOCKDOWN_BEGIN, 0, 0), LOCKDOWN_E_NOT_ALLOWED);
    assert_int_equal(call_with(0, LOCKDOWN_LOCK, 0, 0), LOCKDOWN_E_NOT_ALLOWED);
    assert_int_equal(port_fn(&cpu[0], &io), HYP_DONE);
    assert_int_equal(io.value, (uint32_t)TOKEN);
    io.size = 2;
    assert_int_equal(port_fn(&cpu[0], &io), HYP_CORE);
    io.size = 4;
    io.in = false;
    assert_int_equal(port_fn(&cpu[0], &io), HYP_CORE);
    assert_int_equal(call(LOCKDOWN_BEGIN, 0, 0), LOCKDOWN_E_OK);
    caller.paging.mode = MODE_PROT32;
    assert_int_equal(call(LOCKDOWN_BEGIN, 0, 0), LOCKDOWN_E_NOT_ALLOWED);
    caller.paging.mode = MODE_LONG64;
    caller.paging.cpl = 0;
    assert_int_equal(call_with(0, LOCKDOWN_BEGIN, 0, 0), LOCKDOWN_E_OK);
}

/* Who may not call neither waits for the data that patches need, nor lets them wait. */
static void test_stranger(void **state)
{
    (void)state;
    assert_int_equal(call(LOCKDOWN_BEGIN, 0x1000, 0), LOCKDOWN_E_OK);
    stranger_calls = true;
    assert_int_equal(call(LOCKDOWN_SITES, BUFFER, 1), LOCKDOWN_E_OK);
    stranger_calls = false;
}

static void test_bad(void **state)
{
    static const struct {
        enum lockdown_op op; uint64_t a, b; enum lockdown_error error;
    } cases[] = {
        { LOCKDOWN_LOCK, 0, 0, LOCKDOWN_E_BAD },               /* nothing was told */
        { (enum lockdown_op)4, 0, 0, LOCKDOWN_E_BAD },
        { LOCKDOWN_RANGE, TEXT, LOCKDOWN_TEXT, LOCKDOWN_E_BAD },
        { LOCKDOWN_RANGE, TEXT, (LOCKDOWN_RANGE_MAX + 1) << 12, LOCKDOWN_E_BAD },
        { LOCKDOWN_RANGE, TEXT, 1 << 12 | LOCKDOWN_K_IDT_PAGE, LOCKDOWN_E_BAD },
        { LOCKDOWN_RANGE, TEXT + 1, 1 << 12, LOCKDOWN_E_NOT_RAM },
        { LOCKDOWN_RANGE, ABSENT, 1 << 12, LOCKDOWN_E_NOT_RAM },
        { LOCKDOWN_RANGE, TEXT, 17 << 12, LOCKDOWN_E_NOT_RAM },
        { LOCKDOWN_SITES, ABSENT, 1, LOCKDOWN_E_NOT_RAM },
        { LOCKDOWN_SITES, BUFFER, LOCKDOWN_SITES_PAGE + 1, LOCKDOWN_E_BAD },
    };

    (void)state;
    assert_int_equal(call(LOCKDOWN_BEGIN, 0x1000, 0), LOCKDOWN_E_OK);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(call(cases[i].op, cases[i].a, cases[i].b), cases[i].error);
        assert_int_equal(info(LOCKDOWN_INFO_SITES), 0);
        assert_int_equal(info(LOCKDOWN_INFO_PAGES), 0);
    }
    scattered = true;
    assert_int_equal(call(LOCKDOWN_RANGE, TEXT, 4 << 12 | LOCKDOWN_TEXT), LOCKDOWN_E_SCATTERED);
    scattered = false;
    assert_int_equal(call(LOCKDOWN_RANGE, TEXT, 1 << 12 | LOCKDOWN_TEXT), LOCKDOWN_E_OK);
    assert_int_equal(call(LOCKDOWN_RANGE, TEXT + 2 * PAGE_SIZE, 1 << 12 | LOCKDOWN_TEXT),
                     LOCKDOWN_E_SCATTERED);
}

/* Nothing is refused before the lock. */
static void test_open(void **state)
{
    uint64_t value = 0;

    (void)state;
    assert_int_equal(hypapp.cr_write(&cpu[0], 0, &value), HYP_CORE);
    assert_int_equal(hypapp.cr_write(&cpu[0], 4, &value), HYP_CORE);
    assert_int_equal(hypapp.msr(&cpu[0], MSR_LSTAR, true, &value), HYP_CORE);
    assert_int_equal(hypapp.msr(&cpu[0], MSR_EFER, true, &value), HYP_CORE);
    assert_int_equal(hypapp.table_write(&cpu[0], HYP_IDT, 0x1000, 0xfff), HYP_CORE);
    assert_int_equal(info(LOCKDOWN_INFO_STATE), 0);
}

/* A lock that fails has changed nothing, wherever it does. */
static void test_fails(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        tell();
        rights_calls = 0;
        refuse_at = n;
        assert_int_equal(call(LOCKDOWN_LOCK, 0, 0), LOCKDOWN_E_NO_RIGHTS);
        assert_int_equal(writable(), PAGES);
        refuse_at = rights_calls = 0;
        no_memory_at = n;
        assert_int_equal(call(LOCKDOWN_LOCK, 0, 0), LOCKDOWN_E_NO_RIGHTS);
        assert_int_equal(writable(), PAGES);
        no_memory_at = 0;
        assert_int_equal(info(LOCKDOWN_INFO_STATE), 0);
    }
    static const struct { uint64_t base; uint32_t limit; } bad[] = {
        { IDT, 0xffff }, { IDT + 8, 0xfff }, { ABSENT, 0xfff },
    };
    for (unsigned i = 0; i < 3; i++) {
        idtr[0].base = bad[i].base;
        idtr[0].limit = bad[i].limit;
        assert_int_equal(call(LOCKDOWN_LOCK, 0, 0), LOCKDOWN_E_BAD_IDT);
        assert_int_equal(writable(), PAGES);
    }
}

/* Text, and two pages of code; the second call's two pages are one more, and one again. */
static void tell_code(void)
{
    tell();
    assert_int_equal(call(LOCKDOWN_RANGE, VA + 14 * PAGE_SIZE, 1 << 12 | LOCKDOWN_CODE),
                     LOCKDOWN_E_OK);
    assert_int_equal(call(LOCKDOWN_RANGE, VA + 14 * PAGE_SIZE, 2 << 12 | LOCKDOWN_CODE),
                     LOCKDOWN_E_OK);
    assert_int_equal(info(LOCKDOWN_INFO_CODE), 2);
}

/* The same where execution is to be taken too: three calls for what is locked, then one each for
 * the pages 10 to 11 and 13. */
static void test_exec_fails(void **state)
{
    (void)state;
    assert_int_equal(info(LOCKDOWN_INFO_CAN_EXEC), 1);
    assert_int_equal(call(LOCKDOWN_RANGE, ABSENT, 1 << 12 | LOCKDOWN_CODE), LOCKDOWN_E_NOT_RAM);
    for (unsigned n = 1; n <= 5; n++) {
        for (unsigned memory = 0; memory < 2; memory++) {
            tell_code();
            rights_calls = 0;
            refuse_at = memory ? 0 : n;
            no_memory_at = memory ? n : 0;
            assert_int_equal(call(LOCKDOWN_LOCK, 1, 0), LOCKDOWN_E_NO_RIGHTS);
            assert_true(rights_calls > n);
            assert_int_equal(writable(), PAGES);
            assert_int_equal(executable(), PAGES);
            assert_int_equal(info(LOCKDOWN_INFO_STATE), 0);
        }
    }
    refuse_at = no_memory_at = 0;
}

/* A CPU that can't tell ring 0's execution: an error, and nothing changed. */
static void test_no_exec(void **state)
{
    (void)state;
    no_user_exec = -1;
    assert_int_equal(hypapp.init(), 0);
    tell_code();
    rights_calls = 0;
    assert_int_equal(info(LOCKDOWN_INFO_CAN_EXEC), 0);
    assert_int_equal(call(LOCKDOWN_LOCK, 1, 0), LOCKDOWN_E_NO_EXEC);
    assert_int_equal(rights_calls, 0);
    assert_int_equal(info(LOCKDOWN_INFO_STATE), 0);
    assert_int_equal(executable(), PAGES);
    no_user_exec = 0;
    assert_int_equal(hypapp.init(), 0);
}

/* A set takes as many pages as it says, each once; neighbours that are none of it aren't in it. */
static void test_page_set(void **state)
{
    struct page_set s;

    (void)state;
    assert_true(page_set_init(&s));
    for (unsigned i = 0; i < PAGE_SET_MAX; i++) { /* some meet at the same slot */
        assert_true(page_set_add(&s, gpa(i * 0x7fc000ull)));
        assert_true(page_set_add(&s, gpa(i * 0x7fc000ull + 5)));
    }
    assert_int_equal(s.count, PAGE_SET_MAX);
    assert_false(page_set_add(&s, gpa(PAGE_SIZE)));
    assert_true(page_set_add(&s, gpa(0)));
    for (unsigned i = 0; i < PAGE_SET_MAX; i++) {
        assert_true(page_set_has(&s, gpa(i * 0x7fc000ull)));
        assert_false(page_set_has(&s, gpa(i * 0x7fc000ull + PAGE_SIZE)));
    }
    page_set_clear(&s);
    assert_false(page_set_has(&s, gpa(0)));
}

/* All that there is room for, then no more. */
static void test_full(void **state)
{
    uint64_t n = 0;

    (void)state;
    assert_int_equal(call(LOCKDOWN_BEGIN, 0, 0), LOCKDOWN_E_OK);
    for (; n < 256 * LOCKDOWN_SITES_PAGE; n += LOCKDOWN_SITES_PAGE) {
        assert_int_equal(call(LOCKDOWN_SITES, BUFFER, LOCKDOWN_SITES_PAGE), LOCKDOWN_E_OK);
    }
    assert_int_equal(call(LOCKDOWN_SITES, BUFFER, 1), LOCKDOWN_E_FULL);
    assert_int_equal(info(LOCKDOWN_INFO_SITES), n);
    assert_int_equal(call(LOCKDOWN_BEGIN, 0, 0), LOCKDOWN_E_OK);
    assert_int_equal(call(LOCKDOWN_SITES, BUFFER, 1), LOCKDOWN_E_OK);
    /* Behind one that wasn't full. */
    assert_int_equal(call(LOCKDOWN_SITES, BUFFER, 1), LOCKDOWN_E_BAD);
    assert_int_equal(info(LOCKDOWN_INFO_SITES), 1);
}

/* --- afterwards -------------------------------------------------------------------- */

static void test_lock(void **state)
{
    struct hyp_io io = { .port = LOCKDOWN_PORT, .size = 4, .in = true };

    (void)state;
    tell_code();
    again = 5;
    assert_int_equal(call(LOCKDOWN_LOCK, 1, 0), LOCKDOWN_E_OK);
    assert_int_equal(executable(), 8 + 2);
    for (unsigned i = 0; i < PAGES; i++) { /* text and code */
        assert_int_equal(rights[i] & ACCESS_EXEC, i < 8 || i >= 14 ? ACCESS_EXEC : 0);
    }
    assert_int_equal(info(LOCKDOWN_INFO_STATE), 1);
    assert_int_equal(info(LOCKDOWN_INFO_SITES), 2);
    assert_int_equal(info(LOCKDOWN_INFO_PAGES), 11);
    assert_int_equal(writable(), PAGES - 11);
    for (unsigned op = 0; op < 5; op++) { /* for good, and for ring 0 too */
        caller.paging.cpl = op & 1 ? 0 : 3;
        assert_int_equal(call((enum lockdown_op)op, TEXT, 1 << 12), LOCKDOWN_E_LOCKED);
    }
    assert_int_equal(port_fn(&cpu[0], &io), HYP_CORE);
}

static enum hyp_answer write_at(uint64_t va, const void *bytes, unsigned len)
{
    const struct exit e = { .fault = { .addr = gpa(GPA(va)), .access = ACCESS_WRITE } };

    store = (struct hyp_store){ .gpa = gpa(GPA(va)), .len = len };
    if (bytes) {
        memcpy(store.bytes, bytes, len);
    }
    return hypapp.fault(&cpu[0], &e);
}

static void test_writes(void **state)
{
    static const struct {
        const char *what; uint64_t va; unsigned len; const char *bytes; int kind;
    } cases[] = {
        { "text_poke's INT3", TEXT + 0x100, 1, "\xcc", -1 },
        { "its tail", TEXT + 0x101, 4, "\x7b\x00\x00\x00", -1 },
        { "its first byte", TEXT + 0x100, 1, "\xe9", -1 },
        { "all at once", TEXT + 0x100, 5, "\x0f\x1f\x44\x00\x00", -1 },
        { "a CALL", TEXT + 0x200, 5, "\xe8\x00\x00\x00\x00", -1 },
        { "the NOP again", TEXT + 0x200, 5, "\x0f\x1f\x44\x00\x00", -1 },
        { "a tail without INT3", TEXT + 0x201, 4, "\x7b\x00\x00\x00", LOCKDOWN_K_TEXT },
        { "another target", TEXT + 0x100, 5, "\xe9\x7c\x00\x00\x00", LOCKDOWN_K_TEXT },
        { "a JMP at an ftrace entry", TEXT + 0x200, 5, "\xe9\x00\x00\x00\x00", LOCKDOWN_K_TEXT },
        { "a CALL behind the text", TEXT + 0x200, 5, "\xe8\xfb\x7d\x00\x00", LOCKDOWN_K_TEXT },
        { "beyond the site's end", TEXT + 0x203, 4, "\x00\x00\x00\x00", LOCKDOWN_K_TEXT },
        { "from before the site", TEXT + 0x1ff, 2, "\x90\x0f", LOCKDOWN_K_TEXT },
        { "8 bytes", TEXT + 0x100, 8, "\x0f\x1f\x44\x00\x00\x90\x90\x90", LOCKDOWN_K_TEXT },
        { "INT3 at no site", TEXT + 0x300, 1, "\xcc", LOCKDOWN_K_TEXT },
        { "the text's last page", RODATA - 8, 8, "12345678", LOCKDOWN_K_TEXT },
        { "an unknown instruction at a site", TEXT + 0x100, 0, NULL, LOCKDOWN_K_TEXT },
        { "read-only data", RODATA, 1, "\x01", LOCKDOWN_K_RODATA },
        { "the IDT", IDT + 16, 8, "12345678", LOCKDOWN_K_IDT_PAGE },
    };
    uint8_t before[sizeof(ram)];

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t at = cases[i].va - VA, done = stores_done, patches = info(LOCKDOWN_INFO_PATCHES);
        uint64_t count = cases[i].kind < 0 ? 0 : refused((enum lockdown_kind)cases[i].kind);
        memcpy(before, ram, sizeof(ram));
        enum hyp_answer a = write_at(cases[i].va, cases[i].bytes, cases[i].len);
        bool good = cases[i].kind < 0;
        if (a != (good ? HYP_DONE : HYP_REFUSE) || stores_done != done + good
            || info(LOCKDOWN_INFO_PATCHES) != patches + good) {
            fail_msg("%s: answer %d", cases[i].what, a);
        }
        if (good) {
            memcpy(before + at, cases[i].bytes, cases[i].len);
        } else {
            assert_int_equal(refused((enum lockdown_kind)cases[i].kind), count + 1);
        }
        assert_memory_equal(ram, before, sizeof(ram));
    }
}

static void test_executes(void **state)
{
    struct exit e = { .fault = { .addr = gpa(GPA(RODATA)), .access = ACCESS_EXEC } };

    (void)state;
    assert_int_equal(hypapp.fault(&cpu[0], &e), HYP_REFUSE);
    assert_int_equal(refused(LOCKDOWN_K_EXEC), 1);
    e.fault.addr = gpa(GPA(VA + 13 * PAGE_SIZE)); /* nowhere in particular */
    assert_int_equal(hypapp.fault(&cpu[0], &e), HYP_REFUSE);
    assert_int_equal(refused(LOCKDOWN_K_EXEC), 2);
}

static void test_registers(void **state)
{
    static const struct { unsigned cr; uint64_t now, value; bool good; } cases[] = {
        { 0, CR0_WP | CR0_PE, CR0_PE, false }, { 0, CR0_WP, CR0_WP | CR0_TS, true },
        { 0, CR0_PE, CR0_PE, true },
        { 4, CR4_SMEP | CR4_SMAP, CR4_SMAP, false }, { 4, CR4_SMEP | CR4_SMAP, CR4_SMEP, false },
        { 4, CR4_UMIP, 0, false }, { 4, CR4_SMEP, CR4_SMEP | CR4_SMAP, true },
        { 4, CR4_SMEP | CR4_PGE, CR4_SMEP, true }, { 4, 0, CR4_PAE, true },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const enum lockdown_kind kind = cases[i].cr == 0 ? LOCKDOWN_K_CR0 : LOCKDOWN_K_CR4;
        uint64_t value = cases[i].value, count = refused(kind);
        *(cases[i].cr == 0 ? &caller.paging.cr0 : &caller.paging.cr4) = cases[i].now;
        assert_int_equal(hypapp.cr_write(&cpu[0], cases[i].cr, &value),
                         cases[i].good ? HYP_CORE : HYP_REFUSE);
        assert_int_equal(value, cases[i].value);
        assert_int_equal(refused(kind), count + !cases[i].good);
        idtr[1].base = 0; /* this CPU has been reset, and sets itself up */
        assert_int_equal(hypapp.cr_write(&cpu[1], cases[i].cr, &value), HYP_CORE);
        idtr[1].base = IDT;
    }
}

static void test_msrs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(msr) / sizeof(msr[0]); i++) {
        enum lockdown_kind kind = msr[i].index == MSR_EFER ? LOCKDOWN_K_EFER : LOCKDOWN_K_SYSCALL;
        uint64_t same = msr[i].value, other = same ^ (EFER_NXE | 0x10), count = refused(kind);
        assert_int_equal(hypapp.msr(&cpu[0], msr[i].index, true, &same), HYP_CORE);
        assert_int_equal(hypapp.msr(&cpu[0], msr[i].index, false, &other), HYP_CORE);
        assert_int_equal(hypapp.msr(&cpu[0], msr[i].index, true, &other), HYP_REFUSE);
        assert_int_equal(refused(kind), count + 1);
        assert_int_equal(hypapp.msr(&cpu[1], msr[i].index, true, &other), HYP_REFUSE);
        idtr[1].base = 0; /* an INIT: it sets itself up, but the others outlast that */
        assert_int_equal(hypapp.msr(&cpu[1], msr[i].index, true, &other),
                         msr[i].index == MSR_EFER ? HYP_CORE : HYP_REFUSE);
        assert_int_equal(hypapp.msr(&cpu[1], msr[i].index, true, &same), HYP_CORE);
        idtr[1].base = IDT;
    }
    uint64_t more = *msr_at(MSR_EFER) & ~EFER_SCE;
    assert_int_equal(hypapp.msr(&cpu[0], MSR_EFER, true, &more), HYP_CORE);
}

static enum hyp_answer lidt(unsigned c, uint64_t base, uint32_t limit)
{
    enum hyp_answer a = hypapp.table_write(&cpu[c], HYP_IDT, base, limit);

    if (a == HYP_CORE) {
        idtr[c].base = base;
        idtr[c].limit = limit;
    }
    return a;
}

static void test_idtr(void **state)
{
    (void)state;
    assert_int_equal(hypapp.table_write(&cpu[0], HYP_GDT, 0, 0), HYP_CORE);
    assert_int_equal(lidt(0, IDT, LIMIT), HYP_CORE);
    assert_int_equal(lidt(0, IDT, LIMIT - 16), HYP_REFUSE);
    assert_int_equal(lidt(0, IDT + PAGE_SIZE, LIMIT), HYP_REFUSE);
    assert_int_equal(lidt(0, 0, 15), HYP_REFUSE);       /* one gate */
    assert_int_equal(lidt(0, 0, 0), HYP_CORE);          /* none: the next one ends the machine */
    assert_int_equal(lidt(0, BUFFER, LIMIT), HYP_REFUSE);
    assert_int_equal(lidt(0, BUFFER, 14), HYP_CORE);    /* still none */
    assert_int_equal(lidt(0, BUFFER, LIMIT), HYP_REFUSE);
    assert_int_equal(lidt(1, BUFFER, LIMIT), HYP_REFUSE);
    assert_int_equal(lidt(0, IDT, LIMIT), HYP_CORE);
    assert_int_equal(refused(LOCKDOWN_K_IDTR), 6);
    /* An INIT: the trampoline has an empty one, then one for its own faults, then the kernel's. */
    assert_int_equal(lidt(1, 0, 0), HYP_CORE);
    idtr[1].base = 0;
    idtr[1].limit = 0xffff;
    assert_int_equal(lidt(1, 0, 0), HYP_CORE);
    assert_int_equal(lidt(1, BUFFER, LIMIT), HYP_CORE);
    assert_int_equal(lidt(1, IDT, LIMIT), HYP_CORE);
    assert_int_equal(lidt(1, BUFFER, LIMIT), HYP_REFUSE);
}

/* A CPU after an INIT gets the pinned IDT only with what was on at the lock. */
static void test_init(void **state)
{
    const struct guest_paging good = caller.paging;
    const struct { uint64_t cr0, cr4, efer; } lacks[] = {
        { CR0_WP, 0, 0 }, { 0, CR4_SMEP, 0 }, { 0, CR4_UMIP, 0 }, { 0, 0, EFER_NXE },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
        uint64_t count = refused(LOCKDOWN_K_IDTR);
        caller.paging.cr0 &= ~lacks[i].cr0;
        caller.paging.cr4 &= ~lacks[i].cr4;
        caller.paging.efer &= ~lacks[i].efer;
        idtr[1].base = 0;
        idtr[1].limit = 0xffff;
        assert_int_equal(lidt(1, BUFFER, LIMIT), HYP_CORE);
        assert_int_equal(lidt(1, IDT, LIMIT), HYP_REFUSE);
        assert_int_equal(lidt(1, 0, 0), HYP_CORE);
        assert_int_equal(lidt(1, IDT, LIMIT), HYP_REFUSE);
        assert_int_equal(refused(LOCKDOWN_K_IDTR), count + 2);
        caller.paging = good;
        caller.paging.cr4 |= CR4_SMAP; /* more than at the lock */
        assert_int_equal(lidt(1, IDT, LIMIT), HYP_CORE);
        assert_int_equal(lidt(1, BUFFER, LIMIT), HYP_REFUSE);
        caller.paging = good;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_who, setup), cmocka_unit_test_setup(test_bad, setup),
        cmocka_unit_test_setup(test_stranger, setup),
        cmocka_unit_test_setup(test_open, setup), cmocka_unit_test_setup(test_fails, setup),
        cmocka_unit_test_setup(test_exec_fails, setup), cmocka_unit_test(test_page_set),
        cmocka_unit_test_setup(test_no_exec, setup), cmocka_unit_test_setup(test_full, setup),
        cmocka_unit_test_setup(test_lock, setup), /* from here on it is locked */
        cmocka_unit_test(test_writes), cmocka_unit_test(test_executes),
        cmocka_unit_test(test_registers),
        cmocka_unit_test(test_msrs), cmocka_unit_test_setup(test_idtr, setup),
        cmocka_unit_test_setup(test_init, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
