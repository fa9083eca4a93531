/* SPDX-License-Identifier: MIT */
/* The replay of the SDM's rules for guest state: a good state breaks none, and each single fault
 * is named. Also the table of VMCS fields. */
#include "unit.h"

#include <virt/vmx/vmx.h>
#include <x86/cpu.h>

#include "fake/machine.h"

static struct { enum vmcs_field field; uint64_t value; } fields[96];
static unsigned field_count;
static struct vmx_caps caps;

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

static uint64_t read_field(enum vmcs_field field)
{
    for (unsigned i = 0; i < field_count; i++) {
        if (fields[i].field == field) {
            return fields[i].value;
        }
    }
    return 0;
}

static void set(enum vmcs_field field, uint64_t value)
{
    for (unsigned i = 0; i < field_count; i++) {
        if (fields[i].field == field) {
            fields[i].value = value;
            return;
        }
    }
    assert_true(field_count < ARRAY_SIZE(fields));
    fields[field_count].field = field;
    fields[field_count++].value = value;
}

static const char *(*checked)(const struct vmx_caps *, vmx_field_reader) = vmx_check_guest;

static const char *broken(void)
{
    return checked(&caps, read_field);
}

static void load_caps(void)
{
    char path[512];

    machine_reset(0);
    machine_load(unit_source(path, sizeof(path), "tests/vectors/vmx/notes-hp-2540p-i5-540m.txt"));
    vmx_caps_read(&caps);
    machine_set_cpuid(0x80000000, 0, (struct cpuid_regs){ .eax = 0x80000008 });
    machine_set_cpuid(0x80000008, 0, (struct cpuid_regs){ .eax = 36 });
}

/* Real mode as after a SIPI, in an unrestricted guest. */
static void real_mode(void)
{
    static const enum vmcs_field ar[] = {
        VMCS_GUEST_ES_AR, VMCS_GUEST_SS_AR, VMCS_GUEST_DS_AR, VMCS_GUEST_FS_AR, VMCS_GUEST_GS_AR,
    };
    static const enum vmcs_field limit[] = {
        VMCS_GUEST_ES_LIMIT, VMCS_GUEST_CS_LIMIT, VMCS_GUEST_SS_LIMIT, VMCS_GUEST_DS_LIMIT,
        VMCS_GUEST_FS_LIMIT, VMCS_GUEST_GS_LIMIT, VMCS_GUEST_TR_LIMIT, VMCS_GUEST_LDTR_LIMIT,
        VMCS_GUEST_GDTR_LIMIT, VMCS_GUEST_IDTR_LIMIT,
    };

    field_count = 0;
    load_caps();
    for (size_t i = 0; i < ARRAY_SIZE(ar); i++) {
        set(ar[i], 0x93);
    }
    for (size_t i = 0; i < ARRAY_SIZE(limit); i++) {
        set(limit[i], 0xffff);
    }
    set(VMCS_GUEST_CS_AR, 0x9b);
    set(VMCS_GUEST_TR_AR, 0x8b);
    set(VMCS_GUEST_LDTR_AR, 0x82);
    set(VMCS_GUEST_CR0, 0x30);
    set(VMCS_GUEST_CR4, CR4_VMXE);
    set(VMCS_GUEST_RFLAGS, RFLAGS_ONE);
    set(VMCS_GUEST_PAT, PAT_AT_RESET);
    set(VMCS_GUEST_DR7, DR7_AT_INIT);
    set(VMCS_LINK_POINTER, ~0ull);
    set(VMCS_PROC2_CONTROLS, BIT(PROC2_UNRESTRICTED) | BIT(PROC2_EPT));
    set(VMCS_ENTRY_CONTROLS, BIT(ENTRY_LOAD_DEBUG) | BIT(ENTRY_LOAD_PAT) | BIT(ENTRY_LOAD_EFER));
}

