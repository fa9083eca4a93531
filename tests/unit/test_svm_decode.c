/* SPDX-License-Identifier: MIT */
/* SVM: what is intercepted, each exit code's meaning, and which CPUs are refused. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/cpu.h>
#include <debug/log.h>
#include <guest/state.h>
#include <guest/walk.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/pool.h>
#include <policy/asked.h>
#include <policy/msr_policy.h>
#include <policy/regions.h>
#include <smp/stop.h>
#include <virt/svm/caps.h>
#include <guest/phys.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

extern const struct virt_ops svm_ops;

/* --- the rest of the back end and the core ------------------------------------------------ */

static uint8_t pages[16][PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned used;
const struct nested_format npt_format;

void *pool_boot_pages(size_t n)
{
    void *p = pages[used];

    used += (unsigned)n;
    assert_true(used <= ARRAY_SIZE(pages));
    return p;
}

hpa_t core_hpa(const void *va) { return hpa((uintptr_t)va); }
void regions_fill_ports(uint8_t *bitmap) { (void)bitmap; }
void log_line(const char *fmt, ...) { (void)fmt; }
void stop_and_reset(const char *why) { fail_msg("reset: %s", why); abort(); }
void kick(struct vcpu *v) { (void)v; }
void hw_clgi(void) { machine.gif = false; }
static unsigned stgis;
void hw_stgi(void) { machine.gif = true; stgis++; }
void cpu_take_interrupts(void) { }
void svm_park(const atomic_uint *wake);
void svm_park(const atomic_uint *wake) { (void)wake; }
void state_reset(struct vcpu_state *s) { memset(s, 0, sizeof(*s)); }
void svm_sandbox_init(struct vcpu *v) { (void)v; }
void svm_sandbox_enter(struct vcpu *v, const struct sandbox *sb) { (void)v, (void)sb; }
void svm_sandbox_leave(struct vcpu *v) { (void)v; }
void svm_sandbox_forget(struct vcpu *v, uint64_t tag) { (void)v, (void)tag; }
void svm_set_state(struct vcpu *v, const struct vcpu_state *s) { (void)v, (void)s; }
void svm_get_paging(struct vcpu *v, struct guest_paging *p) { (void)v, (void)p; }
void svm_get_segment(struct vcpu *v, enum segment_index i, struct segment *s)
{
    (void)v, (void)i, (void)s;
}
bool svm_state_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    (void)v, (void)msr, (void)value;
    return false;
}
bool svm_state_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    (void)v, (void)msr, (void)value;
    return false;
}
bool svm_set_cr(struct vcpu *v, unsigned cr, uint64_t value)
{
    (void)v, (void)cr, (void)value;
    return true;
}
bool svm_set_cr3(struct vcpu *v, uint64_t value) { (void)v, (void)value; return true; }
void svm_get_table(struct vcpu *v, enum table_register i, uint64_t *base, uint32_t *limit)
{
    (void)v, (void)i, (void)base, (void)limit;
}
void svm_set_table(struct vcpu *v, enum table_register i, uint64_t base, uint32_t limit)
{
    (void)v, (void)i, (void)base, (void)limit;
}
void svm_set_segment(struct vcpu *v, enum segment_index i, const struct segment *s)
{
    (void)v, (void)i, (void)s;
}
uint64_t svm_get_cr(struct vcpu *v, unsigned cr) { (void)v, (void)cr; return 0; }

/* virt/svm/entry.S: the guest runs and exits, as `at_exit` says. */
static struct vmcb at_exit, at_entry;
static unsigned windows;

void svm_enter(struct vcpu_regs *regs, struct exit *e, const struct vmcb *vmcb, uint64_t vmcb_hpa,
               uint64_t host_vmcb_hpa);
void svm_exited(struct vcpu_regs *regs, struct exit *e);
void svm_vmsave(uint64_t vmcb);
void svm_gif_window(void);

