/* SPDX-License-Identifier: MIT */
/* PALs that are images (pal/host.h): opening, calling, with ocalls, and closing. */
#include "blame.h"
#include "host.h"
#include "os.h"
#include <pal/interface.h>
#include <stdlib.h>
#include <string.h>

#define PRINT 0xffffffffu /* PAL_RT_OCALL_PRINT of pal/rt.h: what a debug image prints */

static struct pal_status status(const struct pal_image *image, enum pal_error error)
{
    struct pal_status s = { .error = error, .section = XMHF_NO_SECTION, .image = image };

    return s;
}

static bool forked(const struct pal_handle *p)
{
    return p->generation != pal_os_generation();
}

/* --- ocalls that the program has ------------------------------------------------------ */

static struct pal_ocall *_Atomic ocalls;

void pal_ocall_add(struct pal_ocall *o)
{
    struct pal_ocall *first = atomic_load(&ocalls);

    do {
        o->next = first;
    } while (!atomic_compare_exchange_weak(&ocalls, &first, o));
}

pal_unpack *pal_ocall_find(const char *pal, const char *name)
{
    for (const struct pal_ocall *o = atomic_load(&ocalls); o; o = o->next) {
        if (strcmp(o->pal, pal) == 0 && strcmp(o->name, name) == 0) {
            return o->unpack;
        }
    }
    return NULL;
}

static bool find_ocalls(struct pal_handle *p)
{
    p->ocalls = calloc(p->file.ocalls + (size_t)1, sizeof(p->ocalls[0]));
    for (uint32_t i = 0; p->ocalls && i < p->file.ocalls; i++) {
        p->ocalls[i] = pal_ocall_find(p->image->name, pal_file_ocall_name(&p->file, i));
    }
    return p->ocalls != NULL;
}

/* --- opening and closing -------------------------------------------------------------- */

static void release(struct pal_handle *p)
{
    free(p->ocalls);
    free(p);
}

static struct pal_handle *make_handle(const struct pal_image *image, struct pal_status *s)
{
    struct pal_handle *p = calloc(1, sizeof(*p));

    s->error = p ? PAL_OK : PAL_NO_MEMORY;
    if (!p) {
        return NULL;
    }
    p->image = image;
    p->generation = pal_os_generation();
    atomic_flag_clear(&p->telling);
    if (image->file) {
        s->detail = pal_file_read(image->file, image->size, &p->file);
        s->error = s->detail == PAL_FILE_OK ? PAL_OK : PAL_BAD_IMAGE;
    }
    if (s->error == PAL_OK && !find_ocalls(p)) {
        s->error = PAL_NO_MEMORY;
    }
    return p;
}

struct pal_status pal_open(const struct pal_image *image, struct pal_handle **out)
{
    struct pal_status s = status(image, PAL_BAD_ARGUMENT);
    struct pal_handle *p;

    s.detail = PAL_ARGUMENT_OPEN;
    if (out) {
        *out = NULL;
    }
    if (!image || !image->name || !out) {
        return s;
    }
    p = make_handle(image, &s);
    if (s.error == PAL_OK) {
        pal_backend_open(p, &s);
    }
    if (s.error != PAL_OK && p) {
        release(p);
    } else {
        *out = p;
    }
    return s;
}

/* The last one that has to do with a closed handle. */
static void leave(struct pal_handle *p)
{
    if (atomic_fetch_sub(&p->calls, 1) == (PAL_CALLS_CLOSED | 1)) {
        pal_backend_free(p, true);
        release(p);
    }
}

static struct pal_status close_handle(struct pal_handle *p, bool with_calls)
{
    struct pal_status s = status(p ? p->image : NULL, PAL_OK);
    uint32_t calls = 0;

    if (!p) {
        return s;
    }
    if (forked(p)) {
        pal_backend_free(p, false);
        release(p);
        return s;
    }
    while (!atomic_compare_exchange_strong(&p->calls, &calls, (calls | PAL_CALLS_CLOSED) + 1)) {
        if ((calls & PAL_CALLS_CLOSED) || (calls != 0 && !with_calls)) {
            s.error = calls & PAL_CALLS_CLOSED ? PAL_CLOSED : PAL_BUSY;
            return s;
        }
    }
    pal_backend_close(p, &s);
    if (s.error != PAL_OK) { /* open as before */
        atomic_fetch_and(&p->calls, ~PAL_CALLS_CLOSED);
        atomic_fetch_sub(&p->calls, 1);
        return s;
    }
    leave(p);
    return s;
}

