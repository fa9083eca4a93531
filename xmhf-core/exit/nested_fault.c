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

/*
 * An address above the width that CPUID shows. Where our width is the CPU's it finds such bits itself
 * and gives #PF with RSVD; so do we if we know the linear address, which AMD's CPUs tell of fetches
 * only. Otherwise, and for tables that CR3 or an entry places there, it is #GP(0). The instruction is
 * not done again, so nothing loops.
 */
static void no_such_address(struct vcpu *v, const struct exit *e)
{
    struct gm_fault f = { .addr = gva(e->fault.linear), .canonical = true };
    struct guest_paging p;
    struct walk w;

    if (e->fault.has_linear) {
        virt->get_paging(v, &p);
        if (guest_walk(&guest_phys_ops, &p, f.addr, e->fault.access | ACCESS_PEEK, &w) == WALK_FAULT
            && w.canonical) {
            f.error = w.error;
            hyp_inject_fault(v, &f);
            return;
        }
    }
    hyp_inject_gp(v);
}

void exit_nested_fault(struct vcpu *v, const struct exit *e)
{
    gpa_t g = e->fault.addr;

    if (e->fault.reserved) {
        log_line("the CPU doesn't take our entry for 0x%llx", (unsigned long long)g.a);
    }
    if (e->fault.reserved || guest_phys_beyond(g)) {
        no_such_address(v, e);
    } else if (align_down(g.a, PAGE_SIZE) == APIC_PAGE && (e->fault.access & ACCESS_WRITE)) {
        apic_write_exit(v, g);
    } else if ((e->fault.access & ACCESS_EXEC) && guest_phys_make_executable(g)) {
        return; /* its large page is small ones now */
    } else if (!guest_phys_protected(g) && guest_phys_map_device(g)) {
        return; /* mapped now: run the instruction again */
    } else {
        hyp_inject_gp(v);
    }
}
