/* SPDX-License-Identifier: MIT */
/* Memory maps: cleaning the firmware's, finding room in it, carving a range out. */
#include <util/e820.h>
#include <util/string.h>

/* What a map is rebuilt from. */
struct source {
    const struct boot_mem *map;
    unsigned count;
    const struct boot_mem *reserve; /* beats every entry; size 0: none */
};

/* Whose type wins where entries overlap: the most restrictive. */
static uint64_t rank(uint32_t type)
{
    return type == BOOT_MEM_USABLE ? 0 : type == BOOT_MEM_FIRMWARE_RAM ? 1 : (uint64_t)type + 2;
}

/* Empty entries, and those that wrap, count as absent. */
static bool contains(const struct boot_mem *m, uint64_t pos)
{
    return m->start + m->size > m->start && pos >= m->start && pos - m->start < m->size;
}

/* The winning type at `pos`; false if no entry covers it. */
static bool type_at(const struct source *src, uint64_t pos, uint32_t *type)
{
    bool found = false;

    if (contains(src->reserve, pos)) {
        *type = BOOT_MEM_RESERVED;
        return true;
    }
    for (unsigned i = 0; i < src->count; i++) {
        const struct boot_mem *m = &src->map[i];

        if (contains(m, pos) && (!found || rank(m->type) > rank(*type))) {
            *type = m->type;
            found = true;
        }
    }
    return found;
}

/* Lower *edge to the lowest end of `m` (start or end) that is >= pos. */
static bool lower_edge(const struct boot_mem *m, uint64_t pos, uint64_t *edge)
{
    uint64_t end = m->start + m->size;
    bool lowered = false;

    if (end > m->start && m->start >= pos && m->start <= *edge) {
        *edge = m->start;
        lowered = true;
    }
    if (end > m->start && end >= pos && end <= *edge) {
        *edge = end;
        lowered = true;
    }
    return lowered;
}

/* The lowest start or end of any entry that is >= pos; false if there is none. */
static bool next_edge(const struct source *src, uint64_t pos, uint64_t *edge)
{
    bool found;

    *edge = UINT64_MAX;
    found = lower_edge(src->reserve, pos, edge);
    for (unsigned i = 0; i < src->count; i++) {
        found |= lower_edge(&src->map[i], pos, edge);
    }
    return found;
}

/* Add [start, end) behind the last entry of `out`, joining the two if they touch and
 * have one type. False if there is no room. */
static bool append(struct boot_mem *out, unsigned *n, unsigned max, uint64_t start, uint64_t end,
                   uint32_t type)
{
    struct boot_mem *last = *n != 0 ? &out[*n - 1] : NULL;

    if (last && last->type == type && last->start + last->size == start) {
        last->size += end - start;
        return true;
    }
    if (*n >= max) {
        return false;
    }
    out[(*n)++] = (struct boot_mem){ .start = start, .size = end - start, .type = type };
    return true;
}

/* Walk over all edges from low to high and write down what holds between two of them. */
static int rebuild(struct boot_mem *map, unsigned count, unsigned max,
                   const struct boot_mem *reserve)
{
    struct source src = { map, count, reserve };
    static struct boot_mem out[BOOT_MEM_MAX]; /* too large for a small stack */
    unsigned room = max < BOOT_MEM_MAX ? max : BOOT_MEM_MAX;
    unsigned n = 0;
    uint64_t pos, end;

    if (!next_edge(&src, 0, &pos)) {
        return 0;
    }
    for (; pos != UINT64_MAX && next_edge(&src, pos + 1, &end); pos = end) {
        uint32_t type = 0;

        if (type_at(&src, pos, &type) && !append(out, &n, room, pos, end, type)) {
            return -1;
        }
    }
    memcpy(map, out, n * sizeof(out[0]));
    return (int)n;
}

int e820_sanitize(struct boot_mem *map, unsigned count, unsigned max)
{
    return rebuild(map, count, max, &(struct boot_mem){ 0 });
}

bool e820_add(struct boot_mem *map, uint32_t *count, const struct boot_mem *entry)
{
    if (*count == BOOT_MEM_MAX) {
        int n = e820_sanitize(map, *count, BOOT_MEM_MAX);

        if (n < 0 || n == BOOT_MEM_MAX) {
            return false;
        }
        *count = (uint32_t)n;
    }
    map[(*count)++] = *entry;
    return true;
}

