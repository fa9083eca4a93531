/* SPDX-License-Identifier: MIT */
/* CPUIDs that a back end answers again by itself, and AMD's stores to the APIC page: the same as
 * the usual way says, or not at all. */
#include "unit.h"

#include "fake/machine.h"
#include <exit/dispatch.h>
#include <hw/apic.h>
#include <hypapp/hypapp.h>
#include <insn/insn.h>
#include <virt/svm/svm.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define RIP 0x401000
#define RSP 0x7ffe0000
#define HYPAPPS_LEAF 0x7a567254

static struct { uint64_t rip, rflags, cr4, blocked; bool broken; } vmcs;
static struct vmcb os;
static struct svm_cpu svm_cpu;
static struct vmx_cpu vmx_cpu;
static struct vcpu v;
static uint8_t code_page[PAGE_SIZE];
static bool intel;
static uint32_t apic[PAGE_SIZE / 4];
volatile uint8_t *apic_page = (volatile uint8_t *)apic;

atomic_bool log_waiting;
struct svm_features svm_features;

/* --- what exit/cpuid.c and the back ends need ---------------------------------------------- */

bool hw_vmread(uint64_t field, uint64_t *value)
{
    *value = field == VMCS_GUEST_RIP ? vmcs.rip : field == VMCS_GUEST_RFLAGS ? vmcs.rflags
        : field == VMCS_GUEST_RSP ? RSP
        : field == VMCS_GUEST_CR4 ? vmcs.cr4 : field == VMCS_EXIT_INSN_LEN ? 2
        : field == VMCS_GUEST_INTERRUPTIBILITY ? vmcs.blocked : ~0ull;
    assert_true(*value != ~0ull);
    return true;
}

bool hw_vmwrite(uint64_t field, uint64_t value)
{
    assert_int_equal(field, VMCS_GUEST_RIP);
    if (!vmcs.broken) {
        vmcs.rip = value;
    }
    return !vmcs.broken;
}

static unsigned kicks;
void kick(struct vcpu *cpu) { (void)cpu, kicks++; }
uint64_t vmx_get_cr4(struct vcpu *cpu) { (void)cpu; return vmcs.cr4; }
void panic(const char *fmt, ...) { fail_msg("panic: %s", fmt); abort(); }
const char *vmcs_name(uint32_t encoding) { (void)encoding; return "?"; }

static uint64_t get_cr4(struct vcpu *cpu) { (void)cpu; return intel ? vmcs.cr4 : os.cr4; }
static const struct virt_ops ops = { .get_cr4 = get_cr4 };
const struct virt_ops *virt = &ops;

void exit_skip(struct vcpu *cpu, unsigned len) { cpu->regs.rip += len; }

unsigned exit_insn_len(struct vcpu *cpu, const struct exit *e, const uint8_t *opcode, size_t oplen,
                       struct guest_paging *p)
{
    (void)cpu, (void)e, (void)opcode, (void)oplen, (void)p;
    fail_msg("the length is known");
    return 0;
}

static uint64_t asked_at;
static uint32_t hypapp_wants;
static bool hypapp_injects;

static bool hypapp_cpuid(struct vcpu *cpu, uint32_t leaf, uint32_t sub, struct cpuid_regs *r)
{
    (void)sub, (void)r;
    if (leaf == HYPAPPS_LEAF) {
        asked_at = cpu->regs.rip;
        atomic_fetch_or(&cpu->requests, hypapp_wants);
        svm_cpu.queued.full = vmx_cpu.queued.full = hypapp_injects;
    }
    return leaf == HYPAPPS_LEAF;
}
const struct hypapp hypapp = { .cpuid = hypapp_cpuid };

/* --- the guest ----------------------------------------------------------------------------- */

