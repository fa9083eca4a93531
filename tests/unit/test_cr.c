/* SPDX-License-Identifier: MIT */
/* What a guest may set in CR4, XCR0 and EFER; writes to CR4 as the exit's handler sees them. */
#include "unit.h"
#include "vectors.h"


#include "fake/machine.h"
#include <cpu/width.h>
#include <exit/dispatch.h>
#include <hw/insn.h>
#include <guest/phys.h>
#include <hypapp/hypapp.h>
#include <mm/host_map.h>
#include <policy/asked.h>
#include <policy/cr.h>
#include <virt/fast_path.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

static struct cpuid_regs basic, features, ext0, ext1;

static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t sub)
{
    return leaf == CPUID_BASIC ? basic : leaf == CPUID_FEATURES ? features
        : sub == 0 ? ext0 : ext1;
}

/* Only what the CPU has needs an exit; and what it has must have one. */
static void hidden_bits_follow_the_cpu(void **state)
{
    const struct { uint32_t *word, bit; uint64_t cr4; } map[] = {
        { &features.ecx, CPUID_1_ECX_VMX, CR4_VMXE }, { &features.ecx, CPUID_1_ECX_SMX, CR4_SMXE },
        { &ext0.ecx, CPUID_7_0_ECX_LA57, CR4_LA57 }, { &ext0.ecx, CPUID_7_0_ECX_CET_SS, CR4_CET },
        { &ext0.edx, CPUID_7_0_EDX_CET_IBT, CR4_CET }, { &ext0.ecx, CPUID_7_0_ECX_PKS, CR4_PKS },
        { &ext0.edx, CPUID_7_0_EDX_UINTR, CR4_UINTR },
        { &ext1.eax, CPUID_7_1_EAX_LAM, CR4_LAM_SUP },
        { &ext1.eax, CPUID_7_1_EAX_FRED, CR4_FRED },
    };
    uint64_t all = 0;

    (void)state;
    basic.eax = 7;
    ext0.eax = 1;
    assert_int_equal(cr4_hidden_present(fake_cpuid), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
        *map[i].word |= map[i].bit;
        assert_int_equal(cr4_hidden_present(fake_cpuid), map[i].cr4);
        *map[i].word &= ~map[i].bit;
        all |= map[i].cr4;
    }
    assert_int_equal(all & ~cr4_hidden_bits(), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
        *map[i].word |= map[i].bit;
    }
    assert_int_equal(cr4_hidden_present(fake_cpuid), all);
    ext0.eax = 0; /* no leaf 7.1: what it says is another leaf's */
    assert_int_equal(cr4_hidden_present(fake_cpuid), all & ~(CR4_LAM_SUP | CR4_FRED));
    basic.eax = 6;
    assert_int_equal(cr4_hidden_present(fake_cpuid), CR4_VMXE | CR4_SMXE);
}

/* --- writes to CR4 ------------------------------------------------------------------------ */

/*
 * CR4's bits that depend on a feature, and where CPUID shows it (SDM vol. 3, 2.5; APM vol. 2,
 * 3.1.3). Every CPU with long mode has bits 0 to 10; all others are reserved.
 */
