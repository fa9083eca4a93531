/* SPDX-License-Identifier: MIT */
/*
 * The SDM's rules (vol. 3, 27.2.1 to 27.2.4) for the controls that we use and for a 64-bit host,
 * asked one by one: names the first that is broken, since VM-instruction errors 7 and 8 say only
 * "invalid control fields" and "invalid host state".
 */
#include <cpu/width.h>
#include <virt/vmx/check.h>
#include <x86/cpu.h>

#define TYPE(intr) ((intr) >> INTR_INFO_TYPE_SHIFT & 7)

/* A field with an address. If `control` is 1 it must have none of some low bits, and no bit above
 * the CPU's width. */
struct address {
    enum vmx_control word;
    unsigned bit;
    enum vmcs_field field;
    uint64_t zero;
    const char *rule;
};

static const struct address addresses[] = {
    { VMX_PROC, PROC_IO_BITMAPS, VMCS_IO_BITMAP_A, 0xfff, "I/O bitmap A has a bad address" },
    { VMX_PROC, PROC_IO_BITMAPS, VMCS_IO_BITMAP_B, 0xfff, "I/O bitmap B has a bad address" },
    { VMX_PROC, PROC_MSR_BITMAPS, VMCS_MSR_BITMAP, 0xfff, "the MSR bitmap has a bad address" },
    { VMX_PROC2, PROC2_EPT, VMCS_EPTP, 0xf80, "the EPTP has reserved bits" },
};

/* Lists of MSRs, by their counts. */
static const struct { enum vmcs_field count, list; } lists[] = {
    { VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_STORE },
    { VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD },
    { VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD },
};

static bool on(const struct vmx_controls *c, enum vmx_control word, unsigned bit)
{
    return c->word[word] >> bit & 1;
}

static const char *check_words(const struct vmx_caps *caps, const struct vmx_controls *c)
{
    if (vmx_controls_unfit(caps, c)) {
        return "a control has a value that this CPU doesn't allow";
    }
    if (on(c, VMX_PIN, PIN_VIRTUAL_NMIS) && !on(c, VMX_PIN, PIN_NMI_EXITING)) {
        return "virtual NMIs without NMI exiting";
    }
    if (on(c, VMX_PROC, PROC_NMI_WINDOW) && !on(c, VMX_PIN, PIN_VIRTUAL_NMIS)) {
        return "NMI-window exiting without virtual NMIs";
    }
    if (on(c, VMX_PROC2, PROC2_UNRESTRICTED) && !on(c, VMX_PROC2, PROC2_EPT)) {
        return "unrestricted guest without EPT";
    }
    return NULL;
}

static const char *check_fields(const struct vmx_controls *c, vmx_field_reader read)
{
    uint64_t eptp = read(VMCS_EPTP);

    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        const struct address *a = &addresses[i];

        if (on(c, a->word, a->bit) && (read(a->field) & (a->zero | phys_beyond()))) {
            return a->rule;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (read(lists[i].count) && (read(lists[i].list) & (0xf | phys_beyond()))) {
            return "a list of MSRs has a bad address";
        }
    }
    if (on(c, VMX_PROC2, PROC2_EPT)
        && (((eptp & 7) != MT_WB && (eptp & 7) != MT_UC) || (eptp & 0x38) != EPTP_WALK_4)) {
        return "the EPTP's memory type or number of levels";
    }
    if (on(c, VMX_PROC2, PROC2_VPID) && !read(VMCS_VPID)) {
        return "the VPID is 0";
    }
    return read(VMCS_CR3_TARGET_COUNT) > 4 ? "more than 4 CR3 targets" : NULL;
}

/* On Intel: those of AMD alone aren't among them. */
static bool has_error_code(uint32_t vector)
{
    const uint32_t mask = EXC_ERROR_CODE_MASK & ~(1u << EXC_VC | 1u << EXC_SX);

    return vector < 32 && (mask >> vector & 1);
}