/* Ring 3 in 64-bit mode, as a sandbox. */
static void long_mode(void)
{
    static const enum vmcs_field segments[][2] = {
        { VMCS_GUEST_ES_AR, VMCS_GUEST_ES_LIMIT }, { VMCS_GUEST_SS_AR, VMCS_GUEST_SS_LIMIT },
        { VMCS_GUEST_DS_AR, VMCS_GUEST_DS_LIMIT }, { VMCS_GUEST_FS_AR, VMCS_GUEST_FS_LIMIT },
        { VMCS_GUEST_GS_AR, VMCS_GUEST_GS_LIMIT },
    };

    real_mode();
    for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
        set(segments[i][0], 0xc0f3);
        set(segments[i][1], 0xffffffff);
    }
    set(VMCS_GUEST_CS_AR, 0xa0fb);
    set(VMCS_GUEST_CS_LIMIT, 0xffffffff);
    set(VMCS_GUEST_SS_SEL, 0x2b);
    set(VMCS_GUEST_CS_SEL, 0x33);
    set(VMCS_GUEST_TR_LIMIT, 0);
    set(VMCS_GUEST_LDTR_AR, AR_UNUSABLE);
    set(VMCS_GUEST_CR0, 0x80010033);
    set(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
    set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
    set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_IF);
    set(VMCS_PROC2_CONTROLS, BIT(PROC2_EPT));
    set(VMCS_ENTRY_CONTROLS, read_field(VMCS_ENTRY_CONTROLS) | BIT(ENTRY_GUEST_64));
}

static void good_states(void **state)
{
    (void)state;
    real_mode();
    assert_null(broken());
    set(VMCS_GUEST_ACTIVITY, ACTIVITY_WAIT_SIPI);
    assert_null(broken());
    long_mode();
    assert_null(broken());
    real_mode(); /* all caches asked for: the fixed bits have no CD and NW */
    set(VMCS_GUEST_CR0, 0x60000030);
    assert_null(broken());
}

/* --- the same in the VMCS: mended ------------------------------------------------------- */

struct vmx_common vmx_common;
static struct vmx_cpu cpu;
static struct vcpu v;

bool hw_vmread(uint64_t field, uint64_t *value)
{
    *value = read_field((enum vmcs_field)field);
    return true;
}

bool hw_vmwrite(uint64_t field, uint64_t value)
{
    set((enum vmcs_field)field, value);
    return true;
}

/* What a refused entry finds broken is legal then; a second look finds nothing. An event that is
 * to be injected isn't in the VMCS any more. */
static void is_mended(const char *rule)
{
    vmx_common.caps = caps;
    set(VMCS_ENTRY_INTR_INFO, 0);
    v = (struct vcpu){ .vendor = &cpu,
                       .regs = { .rip = read_field(VMCS_GUEST_RIP),
                                 .rflags = read_field(VMCS_GUEST_RFLAGS) } };
    const char *found = broken(), *first = vmx_legalise(&v);
    assert_ptr_equal(first, found);
    set(VMCS_GUEST_RIP, v.regs.rip); /* as an entry does */
    set(VMCS_GUEST_RFLAGS, v.regs.rflags);
    found = broken();
    if (found) {
        fail_msg("\"%s\" is mended, and then \"%s\"", rule, found);
    }
    assert_null(vmx_legalise(&v));
}

struct fault { enum vmcs_field field; uint64_t value; const char *rule; };

static void each_is_named(void (*good)(void), const struct fault *faults, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        good();
        set(faults[i].field, faults[i].value);
        const char *rule = broken();
        if (!rule || !strstr(rule, faults[i].rule)) {
            fail_msg("%s = %#llx: \"%s\", expected \"%s\"", vmcs_name(faults[i].field),
                     (unsigned long long)faults[i].value, rule ? rule : "nothing", faults[i].rule);
        }
        if (checked == vmx_check_guest) {
            is_mended(rule);
        }
    }
}