void svm_enter(struct vcpu_regs *regs, struct exit *e, const struct vmcb *vmcb, uint64_t vmcb_hpa,
               uint64_t host_vmcb_hpa)
{
    struct vmcb *c = (struct vmcb *)(uintptr_t)vmcb_hpa;

    (void)host_vmcb_hpa;
    assert_ptr_equal(c, vmcb);
    at_entry = *c;
    c->exit_code = at_exit.exit_code;
    c->exit_info1 = at_exit.exit_info1;
    c->exit_info2 = at_exit.exit_info2;
    c->exit_int_info = at_exit.exit_int_info;
    c->next_rip = at_exit.next_rip;
    c->rip = at_exit.rip ? at_exit.rip : c->rip;
    svm_exited(regs, e);
}

struct guest_phys_ops guest_phys_ops;
enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out)
{
    (void)phys, (void)p, (void)va, (void)access, (void)out;
    return WALK_FAULT;
}

static uint64_t saved_host;
void svm_vmsave(uint64_t vmcb) { saved_host = vmcb; }
void svm_gif_window(void) { windows++; }

/* --- a CPU --------------------------------------------------------------------------------- */

static struct vcpu v;

static void start(uint32_t features)
{
    memset(pages, 0, sizeof(pages));
    used = 0;
    v = (struct vcpu){ .regs = { .rip = 0x1000, .rflags = RFLAGS_ONE } };
    machine_reset(0);
    machine_set_cpuid(CPUID_BASIC, 0, (struct cpuid_regs){ .eax = 1 });
    machine_set_cpuid(1, 0, (struct cpuid_regs){ 0 });
    machine_set_cpuid(CPUID_EXTENDED, 0, (struct cpuid_regs){ .eax = CPUID_SVM });
    machine_set_cpuid(CPUID_EXT_AMD, 0, (struct cpuid_regs){ .ecx = CPUID_8_1_ECX_SVM });
    machine_set_cpuid(CPUID_SVM, 0, (struct cpuid_regs){ .ebx = 16, .edx = features });
    machine_set_msr(MSR_EFER, 0);
    machine_set_msr(MSR_AMD_VM_HSAVE_PA, 0);
}

static void up(uint32_t features)
{
    start(CPUID_8_A_EDX_NP | features);
    assert_null(svm_ops.probe());
    assert_int_equal(svm_ops.init(hpa(0x5000)), 0);
    assert_int_equal(svm_ops.cpu_init(&v), 0);
}

/* One run of the guest that ends in this exit. */
static struct exit exit_with(uint64_t code, uint64_t info1, uint64_t info2)
{
    struct exit e;

    memset(&e, 0xee, sizeof(e));
    at_exit.exit_code = code;
    at_exit.exit_info1 = info1;
    at_exit.exit_info2 = info2;
    svm_ops.run(&v, &e);
    assert_int_equal(e.raw, code);
    return e;
}

/* The OS's next entry flushes, by its ASID where the CPU can, however often a sandbox runs before;
 * and once more after a VMRUN that was refused, which may not have. */
static void a_flush_reaches_the_os(void **state)
{
    (void)state;
    for (unsigned by_asid = 0; by_asid < 2; by_asid++) {
        const uint8_t wanted = by_asid ? SVM_TLB_FLUSH_ASID : SVM_TLB_FLUSH_ALL;

        up(by_asid ? CPUID_8_A_EDX_FLUSH_BY_ASID : 0);
        exit_with(SVM_EXIT_CPUID, 0, 0);
        exit_with(SVM_EXIT_CPUID, 0, 0);
        assert_int_equal(at_entry.tlb_control, SVM_TLB_NOTHING);
        svm_ops.flush_nested(&v);
        v.in_sandbox = true;
        exit_with(SVM_EXIT_CPUID, 0, 0);
        assert_int_equal(at_entry.tlb_control, SVM_TLB_NOTHING);
        v.in_sandbox = false;
        exit_with(SVM_EXIT_CPUID, 0, 0);
        assert_int_equal(at_entry.tlb_control, wanted);
        exit_with(SVM_EXIT_CPUID, 0, 0);
        assert_int_equal(at_entry.tlb_control, SVM_TLB_NOTHING);
        assert_int_equal(exit_with(~0ULL, 0, 0).kind, EXIT_ENTRY_FAILED);
        exit_with(SVM_EXIT_CPUID, 0, 0);
        assert_int_equal(at_entry.tlb_control, wanted);
    }
}