int e820_reserve(struct boot_mem *map, unsigned count, unsigned max, uint64_t start,
                 uint64_t size)
{
    struct boot_mem reserve = { .start = start, .size = size, .type = BOOT_MEM_RESERVED };

    if (size != 0 && start + size <= start) {
        return -1;
    }
    return rebuild(map, count, max, &reserve);
}

/* The first of `avoid` that shares a byte with [at, at+size), or NULL. A range that
 * wraps ends at the top of the address space. */
static const struct boot_mem *find_overlap(const struct boot_mem *avoid, unsigned count,
                                           uint64_t at, uint64_t size)
{
    for (unsigned i = 0; i < count; i++) {
        const struct boot_mem *m = &avoid[i];

        if (m->size != 0 && (at >= m->start ? at - m->start < m->size : m->start - at < size)) {
            return m;
        }
    }
    return NULL;
}

/* The highest place in [start, end), by stepping below each avoided range that is hit. */
static bool fit_high(uint64_t start, uint64_t end, uint64_t size, uint64_t align,
                     const struct boot_mem *avoid, unsigned avoid_count, uint64_t *at)
{
    while (end > start && end - start >= size) {
        uint64_t place = align_down(end - size, align);
        const struct boot_mem *hit;

        if (place < start) {
            return false;
        }
        hit = find_overlap(avoid, avoid_count, place, size);
        if (!hit) {
            *at = place;
            return true;
        }
        end = hit->start; /* < place + size <= the old end */
    }
    return false;
}

/* The lowest place in [start, end), by stepping above each avoided range that is hit. */
static bool fit_low(uint64_t start, uint64_t end, uint64_t size, uint64_t align,
                    const struct boot_mem *avoid, unsigned avoid_count, uint64_t *at)
{
    for (;;) {
        uint64_t place = align_up(start, align);
        const struct boot_mem *hit;

        if (place < start || place >= end || end - place < size) {
            return false;
        }
        hit = find_overlap(avoid, avoid_count, place, size);
        if (!hit) {
            *at = place;
            return true;
        }
        if (hit->start + hit->size < hit->start) {
            return false; /* avoided up to the top */
        }
        start = hit->start + hit->size; /* > place */
    }
}

bool e820_find_high(const struct boot_mem *map, unsigned count, uint64_t size, uint64_t align,
                    uint64_t floor, uint64_t limit, const struct boot_mem *avoid,
                    unsigned avoid_count, uint64_t *at)
{
    for (unsigned i = count; i-- > 0 && size != 0;) {
        uint64_t end = map[i].start + map[i].size;
        uint64_t start = map[i].start > floor ? map[i].start : floor;

        if (map[i].type == BOOT_MEM_USABLE
            && fit_high(start, end < limit ? end : limit, size, align, avoid, avoid_count, at)) {
            return true;
        }
    }
    return false;
}

bool e820_find_low(const struct boot_mem *map, unsigned count, uint64_t size, uint64_t align,
                   uint64_t floor, uint64_t limit, const struct boot_mem *avoid,
                   unsigned avoid_count, uint64_t *at)
{
    for (unsigned i = 0; i < count && size != 0; i++) {
        uint64_t end = map[i].start + map[i].size;
        uint64_t start = map[i].start > floor ? map[i].start : floor;

        if (map[i].type == BOOT_MEM_USABLE
            && fit_low(start, end < limit ? end : limit, size, align, avoid, avoid_count, at)) {
            return true;
        }
    }
    return false;
}

bool e820_is_usable(const struct boot_mem *map, unsigned count, uint64_t start, uint64_t size)
{
    for (unsigned i = 0; i < count; i++) {
        if (map[i].type == BOOT_MEM_USABLE && start >= map[i].start
            && start - map[i].start < map[i].size) {
            return size != 0 && size <= map[i].size - (start - map[i].start);
        }
    }
    return false;
}

uint64_t e820_usable_bytes(const struct boot_mem *map, unsigned count)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        sum += map[i].type == BOOT_MEM_USABLE ? map[i].size : 0;
    }
    return sum;
}

uint64_t e820_usable_end(const struct boot_mem *map, unsigned count)
{
    uint64_t top = 0;

    for (unsigned i = 0; i < count; i++) {
        uint64_t end = map[i].start + map[i].size;

        if (map[i].type == BOOT_MEM_USABLE && end > top) {
            top = end;
        }
    }
    return top;
}
