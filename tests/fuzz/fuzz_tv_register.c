/* SPDX-License-Identifier: MIT */
/*
 * Registration, a call and unregistering with descriptors and arguments from a hostile
 * process, against the fake core. The input is the kind of caller, where something goes
 * wrong, and 10-byte edits of a good registration. Whatever comes: the pool gets all pages
 * back, an error has changed no byte of the guest and no register but RAX, and a PAL that
 * turns over every bit of its parameters changes its caller's buffers and nothing else.
 */
#include "unit.h"

#include "fake/fake_core.h"
#include "fake/machine.h"
#include "hypapps/trustvisor/call.h"
#include "hypapps/trustvisor/collect.h"

#define CHECK(cond) do { if (!(cond)) { abort(); } } while (0)

#define CR3      0x1234000ULL
#define BASE     0x10000000ULL   /* PAGES pages, most of them plain */
#define PAGES    64u
#define SECTIONS 0x20000000ULL   /* a page with nothing behind it; descriptors at its end */
#define PARAMS   0x20010000ULL
#define STACK    0x20020000ULL
#define TEXT     0x20030000ULL   /* page with a hypercall instruction */
#define RSP      (STACK + 0x800)
#define HEADER   8u              /* bytes of a descriptor before its entries */
#define ENTRY    16u             /* bytes of one entry */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vcpu v;
static struct tv_pal_sections sections;
static struct tv_pal_params params;
static uint64_t entry, sections_at, params_at, args[6];
static size_t pool_at_rest, ram_bytes;
static uint8_t *pristine, *before; /* the guest's RAM at first, and before a hypercall */
static uint8_t *expected;          /* and behind a call */
static struct vcpu_regs called_with;
static uint64_t arguments[TV_MAX_PARAMS];

/* --- the process ----------------------------------------------------------------- */

/* The same frame with other rights. */
static void remap(uint64_t va, unsigned rights)
{
    fake_map(CR3, va, (uint64_t)(fake_at(CR3, va) - fake_ram(0)), rights);
}

/* Once only: each input leaves all as it was. */
static void start(void)
{
    machine_reset(0);
    fake_reset(&v);
    fake_map_new(CR3, BASE, PAGES, FAKE_RWX);
    remap(BASE + 48 * PAGE_SIZE, FAKE_RX);
    fake_map(CR3, BASE + 49 * PAGE_SIZE, FAKE_MMIO, FAKE_RWX);
    fake_absent(CR3, BASE + 50 * PAGE_SIZE);
    fake_map(CR3, BASE + 51 * PAGE_SIZE, (uint64_t)(fake_at(CR3, BASE) - fake_ram(0)), FAKE_RWX);
    fake_unmap(CR3, BASE + 52 * PAGE_SIZE);
    fake_map_new(CR3, SECTIONS, 1, FAKE_RW);
    fake_map_new(CR3, PARAMS, 1, FAKE_RW);
    fake_map_new(CR3, STACK, 1, FAKE_RW);
    ram_bytes = (size_t)(fake_map_new(CR3, TEXT, 1, FAKE_RX) + PAGE_SIZE);
    for (size_t i = 0; i < PAGES * PAGE_SIZE; i++) {
        *fake_ram(i) = (uint8_t)(i * 7 + (i >> 12));
    }
    memcpy(fake_at(CR3, TEXT), "\x0f\x01\xd9", 3);
    pool_at_rest = fake.pool_free;
    pristine = malloc(ram_bytes);
    before = malloc(ram_bytes);
    expected = malloc(ram_bytes);
    CHECK(pristine && before && expected);
    memcpy(pristine, fake_ram(0), ram_bytes);
}

static void set_caller(unsigned kind)
{
    static const struct { uint64_t cr4, efer; enum cpu_mode mode; } callers[] = {
        { CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE, MODE_LONG64 },
        { CR4_PSE, 0, MODE_PROT32 },
        { CR4_PAE, EFER_NXE, MODE_PROT32 },
        { CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE, MODE_PROT32 },
    };
    struct guest_paging *p = &fake.caller.paging;

    p->cr3 = CR3;
    p->cr4 = callers[kind & 3].cr4;
    p->efer = callers[kind & 3].efer;
    p->mode = callers[kind & 3].mode;
}

