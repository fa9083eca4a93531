/* SPDX-License-Identifier: MIT */
/* VMX: each exit reason's meaning, and what the back end keeps to itself. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/mc.h>
#include <guest/walk.h>
#include <hw/cpu.h>
#include <smp/stop.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>

static uint64_t vmcs[0x8000]; /* by encoding */
static struct vmx_cpu cpu;
static struct vcpu v;
static unsigned irets, failures_told, machine_checks;

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

void stop_and_reset(const char *why) { fail_msg("reset: %s", why); abort(); }
const char *vmcs_name(uint32_t encoding) { (void)encoding; return "?"; }
bool hw_vmread(uint64_t field, uint64_t *value) { *value = vmcs[field]; return true; }
bool hw_vmwrite(uint64_t field, uint64_t value) { vmcs[field] = value; return true; }
void hw_iret(void) { irets++; }
void mc_met_core(struct vcpu *w) { (void)w; machine_checks++; }
void vmx_log_entry_failure(uint32_t reason) { (void)reason; failures_told++; }

static void start(void)
{
    memset(vmcs, 0, sizeof(vmcs));
    memset(&cpu, 0, sizeof(cpu));
    v = (struct vcpu){ .vendor = &cpu };
    vmcs[VMCS_EXIT_INSN_LEN] = 3;
    irets = failures_told = machine_checks = 0;
}

/* Decoding reads: neither the VMCS nor anything of the CPU's changes. */
static void decode_only(uint32_t reason)
{
    static uint64_t fields_before[ARRAY_SIZE(vmcs)];
    const struct vmx_cpu cpu_before = cpu;
    const unsigned irets_before = irets, told = failures_told, checks = machine_checks;
    static struct vcpu vcpu_before;
    struct exit e;

    memcpy(fields_before, vmcs, sizeof(vmcs));
    memcpy(&vcpu_before, &v, sizeof(v));
    (void)vmx_decode(reason, &v, &e);
    assert_memory_equal(vmcs, fields_before, sizeof(vmcs));
    assert_memory_equal(&cpu, &cpu_before, sizeof(cpu));
    assert_memory_equal(&v, &vcpu_before, sizeof(v));
    assert_true(irets == irets_before && failures_told == told && machine_checks == checks);
}

static struct exit decode(uint32_t reason, uint64_t qualification)
{
    struct exit e;

    memset(&e, 0xee, sizeof(e));
    vmcs[VMCS_EXIT_QUALIFICATION] = qualification;
    decode_only(reason);
    vmx_take_exit(&v, reason, &e);
    assert_int_equal(e.raw, reason);
    return e;
}

static void simple_exits(void **state)
{
    static const struct { uint32_t reason; enum exit_kind kind; unsigned len; } plain[] = {
        { VMX_EXIT_CPUID, EXIT_CPUID, 3 }, { VMX_EXIT_INVD, EXIT_INVD, 3 },
        { VMX_EXIT_VMCALL, EXIT_HYPERCALL, 3 }, { VMX_EXIT_GDTR_IDTR, EXIT_TABLE, 3 },
        { VMX_EXIT_LDTR_TR, EXIT_TABLE, 3 }, { VMX_EXIT_XSETBV, EXIT_XSETBV, 3 },
        { VMX_EXIT_GETSEC, EXIT_HIDDEN_INSN, 3 }, { VMX_EXIT_VMCLEAR, EXIT_HIDDEN_INSN, 3 },
        { VMX_EXIT_VMLAUNCH, EXIT_HIDDEN_INSN, 3 }, { VMX_EXIT_VMPTRLD, EXIT_HIDDEN_INSN, 3 },
        { VMX_EXIT_VMPTRST, EXIT_HIDDEN_INSN, 3 }, { VMX_EXIT_VMREAD, EXIT_HIDDEN_INSN, 3 },
        { VMX_EXIT_VMRESUME, EXIT_HIDDEN_INSN, 3 }, { VMX_EXIT_VMWRITE, EXIT_HIDDEN_INSN, 3 },
        { VMX_EXIT_VMXOFF, EXIT_HIDDEN_INSN, 3 }, { VMX_EXIT_VMXON, EXIT_HIDDEN_INSN, 3 },
        { VMX_EXIT_INVEPT, EXIT_HIDDEN_INSN, 3 }, { VMX_EXIT_INVVPID, EXIT_HIDDEN_INSN, 3 },
        { VMX_EXIT_VMFUNC, EXIT_HIDDEN_INSN, 3 }, { VMX_EXIT_PCONFIG, EXIT_HIDDEN_INSN, 3 },
        { VMX_EXIT_EXTERNAL_INTR, EXIT_INTR, 0 }, { VMX_EXIT_TRIPLE_FAULT, EXIT_SHUTDOWN, 0 },
        { VMX_EXIT_INIT, EXIT_INIT, 0 }, { VMX_EXIT_HLT, EXIT_UNKNOWN, 0 },
        { VMX_EXIT_PAUSE, EXIT_UNKNOWN, 0 }, { VMX_EXIT_TASK_SWITCH, EXIT_TASK_SWITCH, 3 },
        { 0xffff, EXIT_UNKNOWN, 0 },
    };
    struct exit e;

    (void)state;
    start();
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
        e = decode(plain[i].reason, ~0ULL);
        assert_int_equal(e.kind, plain[i].kind);
        assert_int_equal(e.insn_len, plain[i].len);
    }
    assert_int_equal(failures_told, 0);
    e = decode(VMX_ENTRY_FAILED | VMX_EXIT_BAD_GUEST_STATE, 0);
    assert_true(e.kind == EXIT_ENTRY_FAILED && failures_told == 1);
    e = decode(VMX_ENTRY_FAILED | VMX_EXIT_CPUID, 0); /* the bit decides */
    assert_true(e.kind == EXIT_ENTRY_FAILED && failures_told == 2);
    v.regs.gpr[GPR_RAX] = 0x1005;
    for (uint32_t reason = 0; reason < 0x100; reason++) { /* all have a kind */
        assert_in_range(decode(reason, 0x1000).kind, EXIT_NONE, EXIT_TABLE);
    }
}

