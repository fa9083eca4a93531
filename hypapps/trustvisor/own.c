/* SPDX-License-Identifier: MIT */
/* A PAL's own memory, by its own addresses, page by page; and random bytes to there. */
#include "own.h"
#include "mode16.h"
#include <util/string.h>
#include <xmhf/image.h>

bool own_writable(const struct tv_pal *pal, uint64_t va, uint64_t n)
{
    const uint64_t end = va + n;

    if (end < va) {
        return false;
    }
    while (va < end) {
        const struct tv_section *s = tv_section_at(&pal->image, va);
        if (!s || tv_is_constant(s->type)) {
            return false;
        }
        va = tv_section_end(s);
    }
    return true;
}

void *own_at(const struct tv_pal *pal, uint64_t va, uint32_t *n)
{
    const struct tv_section *s = tv_section_at(&pal->image, va);
    const uint32_t room = (uint32_t)(PAGE_SIZE - (va & PAGE_MASK));

    if (!s) {
        return NULL;
    }
    *n = *n < room ? *n : room;
    return (uint8_t *)space_frame(&pal->space,
                                  s->first + (uint32_t)((va - s->start) >> PAGE_SHIFT))
        + (va & PAGE_MASK);
}

void own_write(const struct tv_pal *pal, uint64_t va, const void *bytes, uint32_t n)
{
    const uint8_t *from = bytes;

    while (n > 0) {
        uint32_t part = n;
        void *to = own_at(pal, va, &part);
        memcpy(to, from, part);
        from += part;
        va += part;
        n -= part;
    }
}

uint64_t own_arg(const struct tv_pal *pal, const struct vcpu_regs *regs, enum gpr r)
{
    return pal->image.mode == PAL_ID_MODE_64 ? regs->gpr[r] : (uint32_t)regs->gpr[r];
}

uint64_t own_address(const struct tv_pal *pal, const struct vcpu_regs *regs, enum gpr r)
{
    uint64_t va;

    if (pal->image.word != 2) {
        return own_arg(pal, regs, r);
    }
    return mode16_linear(pal->space.ldt, (uint32_t)regs->gpr[r], &va) ? va : UINT64_MAX;
}

enum tv_error own_random(const struct tv_pal *pal, const struct vcpu_regs *regs)
{
    const uint64_t to = own_address(pal, regs, GPR_RCX), n = own_arg(pal, regs, GPR_RDX);
    uint8_t bytes[XMHF_RANDOM_MAX];

    if (n > sizeof(bytes)) {
        return TV_TOO_LONG;
    }
    if (!own_writable(pal, to, n)) {
        return TV_BAD_ADDRESS;
    }
    hyp_random_refresh();
    if (!hyp_random(bytes, n)) {
        return TV_NO_ENTROPY;
    }
    own_write(pal, to, bytes, (uint32_t)n);
    hw_fill64(bytes, 0, sizeof(bytes) / 8);
    return TV_OK;
}