static void guest_starts(bool on_intel)
{
    intel = on_intel;
    vmcs.rip = os.rip = RIP;
    vmcs.rflags = os.rflags = RFLAGS_ONE | RFLAGS_IF;
    vmcs.cr4 = os.cr4 = CR4_PAE | CR4_OSXSAVE;
    vmcs.blocked = 0;
    vmcs.broken = false;
    os.efer = EFER_LMA;
    os.cr0 = CR0_PE;
    os.cs.attrib = SEG_ATTR_L;
    os.cr3 = 0x1000;
    os.interrupt_shadow = os.event_inj = os.tlb_control = 0;
    svm_features.edx = 0;
    svm_cpu = (struct svm_cpu){ .os = &os };
    memset(&vmx_cpu, 0, sizeof(vmx_cpu));
    memcpy(code_page, (const uint8_t[]){ 0x0f, 0xa2 }, 2);
    memset(&v, 0, sizeof(v));
    v.vendor = intel ? (void *)&vmx_cpu : (void *)&svm_cpu;
    v.code.cr3 = os.cr3;
    v.code.page = RIP >> PAGE_SHIFT;
    v.code.bytes = code_page;
    atomic_store(&log_waiting, false);
    kicks = 0;
}

static void ask(uint32_t leaf, uint32_t sub)
{
    v.regs.gpr[GPR_RAX] = os.rax = leaf;
    v.regs.gpr[GPR_RCX] = sub;
    v.regs.gpr[GPR_RBX] = v.regs.gpr[GPR_RDX] = 0x5a5a5a5a5a;
    vmcs.rip = os.rip = v.regs.rip = RIP;
}

static struct cpuid_regs answer(void)
{
    const uint64_t *g = v.regs.gpr;

    return (struct cpuid_regs){ (uint32_t)(intel ? g[GPR_RAX] : os.rax), (uint32_t)g[GPR_RBX],
                                (uint32_t)g[GPR_RCX], (uint32_t)g[GPR_RDX] };
}

/* The usual way; it may remember. */
static struct cpuid_regs usual(uint32_t leaf, uint32_t sub)
{
    const struct exit e = { .kind = EXIT_CPUID, .insn_len = 2 };

    ask(leaf, sub);
    exit_cpuid(&v, &e);
    os.rax = v.regs.gpr[GPR_RAX];
    return answer();
}

/* The fast path; if it has no answer, it has changed nothing, and says whether it could have
 * one. */
static bool is_new;
static bool fast(uint32_t leaf, uint32_t sub)
{
    ask(leaf, sub);
    const struct vcpu before = v;
    const uint64_t rip = vmcs.rip;
    const struct vmcb vmcb = os;
    const unsigned what = intel ? vmx_fast_cpuid(&v.regs) : svm_fast_cpuid(&v.regs);
    const bool did = what == FAST_DONE;
    is_new = what == FAST_NEW;
    if (!did) {
        assert_memory_equal(&before, &v, sizeof(v));
        assert_memory_equal(&vmcb, &os, sizeof(os));
        assert_int_equal(vmcs.rip, rip);
    } else {
        assert_int_equal(intel ? vmcs.rip : os.rip, rip + 2);
        assert_int_equal(v.exits[EXIT_CPUID], before.exits[EXIT_CPUID] + 1);
        assert_int_equal(v.trace_next, before.trace_next + 1);
        assert_int_equal(v.trace[before.trace_next % VCPU_TRACE].kind, EXIT_CPUID);
    }
    return did;
}

static void load(const char *vector)
{
    char path[4096];

    machine_reset(0);
    machine_load(unit_source(path, sizeof(path), vector));
    machine.cr4 = CR4_OSXSAVE;
    machine.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
}

static void on_both(void (*test)(void))
{
    load("tests/vectors/vmx/inst-00a06a4-meteorlake-07.txt");
    guest_starts(true);
    test();
    load("tests/vectors/svm/inst-0b00f21-k20-turin-01.txt");
    guest_starts(false);
    test();
}

/* --- tests --------------------------------------------------------------------------------- */

static bool same(struct cpuid_regs a, struct cpuid_regs b)
{
    return a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
}