static const struct cr4_feature {
    uint64_t bits;
    uint32_t leaf, sub;
    enum cpuid_reg reg;
    unsigned shown;       /* bit of `reg` */
    bool hidden;          /* from our guests: cpuid_policy.c */
} cr4_features[] = {
    { BIT(11) /* UMIP */, 7, 0, CPUID_ECX, 2, false },
    { BIT(12) /* LA57 */, 7, 0, CPUID_ECX, 16, true },
    { BIT(13) /* VMXE */, 1, 0, CPUID_ECX, 5, true },
    { BIT(14) /* SMXE */, 1, 0, CPUID_ECX, 6, true },
    { BIT(16) /* FSGSBASE */, 7, 0, CPUID_EBX, 0, false },
    { BIT(17) /* PCIDE */, 1, 0, CPUID_ECX, 17, false },
    { BIT(18) /* OSXSAVE */, 1, 0, CPUID_ECX, 26, false },
    { BIT(19) /* KL */, 7, 0, CPUID_ECX, 23, false },
    { BIT(20) /* SMEP */, 7, 0, CPUID_EBX, 7, false },
    { BIT(21) /* SMAP */, 7, 0, CPUID_EBX, 20, false },
    { BIT(22) /* PKE */, 7, 0, CPUID_ECX, 3, false },
    { BIT(23) /* CET */, 7, 0, CPUID_ECX, 7, true },
    { BIT(23) /* CET */, 7, 0, CPUID_EDX, 20, true },
    { BIT(24) /* PKS */, 7, 0, CPUID_ECX, 31, true },
    { BIT(25) /* UINTR */, 7, 0, CPUID_EDX, 5, true },
    { BIT(27) /* LASS */, 7, 1, CPUID_EAX, 6, false },
    { BIT(28) /* LAM_SUP */, 7, 1, CPUID_EAX, 26, true },
    { BIT(32) /* FRED */, 7, 1, CPUID_EAX, 17, true },
};
#define ALWAYS 0x7ffu

static struct vcpu v;
static struct guest_paging guest;
static uint8_t code[8] = { 0x0f, 0x22, 0xe3 }; /* MOV CR4, RBX */
static unsigned code_size = 3;
static unsigned gps, sets, skips;

void hyp_inject_gp(struct vcpu *cpu) { (void)cpu; gps++; }
void hyp_inject_ud(struct vcpu *cpu) { (void)cpu; fail_msg("#UD"); }
void cpuid_forget(struct vcpu *cpu) { (void)cpu; }
bool hw_xsetbv_safe(uint64_t value) { (void)value; return true; }

unsigned exit_fetch(struct vcpu *cpu, uint8_t *buf, struct guest_paging *p)
{
    (void)cpu;
    *p = guest;
    memcpy(buf, code, code_size);
    return code_size;
}

unsigned exit_insn_len(struct vcpu *cpu, const struct exit *e, const uint8_t *opcode, size_t oplen,
                       struct guest_paging *p)
{
    (void)e;
    (void)opcode;
    (void)oplen;
    return exit_fetch(cpu, (uint8_t[8]){ 0 }, p);
}

void exit_skip(struct vcpu *cpu, unsigned len)
{
    (void)cpu;
    assert_int_equal(len, code_size);
    skips++;
}

static void get_paging(struct vcpu *cpu, struct guest_paging *p) { (void)cpu; *p = guest; }

static bool bad_pdptes;

static bool set(uint64_t *to, uint64_t value)
{
    if (!bad_pdptes) {
        *to = value;
        sets++;
    }
    return !bad_pdptes;
}

static bool set_cr(struct vcpu *cpu, unsigned cr, uint64_t value)
{
    (void)cpu;
    assert_true(cr == 0 || cr == 4);
    return set(cr == 0 ? &guest.cr0 : &guest.cr4, value);
}

static bool set_cr3(struct vcpu *cpu, uint64_t value) { (void)cpu; return set(&guest.cr3, value); }

static uint64_t get_cr(struct vcpu *cpu, unsigned cr)
{
    (void)cpu;
    return cr == 0 ? guest.cr0 : cr == 3 ? guest.cr3 : guest.cr4;
}

static uint16_t segment_attr[SEG_COUNT];
static void get_segment(struct vcpu *cpu, enum segment_index i, struct segment *s)
{
    (void)cpu;
    *s = (struct segment){ .attr = segment_attr[i], .limit = 0xffffffff };
}

static unsigned events, agains;
static bool inject(struct vcpu *cpu, const struct event *e)
{
    (void)cpu;
    (void)e;
    events++;
    return true;
}
static void end_shadow(struct vcpu *cpu) { (void)cpu; agains++; }

static const struct virt_ops ops = {
    .get_paging = get_paging, .set_cr = set_cr, .set_cr3 = set_cr3, .get_cr = get_cr,
    .get_segment = get_segment, .inject = inject, .end_shadow = end_shadow,
};
const struct virt_ops *virt = &ops;