static void events_that_never_end_are_intercepted(void **state)
{
    const struct vmcb *c;

    (void)state;
    up(0);
    c = svm(&v)->os;
    assert_true(c->intercept_exceptions >> EXC_DB & 1);
    assert_true(c->intercept_exceptions >> EXC_AC & 1);
    assert_true(c->intercept_exceptions >> EXC_UD & 1);
    assert_int_equal(c->intercept_exceptions, 1u << EXC_DB | 1u << EXC_AC | 1u << EXC_UD);
    for (uint64_t bit = SVM_I1_NMI; bit <= SVM_I1_INIT; bit <<= 1) {
        assert_true(c->intercept1 & bit);
    }
    assert_true(c->intercept1 & SVM_I1_MSR && c->intercept1 & SVM_I1_IOIO
                && c->intercept1 & SVM_I1_SHUTDOWN);
    assert_true(c->intercept2 & SVM_I2_VMRUN); /* else the entry fails */
    assert_true(machine.msr[0].value & EFER_SVME);
    assert_int_equal(c->np_enable, 1);
    assert_int_equal(c->n_cr3, 0x5000);
    assert_int_not_equal(c->asid, 0);
}

static void db_and_ac_reach_the_core_whole(void **state)
{
    struct exit e;

    (void)state;
    up(0);
    for (unsigned vector = 0; vector < 32; vector++) {
        e = exit_with(SVM_EXIT_EXCEPTION0 + vector, 0x1234, 0xabcd);
        assert_int_equal(e.kind, EXIT_EXCEPTION);
        assert_int_equal(e.exception.vector, vector);
        assert_int_equal(e.exception.has_error, EXC_ERROR_CODE_MASK >> vector & 1);
        assert_int_equal(e.exception.error, 0x1234);
        assert_int_equal(e.exception.addr, 0xabcd);
    }
    /* While one was being delivered: it is made again at the next entry, and once. */
    svm(&v)->os->cr0 = CR0_PE; /* in real mode it would have no error code */
    at_exit.exit_int_info = SVM_EVENT_VALID | SVM_EVENT_HAS_ERROR | EVENT_EXCEPTION << 8 | EXC_PF
        | 6ULL << 32;
    (void)exit_with(SVM_EXIT_NPF, 0, 0x7000);
    assert_int_equal(at_entry.event_inj, 0);
    const uint64_t again = at_exit.exit_int_info;
    at_exit.exit_int_info = 0;
    (void)exit_with(SVM_EXIT_CPUID, 0, 0);
    assert_int_equal(at_entry.event_inj, again);
    assert_true(at_entry.rflags & RFLAGS_RF); /* a fault's */
    (void)exit_with(SVM_EXIT_CPUID, 0, 0);
    assert_int_equal(at_entry.event_inj, 0);
}

/* A CPU that goes back to where it came from, and is taken all the same later. */
static void off_and_on(void **state)
{
    static const uint64_t firmwares[] = { 0, VM_CR_R_INIT };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(firmwares); i++) {
        start(CPUID_8_A_EDX_NP);
        machine_set_msr(MSR_EFER, EFER_LME | EFER_LMA | EFER_NXE);
        machine_set_msr(MSR_AMD_VM_HSAVE_PA, 0x7000);
        machine_set_msr(MSR_AMD_VM_CR, firmwares[i]);
        assert_null(svm_ops.probe());
        assert_int_equal(svm_ops.init(hpa(0x5000)), 0);
        v.vendor = NULL;
        svm_ops.cpu_off(&v); /* nothing was done yet */
        assert_int_equal(svm_ops.cpu_init(&v), 0);
        assert_true(*machine_msr(MSR_EFER) & EFER_SVME);
        stgis = 0;
        svm_ops.cpu_off(&v);
        svm_ops.cpu_off(&v);
        assert_int_equal(stgis, 1);
        assert_int_equal(*machine_msr(MSR_EFER), EFER_LME | EFER_LMA | EFER_NXE);
        assert_int_equal(*machine_msr(MSR_AMD_VM_HSAVE_PA), 0x7000);
        assert_int_equal(*machine_msr(MSR_AMD_VM_CR), firmwares[i]);
        saved_host = 0;
        assert_true(svm_ops.cpu_on(&v));
        assert_true(*machine_msr(MSR_EFER) & EFER_SVME);
        assert_int_equal(*machine_msr(MSR_AMD_VM_HSAVE_PA), svm(&v)->hsave_hpa);
        assert_int_equal(*machine_msr(MSR_AMD_VM_CR), VM_CR_R_INIT);
        assert_int_equal(saved_host, svm(&v)->host_hpa);
        svm_ops.cpu_off(&v);
        assert_int_equal(*machine_msr(MSR_AMD_VM_HSAVE_PA), 0x7000);
    }
}