/* Each leaf of a real machine, asked twice: the second answer is the first, if there is one. */
static void every_leaf(void)
{
    unsigned again = 0, asked = 0;

    for (unsigned i = 0; i < machine.cpuid_count; i++) {
        uint32_t leaf = machine.cpuid[i].leaf, sub = machine.cpuid[i].sub;

        assert_false(fast(leaf, sub));
        struct cpuid_regs first = usual(leaf, sub);
        asked++;
        if (fast(leaf, sub)) {
            assert_true(same(answer(), first));
            again++;
        }
    }
    assert_true(asked > 15);
    assert_int_equal(again, asked);
    /* What is kept survives other questions, but for those that take its place. */
    again = 0;
    for (unsigned i = 0; i < machine.cpuid_count; i++) {
        if (fast(machine.cpuid[i].leaf, machine.cpuid[i].sub)) {
            struct cpuid_regs r = answer();
            assert_true(same(r, usual(machine.cpuid[i].leaf, machine.cpuid[i].sub)));
            again++;
        }
    }
    assert_true(again > asked / 2);
}

/* A question that wasn't asked before, on the fast path. */
static struct cpuid_regs new_question(uint32_t leaf, uint32_t sub)
{
    ask(leaf, sub);
    assert_int_equal(intel ? vmx_fast_cpuid(&v.regs) : svm_fast_cpuid(&v.regs), FAST_NEW);
    (intel ? vmx_new_cpuid : svm_new_cpuid)(&v.regs);
    assert_int_equal(intel ? vmcs.rip : os.rip, RIP + 2);
    return answer();
}

/* Each leaf of a real machine, new: the answer is the usual way's, and it is kept. */
static void every_leaf_is_new_once(void)
{
    for (unsigned i = 0; i < machine.cpuid_count; i++) {
        uint32_t leaf = machine.cpuid[i].leaf, sub = machine.cpuid[i].sub;

        cpuid_forget(&v);
        const uint64_t before = v.exits[EXIT_CPUID];
        struct cpuid_regs r = new_question(leaf, sub);
        assert_int_equal(v.exits[EXIT_CPUID], before + 1);
        assert_true(fast(leaf, sub) && same(answer(), r));
        assert_true(same(usual(leaf, sub), r));
    }
    assert_int_equal(kicks, 0);
}

/* The hypapp is asked with RIP at the instruction. What it asks of the run loop comes before the
 * guest goes on, for which an NMI sees. */
static void the_hypapp_is_asked_about_new_ones(void)
{
    new_question(HYPAPPS_LEAF, 0);
    assert_int_equal(asked_at, RIP);
    assert_false(fast(HYPAPPS_LEAF, 0));
    assert_true(is_new && kicks == 0);
    hypapp_wants = REQ_NMI;
    new_question(HYPAPPS_LEAF, 0);
    assert_int_equal(kicks, 1);
    atomic_store(&v.requests, 0);
    hypapp_wants = 0;
    hypapp_injects = true;
    new_question(HYPAPPS_LEAF, 0);
    assert_int_equal(kicks, 2);
    hypapp_injects = false;
}

static void what_the_cpu_says_now(void)
{
    struct cpuid_regs *now = NULL;

    for (unsigned i = 0; i < machine.cpuid_count; i++) {
        now = machine.cpuid[i].leaf == 1 ? &machine.cpuid[i].r : now;
    }
    assert_non_null(now);
    usual(1, 0);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t *reg = (uint32_t *)now + i;

        assert_true(fast(1, 0));
        *reg ^= 1u << 30; /* not hidden in any of them */
        assert_false(fast(1, 0));
        struct cpuid_regs r = usual(1, 0);
        assert_int_equal((((uint32_t *)&r)[i] ^ *reg) & 1u << 30, 0);
    }
    assert_true(fast(1, 0));
}

