/* SPDX-License-Identifier: MIT */
/* The table of memory and ports that have a handler. Pure. */
#include <policy/regions.h>

static struct region table[REGION_SPACES][REGION_MAX];
static unsigned count[REGION_SPACES];
static bool closed;

static bool fits(enum region_space space, const struct region *r)
{
    uint64_t limit = space == REGION_PORTS ? 0x10000 : 1ULL << 52;

    return r->size != 0 && r->base < limit && r->size <= limit - r->base && r->access && r->handle
        && (space == REGION_PORTS || !((r->base | r->size) & PAGE_MASK));
}

int region_add(enum region_space space, const struct region *r)
{
    if (closed || !fits(space, r)) {
        return -1;
    }
    for (unsigned i = 0; i < count[space]; i++) {
        const struct region *o = &table[space][i];
        if (!ranges_overlap(o->base, o->size, r->base, r->size)) {
            continue;
        }
        return o->handle == r->handle && o->base == r->base && o->size == r->size
                && o->access == r->access
            ? 0 : -1;
    }
    if (count[space] == REGION_MAX) {
        return -1;
    }
    table[space][count[space]++] = *r;
    return 0;
}

void regions_close(void)
{
    closed = true;
}

const struct region *region_find(enum region_space space, uint64_t at, unsigned size,
                                 unsigned access)
{
    const struct region *found = NULL;

    for (unsigned i = 0; i < count[space]; i++) {
        const struct region *r = &table[space][i];
        if ((r->access & access) && at < r->base + r->size && r->base < at + size
            && (!found || r->base < found->base)) {
            found = r;
        }
    }
    return found;
}

void regions_fill_ports(uint8_t *bitmap)
{
    for (unsigned i = 0; i < count[REGION_PORTS]; i++) {
        const struct region *r = &table[REGION_PORTS][i];
        for (uint64_t p = r->base; p < r->base + r->size; p++) {
            bitmap[p / 8] = (uint8_t)(bitmap[p / 8] | 1u << (p % 8));
        }
    }
}