/* Where VM_CR.R_INIT is, an INIT in the core is #SX: in the guest or a sandbox both are an INIT,
 * and one that was intercepted is still there until the core has taken it. */
static void init_is_redirected(void **state)
{
    (void)state;
    start(CPUID_8_A_EDX_NP);
    machine_set_msr(MSR_AMD_VM_CR, VM_CR_LOCK);
    assert_null(svm_ops.probe());
    assert_int_equal(svm_ops.init(hpa(0x5000)), 0);
    assert_int_equal(svm_ops.cpu_init(&v), 0);
    assert_int_equal(*machine_msr(MSR_AMD_VM_CR), VM_CR_LOCK | VM_CR_R_INIT);
    assert_true(svm(&v)->os->intercept_exceptions >> EXC_SX & 1);
    windows = 0;
    assert_int_equal(exit_with(SVM_EXIT_INIT, 0, 0).kind, EXIT_INIT);
    assert_int_equal(windows, 1);
    assert_int_equal(exit_with(SVM_EXIT_EXCEPTION0 + EXC_SX, 1, 0).kind, EXIT_INIT);
    assert_int_equal(windows, 1);
    assert_int_equal(exit_with(SVM_EXIT_EXCEPTION0 + EXC_SX, 2, 0).kind, EXIT_EXCEPTION);
    svm_ops.let_init();
    assert_int_equal(*machine_msr(MSR_AMD_VM_CR), VM_CR_LOCK);
    up(0); /* a CPU without: the core must not take the INIT */
    windows = 0;
    assert_int_equal(exit_with(SVM_EXIT_INIT, 0, 0).kind, EXIT_INIT);
    assert_int_equal(windows, 0);
}

/* NPT has the CPU's own format: a leaf of 1 GiB only where the CPU has such pages. */
static void leaves(void **state)
{
    (void)state;
    up(0);
    assert_int_equal(svm_ops.max_leaf_level(), 2);
    for (unsigned i = 0; i < machine.cpuid_count; i++) {
        machine.cpuid[i].r.edx |= machine.cpuid[i].leaf == CPUID_EXT_AMD ? CPUID_8_1_EDX_PAGE1G : 0;
    }
    assert_int_equal(svm_ops.max_leaf_level(), 3);
}

/* Erratum 383 is family 10h's alone. */
static void sizes_of_leaves(void **state)
{
    static const struct { uint32_t eax; bool keeps; } cpu[] = {
        { 0x00100f21, true }, { 0x00100fa0, true }, { 0x00040f33, false }, { 0x00300f10, false },
        { 0x00a10f11, false }, { 0x00b00f21, false }, { 0x00100621, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cpu); i++) {
        machine_reset(0);
        machine_set_cpuid(CPUID_BASIC, 0, (struct cpuid_regs){ .eax = 1 });
        machine_set_cpuid(CPUID_FEATURES, 0, (struct cpuid_regs){ .eax = cpu[i].eax });
        assert_int_equal(svm_ops.keeps_sizes(), cpu[i].keeps);
    }
}