static void what_the_guest_has_set(void)
{
    usual(1, 0);
    vmcs.cr4 = os.cr4 = CR4_PAE;
    assert_false(fast(1, 0));
    assert_false(usual(1, 0).ecx & CPUID_1_ECX_OSXSAVE);
    vmcs.cr4 = os.cr4 = CR4_PAE | CR4_PGE;
    assert_true(fast(1, 0));
    vmcs.cr4 = os.cr4 = CR4_PAE | CR4_PKE;
    assert_false(fast(1, 0));
}

/* What is in ECX doesn't matter where a leaf has no subleaves, and does where it has. */
static void ecx(void)
{
    usual(0x80000000, 0x123);
    assert_true(fast(0x80000000, 0x456));
    usual(1, 7);
    assert_true(fast(1, 0));
    usual(7, 0);
    assert_false(fast(7, 1));
    usual(4, 0);
    assert_false(fast(4, 1));
    usual(4, 0xffff);
    assert_true(fast(4, 0xffff));
    usual(4, 0x10000);
    assert_false(fast(4, 0x10000));
    /* A subleaf that looks like a bit of CR4: what is kept is for the same subleaf. */
    usual(0x12345, 0);
    assert_true(fast(0x12345, 0));
    vmcs.cr4 = os.cr4 = CR4_PAE;
    assert_false(fast(0x12345, CR4_OSXSAVE));
}

static void a_new_xcr0_forgets(void)
{
    usual(0, 0);
    usual(0xd, 0);
    cpuid_forget(&v);
    assert_false(fast(0xd, 0));
    assert_false(fast(0, 0));
}

static void the_hypapp_may_want_each(void)
{
    usual(HYPAPPS_LEAF, 0);
    assert_false(fast(HYPAPPS_LEAF, 0));
    usual(0, 0);
    v.in_sandbox = true;
    assert_false(fast(0, 0));
    cpuid_forget(&v);
    usual(0, 0); /* a PAL's questions aren't kept either */
    v.in_sandbox = false;
    assert_false(fast(0, 0));
}

static void what_the_run_loop_must_see(void)
{
    usual(0, 0);
    atomic_store(&v.requests, REQ_STOP);
    assert_false(fast(0, 0));
    atomic_store(&v.requests, 0);
    atomic_store(&log_waiting, true);
    assert_false(fast(0, 0));
    atomic_store(&log_waiting, false);
    assert_true(fast(0, 0));
}

/* Set a word, see that the usual way is taken, and put it back. */
#define SLOW_WITH(word, value) do { \
        const __typeof__(word) slow_old = (word); \
        (word) = (value); \
        assert_false(fast(0, 0) || (is_new && !vmcs.broken)); \
        (word) = slow_old; \
        assert_true(fast(0, 0)); \
    } while (0)

static void what_moving_rip_must_heed(void)
{
    usual(0, 0);
    if (intel) {
        SLOW_WITH(vmcs.rflags, vmcs.rflags | RFLAGS_TF);
        SLOW_WITH(vmcs.rflags, vmcs.rflags | RFLAGS_RF);
        SLOW_WITH(vmcs.blocked, BLOCKED_BY_STI);
        SLOW_WITH(vmcs.blocked, BLOCKED_BY_MOV_SS);
        SLOW_WITH(vmcs.broken, true);
        SLOW_WITH(vmx_cpu.after_sipi, true);
        vmcs.blocked = BLOCKED_BY_NMI; /* in an NMI handler all is as usual */
        assert_true(fast(0, 0));
    } else {
        SLOW_WITH(os.rflags, os.rflags | RFLAGS_TF);
        SLOW_WITH(os.rflags, os.rflags | RFLAGS_RF);
        SLOW_WITH(os.interrupt_shadow, 1);
        os.interrupt_shadow = 2; /* RFLAGS.IF, which newer CPUs leave there; no shadow */
        assert_true(fast(0, 0));
        SLOW_WITH(os.event_inj, SVM_EVENT_VALID);
        SLOW_WITH(os.tlb_control, SVM_TLB_FLUSH_ALL);
    }
    assert_false(fast_moves(0xfffffffe, 0x100000000, 0));
    assert_true(fast_moves(0xfffffffd, 0xffffffff, 0));
    assert_false(fast_moves(~1ull, 0, 0));
    assert_true(fast_moves(0xffffffff81000ffe, 0xffffffff81001000, RFLAGS_IF));
}

