/* SPDX-License-Identifier: MIT */
/* Guest-virtual memory for hypapps: every access with the caller's own rights. */
#include <guest/phys.h>
#include <hw/insn.h>
#include <hypapp/hypapp.h>
#include <util/string.h>
#include <x86/cpu.h>

/* What a walk to `va` is for a hypapp. */
static enum gm_result answer_of(enum walk_result r, uint64_t va, const struct walk *w,
                                struct gm_fault *f)
{
    if (r == WALK_FAULT) {
        *f = (struct gm_fault){ gva(va), w->error, w->canonical };
        return GM_FAULT;
    }
    return r == WALK_OK ? GM_OK : GM_NOT_RAM;
}

static enum gm_result translate(const struct hyp_caller *c, uint64_t va, unsigned access,
                                struct walk *w, struct gm_fault *f)
{
    access |= c->no_ad ? ACCESS_USER | ACCESS_NO_AD : ACCESS_USER;
    return answer_of(guest_walk(&guest_phys_ops, &c->paging, gva(va), access, w), va, w, f);
}

enum gm_result gm_page(const struct hyp_caller *c, gva_t va, unsigned access, void **page,
                       gpa_t *g, struct gm_fault *f)
{
    struct walk w;
    enum gm_result r = translate(c, va.a, access, &w, f);

    if (r == GM_OK) {
        *page = w.ptr;
        *g = w.gpa;
    }
    return r;
}

/* Most of what is copied are whole words: arguments, buffers. */
static void copy(uint8_t *to, const uint8_t *from, size_t n)
{
    hw_copy64(to, from, n / 8);
    if (n % 8 != 0) {
        memcpy(to + n / 8 * 8, from + n / 8 * 8, n % 8);
    }
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
    struct walk w;

    while (len > 0) {
        size_t n = chunk_at(from.a, len);
        enum gm_result r = translate(c, from.a, ACCESS_READ, &w, f);
        if (r != GM_OK) {
            return r;
        }
        copy(dst, w.ptr, n);
        dst += n;
        from.a += n;
        len -= n;
    }
    return GM_OK;
}

enum gm_result gm_read_first(const struct hyp_caller *c, gva_t from, uint64_t *to, size_t n,
                             struct walk_memo *m, struct gm_fault *f)
{
    enum gm_result r = gm_read(c, from, to, 8 * n, f);

    if (r == GM_OK) {
        walk_remember(&guest_phys_ops, &c->paging, from, ACCESS_READ, m);
    }
    return r;
}

/* One pass over the pages of a write: `from` is NULL if they are only looked at. */
static enum gm_result write_pass(const struct hyp_caller *c, uint64_t va, const uint8_t *from,
                                 size_t len, struct gm_fault *f)
{
    struct walk w;

    while (len > 0) {
        size_t n = chunk_at(va, len);
        enum gm_result r = translate(c, va, ACCESS_WRITE, &w, f);
        if (r != GM_OK) {
            return r;
        }
        if (from) {
            copy(w.ptr, from, n);
            from += n;
        }
        va += n;
        len -= n;
    }
    return GM_OK;
}

enum gm_result gm_write(const struct hyp_caller *c, gva_t to, const void *from, size_t len,
                        struct gm_fault *f)
{
    enum gm_result r = GM_OK;

    /* All pages first, so that a fault leaves nothing half written. The guest can still
     * remap between the two walks; then it gets what it asked for: a fault in the middle. */
    if (chunk_at(to.a, len) < len) {
        r = write_pass(c, to.a, NULL, len, f);
    }
    return r == GM_OK ? write_pass(c, to.a, from, len, f) : r;
}

/* --- as the guest's kernel, and by physical address ------------------------------- */

static enum gm_result translate_kernel(const struct hyp_caller *c, uint64_t va, unsigned access,
                                       struct walk *w, struct gm_fault *f)
{
    struct guest_paging p = c->paging;

    p.cpl = 0;
    p.cr4 &= ~(uint64_t)(CR4_SMEP | CR4_SMAP);
    p.pkru = 0;
    return answer_of(guest_walk(&guest_phys_ops, &p, gva(va), access | ACCESS_NO_AD, w), va, w, f);
}

enum gm_result gm_translate(const struct hyp_caller *c, gva_t va, unsigned access, gpa_t *g,
                            unsigned *rights, struct gm_fault *f)
{
    struct walk w;
    enum gm_result r = translate_kernel(c, va.a, access, &w, f);

    if (r == GM_OK) {
        *g = w.gpa;
        if (rights) {
            *rights = w.rights;
        }
    }
    return r;
}

enum gm_result gm_read_kernel(const struct hyp_caller *c, gva_t from, void *to, size_t len,
                              struct gm_fault *f)
{
    uint8_t *dst = to;
    struct walk w;

    for (size_t n; len > 0; dst += n, from.a += n, len -= n) {
        enum gm_result r = translate_kernel(c, from.a, ACCESS_READ, &w, f);

        if (r != GM_OK) {
            return r;
        }
        n = chunk_at(from.a, len);
        copy(dst, w.ptr, n);
    }
    return GM_OK;
}

/* Core pointer to guest-physical [at, at+len), which the direct map shows in one piece; or NULL. */
static uint8_t *ram_at(gpa_t at, size_t len)
{
    return at.a + len < at.a ? NULL : guest_phys_ops.map(at, len);
}

enum gm_result gp_read(gpa_t from, void *to, size_t len)
{
    const uint8_t *p = ram_at(from, len);

    if (p) {
        copy(to, p, len);
    }
    return p ? GM_OK : GM_NOT_RAM;
}

#define STORE(type) \
    do { \
        type value; \
        memcpy(&value, from, sizeof(value)); \
        __atomic_store_n((type *)(void *)p, value, __ATOMIC_SEQ_CST); \
    } while (0)

enum gm_result gp_write(gpa_t to, const void *from, size_t len)
{
    uint8_t *p = ram_at(to, len);

    if (!p) {
        return GM_NOT_RAM;
    }
    switch (len != 0 && to.a % len == 0 ? len : 0) {
    case 1: STORE(uint8_t); break;
    case 2: STORE(uint16_t); break;
    case 4: STORE(uint32_t); break;
    case 8: STORE(uint64_t); break;
    default: copy(p, from, len); break;
    }
    return GM_OK;
}

/* --- address spaces that were remembered ------------------------------------------ */

void gm_trace(const struct guest_paging *p, gva_t va, struct trace *t)
{
    guest_trace(&guest_phys_ops, p, va, t);
}

bool gm_same_kernel(struct vcpu *v, const struct guest_paging *p)
{
    struct guest_paging now;
    struct segment tr;

    virt->get_paging(v, &now);
    virt->get_segment(v, SEG_TR, &tr);
    return trace_same(&guest_phys_ops, &now, p, gva(tr.base))
           || !trace_same(&guest_phys_ops, &now, &now, gva(tr.base));
}