struct pal_status pal_close(struct pal_handle *p)
{
    return close_handle(p, false);
}

struct pal_status pal_abandon(struct pal_handle *p)
{
    return close_handle(p, true);
}

/* --- how a call ended ----------------------------------------------------------------- */

/* All later calls are told the first death. */
static struct pal_status died(struct pal_handle *p, const struct pal_status *s)
{
    if (!atomic_flag_test_and_set(&p->telling)) {
        p->death = *s;
        atomic_store(&p->dead, true);
    }
    return *s;
}

/* What out[] says, if it isn't an ocall. */
static struct pal_status ended(struct pal_handle *p, const pal_word out[4])
{
    struct pal_status s = status(p->image, PAL_OK);
    const uint32_t death = XMHF_STATUS_DEATH(out[1]);

    switch (death) {
    case TV_DEATH_ALIVE:
        return s;
    case XMHF_STATUS_BUSY:
        s.error = PAL_BUSY;
        return s;
    case XMHF_STATUS_BAD_COUNT:
        s.error = PAL_BAD_COUNT;
        return s;
    case PAL_STATUS_FAULT:
        s.error = PAL_BAD_ARGUMENT;
        s.address = out[0];
        return s;
    case PAL_STATUS_LOST:
        s.error = atomic_load(&p->calls) & PAL_CALLS_CLOSED ? PAL_CLOSED : PAL_DIED;
        if (s.error == PAL_DIED) {
            pal_backend_death(p, &s);
        }
        break;
    default:
        s.error = PAL_DIED;
        s.death = death;
        s.vector = XMHF_STATUS_VECTOR(out[1]);
        s.section = XMHF_STATUS_SECTION(out[1]);
        s.offset = (uint32_t)out[2];
        s.address = out[0];
        break;
    }
    return s.error == PAL_DIED ? died(p, &s) : s;
}

/* --- a call --------------------------------------------------------------------------- */

#define SMALL 2048u /* bytes of an OCALL parameter, and of a request, on the thread's stack */

struct call {
    struct pal_handle *p;
    struct xmhf_ocall *ocall;      /* what the OCALL parameter points to, or NULL */
    uint32_t room;                 /* bytes of data behind it */
    bool allocated;                /* `ocall` is */
    bool waits;                    /* the PAL waits for an answer */
    uint32_t missing;              /* 1 + number of a function that the program lacks, or 0 */
    unsigned char *request;        /* or NULL: it is small */
    pal_word out[4];
};

static void look(struct call *c)
{
    c->waits = c->ocall && XMHF_STATUS_DEATH(c->out[1]) == XMHF_STATUS_OCALL;
}

static void resume(struct call *c)
{
    const uint64_t token[2] = { c->ocall->token[0], c->ocall->token[1] };

    if (forked(c->p) || (atomic_load(&c->p->calls) & PAL_CALLS_CLOSED)) {
        c->out[1] = PAL_STATUS_LOST;
    } else {
        pal_backend_resume(c->p, token, c->out);
    }
    look(c);
}

/* A request of `bytes`: the program's function answers it. An answer of 0 bytes refuses. */
static void answer(struct call *c)
{
    struct xmhf_ocall *o = c->ocall;
    const uint32_t bytes = o->bytes <= c->room ? o->bytes : 0;
    pal_unpack *unpack = o->function < c->p->file.ocalls ? c->p->ocalls[o->function] : NULL;
    _Alignas(16) unsigned char small[SMALL];
    unsigned char *request;

    o->bytes = 0;
    if (o->function == PRINT) {
        pal_os_complain((const char *)(o + 1), bytes);
        return;
    }
    if (!unpack) {
        c->missing = o->function + 1;
        return;
    }
    request = bytes <= sizeof(small) ? small : (c->request = malloc(bytes));
    if (request) {
        memcpy(request, o + 1, bytes);
        o->bytes = (uint32_t)unpack(request, bytes, (unsigned char *)(o + 1), c->room);
    }
    free(c->request);
    c->request = NULL;
}

