/* SPDX-License-Identifier: MIT */
/* The nested paging format: the CPU's own page tables, all pages user (APM vol. 2, 15.25.5). */
#include <mm/nested.h>
#include <xmhf/access.h>
#include <x86/cpu.h>

static uint64_t npt_leaf(hpa_t h, unsigned rights, enum mem_type type, unsigned level)
{
    (void)type; /* the MTRRs and the guest's PAT decide (APM vol. 2, 15.25.8) */
    if (!rights) {
        return h.a | NESTED_NO_RIGHTS | (level > 1 ? PTE_PS : 0);
    }
    return h.a | PTE_P | PTE_US | PTE_A | PTE_D | (level > 1 ? PTE_PS : 0)
        | (rights & ACCESS_WRITE ? PTE_RW : 0) | (rights & ACCESS_EXEC ? 0 : PTE_NX);
}

static uint64_t npt_table(hpa_t h, unsigned level)
{
    (void)level; /* only an IOMMU's entry says what it points to */
    return h.a | PTE_P | PTE_RW | PTE_US | PTE_A;
}

static bool npt_present(uint64_t e) { return e & (PTE_P | NESTED_NO_RIGHTS); }
static bool npt_is_leaf(uint64_t e, unsigned level) { return level == 1 || (e & PTE_PS); }
static hpa_t npt_addr(uint64_t e) { return hpa(e & PTE_ADDR); }

static unsigned npt_rights(uint64_t e)
{
    return e & PTE_P ? ACCESS_READ | (e & PTE_RW ? ACCESS_WRITE : 0)
        | (e & PTE_NX ? 0 : ACCESS_EXEC)
                     : 0;
}

const struct nested_format npt_format = {
    .leaf = npt_leaf, .table = npt_table, .present = npt_present,
    .is_leaf = npt_is_leaf, .addr = npt_addr, .rights = npt_rights,
};
