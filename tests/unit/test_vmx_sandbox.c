/* SPDX-License-Identifier: MIT */
/*
 * The sandbox's VMCS on every recorded machine, in a VMCS that holds garbage at first: each field
 * that an entry loads is written, and what ring 0 has set up of debugging is in none of them. No
 * emulator has branch records, so only this shows it.
 */
#include "unit.h"
#include "vectors.h"


#include "fake/machine.h"
#include <cpu/cpu.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>
#include <x86/msr.h>

#define FIELDS  0x7000u
#define GARBAGE 0x5bad5bad5bad5bad

struct vmx_common vmx_common;
const uint8_t vmx_exit[1];
static uint64_t value[FIELDS];
static bool written[FIELDS];
static struct vcpu v;
static struct vmx_cpu vmx_cpu;
static uint64_t gdt[5];
static const struct sandbox sb = { .nested_root = { MIB(1) }, .cr3 = { MIB(2) }, .tag = 7,
                                   .mode = SANDBOX_64 };

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

bool hw_vmptrld(uint64_t address) { return address != 0; }
bool hw_vmread(uint64_t field, uint64_t *out) { *out = value[field]; return true; }
void hw_sgdt(struct hw_table *t) { *t = (struct hw_table){ sizeof(gdt) - 1, (uintptr_t)gdt }; }
uint64_t cpu_idt(void) { return MIB(4); }
uint64_t host_cr3(void) { return MIB(3); }
uint64_t vmx_eptp(hpa_t root) { return root.a; }
void vmx_flush_ept(uint64_t eptp) { (void)eptp; }
void vmx_flush_vpid(uint16_t vpid) { (void)vpid; }

bool hw_vmwrite(uint64_t field, uint64_t what)
{
    if (!vmcs_exists(&vmx_common.caps, (enum vmcs_field)field)) {
        fail_msg("VMWRITE of %s, which isn't there", vmcs_name((uint32_t)field));
    }
    value[field] = what;
    written[field] = true;
    return true;
}

/* As virt/vmx/state.c does; the fields of a kind follow each other. */
void vmx_write_segment(enum segment_index i, const struct segment *s)
{
    static const uint8_t place[SEG_COUNT] = {
        [SEG_ES] = 0, [SEG_CS] = 1, [SEG_SS] = 2, [SEG_DS] = 3, [SEG_FS] = 4, [SEG_GS] = 5,
        [SEG_LDTR] = 6, [SEG_TR] = 7,
    };
    unsigned step = 2u * place[i];

    hw_vmwrite(VMCS_GUEST_ES_SEL + step, s->selector);
    hw_vmwrite(VMCS_GUEST_ES_LIMIT + step, s->limit);
    hw_vmwrite(VMCS_GUEST_ES_AR + step, s->attr);
    hw_vmwrite(VMCS_GUEST_ES_BASE + step, s->base);
}

/* --- which fields an entry with these controls loads ------------------------------------- */

static bool on(enum vmx_control word, unsigned bit)
{
    return word < VMX_CONTROL_WORDS && (vmx_common.sandbox.word[word] >> bit & 1);
}

#define ALWAYS              true
#define IF(w, b)            on(VMX_##w, b)
#define IF2(w1, b1, w2, b2) (on(VMX_##w1, b1) || on(VMX_##w2, b2))

static bool is_guest_state(uint32_t encoding) { return (encoding >> 10 & 3) == 2; }

/* The general registers are written at each entry (virt/vmx/entry.S). */
static bool is_register(uint32_t encoding)
{
    return encoding == VMCS_GUEST_RSP || encoding == VMCS_GUEST_RIP
        || encoding == VMCS_GUEST_RFLAGS;
}

static unsigned check_fields(const char *machine_name)
{
    unsigned checked = 0;

#define X(name, encoding, width, access, exists) \
    if (is_guest_state(encoding) && !is_register(encoding) && (exists)) { \
        checked++; \
        if (!written[encoding]) { \
            fail_msg("%s: %s is loaded at an entry and nobody has written it", machine_name, \
                     #name); \
        } \
    }
#include <x86/vmcs_fields.def>
#undef X
    return checked;
}

/* --- the machines ------------------------------------------------------------------------ */

static bool usable(const char *path)
{
    machine_reset(0);
    machine_load(path);
    machine.no_faults = false;
    vmx_caps_read(&vmx_common.caps);
    return !vmx_missing(&vmx_common.caps);
}

/* The OS has switched on branch records and stepping on branches, in the MSR and in its VMCS. */
static void fill(void)
{
    vmx_controls_choose(&vmx_common.caps, hw_cpuid, VMX_FOR_SANDBOX, &vmx_common.sandbox);
    machine_set_msr(MSR_EFER, EFER_LME | EFER_LMA);
    machine_set_msr(MSR_IA32_PAT, 0x0007040600070406);
    machine_set_msr(MSR_IA32_DEBUGCTL, 3);
    for (unsigned i = 0; i < FIELDS; i++) {
        value[i] = GARBAGE;
        written[i] = false;
    }
    vmx_cpu = (struct vmx_cpu){ .os = 0x1000, .sandbox = 0x2000 };
    v.vendor = &vmx_cpu;
    vmx_sandbox_init(&v);
    vmx_sandbox_enter(&v, &sb);
}

static void check_debug(void)
{
    assert_true(on(VMX_ENTRY, ENTRY_LOAD_DEBUG)); /* or the OS's value would stay in force */
    assert_int_equal(value[VMCS_GUEST_DEBUGCTL], 0);
    assert_int_equal(value[VMCS_GUEST_DR7], DR7_AT_INIT);
    assert_int_equal(value[VMCS_GUEST_PENDING_DEBUG], 0);
    assert_int_equal(value[VMCS_ENTRY_INTR_INFO], 0);
}

/* With CR4.MCE clear a machine check would be no exception, which exits, but a shutdown of the
 * machine (SDM vol. 3, 6.15, 27.9). */
static void check_machine_checks(void)
{
    assert_true(value[VMCS_GUEST_CR4] & CR4_MCE);
    assert_true(value[VMCS_EXCEPTION_BITMAP] >> EXC_MC & 1);
}

/* Nothing is stored to or loaded from memory at entries and exits. */
static void check_lists(void)
{
    assert_int_equal(value[VMCS_EXIT_MSR_STORE_COUNT], 0);
    assert_int_equal(value[VMCS_EXIT_MSR_LOAD_COUNT], 0);
    assert_int_equal(value[VMCS_ENTRY_MSR_LOAD_COUNT], 0);
    assert_true(value[VMCS_LINK_POINTER] == ~0ULL);
}

static void every_machine(void **state)
{
    struct vectors files = vectors_of("vmx");
    unsigned machines = 0, fields = 0;

    (void)state;
    while (vectors_next(&files)) {
        if (!usable(files.path)) {
            continue;
        }
        fill();
        fields = check_fields(files.name);
        check_debug();
        check_machine_checks();
        check_lists();
        machines++;
    }
    print_message("%u machines, %u fields on the last one\n", machines, fields);
    assert_true(machines >= 22 && fields > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