static void fields(void **state)
{
    struct exit e;

    (void)state;
    start();
    v.regs.gpr[GPR_RCX] = 0x12345678c0000080;
    e = decode(VMX_EXIT_RDMSR, 0);
    assert_true(e.kind == EXIT_RDMSR && e.msr.index == 0xc0000080 && e.insn_len == 3);
    e = decode(VMX_EXIT_WRMSR, 0);
    assert_true(e.kind == EXIT_WRMSR && e.msr.index == 0xc0000080);
    e = decode(VMX_EXIT_IO, 0xcf9ULL << 16);
    assert_true(e.kind == EXIT_IO && e.io.port == 0xcf9 && e.io.size == 1 && !e.io.in
                && !e.io.string && !e.io.rep);
    assert_true(e.io.next_rip == 0 && e.insn_len == 3);
    e = decode(VMX_EXIT_IO, 0x64ULL << 16 | 1 | BIT(3) | BIT(4) | BIT(5));
    assert_true(e.io.port == 0x64 && e.io.size == 2 && e.io.in && e.io.string && e.io.rep);
    assert_int_equal(decode(VMX_EXIT_IO, 3).io.size, 4);
    vmcs[VMCS_GUEST_PHYSICAL] = 0xfee00300;
    vmcs[VMCS_GUEST_LINEAR] = 0xffffc90000300008;
    for (unsigned i = 0; i < 8; i++) {
        e = decode(VMX_EXIT_EPT_VIOLATION, i | 0x780);
        assert_true(e.kind == EXIT_NESTED_FAULT && e.fault.addr.a == 0xfee00300 && e.insn_len == 0);
        assert_int_equal(e.fault.access, i & 6 ? (i & 2 ? ACCESS_WRITE : 0)
                         | (i & 4 ? ACCESS_EXEC : 0) : ACCESS_READ);
        assert_true(!e.fault.reserved && e.fault.has_linear
                    && e.fault.linear == 0xffffc90000300008);
        assert_false(e.fault.walk);
        e = decode(VMX_EXIT_EPT_VIOLATION, i | 0x700);
        assert_true(!e.fault.has_linear && e.fault.walk);
        assert_true(decode(VMX_EXIT_EPT_VIOLATION, i | 0x680).fault.walk);
    }
    e = decode(VMX_EXIT_EPT_MISCONFIG, ~0ULL); /* which has no qualification */
    assert_true(e.kind == EXIT_NESTED_FAULT && e.fault.reserved && e.fault.addr.a == 0xfee00300);
    assert_true(!e.fault.has_linear && e.fault.access == ACCESS_READ && e.insn_len == 0);
}

