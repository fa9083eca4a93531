/* SPDX-License-Identifier: MIT */
/* What a hypapp asks for in its init becomes rows of the policy's tables. */
#include <hypapp/ask.h>
#include <policy/asked.h>

int hyp_msr_range(uint32_t first, uint32_t last, unsigned access)
{
    return asked_add_msrs(first, last, access);
}

int hyp_cr_bits(unsigned cr, uint64_t bits)
{
    return asked_add_cr(cr, bits);
}

int hyp_ports(uint16_t first, uint32_t count, hyp_io_fn *fn)
{
    return asked_add_ports(first, count, fn);
}

int hyp_trap_tables(unsigned tables)
{
    return asked_add_tables(tables);
}