/* 27.2.1.3 */
static const char *check_event(const struct vmx_controls *c, vmx_field_reader read)
{
    uint32_t intr = (uint32_t)read(VMCS_ENTRY_INTR_INFO), vector = intr & INTR_INFO_VECTOR;
    bool real = on(c, VMX_PROC2, PROC2_UNRESTRICTED) && !(read(VMCS_GUEST_CR0) & CR0_PE);
    bool error = TYPE(intr) == INTR_TYPE_HARDWARE && has_error_code(vector) && !real;
    uint64_t length = read(VMCS_ENTRY_INSN_LEN);

    if (!(intr & INTR_INFO_VALID)) {
        return NULL;
    }
    if (TYPE(intr) == 1 || (intr & 0x7ffff000) || (TYPE(intr) == INTR_TYPE_NMI && vector != EXC_NMI)
        || (TYPE(intr) == INTR_TYPE_HARDWARE && vector > 31) || (TYPE(intr) == 7 && vector)) {
        return "the injected event has no such type or vector";
    }
    if (!!(intr & INTR_INFO_ERROR) != error) {
        return "the injected event's error code: there where it may not be, or missing";
    }
    if (error && read(VMCS_ENTRY_ERROR_CODE) >> 16) {
        return "the injected error code has reserved bits";
    }
    if (TYPE(intr) >= INTR_TYPE_SOFT_INT && TYPE(intr) <= INTR_TYPE_SOFT_EXC
        && (length == 0 || length > 15)) {
        return "the injected software event has no length of an instruction";
    }
    return NULL;
}

const char *vmx_check_controls(const struct vmx_caps *caps, vmx_field_reader read)
{
    const struct vmx_controls c = { .word = {
        [VMX_PIN] = (uint32_t)read(VMCS_PIN_CONTROLS),
        [VMX_PROC] = (uint32_t)read(VMCS_PROC_CONTROLS),
        [VMX_PROC2] = (uint32_t)read(VMCS_PROC2_CONTROLS),
        [VMX_EXIT] = (uint32_t)read(VMCS_EXIT_CONTROLS),
        [VMX_ENTRY] = (uint32_t)read(VMCS_ENTRY_CONTROLS),
    } };
    const char *rule = check_words(caps, &c);

    if (!rule) {
        rule = check_fields(&c, read);
    }
    return rule ? rule : check_event(&c, read);
}

/* --- host state (27.2.2 to 27.2.4) ------------------------------------------------------ */

static const char *check_host_registers(const struct vmx_caps *caps, vmx_field_reader read)
{
    uint32_t exit = (uint32_t)read(VMCS_EXIT_CONTROLS);
    uint64_t cr0 = read(VMCS_HOST_CR0), cr4 = read(VMCS_HOST_CR4), efer = read(VMCS_HOST_EFER);

    if ((cr0 ^ vmx_fixed_cr(caps, 0, cr0)) & ~(CR0_CD | CR0_NW)) {
        return "the host's CR0 lacks a bit that VMX fixes";
    }
    if (cr4 != vmx_fixed_cr(caps, 4, cr4)) {
        return "the host's CR4 lacks a bit that VMX fixes";
    }
    if (read(VMCS_HOST_CR3) & phys_beyond()) {
        return "the host's CR3 has reserved bits";
    }
    if (!(exit >> EXIT_HOST_64 & 1) || !(cr4 & CR4_PAE)) {
        return "the host isn't in 64-bit mode";
    }
    if ((exit >> EXIT_LOAD_PAT & 1) && !pat_valid(read(VMCS_HOST_PAT))) {
        return "the host's IA32_PAT has a reserved type";
    }
    if ((exit >> EXIT_LOAD_EFER & 1)
        && ((efer & EFER_RESERVED) || !(efer & EFER_LMA) || !(efer & EFER_LME))) {
        return "the host's EFER isn't one of 64-bit mode";
    }
    return NULL;
}

const char *vmx_check_host(const struct vmx_caps *caps, vmx_field_reader read)
{
    static const enum vmcs_field bases[] = {
        VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP, VMCS_HOST_FS_BASE, VMCS_HOST_GS_BASE,
        VMCS_HOST_TR_BASE, VMCS_HOST_GDTR_BASE, VMCS_HOST_IDTR_BASE, VMCS_HOST_RIP,
    };
    static const enum vmcs_field selectors[] = {
        VMCS_HOST_ES_SEL, VMCS_HOST_CS_SEL, VMCS_HOST_SS_SEL, VMCS_HOST_DS_SEL, VMCS_HOST_FS_SEL,
        VMCS_HOST_GS_SEL, VMCS_HOST_TR_SEL,
    };
    const char *rule = check_host_registers(caps, read);

    for (size_t i = 0; !rule && i < ARRAY_SIZE(bases); i++) {
        rule = check_canonical(read(bases[i])) ? NULL : "an address of the host isn't canonical";
    }
    for (size_t i = 0; !rule && i < ARRAY_SIZE(selectors); i++) {
        rule = read(selectors[i]) & 7 ? "a selector of the host has RPL or TI set" : NULL;
    }
    if (!rule && (!read(VMCS_HOST_CS_SEL) || !read(VMCS_HOST_TR_SEL))) {
        rule = "the host's CS or TR is null";
    }
    return rule;
}