static void simple_exits(void **state)
{
    static const struct { uint64_t code; enum exit_kind kind; } plain[] = {
        { SVM_EXIT_INTR, EXIT_INTR }, { SVM_EXIT_NMI, EXIT_NMI }, { SVM_EXIT_SMI, EXIT_SMI },
        { SVM_EXIT_INIT, EXIT_INIT }, { SVM_EXIT_CPUID, EXIT_CPUID }, { SVM_EXIT_INVD, EXIT_INVD },
        { SVM_EXIT_SHUTDOWN, EXIT_SHUTDOWN }, { SVM_EXIT_VMMCALL, EXIT_HYPERCALL },
        { SVM_EXIT_XSETBV, EXIT_XSETBV }, { SVM_EXIT_INVLPGA, EXIT_HIDDEN_INSN },
        { SVM_EXIT_VMRUN, EXIT_HIDDEN_INSN }, { SVM_EXIT_VMLOAD, EXIT_HIDDEN_INSN },
        { SVM_EXIT_VMSAVE, EXIT_HIDDEN_INSN }, { SVM_EXIT_STGI, EXIT_HIDDEN_INSN },
        { SVM_EXIT_CLGI, EXIT_HIDDEN_INSN }, { SVM_EXIT_SKINIT, EXIT_HIDDEN_INSN },
        { ~0ULL, EXIT_ENTRY_FAILED }, { 0xffffffff, EXIT_ENTRY_FAILED },
        { SVM_EXIT_HLT, EXIT_UNKNOWN }, { 0x6a, EXIT_TABLE }, { 0x6b, EXIT_TABLE },
        { 0x6c, EXIT_TABLE }, { 0x6d, EXIT_TABLE }, { 0x69, EXIT_UNKNOWN }, { 0x66, EXIT_UNKNOWN },
        { SVM_EXIT_TASK_SWITCH, EXIT_UNKNOWN }, { 0, EXIT_UNKNOWN },
        { 0x401, EXIT_UNKNOWN }, { 0x1000, EXIT_UNKNOWN },
        { 1ULL << 32 | SVM_EXIT_CPUID, EXIT_UNKNOWN },
    };

    (void)state;
    up(0);
    windows = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
        assert_int_equal(exit_with(plain[i].code, ~0ULL, ~0ULL).kind, plain[i].kind);
    }
    assert_int_equal(windows, 2); /* for NMI and SMI */
    for (uint64_t code = 0; code < 0x500; code++) { /* all have a kind */
        assert_in_range(exit_with(code, 0, 0).kind, EXIT_NONE, EXIT_TABLE);
    }
}

static void fields(void **state)
{
    struct exit e;

    (void)state;
    up(0);
    v.regs.gpr[GPR_RCX] = 0x12345678c0000080;
    e = exit_with(SVM_EXIT_MSR, 0, 0);
    assert_true(e.kind == EXIT_RDMSR && e.msr.index == 0xc0000080);
    e = exit_with(SVM_EXIT_MSR, 1, 0);
    assert_true(e.kind == EXIT_WRMSR && e.msr.index == 0xc0000080);
    e = exit_with(SVM_EXIT_IOIO, 0xcf9ULL << 16 | BIT(4), 0x1002);
    assert_true(e.kind == EXIT_IO && e.io.port == 0xcf9 && e.io.size == 1 && !e.io.in
                && !e.io.string && !e.io.rep);
    assert_int_equal(e.io.next_rip, 0x1002);
    e = exit_with(SVM_EXIT_IOIO, 0x64ULL << 16 | BIT(5) | BIT(3) | BIT(2) | 1, 0);
    assert_true(e.io.port == 0x64 && e.io.size == 2 && e.io.in && e.io.string && e.io.rep);
    assert_int_equal(exit_with(SVM_EXIT_IOIO, BIT(6), 0).io.size, 4);
    for (unsigned i = 0; i < 8; i++) { /* by EXITINFO1's bits 1 and 4 */
        e = exit_with(SVM_EXIT_NPF, (i & 1 ? PF_WRITE : 0) | (i & 2 ? PF_FETCH : 0) | BIT(32),
                      0xfee00300);
        assert_int_equal(e.kind, EXIT_NESTED_FAULT);
        assert_int_equal(e.fault.addr.a, 0xfee00300);
        assert_int_equal(e.fault.access, i & 3 ? (i & 1 ? ACCESS_WRITE : 0)
                         | (i & 2 ? ACCESS_EXEC : 0) : ACCESS_READ);
        assert_int_equal(e.fault.has_linear, i >> 1 & 1); /* that of a fetch is RIP */
        assert_true(!e.fault.reserved && !e.fault.walk);
        assert_true(exit_with(SVM_EXIT_NPF, i | BIT(33), 0xfee00300).fault.walk);
        assert_true(exit_with(SVM_EXIT_NPF, i | PF_RSVD | BIT(32), 0xfee00300).fault.reserved);
    }
    /* the access is tried again, its code breakpoint isn't */
    assert_true(v.regs.rflags & RFLAGS_RF);
    v.regs.rflags = RFLAGS_ONE;
    at_exit.exit_int_info = SVM_EVENT_VALID | EVENT_INTR << 8 | 0x30;
    (void)exit_with(SVM_EXIT_NPF, 0, 0xfee00300);
    assert_false(exit_with(SVM_EXIT_NPF, PF_FETCH, 0xfee00300).fault.has_linear);
    assert_false(v.regs.rflags & RFLAGS_RF); /* that of the frame */
    at_exit.exit_int_info = 0;
    for (unsigned cr = 0; cr < 16; cr++) {
        e = exit_with(SVM_EXIT_CR_WRITE0 + cr, BIT(63) | (15 - cr), 0);
        assert_true(e.kind == EXIT_CR_WRITE && e.cr.cr == cr && e.cr.decoded
                    && e.cr.gpr == 15 - cr);
        assert_false(exit_with(SVM_EXIT_CR_WRITE0 + cr, 3, 0).cr.decoded);
    }
}