static void writes_of_cr(void **state)
{
    struct exit e;

    (void)state;
    start();
    e = decode(VMX_EXIT_CR_ACCESS, 4 | 13 << 8);
    assert_true(e.kind == EXIT_CR_WRITE && e.cr.cr == 4 && e.cr.gpr == 13 && e.cr.decoded
                && e.insn_len == 3);
    assert_int_equal(e.cr.how, CR_MOV);
    e = decode(VMX_EXIT_CR_ACCESS, 9 << 8);
    assert_true(e.kind == EXIT_CR_WRITE && e.cr.cr == 0 && e.cr.gpr == 9 && e.cr.how == CR_MOV
                && e.cr.decoded);
    e = decode(VMX_EXIT_CR_ACCESS, 3 | 15 << 8);
    assert_true(e.cr.cr == 3 && e.cr.gpr == 15 && e.cr.how == CR_MOV);
    e = decode(VMX_EXIT_CR_ACCESS, 2 << 4);
    assert_true(e.kind == EXIT_CR_WRITE && e.cr.cr == 0 && e.cr.how == CR_CLTS && e.cr.decoded
                && e.insn_len == 3);
    e = decode(VMX_EXIT_CR_ACCESS, 3 << 4 | 0xfffaULL << 16);
    assert_true(e.cr.cr == 0 && e.cr.how == CR_LMSW && e.cr.source == 0xfffa && e.cr.decoded);
    v.in_sandbox = true; /* a PAL's is for common code to judge */
    e = decode(VMX_EXIT_CR_ACCESS, 9 << 8);
    assert_true(e.kind == EXIT_CR_WRITE && e.cr.cr == 0);
}

static void start_up(void **state)
{
    struct exit e;

    (void)state;
    start();
    atomic_store(&v.waiting, true);
    e = decode(VMX_EXIT_SIPI, 0x1234567800000099ULL);
    assert_true(e.kind == EXIT_SIPI && e.sipi.vector == 0x99 && cpu.after_sipi
                && !atomic_load(&v.waiting));
    assert_false(cpu.smi_bit_stuck);
    vmcs[VMCS_GUEST_INTERRUPTIBILITY] = BLOCKED_BY_SMI;
    (void)decode(VMX_EXIT_SIPI, 0);
    assert_true(cpu.smi_bit_stuck);
}

static uint64_t info(unsigned type, unsigned vector, uint64_t more)
{
    return INTR_INFO_VALID | type << INTR_INFO_TYPE_SHIFT | vector | more;
}

static void exceptions_of_a_pal(void **state)
{
    struct exit e;

    (void)state;
    start();
    v.in_sandbox = true;
    vmcs[VMCS_EXIT_INTR_INFO] = info(INTR_TYPE_HARDWARE, EXC_PF, INTR_INFO_ERROR);
    vmcs[VMCS_EXIT_ERROR_CODE] = 6;
    e = decode(VMX_EXIT_EXCEPTION_NMI, 0xabc000);
    assert_true(e.kind == EXIT_EXCEPTION && e.exception.vector == EXC_PF && e.exception.has_error);
    assert_true(e.exception.error == 6 && e.exception.addr == 0xabc000);
    vmcs[VMCS_EXIT_INTR_INFO] = info(INTR_TYPE_SOFT_EXC, EXC_BP, 0);
    e = decode(VMX_EXIT_EXCEPTION_NMI, 0xabc000);
    assert_true(e.exception.vector == EXC_BP && !e.exception.has_error && e.exception.error == 0);
    assert_true(e.exception.addr == 0 && !cpu.queued.full);
}

/* It comes as a failed entry where the CPU was still loading the guest: nothing has run, and
 * nothing is wrong with the guest (SDM vol. 3, 27.9). It is judged as one in the core; a PAL is put
 * away. */
static void a_machine_check_at_an_entry(void **state)
{
    struct exit e;

    (void)state;
    start();
    v.in_sandbox = true;
    e = decode(VMX_ENTRY_FAILED | VMX_EXIT_ENTRY_MC, 0);
    assert_true(e.kind == EXIT_INTR && machine_checks == 1);
    assert_int_equal(failures_told, 0);
    e = decode(VMX_ENTRY_FAILED | VMX_EXIT_BAD_GUEST_STATE, 0);
    assert_true(e.kind == EXIT_ENTRY_FAILED && failures_told == 1);
    start();
    e = decode(VMX_ENTRY_FAILED | VMX_EXIT_ENTRY_MC, 0); /* while the OS's state was loaded */
    assert_true(e.kind == EXIT_INTR && machine_checks == 1);
    e = decode(VMX_ENTRY_FAILED | VMX_EXIT_BAD_GUEST_STATE, 0);
    assert_true(e.kind == EXIT_ENTRY_FAILED && !e.entry.ran);
}

