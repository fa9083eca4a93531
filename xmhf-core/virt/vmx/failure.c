/* SPDX-License-Identifier: MIT */
/* Saying why a VM entry failed (SDM vol. 3, 27.8, 31.4). */
#include <virt/vmx/vmx.h>

static uint64_t read_field(enum vmcs_field field)
{
    return vmcs_exists(&vmx_common.caps, field) ? vmcs_read(field) : 0;
}

static const char *insn_error(uint64_t number)
{
    switch (number) {
#define X(n, meaning) case n: return meaning;
    VMX_INSN_ERRORS(X)
#undef X
    default: return "unknown";
    }
}

/* `reason`: an exit reason with VMX_ENTRY_FAILED, or 0 after VMfail. */
void vmx_log_entry_failure(uint32_t reason)
{
    const struct vmx_caps *caps = &vmx_common.caps;
    uint64_t error = reason == 0 ? vmcs_read(VMCS_INSN_ERROR) : 0;
    const char *rule = error == 7 ? vmx_check_controls(caps, read_field)
        : error == 8 ? vmx_check_host(caps, read_field) : vmx_check_guest(caps, read_field);

    if (reason == 0) {
        bool known = (error == 7 || error == 8) && rule;
        log_line("VM entry: error %u: %s%s%s", (unsigned)error, insn_error(error),
                 known ? ": " : "", known ? rule : "");
        return;
    }
    log_line("VM entry: exit reason %u, qualification %llu: %s", reason & 0xffff,
             (unsigned long long)vmcs_read(VMCS_EXIT_QUALIFICATION),
             rule ? rule : "no rule that we know is broken");
}