/* VMRUN's rules (APM vol. 2, 15.5.1): what breaks one is mended, before the entry where that is
 * certain on every CPU, else once it was refused. Nothing else changes. */
static void illegal_states_are_mended(void **state)
{
    static const struct {
        size_t at;
        uint64_t clear, set;
        const char *rule;
        bool at_once;
    } rules[] = {
#define REG(r) offsetof(struct vmcb, r)
        { REG(cr0), 0, 1ULL << 32, "CR0 has bits", true }, { REG(cr0), 0, CR0_NW, "CR0.NW", true },
        { REG(dr6), 0, 1ULL << 40, "DR6", true }, { REG(dr7), 0, 1ULL << 63, "DR7", true },
        { REG(cr4), CR4_PAE, 0, "PAE", true }, { REG(cr0), CR0_PE, 0, "CR0.PE", true },
        { REG(cr3), 0, 1ULL << 60, "CR3", false }, { REG(cr4), 0, 1ULL << 31, "CR4", false },
        { REG(efer), EFER_SVME, 0, "SVME", false },
    };

    (void)state;
    up(0);
    struct vmcb *c = svm(&v)->os;
    c->efer = EFER_SVME | EFER_LME | EFER_LMA;
    c->cr0 = CR0_PE | CR0_PG;
    c->cr4 = CR4_PAE;
    c->cs.attrib = 0xa9b;
    assert_false(svm_illegal(c));
    assert_null(svm_legalise(&v));
    const struct vmcb good = *c;
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
        uint64_t *reg = (uint64_t *)((uint8_t *)c + rules[i].at);

        *reg = (*reg & ~rules[i].clear) | rules[i].set;
        assert_int_equal(svm_illegal(c), rules[i].at_once);
        const char *rule = svm_legalise(&v);
        assert_true(rule && strstr(rule, rules[i].rule));
        assert_memory_equal(c, &good, sizeof(good));
        assert_null(svm_legalise(&v));
    }
    c->cs.attrib = 0xe9b; /* SYSENTER in QEMU, stepped: never reaches VMRUN */
    (void)exit_with(SVM_EXIT_EXCEPTION0 + EXC_DB, 0, 0);
    assert_int_equal(at_entry.cs.attrib, 0xa9b);
    c->efer = EFER_SVME; /* outside long mode L means nothing */
    c->cs.attrib = 0xe9b;
    assert_false(svm_illegal(c));
    assert_null(svm_legalise(&v));
}