/* What led to a task switch, and whose length counts (SDM vol. 3, 26.4.2, 28.2.5). */
static void task_switches(void **state)
{
    static const struct {
        uint32_t type;
        uint8_t vector;
        bool error, external, nmi;
        unsigned len;
    } events[] = {
        { INTR_TYPE_EXTERNAL, 0x30, false, true, false, 0 },
        { INTR_TYPE_NMI, EXC_NMI, false, true, true, 0 },
        { INTR_TYPE_HARDWARE, EXC_PF, true, true, false, 0 },
        { INTR_TYPE_SOFT_INT, 0x80, false, false, false, 2 },
        { INTR_TYPE_SOFT_EXC, EXC_BP, false, false, false, 2 },
    };

    (void)state;
    for (unsigned source = TASK_CALL; source <= TASK_JMP; source++) {
        start();
        vmcs[VMCS_EXIT_INSN_LEN] = 7;
        struct exit e = decode(VMX_EXIT_TASK_SWITCH, (uint64_t)source << 30 | 0x48);
        assert_true(e.kind == EXIT_TASK_SWITCH && e.task.source == source
                    && e.task.selector == 0x48);
        assert_true(!e.task.external && !e.task.nmi && !e.task.has_error && e.insn_len == 7);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
        start();
        vmcs[VMCS_EXIT_INSN_LEN] = 2;
        vmcs[VMCS_IDT_INFO] = info(events[i].type, events[i].vector,
                                   events[i].error ? INTR_INFO_ERROR : 0);
        vmcs[VMCS_IDT_ERROR_CODE] = 0x1234;
        struct exit e = decode(VMX_EXIT_TASK_SWITCH, 3ULL << 30 | 0x50);
        assert_true(e.kind == EXIT_TASK_SWITCH && e.task.source == TASK_EVENT
                    && e.task.selector == 0x50);
        assert_true(e.task.external == events[i].external && e.task.nmi == events[i].nmi);
        assert_int_equal(e.insn_len, events[i].len);
        assert_int_equal(e.task.has_error, events[i].error);
        assert_true(!events[i].error || e.task.error == 0x1234);
        assert_true(cpu.queued.full); /* until it is delivered */
        vmx_event_done(&v);
        assert_false(cpu.queued.full);
    }
}

/* #DB and #AC of the OS exit so that they can't loop, and go back to it. */
static void exceptions_of_the_os(void **state)
{
    (void)state;
    start();
    vmcs[VMCS_EXIT_INTR_INFO] = info(INTR_TYPE_HARDWARE, EXC_AC, INTR_INFO_ERROR);
    vmcs[VMCS_EXIT_ERROR_CODE] = 0;
    assert_int_equal(decode(VMX_EXIT_EXCEPTION_NMI, 0).kind, EXIT_NONE);
    assert_true(cpu.queued.full && cpu.queued.event.vector == EXC_AC && cpu.queued.event.has_error);
    vmx_load_event(&v); /* in real mode: no error code */
    assert_int_equal(vmcs[VMCS_ENTRY_INTR_INFO], info(INTR_TYPE_HARDWARE, EXC_AC, 0));
    vmcs[VMCS_GUEST_CR0] = CR0_PE;
    vmx_load_event(&v);
    assert_int_equal(vmcs[VMCS_ENTRY_INTR_INFO], info(INTR_TYPE_HARDWARE, EXC_AC, INTR_INFO_ERROR));
    start();
    vmcs[VMCS_EXIT_INTR_INFO] = info(INTR_TYPE_HARDWARE, EXC_DB, 0);
    vmcs[VMCS_GUEST_DR7] = BIT(13) | 0x400;
    assert_int_equal(decode(VMX_EXIT_EXCEPTION_NMI, DR6_BS | 2).kind, EXIT_NONE);
    assert_true(cpu.queued.full && cpu.queued.event.vector == EXC_DB);
    assert_int_equal(machine.dr6 & 0x600f, DR6_BS | 2);
    assert_int_equal(vmcs[VMCS_GUEST_DR7], 0x400);
}