static void where_code_is_known(void **state)
{
    (void)state;
    load("tests/vectors/svm/inst-0b00f21-k20-turin-01.txt");
    guest_starts(false);
    usual(0, 0);
    SLOW_WITH(os.cs.attrib, 0);
    SLOW_WITH(os.efer, 0);
    SLOW_WITH(os.cr3, 0x2000);
    SLOW_WITH(v.code.page, RIP / PAGE_SIZE + 1);
    SLOW_WITH(code_page[0], 0x66);
    SLOW_WITH(code_page[1], 0x05);
    assert_null(known_code(&v.code, true, os.cr3, RIP + PAGE_SIZE - 1, 2));
    assert_ptr_equal(known_code(&v.code, true, os.cr3, RIP + PAGE_SIZE - 2, 2),
                     code_page + PAGE_SIZE - 2);

    svm_features.edx = CPUID_8_A_EDX_NRIPS; /* then the CPU knows */
    v.code.page = 0;
    os.next_rip = RIP + 2;
    assert_true(fast(0, 0));
    SLOW_WITH(os.next_rip, 0);
    SLOW_WITH(os.next_rip, RIP + 16);
}

/* --- stores to the APIC page, on AMD ---------------------------------------------------------- */

static const uint8_t eoi[] = { 0xc7, 0x04, 0x25, 0xb0, 0xc0, 0x5f, 0xff, 0x11, 0x22, 0x33, 0x44 };

static _Atomic uint64_t tables[4]; /* the guest's entries on the way to the code */

static void know_code(void)
{
    v.store_code = (struct walk_memo){
        .page = RIP >> PAGE_SHIFT, .cr3 = os.cr3, .cr4 = os.cr4, .efer = os.efer,
        .bytes = code_page,
    };
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(&tables[i], 0x1000 * i + 0x67);
        v.store_code.entry[i] = &tables[i];
        v.store_code.value[i] = 0x1000 * i + 0x67;
    }
}

static void store_starts(const uint8_t *code, size_t n, unsigned offset)
{
    guest_starts(false);
    machine_reset(0);
    machine_set_msr(MSR_IA32_APIC_BASE, APIC_PAGE | 0x900);
    memset(code_page, 0x90, sizeof(code_page));
    memcpy(code_page, code, n);
    know_code();
    v.code.page = 0;
    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0xabcdef0000000000 + i;
    }
    v.regs.gpr[GPR_RAX] = v.regs.gpr[GPR_RSP] = ~0ull; /* they are in the VMCB */
    os.rax = 0x100000007;
    os.rsp = 0x10000000f;
    os.exit_info1 = BIT(32) | 7;
    os.exit_info2 = APIC_PAGE + offset;
    os.exit_int_info = 0;
    os.insn_len = 0;
    memset(apic, 0x5a, sizeof(apic));
}

/* Tries the fast path; if it says no, nothing has changed. */
static bool store(void)
{
    const struct vcpu before = v;
    const struct vmcb vmcb = os;
    uint32_t regs[PAGE_SIZE / 4];

    memcpy(regs, apic, sizeof(regs));
    if (svm_fast_store(&v.regs)) {
        assert_int_equal(v.exits[EXIT_NESTED_FAULT], before.exits[EXIT_NESTED_FAULT] + 1);
        assert_memory_equal(&before.regs, &v.regs, sizeof(v.regs));
        return true;
    }
    assert_memory_equal(&before, &v, sizeof(v));
    assert_memory_equal(&vmcb, &os, sizeof(os));
    assert_memory_equal(regs, apic, sizeof(regs));
    return false;
}

