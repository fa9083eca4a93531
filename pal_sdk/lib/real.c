/* SPDX-License-Identifier: MIT */
/* Images as PALs of the hypervisor. */
#include "call.h"
#include "host.h"
#include "os.h"
#include <pal/module.h>
#include <stdlib.h>
#include <string.h>

#undef PAL_BUSY /* module.h's */

struct place {
    uint8_t *memory;       /* the page of stubs, then what the sections are filled from */
    size_t size;
};

#define STUBS_MAX  1280u  /* all PALs that there can be */
#define RESUME_STUB 4064u /* its place in the page */

#define BREAKPOINT     3u  /* vectors */
#define INVALID_OPCODE 6u
#define PAGE_FAULT     14u

bool pal_is_native(void)
{
    return false;
}

/* --- stubs without a PAL -------------------------------------------------------------- */

/*
 * Where a PAL dies while other threads are on their way into it, or wait in it, they find what is
 * left of its stubs, an invalid instruction, or INT3. The handler of faults recognises the page and
 * the thread's innermost call, which must be one of that PAL. And where the memory of an argument
 * can't be accessed the fault is at the stub, and the call has not begun.
 */
struct under_way {
    const uint8_t *stubs;
    pal_word *out;
};

static _Atomic uintptr_t pages[STUBS_MAX]; /* of stubs; 0: free */
static __thread struct under_way current;

static bool is_stubs(uintptr_t page)
{
    for (unsigned i = 0; i < STUBS_MAX; i++) {
        if (atomic_load(&pages[i]) == page) {
            return page != 0;
        }
    }
    return false;
}

static void change_page(uintptr_t from, uintptr_t to)
{
    for (unsigned i = 0; i < STUBS_MAX; i++) {
        uintptr_t expected = from;
        if (atomic_compare_exchange_strong(&pages[i], &expected, to)) {
            return;
        }
    }
}

static bool lost(struct pal_fault *f)
{
    const uintptr_t page = f->ip & ~(uintptr_t)4095;

    if (!is_stubs(page) || (uintptr_t)current.stubs != page) {
        return false;
    }
    if (f->vector == BREAKPOINT || f->vector == INVALID_OPCODE) {
        f->cx = PAL_STATUS_LOST;
    } else if (f->vector == PAGE_FAULT && f->ip - page < RESUME_STUB) {
        f->cx = PAL_STATUS_FAULT;
    } else {
        return false;
    }
    f->ax = f->address;
    f->dx = 0;
    f->ip = (uintptr_t)pal_call_lost;
    f->bp = current.out[3];
    return true;
}

/* --- opening -------------------------------------------------------------------------- */

static size_t pages_needed(const struct pal_file *f)
{
    return 1 + (size_t)f->content_pages;
}

/* Copies the contents in and says where they are. */
static void place_contents(struct pal_file *f, uint8_t *at)
{
    const uint8_t *from = f->contents;

    for (uint32_t i = 0; i < f->head.sections; i++) {
        struct xmhf_image_section *s = &f->section[i];
        const size_t bytes = (size_t)s->pages * PAL_PAGE;
        if (pal_file_has_contents(s->type)) {
            s->source = (uintptr_t)at;
            memcpy(at, from, bytes);
            at += bytes;
            from += bytes;
        }
    }
}

/* The structure and its lists, one behind the other. */
static uint64_t register_at(struct pal_file *f, uintptr_t stubs)
{
    uint8_t *all = malloc(f->head.size), *at = all;
    uint64_t error;

    if (!all) {
        return TV_NO_MEMORY;
    }
    f->head.stubs = stubs;
    f->head.caller = pal_file_is_foreign(f) ? PAL_CONVENTION_NATIVE : 0;
    memcpy(at, &f->head, sizeof(f->head));
    at += sizeof(f->head);
    memcpy(at, f->section, f->head.sections * sizeof(f->section[0]));
    at += f->head.sections * sizeof(f->section[0]);
    memcpy(at, f->param, f->head.params * sizeof(f->param[0]));
    at += f->head.params * sizeof(f->param[0]);
    memcpy(at, f->entry, f->head.entries * sizeof(f->entry[0]));
    error = pal_hypercall(XMHF_HC_IMAGE_REGISTER, (uintptr_t)all, 0, 0, stubs);
    free(all);
    return error;
}

