/* SPDX-License-Identifier: MIT */
/* The sites where a kernel patches its own text, and what it may write there. */
#include "sites.h"
#include <util/string.h>

#define INT3 0xcc
#define JMP  0xe9   /* rel32, as E8, CALL; EB: rel8 (SDM vol. 2, CALL and JMP) */

struct lockdown_site *site_page[SITE_PAGES];
atomic_uint site_count;

/* What may stand at a site besides CALL and JMP. NOPs: SDM vol. 2, table 4-12; Linux has no others.
 * A static call without a function is RET, or clears EAX, which has two spellings. */
static const struct { unsigned kinds; uint8_t bytes[SITE_MAX_LEN]; } patterns[] = {
    { 1u << LOCKDOWN_JUMP2, { 0x66, 0x90 } },
    { ~(1u << LOCKDOWN_JUMP2), { 0x0f, 0x1f, 0x44, 0x00, 0x00 } },
    { 1u << LOCKDOWN_STATIC, { 0xc3, INT3, INT3, INT3, INT3 } },
    { 1u << LOCKDOWN_STATIC, { 0x2e, 0x2e, 0x2e, 0x31, 0xc0 } },
    { 1u << LOCKDOWN_STATIC, { 0x66, 0x66, 0x48, 0x31, 0xc0 } },
};

bool site_allows(const struct site *s, const uint8_t *b, uint64_t text_size)
{
    const bool near = s->kind == LOCKDOWN_JUMP2, int3 = b[0] == INT3; /* for any first byte */
    uint32_t to = (uint32_t)(int8_t)b[1];

    for (unsigned i = 0; i < ARRAY_SIZE(patterns); i++) {
        if ((patterns[i].kinds >> s->kind & 1)
            && memcmp(b + int3, patterns[i].bytes + int3, site_len(s) - int3) == 0) {
            return true;
        }
    }
    memcpy(&to, b + 1, near ? 0 : sizeof(to));
    to += s->at + site_len(s);
    if (near || s->kind == LOCKDOWN_JUMP5) {
        return (int3 || b[0] == (near ? 0xeb : JMP)) && to == s->target;
    }
    return to < text_size && (int3 || b[0] == 0xe8 || (b[0] == JMP && s->kind == LOCKDOWN_STATIC));
}

static struct site site(uint32_t i)
{
    const struct lockdown_site *p = &site_page[i / LOCKDOWN_SITES_PAGE][i % LOCKDOWN_SITES_PAGE];

    return (struct site){ p->at % (1u << LOCKDOWN_AT_BITS), p->target, p->at >> LOCKDOWN_AT_BITS };
}

bool sites_find(uint64_t at, struct site *s)
{
    uint32_t low = 0, high = site_count;   /* below `low` are those that begin at or before `at` */

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        bool before = site(mid).at <= at;
        low = before ? mid + 1 : low;
        high = before ? high : mid;
    }
    if (low > 0) {
        *s = site(low - 1);
    }
    return low > 0 && at - s->at < site_len(s);
}