static void faults_in_real_mode(void **state)
{
    static const struct fault faults[] = {
        { VMCS_GUEST_CR0, 0x10, "CR0" }, { VMCS_GUEST_CR0, 0x80000030, "CR0.PG" },
        { VMCS_GUEST_CR4, 0, "CR4" }, { VMCS_GUEST_CR4, CR4_VMXE | 1ull << 40, "CR4" },
        { VMCS_GUEST_CR4, CR4_VMXE | CR4_PCIDE, "PCIDE" }, { VMCS_GUEST_CR3, 1ull << 60, "CR3" },
        { VMCS_GUEST_DR7, 1ull << 32, "DR7" }, { VMCS_GUEST_PAT, 2, "PAT" },
        { VMCS_GUEST_EFER, EFER_LMA, "LMA" }, { VMCS_GUEST_SYSENTER_EIP, 1ull << 50, "SYSENTER" },
        { VMCS_GUEST_TR_AR, 0x89, "TR" }, { VMCS_GUEST_TR_AR, AR_UNUSABLE, "TR" },
        { VMCS_GUEST_TR_SEL, 4, "TR" }, { VMCS_GUEST_LDTR_AR, 0x83, "LDTR" },
        { VMCS_GUEST_CS_AR, 0x98, "CS" }, { VMCS_GUEST_CS_LIMIT, 0x100000, "CS" },
        { VMCS_GUEST_CS_BASE, 1ull << 32, "CS" }, { VMCS_GUEST_SS_AR, 0xf3, "SS" },
        { VMCS_GUEST_DS_AR, 0x92, "DS" }, { VMCS_GUEST_GS_BASE, 1ull << 50, "GS" },
        { VMCS_GUEST_GDTR_LIMIT, 0x10000, "GDTR" }, { VMCS_GUEST_RIP, 1ull << 32, "RIP" },
        { VMCS_GUEST_RFLAGS, 0, "RFLAGS" }, { VMCS_GUEST_RFLAGS, 0x8002, "RFLAGS" },
        { VMCS_LINK_POINTER, 0, "link" }, { VMCS_GUEST_INTERRUPTIBILITY, 3, "interruptibility" },
        { VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_STI, "interruptibility" },
        { VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_SMI, "SMI" },
        { VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | 0x20, "interrupt is injected" },
        { VMCS_GUEST_ACTIVITY, 4, "activity" },
        { VMCS_GUEST_CR3, 1ull << 36, "CR3" },
        { VMCS_GUEST_DEBUGCTL, 1 << 4, "DEBUGCTL" }, { VMCS_GUEST_DEBUGCTL, 1 << 16, "DEBUGCTL" },
        { VMCS_GUEST_EFER, EFER_SVME, "EFER has reserved" },
        { VMCS_GUEST_PENDING_DEBUG, 1 << 4, "pending debug" },
        { VMCS_GUEST_PENDING_DEBUG, 1 << 17, "pending debug" },
        { VMCS_ENTRY_CONTROLS, BIT(ENTRY_GUEST_64), "IA-32e" },
    };

    (void)state;
    each_is_named(real_mode, faults, ARRAY_SIZE(faults));
}

static void faults_in_long_mode(void **state)
{
    static const struct fault faults[] = {
        { VMCS_GUEST_CR0, 0x33, "CR0" }, { VMCS_GUEST_CR4, CR4_VMXE, "IA-32e" },
        { VMCS_GUEST_EFER, EFER_LMA, "EFER.LME" }, { VMCS_GUEST_EFER, EFER_LME, "LMA" },
        { VMCS_GUEST_TR_AR, 0x83, "TR" }, { VMCS_GUEST_CS_AR, 0xe0fb, "CS.L" },
        { VMCS_GUEST_CS_AR, 0xa09b, "DPL" }, { VMCS_GUEST_SS_SEL, 0x28, "SS.RPL" },
        { VMCS_GUEST_CS_AR, 0xc0f3, "CS" }, { VMCS_GUEST_RIP, 1ull << 47, "RIP" },
        { VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_VM, "virtual-8086" },
        { VMCS_GUEST_ACTIVITY, ACTIVITY_HLT, "HLT" },
    };

    (void)state;
    each_is_named(long_mode, faults, ARRAY_SIZE(faults));
}