/* The guest's memory is one page, at linear and guest-physical 0x5000. */
static uint8_t page[PAGE_SIZE];
struct guest_phys_ops guest_phys_ops;
void *guest_phys_firmware(const struct walk *w, unsigned right)
{
    (void)w;
    (void)right;
    return NULL;
}
void hyp_inject_fault(struct vcpu *cpu, const struct gm_fault *f) { (void)cpu; (void)f; events++; }

enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out)
{
    (void)phys;
    (void)p;
    (void)access;
    *out = (struct walk){ .ptr = page + (va.a & PAGE_MASK), .gpa = gpa(va.a) };
    return align_down(va.a, PAGE_SIZE) == 0x5000 ? WALK_OK : WALK_FAULT;
}

/* What the hypapp answers, and what it was asked. */
static enum hyp_answer answer;
static uint64_t answer_value, asked_value;
static unsigned asks;
static enum hyp_answer cr_write(struct vcpu *cpu, unsigned cr, uint64_t *value)
{
    (void)cpu;
    (void)cr;
    asks++;
    asked_value = *value;
    *value = answer_value ? answer_value : *value;
    return answer;
}
const struct hypapp hypapp = { .name = "test", .cr_write = cr_write };

/* A CPU with all features but the one at `lacks`, and a guest in long mode. */
static void up(const struct cr4_feature *lacks)
{
    uint32_t leaf1[4] = { 0 }, leaf7[2][4] = { { [CPUID_EAX] = 1 } };

    machine_reset(0);
    for (const struct cr4_feature *f = cr4_features; f < cr4_features + ARRAY_SIZE(cr4_features);
         f++) {
        if (!lacks || f->bits != lacks->bits) {
            (f->leaf == 1 ? leaf1 : leaf7[f->sub])[f->reg] |= 1u << f->shown;
        }
    }
    machine_set_cpuid(0, 0, (struct cpuid_regs){ .eax = 7 });
    machine_set_cpuid(1, 0, (struct cpuid_regs){ leaf1[0], leaf1[1], leaf1[2], leaf1[3] });
    for (unsigned sub = 0; sub < 2; sub++) {
        const uint32_t *r = leaf7[sub];

        machine_set_cpuid(7, sub, (struct cpuid_regs){ r[0], r[1], r[2], r[3] });
    }
    guest = (struct guest_paging){ .cr0 = 0x80050033, .cr3 = 0x1000, .cr4 = 0x620, .efer = 0xd01,
                                    .mode = MODE_LONG64 };
}

/* Is `value` taken? By the hardware's word on the instruction, then by decoding it. */
static bool taken(uint64_t value)
{
    const struct guest_paging before = guest;
    struct exit e = { .kind = EXIT_CR_WRITE, .insn_len = 3,
                      .cr = { .cr = 4, .gpr = GPR_RBX, .decoded = true } };
    bool first = false;

    v.regs.gpr[GPR_RBX] = value;
    for (unsigned way = 0; way < 2; way++, e.cr.decoded = false) {
        guest = before;
        gps = sets = skips = 0;
        exit_cr_write(&v, &e);
        assert_int_equal(sets, !gps);
        assert_int_equal(skips, !gps);
        assert_true(way == 0 || first == !gps);
        first = !gps;
        if (gps) {
            assert_int_equal(guest.cr4, before.cr4);
        } else {
            assert_int_equal(guest.cr4, before.mode == MODE_LONG64 ? value : (uint32_t)value);
        }
    }
    guest = before;
    return first;
}

static uint64_t may_set(const struct cr4_feature *lacks)
{
    uint64_t bits = ALWAYS;

    for (unsigned i = 0; i < ARRAY_SIZE(cr4_features); i++) {
        const struct cr4_feature *f = &cr4_features[i];

        bits |= f->hidden || (lacks && f->bits == lacks->bits) ? 0 : f->bits;
    }
    return bits;
}

/* Page-directory pointers with reserved bits (SDM vol. 2, MOV to control registers). */
static void pdptes_with_reserved_bits(void **state)
{
    (void)state;
    up(NULL);
    assert_true(taken(0x620 | CR4_PGE));
    bad_pdptes = true;
    assert_false(taken(0x620 | CR4_PGE));
    bad_pdptes = false;
}

