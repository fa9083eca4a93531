/* SPDX-License-Identifier: MIT */
/* Decoding the local APIC's interrupt command register and finding its targets. */
#include <guest/icr.h>

/* SDM vol. 3, figures 11-12 and 11-28. The low halves are equal, but for the delivery
 * status (bit 12), which x2APIC lacks and which is read-only in xAPIC. */
#define ICR_VECTOR        0xffu
#define ICR_DELIVERY(v)   (((v) >> 8) & 7u)
#define ICR_LOGICAL       (1u << 11)
#define ICR_LEVEL_ASSERT  (1u << 14)
#define ICR_TRIGGER_LEVEL (1u << 15)
#define ICR_SHORTHAND(v)  (((v) >> 18) & 3u)

#define LVT_MASKED        (1u << 16)

#define XAPIC_BROADCAST   0xffu
#define X2APIC_BROADCAST  0xffffffffu
#define DFR_MODEL(dfr)    ((dfr) >> 28)
#define DFR_CLUSTER       0u

static struct icr decode(uint32_t low, uint32_t dest)
{
    struct icr icr = {
        .vector = (uint8_t)(low & ICR_VECTOR),
        .delivery = (enum icr_delivery)ICR_DELIVERY(low),
        .shorthand = (enum icr_shorthand)ICR_SHORTHAND(low),
        .logical = (low & ICR_LOGICAL) != 0,
        .dest = dest,
    };

    /* The trigger bit means something for INIT only: level and not asserted is the
     * "INIT level de-assert" that CPUs since the Pentium 4 ignore (SDM vol. 3, 11.6.1). */
    icr.deassert = icr.delivery == ICR_INIT
                   && (low & (ICR_TRIGGER_LEVEL | ICR_LEVEL_ASSERT)) == ICR_TRIGGER_LEVEL;
    return icr;
}

struct icr icr_decode_xapic(uint32_t low, uint32_t high)
{
    return decode(low, high >> 24);
}

struct icr icr_decode_x2apic(uint64_t value)
{
    return decode((uint32_t)value, (uint32_t)(value >> 32));
}

uint32_t icr_lvt_without_init(uint32_t entry)
{
    switch (ICR_DELIVERY(entry)) {
    case ICR_INIT:
    case ICR_RESERVED3:
    case ICR_SIPI:
        return entry | LVT_MASKED;
    default:
        return entry;
    }
}

/* SDM vol. 3, 11.6.2.2. A DFR that is neither flat nor cluster counts as flat. */
static bool matches_logical_xapic(uint32_t dest, const struct icr_target *t)
{
    uint32_t id = t->ldr >> 24;

    if (DFR_MODEL(t->dfr) == DFR_CLUSTER) {
        return (dest & 0xf0u) == (id & 0xf0u) && (dest & id & 0x0fu) != 0;
    }
    return (dest & id) != 0;
}

/* SDM vol. 3, 11.12.10.2: 16 bits of cluster, one bit per CPU in it. */
static bool matches_logical_x2apic(uint32_t dest, const struct icr_target *t)
{
    return dest >> 16 == t->ldr >> 16 && (dest & t->ldr & 0xffffu) != 0;
}

static bool matches_dest(const struct icr *icr, const struct icr_target *t, bool x2apic)
{
    /* The broadcast ids hold in both destination modes. */
    if (icr->dest == (x2apic ? X2APIC_BROADCAST : XAPIC_BROADCAST)) {
        return true;
    }
    if (!icr->logical) {
        return icr->dest == t->apic_id;
    }
    return x2apic ? matches_logical_x2apic(icr->dest, t) : matches_logical_xapic(icr->dest, t);
}

bool icr_matches(const struct icr *icr, uint32_t sender_id, const struct icr_target *t,
                 bool x2apic)
{
    switch (icr->shorthand) {
    case ICR_SELF:
        return t->apic_id == sender_id;
    case ICR_ALL:
        return true;
    case ICR_OTHERS:
        return t->apic_id != sender_id;
    case ICR_DEST:
    default:
        return matches_dest(icr, t, x2apic);
    }
}