static void good_registration(void)
{
    static const uint32_t type[] = {
        TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK, TV_SECTION_PARAM,
    };

    memset(&sections, 0, sizeof(sections));
    memset(&params, 0, sizeof(params));
    sections.num_sections = 4;
    params.num_params = 2;
    for (unsigned i = 0; i < TV_MAX_SECTIONS; i++) {
        sections.sections[i] =
            (struct tv_pal_section){ type[i < 4 ? i : 1], 1, BASE + 2 * i * PAGE_SIZE };
        params.params[i].type = i % 2 ? TV_PARAM_POINTER : TV_PARAM_INTEGER;
        params.params[i].size = 5 * i;
    }
    entry = BASE + 0x100;
    for (unsigned i = 0; i < ARRAY_SIZE(args); i++) {
        args[i] = BASE + 30 * PAGE_SIZE + 0x700 * i;
    }
}

/* --- the input ------------------------------------------------------------------- */

/* `raw`: any value; otherwise one that often means something. */
static void edit_section(struct tv_pal_section *s, unsigned field, uint64_t value, bool raw)
{
    switch (field) {
    case 0:
        s->type = (uint32_t)(raw ? value : value % 7);
        break;
    case 1:
        s->page_num = (uint32_t)(raw ? value : value % 20);
        break;
    default:
        s->start_addr = raw ? value : BASE + value % (PAGES + 8) * PAGE_SIZE;
        break;
    }
}

static void edit_rest(unsigned what, uint64_t value, bool raw)
{
    struct tv_pal_param *p = &params.params[what % TV_MAX_PARAMS];

    switch (what / 16) {
    case 0:
        p->type = (uint32_t)(raw ? value : value % 4);
        break;
    case 1:
        p->size = (uint32_t)(raw ? value : value % 0x900);
        break;
    case 2:
        args[what % ARRAY_SIZE(args)] = raw ? value : BASE + value % ((PAGES + 8) * PAGE_SIZE);
        break;
    case 3:
        sections.num_sections = (uint32_t)(raw ? value : value % 12);
        break;
    case 4:
        params.num_params = (uint32_t)(raw ? value : value % 12);
        break;
    default:
        entry = raw ? value : BASE + value % ((PAGES + 8) * PAGE_SIZE);
        break;
    }
}

static void edit(const uint8_t *d)
{
    uint64_t value;

    memcpy(&value, d + 2, 8);
    if (d[0] < 128) {
        edit_section(&sections.sections[d[0] / 4 % TV_MAX_SECTIONS], d[0] % 3, value, d[1] & 1);
    } else {
        edit_rest(d[0] - 128u, value, d[1] & 1);
    }
}

/* At the end of its page, so that reading too much faults. */
static uint64_t place(uint64_t page, const void *what, uint32_t count, uint32_t max)
{
    size_t bytes = HEADER + (count <= max ? count : 0) * (size_t)ENTRY;

    memcpy(fake_at(CR3, page + PAGE_SIZE - bytes), what, bytes);
    return page + PAGE_SIZE - bytes;
}

/* --- hypercalls ------------------------------------------------------------------ */

static bool unchanged(void) { return memcmp(before, fake_ram(0), ram_bytes) == 0; }
static void remember(void) { memcpy(before, fake_ram(0), ram_bytes); }

static void poison(uint64_t rip)
{
    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0x1111111111111111ULL * i + 5;
    }
    v.regs.gpr[GPR_RSP] = RSP;
    v.regs.rflags = 0x246;
    v.regs.rip = rip;
}

/* Executed until it is done. ~0: the process gets a fault that it can't mend. */
static uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    struct vcpu_regs old;

    poison(TEXT);
    v.regs.gpr[GPR_RAX] = cmd;
    v.regs.gpr[GPR_RCX] = rcx;
    v.regs.gpr[GPR_RSI] = rsi;
    v.regs.gpr[GPR_RDI] = rdi;
    old = v.regs;
    for (unsigned i = 0; i < 20000; i++) {
        bool ours = fake.guest_accesses < fake.fault_at;
        if (hypapp.hypercall(&v, cmd) == HC_DONE) {
            uint64_t rax = v.regs.gpr[GPR_RAX];
            v.regs.gpr[GPR_RAX] = old.gpr[GPR_RAX];
            CHECK(memcmp(&v.regs, &old, sizeof(old)) == 0 && fake.injected == FAKE_NONE);
            return rax;
        }
        ours = ours && fake.guest_accesses >= fake.fault_at;
        if (fake.injected != FAKE_NONE && !ours) {
            fake_clear();
            return ~0ULL;
        }
        fake_clear();
    }
    abort();
}