/* Reserved bits, those of features that the CPU lacks, and those of hidden ones give #GP (SDM vol.
 * 2, MOV to control registers; APM vol. 2, 3.1.3): VMRUN fails with them (APM vol. 2, 15.5.1). */
static void each_bit_on_each_cpu(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= ARRAY_SIZE(cr4_features); i++) {
        const struct cr4_feature *lacks = i < ARRAY_SIZE(cr4_features) ? &cr4_features[i] : NULL;
        uint64_t may = may_set(lacks);

        up(lacks);
        for (unsigned bit = 0; bit < 64; bit++) {
            bool want = may >> bit & 1 && bit != 5; /* PAE is set, and in long mode it stays */

            if (taken(guest.cr4 ^ BIT(bit)) != want) {
                fail_msg("CPU without %#llx: CR4 bit %u is %s",
                         lacks ? (unsigned long long)lacks->bits : 0,
                         bit, want ? "refused" : "taken");
            }
        }
        assert_true(taken(may));
    }
}

/* In long mode PAE can't be cleared; out of it all is free. */
static void pae(void **state)
{
    (void)state;
    up(NULL);
    assert_false(taken(guest.cr4 & ~BIT(5)));
    guest.mode = MODE_PROT32; /* 32-bit code in long mode */
    assert_false(taken(guest.cr4 & ~BIT(5)));
    guest.efer = 0x901;       /* LME, but paging is off: not active */
    guest.cr0 = 0x50033;
    assert_true(taken(guest.cr4 & ~BIT(5)));
    guest.cr4 &= ~BIT(5);
    assert_true(taken(guest.cr4 | BIT(5)));
    guest.efer = 0;
    guest.cr0 = 0x80050033;
    assert_true(taken(guest.cr4 | BIT(5)));
}

/* PCIDE goes from 0 to 1 in long mode only, with CR3[11:0] = 0. Set or cleared already, neither
 * matters. */
static void pcide(void **state)
{
    (void)state;
    up(NULL);
    assert_true(taken(guest.cr4 | BIT(17)));
    for (unsigned bit = 0; bit < 52; bit++) {
        guest.cr3 = BIT(bit);
        assert_int_equal(taken(guest.cr4 | BIT(17)), bit >= 12);
        assert_true(taken(guest.cr4 | BIT(7)));
        guest.cr4 |= BIT(17);
        assert_true(taken(guest.cr4 | BIT(7)));
        assert_true(taken(guest.cr4 & ~BIT(17)));
        guest.cr4 &= ~BIT(17);
    }
    guest.cr3 = 0x1000;
    guest.mode = MODE_PROT32;
    assert_true(taken(guest.cr4 | BIT(17)));
    guest.efer = 0;
    assert_false(taken(guest.cr4 | BIT(17)));
    guest.cr0 = 0x10;
    guest.mode = MODE_REAL;
    assert_false(taken(guest.cr4 | BIT(17)));
}

/* LA57 can't change in long mode, CET needs CR0.WP: both are hidden, so neither is ever taken. */
static void hidden_in_every_state(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        up(NULL);
        guest.efer = i & 1 ? 0xd01 : 0;
        guest.mode = i & 1 ? MODE_LONG64 : MODE_PROT32;
        guest.cr0 = i & 2 ? 0x80050033 : 0x80040033;
        guest.cr0 &= i & 4 ? ~0ULL : 0x7fffffff;
        assert_false(taken(guest.cr4 | BIT(12)));
        assert_false(taken(guest.cr4 | BIT(23)));
        assert_true(taken(guest.cr4 | BIT(7)));
    }
}

