/* SPDX-License-Identifier: MIT */
/* NPT and EPT violations: the APIC page, the protected range, device memory. */
#include <debug/log.h>
#include <exit/dispatch.h>
#include <guest/ipi.h>
#include <guest/phys.h>
#include <hw/apic.h>
#include <hypapp/hypapp.h>
#include <insn/insn.h>
#include <virt/virt.h>

static void apic_write_exit(struct vcpu *v, gpa_t addr)
{
    uint8_t buf[INSN_MAX];
    struct guest_paging p;
    struct insn_store st;
    unsigned n = exit_fetch(v, buf, &p);

    if (n == 0) {
        return;
    }
    unsigned bits = p.mode == MODE_LONG64 ? 64 : p.mode == MODE_PROT32 ? 32 : 16;
    if (!insn_decode_store(buf, n, bits, &st) || st.size != 4 || (addr.a & 15) != 0) {
        log_line("an instruction that the APIC page doesn't support: %02x %02x %02x %02x",
                 buf[0], n > 1 ? buf[1] : 0, n > 2 ? buf[2] : 0, n > 3 ? buf[3] : 0);
        hyp_inject_gp(v);
        return;
    }
    uint64_t value = st.src == INSN_SRC_IMM ? st.imm : v->regs.gpr[st.reg];
    exit_skip(v, st.len);
    ipi_guest_xapic(v, (unsigned)(addr.a & PAGE_MASK), (uint32_t)value);
}

void exit_nested_fault(struct vcpu *v, const struct exit *e)
{
    gpa_t g = e->fault.addr;

    if (align_down(g.a, PAGE_SIZE) == APIC_PAGE && (e->fault.access & ACCESS_WRITE)) {
        apic_write_exit(v, g);
    } else if ((e->fault.access & ACCESS_EXEC) && guest_phys_make_executable(g)) {
        return; /* its large page is small ones now */
    } else if (!guest_phys_protected(g) && guest_phys_map_device(g)) {
        return; /* mapped now: run the instruction again */
    } else {
        hyp_inject_gp(v);
    }
}