/* Registrations that nobody will continue go when memory is short. */
static void tidy_up(void)
{
    machine.tsc += 1ULL << 34;
    for (unsigned i = 0; collect_room(&v, pool_at_rest) != ROOM_FOUND; i++) {
        CHECK(i < 1000);
    }
    CHECK(fake.pool_free == pool_at_rest);
}

/* Argument `i` by the calling convention; written down anew, not taken from the code under test. */
static uint64_t argument(unsigned i)
{
    static const enum gpr registers[] = { GPR_RDI, GPR_RSI, GPR_RDX, GPR_RCX, GPR_R8, GPR_R9 };
    const bool is_64 = fake.caller.paging.mode == MODE_LONG64;
    uint64_t value = 0;

    if (is_64 && i < ARRAY_SIZE(registers)) {
        return called_with.gpr[registers[i]];
    }
    memcpy(&value, fake_at(CR3, RSP + (is_64 ? 8 * (i - 5) : 4 * (i + 1))), is_64 ? 8 : 4);
    return value;
}

static void invert(struct tv_pal *pal, const struct tv_section *s)
{
    for (uint32_t i = 0; i < s->pages; i++) {
        uint8_t *page = space_frame(&pal->space, s->first + i);
        for (size_t k = 0; k < PAGE_SIZE; k++) {
            page[k] = (uint8_t)~page[k];
        }
    }
}

/* The PAL inverts all of its PARAM section, with what the core has put there for itself. */
static void hostile_pal(void)
{
    struct tv_pal *pal = call_running(&v)->pal;

    for (uint32_t i = 0; i < pal->image.section_count; i++) {
        if (pal->image.sections[i].type == TV_SECTION_PARAM) {
            invert(pal, &pal->image.sections[i]);
        }
    }
}

/* Then all buffers are inverted, wherever they overlap, and nothing else has changed. */
static void expect_buffers(void)
{
    const unsigned word = fake.caller.paging.mode == MODE_LONG64 ? 8 : 4;

    memcpy(expected, before, ram_bytes);
    for (uint32_t i = 0; i < params.num_params; i++) {
        const struct tv_pal_param *p = &params.params[i];
        uint64_t bytes = p->type == TV_PARAM_POINTER ? p->size * word : 0, va = arguments[i];
        for (uint64_t k = 0; k < bytes; k++) {
            size_t at = (size_t)(fake_at(CR3, va + k) - fake_ram(0));
            expected[at] = (uint8_t)~before[at];
        }
    }
    CHECK(memcmp(expected, fake_ram(0), ram_bytes) == 0);
}

/* One call with these arguments, perhaps interrupted. Leaves the guest's memory as it was.
 * `known`: the parameters are those that were registered. */
static void call(bool interrupt, bool known)
{
    const struct exit intr = { .kind = EXIT_INTR }, end = { .kind = EXIT_HYPERCALL };
    bool ran;

    poison(entry);
    memcpy(v.regs.gpr + GPR_RSI, args, 2 * sizeof(args[0]));
    v.regs.gpr[GPR_RDX] = args[2];
    v.regs.gpr[GPR_RCX] = args[3];
    called_with = v.regs;
    for (uint32_t i = 0; known && i < params.num_params; i++) {
        arguments[i] = argument(i);
    }
    remember();
    hypapp.hypercall(&v, 0);
    ran = v.in_sandbox;
    if (ran && interrupt) {
        hypapp.sandbox_exit(&v, &intr);
        hypapp.hypercall(&v, 0);
        CHECK(v.in_sandbox);
    }
    if (ran) {
        hostile_pal();
        v.regs.rip = call_running(&v)->pal->space.return_page;
        hypapp.sandbox_exit(&v, &end);
    }
    CHECK(!v.in_sandbox);
    if (!ran) {
        CHECK(unchanged());
    } else if (known) {
        expect_buffers();
    }
    memcpy(fake_ram(0), before, ram_bytes);
    fake_clear();
}