static void an_eoi_is_written(void **state)
{
    (void)state;
    store_starts(eoi, sizeof(eoi), APIC_EOI);
    assert_true(store());
    assert_int_equal(apic[APIC_EOI / 4], 0x44332211);
    assert_int_equal(os.rip, RIP + sizeof(eoi));
    for (unsigned reg = 0; reg < 16; reg++) { /* mov %reg, 0x10(%rcx) */
        const uint8_t mov[] = { (uint8_t)(0x40 | reg >> 3 << 2), 0x89,
                                (uint8_t)(0x41 | (reg & 7) << 3), 0x10 };
        store_starts(mov, sizeof(mov), APIC_TPR);
        assert_true(store());
        assert_int_equal(apic[APIC_TPR / 4], reg == GPR_RAX ? 7u : reg == GPR_RSP ? 15u : reg);
    }
}

/* Whatever the decoder of the usual way makes of random code, this one makes the same or
 * nothing. */
static void both_decoders_agree(void **state)
{
    uint64_t seed = 1;
    unsigned taken = 0;

    (void)state;
    for (unsigned n = 0; n < 300000; n++) {
        uint64_t words[2] = { unit_random(&seed), unit_random(&seed) };
        uint8_t *b = (uint8_t *)words;
        struct fast_store q;
        struct insn_store s;

        if (n & 1) {
            b[0] = n & 2 ? 0x89 : 0xc7;
        } else if (n & 2) {
            b[0] = 0x40 | (b[0] & 15);
            b[1] = n & 4 ? 0x89 : 0xc7;
        }
        if (!fast_store(b, &q)) {
            continue;
        }
        taken++;
        assert_true(insn_decode_store(b, INSN_MAX, 64, &s));
        assert_int_equal(s.size, 4);
        assert_int_equal(s.len, q.len);
        assert_int_equal(s.src == INSN_SRC_IMM, q.imm);
        assert_true(q.imm ? (uint32_t)s.imm == q.value : s.reg == q.reg);
    }
    assert_true(taken > 10000);
}

static void only_registers_that_nobody_watches(void **state)
{
    static const unsigned fast_ones[] = { APIC_EOI, APIC_TPR, APIC_ICR2, APIC_INITIAL_COUNT };
    unsigned taken = 0;

    (void)state;
    for (unsigned offset = 0; offset < PAGE_SIZE; offset += 4) {
        bool wanted = false;
        store_starts(eoi, sizeof(eoi), offset);
        code_page[8] &= 0xf8; /* not the delivery mode: that is for below */
        code_page[8] |= 1;
        for (unsigned i = 0; i < ARRAY_SIZE(fast_ones); i++) {
            wanted |= fast_ones[i] == offset;
        }
        assert_int_equal(store(), wanted);
        taken += wanted;
    }
    assert_int_equal(taken, ARRAY_SIZE(fast_ones));
    for (unsigned mode = 0; mode < 8; mode++) {
        store_starts(eoi, sizeof(eoi), APIC_ICR);
        code_page[8] = (uint8_t)(0xf8 | mode);
        assert_int_equal(store(), mode == 0); /* fixed */
    }
}

#define STORE_SLOW_WITH(word, value) do { \
        store_starts(eoi, sizeof(eoi), APIC_EOI); \
        (word) = (value); \
        assert_false(store()); \
    } while (0)

