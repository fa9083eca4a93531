/* SPDX-License-Identifier: MIT */
/* The list of what the hypapp asked to see. Pure. */
#include <policy/asked.h>

static struct { uint32_t first, last; unsigned access; } msrs[ASKED_MSRS_MAX];
static unsigned msr_count;
static struct { uint32_t first, end; hyp_io_fn *fn; } ports[ASKED_PORTS_MAX];
static unsigned port_count;
static uint64_t cr_bits[5];
static unsigned tables_asked;
static bool closed;

int asked_add_msrs(uint32_t first, uint32_t last, unsigned access)
{
    if (closed || first > last || msr_count == ASKED_MSRS_MAX || access == 0
        || (access & ~(unsigned)(ACCESS_READ | ACCESS_WRITE))) {
        return -1;
    }
    msrs[msr_count].first = first;
    msrs[msr_count].last = last;
    msrs[msr_count++].access = access;
    return 0;
}

int asked_add_cr(unsigned cr, uint64_t bits)
{
    if (closed || bits == 0 || (cr != 0 && cr != 3 && cr != 4)) {
        return -1;
    }
    cr_bits[cr] |= cr == 3 ? ~0ULL : bits;
    return 0;
}

int asked_add_tables(unsigned tables)
{
    if (closed || tables == 0 || tables >> (HYP_TR + 1)) {
        return -1;
    }
    tables_asked |= tables;
    return 0;
}

int asked_add_ports(uint16_t first, uint32_t count, hyp_io_fn *fn)
{
    if (closed || port_count == ASKED_PORTS_MAX || count == 0 || count > 0x10000u - first || !fn) {
        return -1;
    }
    for (unsigned i = 0; i < port_count; i++) {
        if (first < ports[i].end && ports[i].first < first + count) {
            return -1;
        }
    }
    ports[port_count].first = first;
    ports[port_count].end = first + count;
    ports[port_count++].fn = fn;
    return 0;
}

void asked_close(void)
{
    closed = true;
}

bool asked_msr(uint32_t index, unsigned access)
{
    for (unsigned i = 0; i < msr_count; i++) {
        if (index >= msrs[i].first && index <= msrs[i].last && (msrs[i].access & access)) {
            return true;
        }
    }
    return false;
}

uint64_t asked_cr(unsigned cr)
{
    return cr_bits[cr];
}

unsigned asked_tables(void)
{
    return tables_asked;
}

hyp_io_fn *asked_port(uint16_t port, unsigned size)
{
    hyp_io_fn *fn = NULL;
    uint32_t lowest = 0x10000;

    for (unsigned i = 0; i < port_count; i++) {
        if (port < ports[i].end && ports[i].first < port + size && ports[i].first < lowest) {
            lowest = ports[i].first;
            fn = ports[i].fn;
        }
    }
    return fn;
}

void asked_fill_ports(uint8_t *bitmap)
{
    for (unsigned i = 0; i < port_count; i++) {
        for (uint32_t p = ports[i].first; p < ports[i].end; p++) {
            bitmap[p / 8] = (uint8_t)(bitmap[p / 8] | 1u << (p % 8));
        }
    }
}
