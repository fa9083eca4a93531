/* SPDX-License-Identifier: MIT */
/* Stores to the xAPIC's page, where INIT and SIPI must pass through us (guest/ipi.h). */
#include <debug/log.h>
#include <exit/dispatch.h>
#include <guest/inject.h>
#include <guest/ipi.h>
#include <guest/segment.h>
#include <guest/phys.h>
#include <guest/walk.h>
#include <hw/apic.h>
#include <insn/insn.h>
#include <policy/regions.h>

static void store(struct vcpu *v, const struct exit *e)
{
    gpa_t addr = e->fault.addr;
    uint8_t buf[INSN_MAX];
    struct guest_paging p;
    struct insn_store st;

    if (addr.a >= APIC_PAGE + PAGE_SIZE) {
        hyp_inject_gp(v); /* where devices write their interrupts: no place for a CPU's stores */
        return;
    }
    unsigned n = exit_fetch(v, buf, &p);
    if (n == 0) {
        return;
    }
    if (!insn_decode_store(buf, n, code_bits(p.mode), &st) || st.size != 4 || (addr.a & 15) != 0) {
        log_line("an instruction that the APIC page doesn't support: %02x %02x %02x %02x",
                 buf[0], n > 1 ? buf[1] : 0, n > 2 ? buf[2] : 0, n > 3 ? buf[3] : 0);
        hyp_inject_gp(v);
        return;
    }
    if (p.mode == MODE_LONG64) { /* for virt/fast_path.h */
        walk_remember(&guest_phys_ops, &p, gva(align_down(v->regs.rip, PAGE_SIZE)), 0,
                      &v->store_code);
    }
    uint64_t value = st.src == INSN_SRC_IMM ? st.imm : v->regs.gpr[st.reg];
    exit_skip(v, st.len);
    ipi_guest_xapic(v, (unsigned)(addr.a & PAGE_MASK), (uint32_t)value);
}

int exit_apic_page_init(void)
{
    static const struct region page = { APIC_PAGE, MSI_SIZE, ACCESS_WRITE, store };

    return region_add(REGION_MEMORY, &page);
}