/* Another CPU may have changed the code since the exit: no other instruction is carried out. */
static void another_instruction(void **state)
{
    static const uint8_t other[][3] = {
        { 0x0f, 0x22, 0xc3 } /* MOV CR0, RBX */, { 0x0f, 0x22, 0xdb } /* MOV CR3, RBX */,
        { 0x0f, 0x20, 0xe3 } /* MOV RBX, CR4 */, { 0x90, 0x90, 0x90 },
    };
    const struct exit e = { .kind = EXIT_CR_WRITE, .cr = { .cr = 4 } };
    const uint8_t mov[3] = { code[0], code[1], code[2] };

    (void)state;
    up(NULL);
    v.regs.gpr[GPR_RBX] = guest.cr4;
    for (unsigned i = 0; i <= ARRAY_SIZE(other); i++) {
        gps = sets = skips = 0;
        code_size = i < ARRAY_SIZE(other) ? 3 : 0; /* 0: the fetch has queued a #PF */
        memcpy(code, other[i % ARRAY_SIZE(other)], 3);
        exit_cr_write(&v, &e);
        assert_int_equal(gps, i < ARRAY_SIZE(other));
        assert_int_equal(sets + skips, 0);
    }
    memcpy(code, mov, 3);
    code_size = 3;
}

/* Outside 64-bit code the register has 32 bits. */
static void upper_half(void **state)
{
    (void)state;
    up(NULL);
    assert_false(taken(guest.cr4 | BIT(32)));
    assert_false(taken(guest.cr4 | BIT(63)));
    guest.mode = MODE_PROT32;
    assert_true(taken(guest.cr4 | 0xffffffff00000000));
    guest.mode = MODE_PROT16;
    assert_true(taken(guest.cr4 | 0xffffffff00000000));
    guest.mode = MODE_REAL;
    assert_true(taken(guest.cr4 | 0xffffffff00000000));
}

/* On Intel IA32_VMX_CR4_FIXED1 is the CPU's own list of what it takes (SDM vol. 3, A.8). A hidden
 * bit in it must have an exit, and what we call visible must be there. A Centaur CPU takes SMAP and
 * doesn't show it. */
static void recorded_machines(void **state)
{
    struct vectors files = vectors_of("vmx");
    unsigned machines = 0;

    (void)state;
    while (vectors_next(&files)) {
        machine_reset(0);
        machine_load(files.path);
        const uint64_t *takes = machine_msr(MSR_IA32_VMX_CR4_FIXED1);
        if (!takes || hw_cpuid(1, 0).eax == 0) {
            continue; /* the dump has no leaf 1 */
        }
        uint64_t ours = cr4_visible(hw_cpuid) | cr4_hidden_present(hw_cpuid);
        if ((ours ^ *takes) & ~(*takes & CR4_SMAP)) {
            fail_msg("%s: CR4 bits %#llx, the CPU says %#llx", files.name, (unsigned long long)ours,
                     (unsigned long long)*takes);
        }
        machines++;
    }
    assert_true(machines >= 80);
    print_message("%u machines\n", machines);
}

/* SDM vol. 1, 13.3, said once more: by what is needed for each bit. */
static bool may(uint64_t x, uint64_t supported)
{
    static const struct { uint64_t bit, needs; } rule[] = {
        { XCR0_AVX, XCR0_SSE },
        { XCR0_OPMASK, XCR0_AVX | XCR0_ZMM_HI256 | XCR0_HI16_ZMM },
        { XCR0_ZMM_HI256, XCR0_AVX | XCR0_OPMASK | XCR0_HI16_ZMM },
        { XCR0_HI16_ZMM, XCR0_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 },
        { XCR0_BNDREGS, XCR0_BNDCSR }, { XCR0_BNDCSR, XCR0_BNDREGS },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rule); i++) {
        if ((x & rule[i].bit) && (x & rule[i].needs) != rule[i].needs) {
            return false;
        }
    }
    return (x & 1) && (x & ~supported) == 0;
}

static void xcr0(void **state)
{
    static const uint64_t supported[] = { 1, 3, 7, 0x1f, 0xe7, 0xff, 0x2ff };
    unsigned allowed = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(supported); i++) {
        for (uint64_t x = 0; x < 0x800; x++) {
            assert_int_equal(xcr0_valid(x, supported[i]), may(x, supported[i]));
            allowed += xcr0_valid(x, supported[i]);
            assert_false(xcr0_valid(x | BIT(63), supported[i]));
        }
    }
    assert_in_range(allowed, 15, 100);
}