static void a_store_that_needs_thought(void **state)
{
    (void)state;
    STORE_SLOW_WITH(os.exit_info1, BIT(33) | 7); /* the CPU's own, to a page table */
    STORE_SLOW_WITH(os.exit_info1, BIT(32) | 5);
    STORE_SLOW_WITH(os.exit_info1, BIT(32) | 0x17);
    STORE_SLOW_WITH(os.exit_info2, APIC_PAGE + PAGE_SIZE + APIC_EOI);
    STORE_SLOW_WITH(os.exit_info2, APIC_EOI);
    STORE_SLOW_WITH(os.exit_int_info, SVM_EVENT_VALID);
    STORE_SLOW_WITH(os.event_inj, SVM_EVENT_VALID);
    STORE_SLOW_WITH(os.interrupt_shadow, 1);
    STORE_SLOW_WITH(os.tlb_control, SVM_TLB_FLUSH_ALL);
    STORE_SLOW_WITH(os.rflags, os.rflags | RFLAGS_TF);
    STORE_SLOW_WITH(os.rflags, os.rflags | RFLAGS_RF);
    STORE_SLOW_WITH(os.cs.attrib, 0);
    STORE_SLOW_WITH(os.cr3, 0x2000);
    STORE_SLOW_WITH(os.rip, RIP + PAGE_SIZE - 15);
    STORE_SLOW_WITH(v.store_code.page, RIP / PAGE_SIZE + 1);
    STORE_SLOW_WITH(os.cr4, os.cr4 ^ CR4_PGE);
    STORE_SLOW_WITH(os.efer, os.efer | EFER_NXE);
    for (unsigned i = 0; i < 4; i++) { /* mapped elsewhere since */
        STORE_SLOW_WITH(tables[i], 0x9067);
    }
    STORE_SLOW_WITH(code_page[0], 0x66);
    STORE_SLOW_WITH(code_page[0], 0xf0);
    STORE_SLOW_WITH(code_page[1], 0x0c);
    STORE_SLOW_WITH(v.in_sandbox, true);
    STORE_SLOW_WITH(v.requests, REQ_STOP);
    STORE_SLOW_WITH(v.apic_off, true);
    STORE_SLOW_WITH(*machine_msr(MSR_IA32_APIC_BASE), APIC_PAGE | 0xd00); /* x2APIC */
}

/* With decode assists no page need be known; without, what is in that field means nothing. */
static void the_cpu_may_have_left_the_bytes(void **state)
{
    (void)state;
    for (unsigned has = 0; has < 2; has++) {
        store_starts(eoi, sizeof(eoi), APIC_EOI);
        svm_features.edx = has ? CPUID_8_A_EDX_DECODE_ASSISTS : 0;
        v.store_code.bytes = NULL;
        memcpy(os.insn_bytes, eoi, sizeof(eoi));
        os.insn_len = 15;
        assert_int_equal(store(), has);
        os.rip = RIP;
        os.insn_len = 10; /* cut off by a page that can't be fetched */
        assert_false(store());
    }
}

#define BOTH(name) static void test_##name(void **state) { (void)state; on_both(name); }
BOTH(every_leaf)
BOTH(every_leaf_is_new_once)
BOTH(the_hypapp_is_asked_about_new_ones)
BOTH(what_the_cpu_says_now)
BOTH(what_the_guest_has_set)
BOTH(ecx)
BOTH(a_new_xcr0_forgets)
BOTH(the_hypapp_may_want_each)
BOTH(what_the_run_loop_must_see)
BOTH(what_moving_rip_must_heed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_leaf), cmocka_unit_test(test_every_leaf_is_new_once),
        cmocka_unit_test(test_the_hypapp_is_asked_about_new_ones),
            cmocka_unit_test(test_what_the_cpu_says_now),
        cmocka_unit_test(test_what_the_guest_has_set), cmocka_unit_test(test_ecx),
        cmocka_unit_test(test_a_new_xcr0_forgets),
        cmocka_unit_test(test_the_hypapp_may_want_each),
        cmocka_unit_test(test_what_the_run_loop_must_see),
        cmocka_unit_test(test_what_moving_rip_must_heed),
        cmocka_unit_test(where_code_is_known), cmocka_unit_test(an_eoi_is_written),
        cmocka_unit_test(both_decoders_agree), cmocka_unit_test(only_registers_that_nobody_watches),
        cmocka_unit_test(a_store_that_needs_thought),
        cmocka_unit_test(the_cpu_may_have_left_the_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