static void nmi_and_pdptes(void **state)
{
    (void)state;
    real_mode();
    set(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_NMI << INTR_INFO_TYPE_SHIFT | EXC_NMI);
    assert_null(broken());
    set(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_NMI);
    assert_string_equal(broken(), "an NMI is injected while NMIs are blocked");
    set(VMCS_GUEST_INTERRUPTIBILITY, 0);
    set(VMCS_GUEST_ACTIVITY, ACTIVITY_WAIT_SIPI);
    assert_string_equal(broken(), "an event is injected into a CPU that can't take it");
    real_mode();
    set(VMCS_GUEST_CR0, 0x80000031);
    set(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
    set(VMCS_GUEST_PDPTE2, 0x1000 | PTE_P);
    assert_null(broken());
    set(VMCS_GUEST_PDPTE2, 0x1000 | PTE_P | PTE_RW);
    assert_string_equal(broken(), "a PDPTE has reserved bits");
    set(VMCS_GUEST_PDPTE2, 1ull << 36 | PTE_P);
    assert_string_equal(broken(), "a PDPTE has reserved bits");
    is_mended(broken());
    assert_int_equal(read_field(VMCS_GUEST_PDPTE2), 0);
}

/* What is mended keeps what was legal. */
static void the_rest_stays(void **state)
{
    (void)state;
    long_mode();
    unsigned before = field_count;
    uint64_t old[ARRAY_SIZE(fields)];
    for (unsigned i = 0; i < before; i++) {
        old[i] = fields[i].value;
    }
    set(VMCS_GUEST_CS_AR, 0xe0fb); /* L and D, as one emulator's SYSENTER leaves them */
    is_mended("CS.L");
    for (unsigned i = 0; i < before; i++) {
        if (fields[i].value != old[i] && fields[i].field != VMCS_LINK_POINTER) {
            fail_msg("%s changed", vmcs_name(fields[i].field));
        }
    }
    assert_true(cpu.flush_linear);
}

static uint32_t event(unsigned type, unsigned vector)
{
    return INTR_INFO_VALID | type << INTR_INFO_TYPE_SHIFT | vector;
}

/* Which events a halted CPU and one in shutdown can take, and states that a CPU doesn't have. */
static void activity(void **state)
{
    static const struct { uint32_t type, vector; bool hlt, shutdown; } events[] = {
        { INTR_TYPE_EXTERNAL, 0x20, true, false }, { INTR_TYPE_NMI, EXC_NMI, true, true },
        { INTR_TYPE_HARDWARE, EXC_DB, true, false }, { INTR_TYPE_HARDWARE, EXC_MC, true, true },
        { 7, 0, true, false }, { INTR_TYPE_HARDWARE, EXC_UD, false, false },
        { INTR_TYPE_SOFT_INT, 0x80, false, false }, { INTR_TYPE_SOFT_EXC, EXC_BP, false, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        real_mode();
        set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_IF);
        set(VMCS_ENTRY_INTR_INFO, event(events[i].type, events[i].vector));
        assert_null(broken());
        set(VMCS_GUEST_ACTIVITY, ACTIVITY_HLT);
        assert_int_equal(!broken(), events[i].hlt);
        set(VMCS_GUEST_ACTIVITY, ACTIVITY_SHUTDOWN);
        assert_int_equal(!broken(), events[i].shutdown);
    }
    for (unsigned a = ACTIVITY_HLT; a <= ACTIVITY_WAIT_SIPI; a++) {
        real_mode();
        set(VMCS_GUEST_ACTIVITY, a);
        assert_null(broken());
        caps.value[MSR_IA32_VMX_MISC - MSR_IA32_VMX_BASIC] &= ~(1ull << (5 + a));
        assert_string_equal(broken(), "an activity state that this CPU doesn't have");
    }
}

/* Rules that only a broken pair shows. */
static void pairs(void **state)
{
    static const enum vmcs_field ar[] = {
        VMCS_GUEST_ES_AR, VMCS_GUEST_CS_AR, VMCS_GUEST_SS_AR, VMCS_GUEST_DS_AR, VMCS_GUEST_FS_AR,
        VMCS_GUEST_GS_AR,
    };

    (void)state;
    real_mode();
    set(VMCS_GUEST_CS_AR, 0x93);
    assert_null(broken());
    set(VMCS_GUEST_SS_AR, 0xf3);
    assert_string_equal(broken(), "SS.DPL isn't 0 in real mode");
    is_mended(broken());
    real_mode();
    set(VMCS_GUEST_CS_AR, 0x93);
    set(VMCS_GUEST_SS_AR, 0x91);
    assert_string_equal(broken(), "SS isn't a stack segment");
    is_mended(broken());
    real_mode();
    for (size_t i = 0; i < ARRAY_SIZE(ar); i++) {
        set(ar[i], 0xf3);
    }
    set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_VM);
    assert_string_equal(broken(), "RFLAGS.VM in long or real mode");
    is_mended(broken());
    set(VMCS_GUEST_CR0, 0x31);
    set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_VM);
    assert_string_equal(broken(), "a segment isn't as virtual-8086 mode demands");
    is_mended(broken());
    real_mode();
    set(VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_TF);
    set(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_MOV_SS);
    assert_string_equal(broken(), "the pending single step contradicts RFLAGS.TF");
    is_mended(broken());
    set(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_MOV_SS);
    set(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_BS);
    assert_null(broken());
}