static void efer(void **state)
{
    const uint64_t all = EFER_SCE | EFER_LME | EFER_NXE;

    (void)state;
    for (unsigned paging = 0; paging < 2; paging++) {
        assert_true(efer_valid(0, 0, all, paging));
        assert_true(efer_valid(all | EFER_LMA, EFER_LME | EFER_LMA, all, paging));
        assert_int_equal(efer_valid(EFER_LME, 0, all, paging), !paging);
        assert_int_equal(efer_valid(EFER_NXE, EFER_LME, all, paging), !paging);
        for (unsigned bit = 0; bit < 64; bit++) {
            if (!(BIT(bit) & (all | EFER_LMA))) {
                assert_false(efer_valid(BIT(bit), 0, all, paging)); /* SVME among them */
            }
        }
        assert_false(efer_valid(EFER_NXE, 0, all & ~EFER_NXE, paging));
    }
}

/* Each bit by its feature; a leaf that isn't there says nothing. */
static void efer_of_a_cpu(void **state)
{
    static const struct { uint32_t ecx, edx, leaf21; uint64_t efer; } rows[] = {
        { 0, 0, 0, EFER_SCE },
        { 0, 1u << 29, 0, EFER_SCE | EFER_LME },
        { 0, 1u << 20, 0, EFER_SCE | EFER_NXE },
        { 0, 1u << 25, 0, EFER_SCE | EFER_FFXSR },
        { 1u << 17, 0, 0, EFER_SCE | EFER_TCE },
        { 0, 0, 1u << 8, EFER_SCE | EFER_AUTO_IBRS },
        { ~(1u << 17), ~(1u << 29 | 1u << 25 | 1u << 20), ~(1u << 8), EFER_SCE },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (uint32_t last = 0x80000020; last <= 0x80000021; last++) {
            machine_reset(0);
            machine_set_cpuid(0x80000000, 0, (struct cpuid_regs){ .eax = last });
            machine_set_cpuid(0x80000001, 0,
                              (struct cpuid_regs){ .ecx = rows[i].ecx, .edx = rows[i].edx });
            machine_set_cpuid(0x80000021, 0, (struct cpuid_regs){ .eax = rows[i].leaf21 });
            assert_int_equal(efer_supported(hw_cpuid), last == 0x80000021 ? rows[i].efer
                             : rows[i].efer & ~EFER_AUTO_IBRS);
        }
    }
}

/* --- CR0 and CR3, and the hypapp's say ------------------------------------------------------ */

/* The instruction in `code` with that value in RBX, as the hardware tells of a MOV (or not). */
static bool write_cr(unsigned cr, uint64_t value, bool decoded)
{
    const struct exit e = { .kind = EXIT_CR_WRITE, .insn_len = decoded ? code_size : 0,
                            .cr = { .cr = (uint8_t)cr, .gpr = GPR_RBX, .decoded = decoded } };

    v.regs.gpr[GPR_RBX] = value;
    gps = sets = skips = asks = agains = events = 0;
    exit_cr_write(&v, &e);
    assert_int_equal(gps + skips + agains + events, 1);
    assert_true(sets == 0 || skips == 1);
    return skips;
}