/* Also where the program's function ended by an exception, or with its thread: then the PAL is told
 * that nobody answers, until its call ends, so that its stack becomes free. */
static void end_call(struct call *c)
{
    while (c->waits) {
        c->ocall->bytes = 0;
        resume(c);
    }
    free(c->request);
    if (c->allocated) {
        free(c->ocall);
    }
    leave(c->p);
}

_Static_assert(sizeof(struct pal_parameter) == sizeof(struct xmhf_image_param)
               && offsetof(struct pal_parameter, unit) == offsetof(struct xmhf_image_param, unit),
               "they are compared as bytes");
_Static_assert(PAL_PARAM_INTEGER == TV_PARAM_INTEGER && PAL_PARAM_POINTER == TV_PARAM_POINTER
               && PAL_DIR_IN == XMHF_IN && PAL_DIR_OUT == XMHF_OUT
               && PAL_DIR_INOUT == XMHF_INOUT && PAL_BUFFER_MAX == XMHF_IMAGE_AREA,
               "pal/interface.h has the image's numbers");

/* Has the image's entry these parameters, besides the OCALL one? */
static bool same_interface(const struct pal_file *f, uint32_t entry,
                           const struct pal_parameter *declared, unsigned n)
{
    const struct xmhf_image_param *of = &f->param[f->first_param[entry]];
    unsigned k = 0;

    for (uint32_t i = 0; i < f->entry[entry].params; i++) {
        if (of[i].type == XMHF_PARAM_OCALL) {
            continue;
        }
        if (k == n || memcmp(&of[i], &declared[k], sizeof(of[i])) != 0) {
            return false;
        }
        k++;
    }
    return k == n;
}

/* What is wrong with the image for a program that was compiled so; PAL_FILE_OK: nothing. */
static enum pal_file_error other_interface(struct pal_handle *p, uint32_t entry, unsigned n,
                                           const struct pal_function *f)
{
    const bool known = entry < p->file.head.entries;

    if (!f || (known && atomic_load_explicit(&p->function[entry], memory_order_relaxed) == f)) {
        return PAL_FILE_OK;
    }
    if (strcmp(p->image->name, f->image) != 0) {
        return PAL_FILE_HANDLE;
    }
    if (!known || !same_interface(&p->file, entry, f->parameters, n)) {
        return PAL_FILE_INTERFACE;
    }
    atomic_store_explicit(&p->function[entry], f, memory_order_relaxed);
    return PAL_FILE_OK;
}

/* A call that can't be one: of no entry, or with another number of arguments. */
static void check_call(const struct pal_handle *p, uint32_t entry, unsigned n,
                       struct pal_status *s)
{
    if (entry >= p->file.head.entries) {
        s->error = PAL_BAD_ARGUMENT;
        s->detail = PAL_ARGUMENT_ENTRY;
        s->value = entry;
        s->allowed = p->file.head.entries;
    } else if (n + (p->file.ocall_param[entry] >= 0) != p->file.entry[entry].params) {
        s->error = PAL_BAD_ARGUMENT;
        s->detail = PAL_ARGUMENT_NUMBER;
        s->entry = pal_file_entry_name(&p->file, entry);
        s->value = n;
        s->allowed = p->file.entry[entry].params - (p->file.ocall_param[entry] >= 0);
    }
}

static struct pal_status refusal(struct pal_handle *p, uint32_t entry, unsigned n,
                                 const struct pal_function *f)
{
    struct pal_status s = status(p ? p->image : NULL, PAL_OK);
    enum pal_file_error other;

    if (!p) {
        s.error = PAL_CLOSED;
    } else if (forked(p)) {
        s.error = PAL_FORKED;
    } else if (atomic_load(&p->dead)) {
        s = p->death;
    } else if ((other = other_interface(p, entry, n, f)) != PAL_FILE_OK) {
        s.error = PAL_BAD_IMAGE;
        s.detail = other;
    } else {
        check_call(p, entry, n, &s);
    }
    return s;
}