/* "Refused" with nothing run keeps the event; QEMU tells it of a MOV to CR4, too. */
static void refused_entries_keep_their_event(void **state)
{
    static const struct event gp = { .vector = EXC_GP, .type = EVENT_EXCEPTION, .has_error = true };
    struct exit e;

    (void)state;
    up(0);
    v.regs.rip = at_exit.rip = 0x1000;
    at_exit.exit_int_info = 0;
    assert_true(svm_inject(&v, &gp));
    e = exit_with(~0ULL, 0, 0);
    assert_true(e.kind == EXIT_ENTRY_FAILED && !e.entry.ran && svm_event_queued(&v));
    at_exit.exit_int_info = SVM_EVENT_VALID | EVENT_EXCEPTION << 8 | EXC_GP;
    e = exit_with(~0ULL, 0, 0);
    assert_true(!e.entry.ran && svm_event_queued(&v));
    at_exit.exit_int_info = 0;
    at_exit.rip = 0x2000; /* delivered */
    e = exit_with(~0ULL, 0, 0);
    assert_true(e.entry.ran && !svm_event_queued(&v));
    at_exit.rip = 0;
}

/* Next RIP is believed where CPUID says that it is there. */
static void instruction_length(void **state)
{
    (void)state;
    at_exit.next_rip = 0x1003;
    up(0);
    assert_int_equal(exit_with(SVM_EXIT_VMMCALL, 0, 0).insn_len, 0);
    up(CPUID_8_A_EDX_NRIPS);
    assert_int_equal(exit_with(SVM_EXIT_VMMCALL, 0, 0).insn_len, 3);
    at_exit.next_rip = 0x1010; /* longer than an instruction */
    assert_int_equal(exit_with(SVM_EXIT_VMMCALL, 0, 0).insn_len, 0);
    at_exit.next_rip = 0;
    assert_int_equal(exit_with(SVM_EXIT_VMMCALL, 0, 0).insn_len, 0);
}

/* The IRET that ends a guest's NMI handler, and the #DB after it, are the back end's. */
static void iret_and_its_step(void **state)
{
    static const struct event nmi = { .vector = EXC_NMI, .type = EVENT_NMI };

    (void)state;
    up(0);
    assert_true(svm_ops.inject(&v, &nmi));
    assert_int_equal(exit_with(SVM_EXIT_IRET, 0, 0).kind, EXIT_NONE);
    assert_int_equal(at_entry.event_inj & 0x7ff, EVENT_NMI << 8 | EXC_NMI);
    assert_int_equal(exit_with(SVM_EXIT_EXCEPTION0 + EXC_DB, 0, 0).kind, EXIT_NMI_WINDOW);
    assert_int_equal(exit_with(SVM_EXIT_EXCEPTION0 + EXC_DB, 0, 0).kind, EXIT_EXCEPTION);
}

static void missing(const char *what)
{
    const char *said = svm_missing();

    assert_non_null(said);
    assert_non_null(strstr(said, what));
}

static void refused_by_name(void **state)
{
    (void)state;
    start(CPUID_8_A_EDX_NP);
    assert_null(svm_missing()); /* without VM_CR too */
    machine_set_msr(MSR_AMD_VM_CR, 0);
    assert_null(svm_missing());
    machine_set_msr(MSR_AMD_VM_CR, VM_CR_SVMDIS);
    missing("SVMDIS");
    start(0);
    missing("nested paging");
    start(CPUID_8_A_EDX_NP);
    machine.cpuid[4].r.ebx = SVM_ASIDS_MIN - 1;
    missing("ASIDs");
    machine.cpuid[4].r.ebx = SVM_ASIDS_MIN;
    assert_null(svm_missing());
    machine.cpuid[3].r.ecx = 0;
    missing("8000_0001");
    start(CPUID_8_A_EDX_NP);
    machine.cpuid[2].r.eax = CPUID_SVM - 1;
    missing("8000_0001");
}

/* The core runs with GIF = 0, but for the accesses that firmware may trap. */
static void smis_are_let_in_on_demand(void **state)
{
    (void)state;
    machine.gif = false;
    svm_ops.smi_open();
    assert_true(machine.gif);
    svm_ops.smi_close();
    assert_false(machine.gif);
}

/* --- what the hypapp asked for ---------------------------------------------------------------- */