static void use(const uint8_t *bytes, unsigned n)
{
    memcpy(code, bytes, n);
    code_size = n;
}
#define USE(...) use((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* SDM vol. 2, MOV to control registers; vol. 3, 2.5. */
static void cr0_rules(void **state)
{
    const uint64_t now = 0x80050033, off = 0x50033;

    (void)state;
    USE(0x0f, 0x22, 0xc3);
    for (unsigned decoded = 0; decoded < 2; decoded++) {
        up(NULL);
        assert_true(write_cr(0, now | CR0_TS, decoded));
        assert_int_equal(guest.cr0, now | CR0_TS);
        /* reserved ones stay 0, ET 1 */
        assert_true(write_cr(0, (now & ~CR0_ET) | BIT(8) | BIT(25), decoded));
        assert_int_equal(guest.cr0, now);
        for (unsigned bit = 32; bit < 64; bit++) {
            assert_false(write_cr(0, now | BIT(bit), decoded));
        }
        assert_false(write_cr(0, now | CR0_NW, decoded));
        assert_true(write_cr(0, now | CR0_NW | CR0_CD, decoded));
        assert_true(write_cr(0, now, decoded));
        assert_false(write_cr(0, now & ~CR0_PE, decoded));
        assert_false(write_cr(0, off, decoded));         /* in 64-bit code */
        guest.mode = MODE_PROT32;
        guest.cr4 |= CR4_PCIDE;
        assert_false(write_cr(0, off, decoded));
        guest.cr4 &= ~CR4_PCIDE;
        assert_true(write_cr(0, off | 0xffffffff00000000, decoded)); /* 32 bits are all there are */
        guest.efer = EFER_LME;
        /* paging comes on: not with CS.L, nor without PAE */
        segment_attr[SEG_CS] = SEG_ATTR_L;
        assert_false(write_cr(0, now, decoded));
        segment_attr[SEG_CS] = 0;
        guest.cr4 &= ~CR4_PAE;
        assert_false(write_cr(0, now, decoded));
        guest.efer = 0;
        assert_true(write_cr(0, now, decoded));
        bad_pdptes = true;
        assert_false(write_cr(0, now | CR0_TS, decoded));
        bad_pdptes = false;
        assert_int_equal(guest.cr0, now);
    }
}

/* With PCIDE bit 63 of the source isn't the register's; addresses have no more bits than the
 * CPU. */
static void cr3_rules(void **state)
{
    (void)state;
    USE(0x0f, 0x22, 0xdb);
    up(NULL);
    const unsigned width = (unsigned)__builtin_ctzll(phys_beyond());
    for (unsigned bit = 0; bit < 64; bit++) {
        assert_int_equal(write_cr(3, 0x1000 | BIT(bit), true), bit < width);
        guest.cr4 |= CR4_PCIDE;
        assert_int_equal(write_cr(3, 0x1000 | BIT(bit), false), bit < width || bit == 63);
        guest.cr4 &= ~CR4_PCIDE;
    }
    assert_int_equal(guest.cr3, 0x1000);
    guest.mode = MODE_PROT32;
    guest.efer = 0;
    assert_true(write_cr(3, 0xffffffff12345678, true));
    assert_int_equal(guest.cr3, 0x12345678);
}

/* CLTS clears TS; LMSW writes four bits, but doesn't clear PE. Its operand may be in memory. */
static void other_instructions(void **state)
{
    (void)state;
    up(NULL);
    guest.cr0 |= CR0_TS;
    USE(0x0f, 0x06);
    assert_true(write_cr(0, 0, false));
    assert_int_equal(guest.cr0, 0x80050033);
    USE(0x0f, 0x01, 0xf3); /* LMSW BX */
    assert_true(write_cr(0, 0xfffffffffffffff8, false));
    assert_int_equal(guest.cr0, 0x80050039);
    USE(0x0f, 0x01, 0x33); /* LMSW [RBX] */
    page[0xffe] = 0x02;
    page[0xfff] = 0xff;
    assert_true(write_cr(0, 0x5ffe, false));
    assert_int_equal(guest.cr0, 0x80050033);
    assert_false(write_cr(0, 0x5fff, false)); /* crosses into nothing */
    assert_int_equal(events, 1);
    assert_false(write_cr(0, 0x800000000000, false)); /* not canonical: #GP */
    struct exit e = { .kind = EXIT_CR_WRITE, .insn_len = 3,
                      .cr = { .cr = 0, .decoded = true, .how = CR_LMSW, .source = 0xfff8 } };
    USE(0x0f, 0x01, 0x33);
    exit_cr_write(&v, &e);
    assert_int_equal(guest.cr0, 0x80050039);
    e.cr.how = CR_CLTS;
    exit_cr_write(&v, &e);
    assert_int_equal(guest.cr0, 0x80050031);
}

static void ask_for_bits(void)
{
    assert_int_equal(asked_add_cr(1, 1), -1);
    assert_int_equal(asked_add_cr(2, 1), -1);
    assert_int_equal(asked_add_cr(8, 1), -1);
    assert_int_equal(asked_add_cr(0, 0), -1);
    assert_int_equal(asked_cr(0) | asked_cr(3) | asked_cr(4), 0);
    assert_int_equal(hyp_cr_bits(0, CR0_WP), 0);
    assert_int_equal(hyp_cr_bits(4, CR4_SMEP), 0);
    assert_int_equal(hyp_cr_bits(4, CR4_SMAP), 0);
}

