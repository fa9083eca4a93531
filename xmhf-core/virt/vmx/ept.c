/* SPDX-License-Identifier: MIT */
/* The EPT entry format (SDM vol. 3, 29.3.2), and forgetting cached translations (29.4.3). */
#include <hw/errata.h>
#include <hw/insn.h>
#include <xmhf/access.h>
#include <virt/vmx/vmx.h>
#include <x86/cpuid.h>

/* Write or execute without read is a misconfiguration or an option that we don't use. */
static uint64_t ept_leaf(hpa_t h, unsigned rights, enum mem_type type, unsigned level)
{
    uint64_t leaf = h.a | (uint64_t)type << EPT_TYPE_SHIFT | (level > 1 ? EPT_LARGE : 0);

    if (!rights) {
        return leaf | NESTED_NO_RIGHTS;
    }
    return leaf | EPT_READ
        | (rights & ACCESS_WRITE ? EPT_WRITE : 0) | (rights & ACCESS_EXEC ? EPT_EXEC : 0)
        | (rights & (ACCESS_EXEC | ACCESS_EXEC_USER) ? EPT_USER_EXEC : 0);
}

static uint64_t ept_table(hpa_t h, unsigned level)
{
    (void)level;
    return h.a | EPT_READ | EPT_WRITE | EPT_EXEC | EPT_USER_EXEC;
}

static bool ept_present(uint64_t e)
{
    return e & (EPT_READ | EPT_WRITE | EPT_EXEC | NESTED_NO_RIGHTS);
}

static bool ept_is_leaf(uint64_t e, unsigned level) { return level == 1 || (e & EPT_LARGE); }
static hpa_t ept_addr(uint64_t e) { return hpa(e & EPT_ADDR); }
static enum mem_type ept_type(uint64_t e) { return (enum mem_type)(e >> EPT_TYPE_SHIFT & 7); }

static unsigned ept_rights(uint64_t e)
{
    return (e & EPT_READ ? ACCESS_READ : 0) | (e & EPT_WRITE ? ACCESS_WRITE : 0)
        | (e & EPT_EXEC ? ACCESS_EXEC : e & EPT_USER_EXEC ? ACCESS_EXEC_USER : 0);
}

const struct nested_format ept_format = {
    .leaf = ept_leaf, .table = ept_table, .present = ept_present, .is_leaf = ept_is_leaf,
    .addr = ept_addr, .rights = ept_rights, .type = ept_type,
};

static uint64_t ept_cap(void)
{
    return vmx_cap(&vmx_common.caps, MSR_IA32_VMX_EPT_VPID_CAP);
}

bool vmx_ept_1g(void)
{
    return ept_cap() & EPT_CAP_1G;
}

bool vmx_split_exec(void)
{
    return hw_page_size_fault(hw_rdmsr_safe);
}

uint64_t vmx_eptp(hpa_t root)
{
    return root.a | MT_WB | EPTP_WALK_4;
}

void vmx_flush_ept(uint64_t eptp)
{
    uint64_t type = vmx_ept_use(&vmx_common.caps, &vmx_common.os) & EPT_CAP_INVEPT_SINGLE
        ? INVEPT_SINGLE : INVEPT_ALL;

    if (!hw_invept(type, eptp)) {
        panic("INVEPT of type %u failed", (unsigned)type);
    }
}

/* Without VPIDs every entry forgets linear translations by itself (29.4.3.1). */
void vmx_flush_vpid(uint16_t vpid)
{
    uint64_t use = vmx_ept_use(&vmx_common.caps, &vmx_common.os);
    uint64_t type = use & VPID_CAP_SINGLE ? INVVPID_SINGLE : INVVPID_ALL;

    if ((use & VPID_CAP_INVVPID) && !hw_invvpid(type, vpid)) {
        panic("INVVPID of type %u failed", (unsigned)type);
    }
}