/* As virt/vmx/vmcs.c fills a VMCS. */
static void good_entry(void)
{
    static const enum vmcs_field words[] = {
        VMCS_PIN_CONTROLS, VMCS_PROC_CONTROLS, VMCS_PROC2_CONTROLS, VMCS_EXIT_CONTROLS,
        VMCS_ENTRY_CONTROLS,
    };
    struct vmx_controls c;

    real_mode();
    vmx_controls_choose(&caps, hw_cpuid, VMX_FOR_OS, &c);
    for (unsigned w = 0; w < VMX_CONTROL_WORDS; w++) {
        set(words[w], c.word[w]);
    }
    set(VMCS_EPTP, 0x1000 | EPTP_WALK_4 | 6);
    set(VMCS_VPID, 1);
    set(VMCS_IO_BITMAP_A, 0x2000);
    set(VMCS_IO_BITMAP_B, 0x3000);
    set(VMCS_MSR_BITMAP, 0x4000);
    set(VMCS_HOST_CR0, 0x80050033);
    set(VMCS_HOST_CR3, 0x5000);
    set(VMCS_HOST_CR4, CR4_VMXE | CR4_PAE);
    set(VMCS_HOST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
    set(VMCS_HOST_PAT, PAT_AT_RESET);
    set(VMCS_HOST_CS_SEL, 8);
    set(VMCS_HOST_SS_SEL, 16);
    set(VMCS_HOST_TR_SEL, 24);
    set(VMCS_HOST_RIP, 0xffffffff80000000);
}

/* Error 7: control fields. */
static void faults_in_controls(void **state)
{
    const uint32_t error = INTR_INFO_ERROR;
    const struct fault faults[] = {
        { VMCS_PIN_CONTROLS, 0, "doesn't allow" },
        { VMCS_PROC2_CONTROLS, 1u << 31, "doesn't allow" },
        { VMCS_PIN_CONTROLS, 0x16 | BIT(PIN_VIRTUAL_NMIS), "virtual NMIs" },
        { VMCS_PROC2_CONTROLS, BIT(PROC2_UNRESTRICTED), "without EPT" },
        { VMCS_IO_BITMAP_A, 0x2001, "bitmap A" }, { VMCS_IO_BITMAP_B, 1ull << 36, "bitmap B" },
        { VMCS_MSR_BITMAP, 0x4800, "MSR bitmap" }, { VMCS_EPTP, 0x1000 | 0x9e, "EPTP" },
        { VMCS_EPTP, 0x1000 | EPTP_WALK_4 | 1, "memory type" }, { VMCS_EPTP, 0x1006, "levels" },
        { VMCS_VPID, 0, "VPID" }, { VMCS_CR3_TARGET_COUNT, 5, "CR3 targets" },
        { VMCS_ENTRY_INTR_INFO, event(1, 0x20), "type or vector" },
        { VMCS_ENTRY_INTR_INFO, event(INTR_TYPE_NMI, 3), "type or vector" },
        { VMCS_ENTRY_INTR_INFO, event(INTR_TYPE_HARDWARE, 32), "type or vector" },
        { VMCS_ENTRY_INTR_INFO, event(7, 1), "type or vector" },
        { VMCS_ENTRY_INTR_INFO, event(0, 0x20) | 1u << 12, "type or vector" },
        { VMCS_ENTRY_INTR_INFO, event(INTR_TYPE_HARDWARE, EXC_GP) | error, "error code" },
        { VMCS_ENTRY_INTR_INFO, event(INTR_TYPE_SOFT_INT, 0x80), "length" },
    };

    (void)state;
    checked = vmx_check_controls;
    good_entry();
    assert_null(broken());
    each_is_named(good_entry, faults, ARRAY_SIZE(faults));
    good_entry(); /* no virtual NMIs, and their window */
    set(VMCS_PIN_CONTROLS, 0x16 | BIT(PIN_NMI_EXITING));
    assert_null(broken());
    set(VMCS_PROC_CONTROLS, read_field(VMCS_PROC_CONTROLS) | BIT(PROC_NMI_WINDOW));
    assert_string_equal(broken(), "NMI-window exiting without virtual NMIs");
    good_entry(); /* a list's address matters if the list has entries */
    set(VMCS_ENTRY_MSR_LOAD, 8);
    assert_null(broken());
    set(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    assert_string_equal(broken(), "a list of MSRs has a bad address");
    good_entry(); /* protected mode: a #GP must have its error code, and that 16 bits */
    set(VMCS_GUEST_CR0, 0x31);
    set(VMCS_ENTRY_INTR_INFO, event(INTR_TYPE_HARDWARE, EXC_GP));
    assert_non_null(broken());
    set(VMCS_ENTRY_INTR_INFO, event(INTR_TYPE_HARDWARE, EXC_GP) | error);
    assert_null(broken());
    set(VMCS_ENTRY_ERROR_CODE, 0x10000);
    assert_string_equal(broken(), "the injected error code has reserved bits");
    checked = vmx_check_guest;
}

/* Error 8: host state. */
static void faults_in_host(void **state)
{
    static const struct fault faults[] = {
        { VMCS_HOST_CR0, 0x80050013, "CR0" }, { VMCS_HOST_CR4, CR4_PAE, "CR4" },
        { VMCS_HOST_CR3, 1ull << 36, "CR3" }, { VMCS_HOST_CR4, CR4_VMXE, "64-bit" },
        { VMCS_EXIT_CONTROLS, 0, "64-bit" }, { VMCS_HOST_PAT, 3, "PAT" },
        { VMCS_HOST_EFER, EFER_LMA, "EFER" }, { VMCS_HOST_EFER, EFER_LME, "EFER" },
        { VMCS_HOST_EFER, EFER_LME | EFER_LMA | EFER_SVME, "EFER" },
        { VMCS_HOST_FS_BASE, 1ull << 50, "canonical" },
        { VMCS_HOST_GS_BASE, 1ull << 50, "canonical" },
        { VMCS_HOST_TR_BASE, 1ull << 50, "canonical" },
        { VMCS_HOST_GDTR_BASE, 1ull << 50, "canonical" },
        { VMCS_HOST_IDTR_BASE, 1ull << 50, "canonical" },
        { VMCS_HOST_RIP, 1ull << 50, "canonical" },
        { VMCS_HOST_SYSENTER_ESP, 1ull << 50, "canonical" },
        { VMCS_HOST_SYSENTER_EIP, 1ull << 50, "canonical" },
        { VMCS_HOST_ES_SEL, 3, "selector" }, { VMCS_HOST_CS_SEL, 11, "selector" },
        { VMCS_HOST_SS_SEL, 17, "selector" }, { VMCS_HOST_DS_SEL, 4, "selector" },
        { VMCS_HOST_FS_SEL, 4, "selector" }, { VMCS_HOST_GS_SEL, 4, "selector" },
        { VMCS_HOST_TR_SEL, 28, "selector" },
        { VMCS_HOST_CS_SEL, 0, "null" }, { VMCS_HOST_TR_SEL, 0, "null" },
    };

    (void)state;
    checked = vmx_check_host;
    good_entry();
    assert_null(broken());
    each_is_named(good_entry, faults, ARRAY_SIZE(faults));
    checked = vmx_check_guest;
}

static void field_table(void **state)
{
    (void)state;
    load_caps();
    assert_true(vmcs_exists(&caps, VMCS_GUEST_RIP));
    assert_true(vmcs_exists(&caps, VMCS_VPID));
    assert_true(vmcs_exists(&caps, VMCS_GUEST_PDPTE3));
    assert_false(vmcs_exists(&caps, VMCS_XSS_EXITING));
    assert_false(vmcs_exists(&caps, VMCS_EPTP_LIST));
    assert_false(vmcs_exists(&caps, (enum vmcs_field)0x2a00));
    assert_string_equal(vmcs_name(0x4402), "EXIT_REASON");
    assert_string_equal(vmcs_name(0x7000), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_states),
        cmocka_unit_test(faults_in_real_mode),
        cmocka_unit_test(faults_in_long_mode),
        cmocka_unit_test(nmi_and_pdptes),
        cmocka_unit_test(the_rest_stays),
        cmocka_unit_test(activity),
        cmocka_unit_test(pairs),
        cmocka_unit_test(faults_in_controls),
        cmocka_unit_test(faults_in_host),
        cmocka_unit_test(field_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
