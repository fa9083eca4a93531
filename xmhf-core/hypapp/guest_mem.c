/* SPDX-License-Identifier: MIT */
/* Guest-virtual memory for hypapps: every access with the caller's own rights. */
#include <guest/phys.h>
#include <hypapp/hypapp.h>
#include <util/string.h>
#include <x86/cpu.h>

static enum gm_result translate(const struct hyp_caller *c, uint64_t va, unsigned access,
                                gpa_t *g, struct gm_fault *f)
{
    struct walk w;

    switch (guest_walk(&guest_phys_ops, &c->paging, gva(va), access | ACCESS_USER, &w)) {
    case WALK_OK:
        *g = w.gpa;
        return GM_OK;
    case WALK_FAULT:
        *f = (struct gm_fault){ gva(va), w.error, w.canonical };
        return GM_FAULT;
    default:
        return GM_NOT_RAM;
    }
}

enum gm_result gm_page(const struct hyp_caller *c, gva_t va, unsigned access, void **page,
                       gpa_t *g, struct gm_fault *f)
{
    enum gm_result r = translate(c, va.a, access, g, f);

    if (r == GM_OK) {
        *page = guest_phys_ops.map(*g, PAGE_SIZE);
        if (!*page) {
            return GM_NOT_RAM;
        }
    }
    return r;
}

/* Bytes from `va` to the end of its page, at most `len`. */
static size_t chunk_at(uint64_t va, size_t len)
{
    size_t room = (size_t)(PAGE_SIZE - (va & PAGE_MASK));

    return len < room ? len : room;
}

enum gm_result gm_read(const struct hyp_caller *c, gva_t from, void *to, size_t len,
                       struct gm_fault *f)
{
    uint8_t *dst = to;
    gpa_t g;

    while (len > 0) {
        size_t n = chunk_at(from.a, len);
        enum gm_result r = translate(c, from.a, ACCESS_READ, &g, f);
        const void *p = r == GM_OK ? guest_phys_ops.map(g, n) : NULL;
        if (!p) {
            return r == GM_OK ? GM_NOT_RAM : r;
        }
        if (n == 8) {
            __builtin_memcpy(dst, p, 8);
        } else {
            memcpy(dst, p, n);
        }
        dst += n;
        from.a += n;
        len -= n;
    }
    return GM_OK;
}

enum gm_result gm_write(const struct hyp_caller *c, gva_t to, const void *from, size_t len,
                        struct gm_fault *f)
{
    const uint8_t *src = from;
    gpa_t g;

    /* All pages first, so that a fault leaves nothing half written. The guest can still
     * remap between the two walks; then it gets what it asked for: a fault in the middle. */
    for (int pass = 0; pass < 2; pass++) {
        uint64_t va = to.a;
        size_t left = len;
        while (left > 0) {
            size_t n = chunk_at(va, left);
            enum gm_result r = translate(c, va, ACCESS_WRITE, &g, f);
            void *p = r == GM_OK ? guest_phys_ops.map(g, n) : NULL;
            if (!p) {
                return r == GM_OK ? GM_NOT_RAM : r;
            }
            if (pass == 1) {
                memcpy(p, src, n);
                src += n;
            }
            va += n;
            left -= n;
        }
    }
    return GM_OK;
}