/* Bits that differ between two MSR bitmaps, and where the last one is. */
static unsigned more_bits(const uint8_t *before, const uint8_t *after, unsigned *at)
{
    unsigned n = 0;

    for (unsigned i = 0; i < 2 * PAGE_SIZE * 8; i++) {
        if ((before[i / 8] ^ after[i / 8]) >> (i % 8) & 1) {
            assert_true(after[i / 8] >> (i % 8) & 1);
            *at = i;
            n++;
        }
    }
    return n;
}

/* Nothing is intercepted for a hypapp that asks for nothing; and then just that. */
static void nothing_that_nobody_asked_for(void **state)
{
    static struct vmcb before;
    static uint8_t msrs[2 * PAGE_SIZE];
    unsigned at = 0;

    (void)state;
    up(0);
    before = *svm(&v)->os;
    memcpy(msrs, (void *)(uintptr_t)svm_msrpm.a, sizeof(msrs));
    assert_int_equal(before.intercept_cr, 0);
    for (uint32_t i = 0; i < 0x2000; i++) { /* the bitmap is the policy */
        for (unsigned write = 0; write < 2; write++) {
            const uint32_t msr = 0xc0000000 + i, bit = 0x800 * 8 + 2 * i + write;
            bool exits = (write ? msr_write_action(msr) : msr_read_action(msr)) != MSR_PASS;

            assert_int_equal(msrs[bit / 8] >> (bit % 8) & 1, exits);
        }
    }
    assert_int_equal(asked_add_msrs(MSR_LSTAR, MSR_LSTAR, ACCESS_WRITE), 0);
    up(0);
    assert_memory_equal(svm(&v)->os, &before, offsetof(struct vmcb, iopm_base));
    assert_int_equal(more_bits(msrs, (void *)(uintptr_t)svm_msrpm.a, &at), 1);
    assert_int_equal(at, 0x800 * 8 + 2 * (MSR_LSTAR - 0xc0000000) + 1);
    assert_int_equal(asked_add_cr(0, CR0_WP), 0);
    up(0);
    assert_int_equal(svm(&v)->os->intercept_cr, BIT(16));
    assert_int_equal(asked_add_cr(4, CR4_SMEP), 0);
    up(0);
    assert_int_equal(svm(&v)->os->intercept_cr, BIT(16) | BIT(20));
    assert_int_equal(asked_add_cr(3, 1), 0);
    up(0);
    assert_int_equal(svm(&v)->os->intercept_cr, BIT(16) | BIT(19) | BIT(20));
    svm(&v)->os->intercept_cr = 0;
    assert_memory_equal(svm(&v)->os, &before, offsetof(struct vmcb, iopm_base));
    static const unsigned bit[] = { [HYP_IDT] = 10, [HYP_GDT] = 11, [HYP_LDT] = 12, [HYP_TR] = 13 };
    for (unsigned i = 0, all = before.intercept1; i < ARRAY_SIZE(bit); i++) {
        assert_int_equal(asked_add_tables(1u << i), 0);
        up(0);
        all |= 1u << bit[i];
        assert_int_equal(svm(&v)->os->intercept1, all);
    }
    assert_int_equal(asked_add_tables(0), -1);
    assert_int_equal(asked_add_tables(1u << 4), -1);
    svm(&v)->os->intercept1 = before.intercept1;
    svm(&v)->os->intercept_cr = 0;
    assert_memory_equal(svm(&v)->os, &before, offsetof(struct vmcb, iopm_base));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smis_are_let_in_on_demand),
        cmocka_unit_test(a_flush_reaches_the_os),
        cmocka_unit_test(events_that_never_end_are_intercepted),
        cmocka_unit_test(db_and_ac_reach_the_core_whole),
        cmocka_unit_test(leaves),
        cmocka_unit_test(sizes_of_leaves), cmocka_unit_test(init_is_redirected),
        cmocka_unit_test(off_and_on),
        cmocka_unit_test(simple_exits),
        cmocka_unit_test(illegal_states_are_mended),
        cmocka_unit_test(refused_entries_keep_their_event),
        cmocka_unit_test(fields),
        cmocka_unit_test(instruction_length),
        cmocka_unit_test(iret_and_its_step),
        cmocka_unit_test(refused_by_name),
        cmocka_unit_test(nothing_that_nobody_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
