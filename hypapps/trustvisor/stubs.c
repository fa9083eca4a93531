/* SPDX-License-Identifier: MIT */
/*
 * Writes and looks at what a registration leaves in the page of the PAL's entry: INT3 everywhere
 * except
 *
 *   at each entry   the hypercall instruction, then the mark where there is room; where there
 *                   is none the resume stub is at the page's beginning
 *   in the last 32 bytes, or the first ones if the entry is there: a second hypercall
 *   instruction (the resume stub), the mark, and at offset 16 the nonce
 *
 * The mark tells a stub from other hypercalls, so that a call of a PAL that is no more,
 * or of one that belongs to the parent process, is #UD and never taken for a command.
 */
#include "stubs.h"
#include "caller.h"
#include <insn/insn.h>
#include <util/string.h>

#define BLOCK_NONCE  16u
#define MARK_SIZE    8u

static const uint8_t mark[MARK_SIZE] = { 0xcc, 'X', 'M', 'H', 'F', 'P', 'A', 'L' };

/* Of the two places the one where programs seldom have code of their own: a thread that waits
 * at the resume stub while another one unregisters the PAL goes on in what was there before. */
static uint64_t block_offset(const struct tv_pal *pal)
{
    const uint64_t last = PAGE_SIZE - TV_STUB_BLOCK;

    return (pal->image.entry & PAGE_MASK) + TV_STUB_LEN + MARK_SIZE <= last ? last : 0;
}

void stubs_place(struct tv_pal *pal)
{
    pal->resume = align_down(pal->image.entry, PAGE_SIZE) + block_offset(pal);
    pal->nonce_va = pal->resume + BLOCK_NONCE;
}

static void put_stub(uint8_t *page, uint64_t offset)
{
    memcpy(page + offset, hyp_call_insn(), TV_STUB_LEN);
    if (offset + TV_STUB_LEN + MARK_SIZE <= PAGE_SIZE) {
        memcpy(page + offset + TV_STUB_LEN, mark, MARK_SIZE);
    }
}

void stubs_write(const struct tv_pal *pal, void *page)
{
    uint8_t *bytes = page;

    hw_fill64(page, TV_INT3S, PAGE_SIZE / 8);
    put_stub(bytes, block_offset(pal));
    for (uint32_t i = 0; i < pal->image.entry_count; i++) {
        put_stub(bytes, tv_stub_va(&pal->image, &pal->image.entries[i]) & PAGE_MASK);
    }
    memcpy(bytes + block_offset(pal) + BLOCK_NONCE, pal->nonce, TV_NONCE_SIZE);
}

static enum stubs_answer answer(const struct tv_pal *pal, enum gm_result r,
                                const uint64_t seen[TV_NONCE_SIZE / 8])
{
    switch (r) {
    case GM_OK:
        return seen[0] == pal->nonce[0] && seen[1] == pal->nonce[1] ? STUBS_THERE : STUBS_GONE;
    case GM_FAULT:
        return STUBS_FAULT;
    default:
        return STUBS_GONE;
    }
}

enum stubs_answer stubs_check(const struct tv_pal *pal, const struct hyp_caller *c,
                              struct gm_fault *f)
{
    uint64_t seen[TV_NONCE_SIZE / 8];
    enum gm_result r = gm_read(c, gva(pal->nonce_va), seen, sizeof(seen), f);

    return answer(pal, r, seen);
}

enum stubs_answer stubs_check_again(const struct tv_pal *pal, struct tv_activation *act,
                                    const struct hyp_caller *c, struct gm_fault *f)
{
    uint64_t seen[TV_NONCE_SIZE / 8];
    enum gm_result r = gm_read_again(c, gva(pal->nonce_va), seen, ARRAY_SIZE(seen),
                                     &act->nonce_memo, f);

    return answer(pal, r, seen);
}

bool stubs_nonce(const struct hyp_caller *c, uint64_t page, uint64_t nonce[TV_NONCE_SIZE / 8])
{
    struct gm_fault f;

    return gm_read(c, gva(page + PAGE_SIZE - TV_STUB_BLOCK + BLOCK_NONCE), nonce, TV_NONCE_SIZE, &f)
        == GM_OK;
}

static bool is_hypercall(const uint8_t *code, size_t n, unsigned bits)
{
    static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 }, vmmcall[] = { 0x0f, 0x01, 0xd9 };

    if (code[0] == vmcall[0] && code[1] == vmcall[1]
        && (code[2] == vmcall[2] || code[2] == vmmcall[2])) {
        return true; /* without prefixes, as nearly always */
    }
    return insn_length_of(code, n, bits, vmcall, sizeof(vmcall)) != 0
        || insn_length_of(code, n, bits, vmmcall, sizeof(vmmcall)) != 0;
}

/* Is it a stub, by the mark behind it or, at the end of a page, by the resume stub's at the page's
 * beginning? `code`: the `n` bytes at `rip`. */
static bool is_marked(const struct hyp_caller *c, uint64_t rip, const uint8_t *code, size_t n)
{
    uint8_t first[TV_STUB_LEN + MARK_SIZE];
    struct gm_fault f;

    if (n < sizeof(first)) {
        if (gm_read(c, gva(align_down(rip, PAGE_SIZE)), first, sizeof(first), &f) != GM_OK) {
            return false;
        }
        code = first;
    }
    return memcmp(code + TV_STUB_LEN, mark, MARK_SIZE) == 0;
}

enum stubs_found stubs_look(const struct hyp_caller *c, uint64_t rip)
{
    uint8_t code[16]; /* two words, which are read at once */
    _Static_assert(sizeof(code) >= INSN_MAX, "any instruction");
    uint64_t room = PAGE_SIZE - (rip & PAGE_MASK);
    size_t n = room < sizeof(code) ? (size_t)room : sizeof(code);
    struct gm_fault f;
    enum gm_result r = gm_read(c, gva(rip), code, n, &f);

    n = n < INSN_MAX ? n : INSN_MAX;
    if (r != GM_OK) { /* absent by now; otherwise code that can be executed, but not read */
        return r == GM_FAULT && !(f.error & PF_PRESENT) ? STUBS_CHANGED : STUBS_COMMAND;
    }
    if (is_marked(c, rip, code, n)) {
        return STUBS_DEAD;
    }
    /* An instruction that continues on the next page isn't looked at. */
    return n < TV_STUB_LEN || is_hypercall(code, n, tv_is_64(c) ? 64 : 32) ? STUBS_COMMAND
                                                                          : STUBS_CHANGED;
}
