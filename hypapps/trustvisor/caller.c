/* SPDX-License-Identifier: MIT */
/* Judges who makes a hypercall, and how it ends. */
#include "caller.h"
#include "image.h"

bool tv_is_public(uint32_t cmd)
{
    return (cmd >= TV_HC_REG && cmd <= 13) || (cmd >= 21 && cmd <= 23) || cmd == TV_HC_TEST;
}

/* Addresses in this segment are linear ones. */
static bool flat(struct vcpu *v, enum segment_index i)
{
    struct segment s;

    hyp_get_segment(v, i, &s);
    return s.base == 0 && s.limit == 0xffffffff;
}

enum tv_error tv_caller_check_32(struct vcpu *v, const struct hyp_caller *c)
{
    return c->paging.cpl == 3 && c->paging.mode == MODE_PROT32 && (c->paging.cr0 & CR0_PG)
        && flat(v, SEG_CS) && flat(v, SEG_SS) && flat(v, SEG_DS) ? TV_OK : TV_BAD_CALLER;
}

bool tv_reaches(const struct hyp_caller *c, uint64_t va, uint64_t len, struct gm_fault *f)
{
    if (tv_is_64(c) || va + len <= TV_USER_END_32) {
        return true;
    }
    *f = (struct gm_fault){ .addr = gva(va), .canonical = false };
    return false;
}

/* How many of `n` bytes the stream has in one page; 0 unless `*r` is GM_OK. */
static uint32_t piece(const struct hyp_caller *c, struct tv_stream *s, unsigned access, uint32_t n,
                      enum gm_result *r, struct gm_fault *f)
{
    void *page;
    gpa_t g;

    *r = GM_OK;
    if (s->room == 0) {
        *r = gm_page(c, gva(align_down(s->user, PAGE_SIZE)), access, &page, &g, f);
        if (*r != GM_OK) {
            f->addr = gva(s->user);
            return 0;
        }
        s->at = (uint8_t *)page + (s->user & PAGE_MASK);
        s->room = (uint32_t)(PAGE_SIZE - (s->user & PAGE_MASK));
    }
    return n < s->room ? n : s->room;
}

static void pass(struct tv_stream *s, uint32_t n)
{
    s->user += n;
    s->at += n;
    s->room -= n;
}

enum gm_result tv_stream_read(const struct hyp_caller *c, struct tv_stream *s, void *ours,
                              uint32_t n, struct gm_fault *f)
{
    enum gm_result r = GM_OK;

    for (uint32_t done = 0, part; done < n; done += part) {
        part = piece(c, s, ACCESS_READ, n - done, &r, f);
        if (r != GM_OK) {
            break;
        }
        tv_copy((uint8_t *)ours + done, s->at, part);
        pass(s, part);
    }
    return r;
}

enum gm_result tv_stream_write(const struct hyp_caller *c, struct tv_stream *s, const void *ours,
                               uint32_t n, struct gm_fault *f)
{
    enum gm_result r = GM_OK;

    for (uint32_t done = 0, part; done < n; done += part) {
        part = piece(c, s, ACCESS_WRITE, n - done, &r, f);
        if (r != GM_OK) {
            break;
        }
        tv_copy(s->at, (const uint8_t *)ours + done, part);
        pass(s, part);
    }
    return r;
}

enum hc_result tv_done(struct vcpu *v, enum tv_error e)
{
    v->regs.gpr[GPR_RAX] = e;
    return HC_DONE;
}

enum hc_result tv_fault(struct vcpu *v, const struct gm_fault *f)
{
    hyp_inject_fault(v, f);
    return HC_AGAIN;
}