/* An IRET that faulted had unblocked NMIs; not so in a double fault, or if an event waits. */
static void nmis_are_blocked_again(void **state)
{
    (void)state;
    start();
    vmcs[VMCS_EXIT_INTR_INFO] = info(INTR_TYPE_HARDWARE, EXC_AC, INTR_INFO_NMI_UNBLOCK);
    (void)decode(VMX_EXIT_EXCEPTION_NMI, 0);
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], BLOCKED_BY_NMI);
    start();
    vmcs[VMCS_EXIT_INTR_INFO] = info(INTR_TYPE_HARDWARE, EXC_DF, INTR_INFO_NMI_UNBLOCK);
    (void)decode(VMX_EXIT_EXCEPTION_NMI, 0);
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], 0);
    start();
    (void)decode(VMX_EXIT_EPT_VIOLATION, EPT_QUAL_NMI_UNBLOCK | EPT_QUAL_READ);
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], BLOCKED_BY_NMI);
    start();
    v.in_sandbox = true;
    (void)decode(VMX_EXIT_EPT_VIOLATION, EPT_QUAL_NMI_UNBLOCK | EPT_QUAL_READ);
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], 0);
}

static void nmis(void **state)
{
    (void)state;
    start();
    vmcs[VMCS_EXIT_INTR_INFO] = info(INTR_TYPE_NMI, EXC_NMI, 0);
    assert_int_equal(decode(VMX_EXIT_EXCEPTION_NMI, 0).kind, EXIT_NMI);
    assert_true(irets == 1 && atomic_load(&v.nmis_seen) == 1 && !cpu.queued.full);
    cpu.window = (uint32_t)BIT(PROC_NMI_WINDOW);
    assert_int_equal(decode(VMX_EXIT_NMI_WINDOW, 0).kind, EXIT_NMI_WINDOW);
    assert_true(cpu.window == 0 && cpu.window_changed);
}

/* What was being delivered is queued again, with all that the entry needs. */
static void an_interrupted_delivery_is_made_again(void **state)
{
    static const struct { unsigned type, vector; uint64_t more; } again[] = {
        { INTR_TYPE_EXTERNAL, 0x30, 0 }, { INTR_TYPE_NMI, EXC_NMI, 0 },
        { INTR_TYPE_HARDWARE, EXC_DE, 0 },
        { INTR_TYPE_HARDWARE, EXC_PF, INTR_INFO_ERROR }, { INTR_TYPE_SOFT_INT, 0x80, 0 },
        { INTR_TYPE_PRIV_SOFT, EXC_DB, 0 }, { INTR_TYPE_SOFT_EXC, EXC_BP, 0 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(again); i++) {
        start();
        vmcs[VMCS_GUEST_CR0] = CR0_PE;
        vmcs[VMCS_IDT_INFO] = info(again[i].type, again[i].vector, again[i].more);
        vmcs[VMCS_IDT_ERROR_CODE] = 0xfff8;
        vmcs[VMCS_GUEST_INTERRUPTIBILITY] = BLOCKED_BY_NMI;
        (void)decode(VMX_EXIT_EPT_VIOLATION, EPT_QUAL_READ);
        assert_true(cpu.queued.full);
        vmx_load_event(&v);
        assert_int_equal(vmcs[VMCS_ENTRY_INTR_INFO], vmcs[VMCS_IDT_INFO]);
        assert_int_equal(vmcs[VMCS_ENTRY_ERROR_CODE], again[i].more ? 0xfff8 : 0);
        assert_int_equal(vmcs[VMCS_ENTRY_INSN_LEN], again[i].type >= INTR_TYPE_SOFT_INT ? 3 : 0);
        assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY],
                         again[i].type == INTR_TYPE_NMI ? 0 : BLOCKED_BY_NMI);
        start();
        v.in_sandbox = true;
        vmcs[VMCS_IDT_INFO] = info(again[i].type, again[i].vector, again[i].more);
        (void)decode(VMX_EXIT_EPT_VIOLATION, EPT_QUAL_READ);
        assert_false(cpu.queued.full);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_exits),
        cmocka_unit_test(fields),
        cmocka_unit_test(writes_of_cr),
        cmocka_unit_test(start_up),
        cmocka_unit_test(exceptions_of_a_pal),
        cmocka_unit_test(a_machine_check_at_an_entry),
        cmocka_unit_test(task_switches),
        cmocka_unit_test(exceptions_of_the_os),
        cmocka_unit_test(nmis_are_blocked_again),
        cmocka_unit_test(nmis),
        cmocka_unit_test(an_interrupted_delivery_is_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