/* Asked about what it wanted to know, and nothing else; what it answers is done. */
static void the_hypapp_is_asked(void **state)
{
    (void)state;
    ask_for_bits();
    up(NULL);
    USE(0x0f, 0x22, 0xc3);
    answer = HYP_CORE;
    assert_true(write_cr(0, guest.cr0 ^ CR0_TS, true));
    assert_int_equal(asks, 0);
    assert_true(write_cr(0, guest.cr0 ^ CR0_WP, true));
    assert_true(asks == 1 && asked_value == 0x8004003b && guest.cr0 == 0x8004003b);
    assert_false(write_cr(0, (guest.cr0 ^ CR0_WP) & ~CR0_PE, true)); /* the CPU wouldn't take it */
    assert_int_equal(asks, 0);
    answer = HYP_REFUSE;
    assert_false(write_cr(0, guest.cr0 ^ CR0_WP, true));
    assert_true(asks == 1 && gps == 1 && guest.cr0 == 0x8004003b);
    answer = HYP_DONE;
    assert_true(write_cr(0, guest.cr0 ^ CR0_WP, true));
    assert_true(asks == 1 && sets == 0 && guest.cr0 == 0x8004003b);
    answer = HYP_AGAIN;
    assert_false(write_cr(0, guest.cr0 ^ CR0_WP, true));
    assert_true(asks == 1 && agains == 1 && (v.regs.rflags & RFLAGS_RF));
    answer = HYP_CORE;
    answer_value = 0x80050031; /* another value than the guest's */
    assert_true(write_cr(0, guest.cr0 ^ CR0_WP, true));
    assert_int_equal(guest.cr0, 0x80050031);
    answer_value = 0x80050030; /* and one that no CPU takes */
    assert_false(write_cr(0, guest.cr0 ^ CR0_WP, true));
    answer_value = 0;
    USE(0x0f, 0x22, 0xe3);
    assert_true(write_cr(4, guest.cr4 ^ CR4_SMEP, true) && asks == 1);
    assert_true(write_cr(4, guest.cr4 ^ CR4_SMAP, true) && asks == 1);
    assert_true(write_cr(4, guest.cr4 ^ CR4_PGE, true) && asks == 0);
    USE(0x0f, 0x22, 0xdb);
    assert_true(write_cr(3, 0x2000, true) && asks == 0);
    assert_int_equal(hyp_cr_bits(3, 1), 0);
    guest.cr4 |= CR4_PCIDE;
    assert_true(write_cr(3, 0x2000 | BIT(63), true));
    assert_true(asks == 1 && asked_value == 0x2000 && guest.cr3 == 0x2000);
    uint64_t task_cr3 = 0x3000; /* a task switch's */
    assert_true(exit_task_cr3(&v, &task_cr3) && asked_value == 0x3000);
    answer = HYP_REFUSE;
    assert_false(exit_task_cr3(&v, &task_cr3));
    answer = HYP_CORE;
    asked_close();
    assert_int_equal(hyp_cr_bits(0, CR0_PG), -1);
    assert_int_equal(asked_cr(0), CR0_WP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_bits_follow_the_cpu),
        cmocka_unit_test(pdptes_with_reserved_bits),
        cmocka_unit_test(each_bit_on_each_cpu),
        cmocka_unit_test(pae),
        cmocka_unit_test(pcide),
        cmocka_unit_test(hidden_in_every_state),
        cmocka_unit_test(another_instruction),
        cmocka_unit_test(upper_half),
        cmocka_unit_test(recorded_machines),
        cmocka_unit_test(xcr0),
        cmocka_unit_test(efer),
        cmocka_unit_test(efer_of_a_cpu),
        cmocka_unit_test(cr0_rules),
        cmocka_unit_test(cr3_rules),
        cmocka_unit_test(other_instructions),
        cmocka_unit_test(the_hypapp_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