/* Is the frame part of a section, and of what type? 0: of none. SHARED_CODE may also be another
 * one's: that one's type then. */
static uint32_t type_of(uint64_t g)
{
    uint32_t type = 0;

    for (uint32_t i = 0; i < sections.num_sections; i++) {
        for (uint32_t k = 0; k < sections.sections[i].page_num; k++) {
            const uint8_t *page = fake_at(CR3, sections.sections[i].start_addr + k * PAGE_SIZE);
            if (page == fake_ram(g) && (type == 0 || type == TV_SECTION_SHARED_CODE)) {
                type = sections.sections[i].type;
            }
        }
    }
    return type;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_SIZE - 1) == 0;
}

/* Unregistered again: CODE is back, the rest was wiped, everything else is untouched. */
static void expect_given_back(void)
{
    for (size_t g = 0; g < ram_bytes; g += PAGE_SIZE) {
        uint32_t type = g < PAGES * PAGE_SIZE ? type_of(g) : 0;
        if (type == 0 || type == TV_SECTION_CODE || type == TV_SECTION_SHARED_CODE) {
            CHECK(g >= PAGES * PAGE_SIZE || memcmp(fake_ram(g), pristine + g, PAGE_SIZE) == 0);
        } else {
            CHECK(is_zero(fake_ram(g)));
        }
    }
}

static void push_arguments(void)
{
    uint64_t stack[ARRAY_SIZE(args) + 1] = { TEXT + 3 };
    uint32_t stack32[ARRAY_SIZE(args) + 1] = { TEXT + 3 };

    for (unsigned i = 0; i < ARRAY_SIZE(args); i++) {
        stack[i + 1] = args[i];
        stack32[i + 1] = (uint32_t)args[i];
    }
    if (fake.caller.paging.mode == MODE_LONG64) {
        memcpy(fake_at(CR3, RSP), stack, sizeof(stack));
    } else {
        memcpy(fake_at(CR3, RSP), stack32, sizeof(stack32));
    }
}

/* What was accepted makes sense, in 64-bit arithmetic. */
static void expect_sane(void)
{
    const uint64_t word = fake.caller.paging.mode == MODE_LONG64 ? 8 : 4;
    uint64_t bytes = 0, pages = 0;

    for (uint32_t i = 0; i < params.num_params; i++) {
        bytes += params.params[i].type == TV_PARAM_POINTER ? params.params[i].size * word : 0;
    }
    for (uint32_t i = 0; i < sections.num_sections; i++) {
        pages += sections.sections[i].page_num;
    }
    CHECK(bytes <= TV_AREA_MAX && pages <= PAGES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t answer;

    if (!pristine) {
        start();
    }
    if (size < 4) {
        return 0;
    }
    set_caller(data[0]);
    good_registration();
    for (size_t at = 4; at + 10 <= size; at += 10) {
        edit(data + at);
    }
    sections_at = place(SECTIONS, &sections, sections.num_sections, TV_MAX_SECTIONS);
    params_at = place(PARAMS, &params, params.num_params, TV_MAX_PARAMS);
    sections_at += data[0] & 8 ? 1 : 0; /* one byte too near to the end */
    params_at = data[0] & 16 ? args[0] : params_at;
    push_arguments();
    remember();
    fake.fault_at = data[1] ? fake.guest_accesses + data[1] : 0;
    fake.pool_fail_at = data[2] ? fake.pool_allocs + data[2] : 0;
    answer = command(TV_HC_REG, sections_at, params_at, entry);
    fake.fault_at = fake.pool_fail_at = 0;
    if (answer == TV_OK) {
        if (!(data[0] & 24)) {
            expect_sane();
        }
        call(data[3] & 1, !(data[0] & 24));
        CHECK(command(TV_HC_UNREG, entry, 0, 0) == TV_OK);
        if (!(data[0] & 24)) {
            expect_given_back();
        }
    } else {
        CHECK(unchanged());
    }
    tidy_up();
    memcpy(fake_ram(0), pristine, ram_bytes);
    return 0;
}