static struct place *make_place(struct pal_handle *p)
{
    struct place *l = calloc(1, sizeof(*l));

    if (!l) {
        return NULL;
    }
    l->size = pages_needed(&p->file) * PAL_PAGE;
    l->memory = pal_os_alloc_data(l->size);
    if (!l->memory || !pal_os_executable(l->memory)) {
        if (l->memory) {
            pal_os_free(l->memory, l->size);
        }
        free(l);
        return NULL;
    }
    memset(l->memory, 0xcc, PAL_PAGE); /* INT3 */
    place_contents(&p->file, l->memory + PAL_PAGE);
    return l;
}

static void refused(struct pal_status *s, uint64_t error)
{
    s->error = error == TV_UNKNOWN_COMMAND || error == TV_NOT_SUPPORTED ? PAL_OLD_HYPERVISOR
                                                                        : PAL_REFUSED;
    s->hypercall = error;
}

void pal_backend_open(struct pal_handle *p, struct pal_status *s)
{
    struct place *l;
    uint64_t error;

    if (!p->image->file) {
        s->error = PAL_BAD_IMAGE;
        s->detail = PAL_FILE_NATIVE;
        return;
    }
    if (!pal_available()) {
        s->error = PAL_NO_HYPERVISOR;
        return;
    }
    l = make_place(p);
    if (!l || !pal_os_on_fault(lost)) {
        s->error = PAL_NO_MEMORY;
        return;
    }
    p->place = l;
    error = register_at(&p->file, (uintptr_t)l->memory);
    if (error != TV_OK) {
        refused(s, error);
        pal_backend_free(p, true);
        return;
    }
    change_page(0, (uintptr_t)l->memory);
}

/* --- closing -------------------------------------------------------------------------- */

void pal_backend_close(struct pal_handle *p, struct pal_status *s)
{
    const struct place *l = p->place;
    const uint64_t error = pal_hypercall(XMHF_HC_IMAGE_UNREGISTER, (uintptr_t)l->memory, 0, 0, 0);

    if (error == TV_BUSY) {
        s->error = PAL_BUSY;
    } else if (error != TV_OK && error != TV_NOT_FOUND) { /* that one is dead */
        refused(s, error);
    }
}

void pal_backend_free(struct pal_handle *p, bool same)
{
    struct place *l = p->place;

    if (same) {
        change_page((uintptr_t)l->memory, 0);
        pal_os_free(l->memory, l->size);
    }
    free(l);
    p->place = NULL;
}

/* How this program calls: as the PAL is called, if that has the same width. */
static uint32_t caller_of(const struct pal_file *f)
{
    return f->head.caller != 0 ? f->head.caller : f->head.convention;
}

/* --- calls ---------------------------------------------------------------------------- */

void pal_backend_call(struct pal_handle *p, uint32_t entry, const pal_word *args, unsigned n,
                      pal_word out[4])
{
    const struct place *l = p->place;
    const struct under_way before = current;

    current = (struct under_way){ l->memory, out };
    pal_raw_call(caller_of(&p->file), l->memory + (size_t)entry * XMHF_IMAGE_STUB_SIZE, args,
                 n, out);
    current = before;
}

void pal_backend_resume(struct pal_handle *p, const uint64_t token[2], pal_word out[4])
{
    const struct place *l = p->place;
    const struct under_way before = current;

    current = (struct under_way){ l->memory, out };
    pal_raw_resume(l->memory + RESUME_STUB, token, out);
    current = before;
}

void pal_backend_death(struct pal_handle *p, struct pal_status *s)
{
    const struct place *l = p->place;
    struct xmhf_pal_stats st;

    s->death = TV_DEATH_OWNER_GONE;
    if (pal_stats(l->memory, &st) == TV_OK && st.death != TV_DEATH_ALIVE) {
        s->death = st.death;
        s->vector = st.vector;
        s->section = st.section;
        s->offset = st.offset;
    }
}