/* The OCALL parameter's memory. False: there is none. */
static bool make_room(struct call *c, uint32_t entry, void *small)
{
    const int at = c->p->file.ocall_param[entry];

    if (at < 0) {
        return true;
    }
    c->room = c->p->file.param[c->p->file.first_param[entry] + (unsigned)at].size;
    c->ocall = small;
    if (c->room > SMALL - sizeof(*c->ocall)) {
        c->ocall = malloc(sizeof(*c->ocall) + c->room);
        c->allocated = c->ocall != NULL;
    }
    if (c->ocall) {
        memset(c->ocall, 0, sizeof(*c->ocall));
    }
    return c->ocall != NULL;
}

/* The arguments, *n of them, with the OCALL one among them, where the entry has one. */
static const pal_word *all_words(const struct call *c, uint32_t entry, const pal_word *args,
                                 unsigned *n, pal_word all[XMHF_IMAGE_ENTRY_PARAMS])
{
    const int at = c->p->file.ocall_param[entry];

    if (at < 0) {
        return args;
    }
    for (unsigned i = 0, k = 0; i < XMHF_IMAGE_ENTRY_PARAMS && k < *n; i++) {
        all[i] = (int)i == at ? 0 : args[k++];
    }
    all[at] = (pal_word)c->ocall;
    ++*n;
    return all;
}

/* A call that has not begun, since a count or memory is wrong. */
static void blame(const struct call *c, uint32_t entry, const pal_word *args, unsigned n,
                  const struct pal_function *f, struct pal_status *s)
{
    const struct pal_blamed b = { &c->p->file.param[c->p->file.first_param[entry]], args, n,
                                  f ? f->names : NULL };

    s->entry = f ? f->name : pal_file_entry_name(&c->p->file, entry);
    pal_blame(s, &b);
}

static struct pal_status run(struct pal_handle *p, uint32_t entry, pal_word *result,
                             const pal_word *args, unsigned n, const struct pal_function *f)
{
    __attribute__((cleanup(end_call))) struct call c = { .p = p };
    _Alignas(16) unsigned char small[SMALL];
    pal_word all[XMHF_IMAGE_ENTRY_PARAMS];
    struct pal_status s;

    if (!make_room(&c, entry, small)) {
        return status(p->image, PAL_NO_MEMORY);
    }
    args = all_words(&c, entry, args, &n, all);
    pal_backend_call(p, entry, args, n, c.out);
    look(&c);
    while (c.waits) {
        answer(&c);
        resume(&c);
    }
    s = forked(p) ? status(p->image, PAL_FORKED) : ended(p, c.out);
    if (s.error == PAL_OK && c.missing != 0) {
        s.error = PAL_NO_OCALL;
        s.detail = c.missing - 1;
    } else if (s.error == PAL_BAD_COUNT || s.error == PAL_BAD_ARGUMENT) {
        blame(&c, entry, args, n, f, &s);
    }
    *result = s.error == PAL_OK ? c.out[0] : 0;
    return s;
}

struct pal_status pal_call_declared(struct pal_handle *p, uint32_t entry, pal_word *result,
                                    const pal_word *args, unsigned n,
                                    const struct pal_function *function)
{
    struct pal_status s = refusal(p, entry, n, function);
    pal_word r = 0;

    if (s.error == PAL_OK) {
        if (atomic_fetch_add(&p->calls, 1) & PAL_CALLS_CLOSED) {
            s.error = PAL_CLOSED;
            leave(p);
        } else {
            s = run(p, entry, &r, args, n, function);
        }
    }
    if (result) {
        *result = r;
    }
    return s;
}

struct pal_status pal_call_entry(struct pal_handle *p, uint32_t entry, pal_word *result,
                                 const pal_word *args, unsigned n)
{
    return pal_call_declared(p, entry, result, args, n, NULL);
}

struct pal_status pal_refuse(const struct pal_handle *p, const struct pal_function *function,
                             const pal_word *args, unsigned n)
{
    const struct pal_blamed b = { (const struct xmhf_image_param *)function->parameters, args, n,
                                  function->names };
    struct pal_status s = status(p ? p->image : NULL, p ? PAL_OK : PAL_CLOSED);

    if (p) {
        s.entry = function->name;
        pal_blame(&s, &b);
    }
    return s;
}
