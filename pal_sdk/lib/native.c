/* SPDX-License-Identifier: MIT */
/*
 * Native mode: an image in the program's own process, at the addresses where it is linked, with
 * unmapped memory between its sections, its own stacks, and copies of its parameters. Nothing
 * protects it: it can reach the whole process and the process reaches it. Its budget is CPU time of
 * the calling thread; on Windows none is kept.
 *
 * All images are linked at the same address, so one PAL is mapped at a time. Another one's call
 * maps that instead, and waits until no thread is in the one before. (No thread is in a PAL that
 * waits for an answer.)
 */
#include "native.h"
#include <pal/module.h>
#include <stdlib.h>
#include <string.h>
#include <xmhf/hypercall.h>

#undef PAL_BUSY /* module.h's */

#define PAGE  4096u
#define GUARD (16 * PAGE) /* around all sections */

struct activation {
    bool taken;
    uint64_t thread;               /* whose call it is */
    bool waits;                    /* for an answer */
    const struct xmhf_image_entry *entry;
    const struct xmhf_image_param *param;
    pal_word args[XMHF_IMAGE_ENTRY_PARAMS];
    pal_word copy[XMHF_IMAGE_ENTRY_PARAMS];   /* where each POINTER's bytes are inside */
    int64_t bytes[XMHF_IMAGE_ENTRY_PARAMS];
    pal_word buffer, room;         /* of an ocall */
    uint64_t token;
    uint64_t left;                 /* of its budget, ns; without one 0 */
    struct native_context context;
};

struct place {
    void *raw;                     /* as it was allocated */
    void *memory;
    uintptr_t base;                /* of what is mapped, guards and all */
    size_t size;
    uint64_t budget;               /* ns of one call; 0: none */
    bool closed;                   /* nobody goes in any more */
    bool dead;
    pal_word death[3];             /* what a call that ends by death has in its registers */
    struct activation act[XMHF_IMAGE_STACKS];
};

/* native_lock guards these, `closed` of places, and `taken` and `waits` of activations. */
static struct place *mapped;
static unsigned inside;            /* threads in the PAL that is mapped */
static uint32_t generation;        /* of the process that these are of */

bool pal_is_native(void)
{
    return true;
}

/* --- memory --------------------------------------------------------------------------- */

static unsigned rights_of(uint32_t type)
{
    switch (type) {
    case TV_SECTION_CODE:     return NATIVE_READ | NATIVE_EXECUTE;
    case XMHF_SECTION_RODATA: return NATIVE_READ;
    default:                  return NATIVE_READ | NATIVE_WRITE;
    }
}

/* A child made by fork has nothing of this. The lock is held. */
static void forget_parent(void)
{
    if (generation != pal_os_generation()) {
        generation = pal_os_generation();
        mapped = NULL;
        inside = 0;
    }
}

/* The lock is held, and nobody is in a PAL. */
static bool map_here(const struct pal_file *f, struct place *l)
{
    if (mapped == l) {
        return true;
    }
    if (mapped) {
        native_unmap(mapped->base, mapped->size);
        mapped = NULL;
    }
    if (!native_map(l->memory, l->base, l->size)) {
        return false;
    }
    for (uint32_t i = 0; i < f->head.sections; i++) {
        if (!native_rights((uintptr_t)f->section[i].address, f->section[i].pages * (size_t)PAGE,
                           rights_of(f->section[i].type))) {
            native_unmap(l->base, l->size);
            return false;
        }
    }
    mapped = l;
    return true;
}

/* A jump over the gate's first bytes. */
static bool replace_gate(const struct pal_file *f, const struct place *l)
{
    const uintptr_t to = (uintptr_t)pal_native_gate;
    uint8_t jump[14] = { 0xff, 0x25, 0, 0, 0, 0 }; /* JMP *0(%rip) */
    size_t n = 14;

    if (f->gate == 0) {
        return true;
    }
    if (f->head.mode == 32) {
        const uint32_t distance = (uint32_t)to - ((uint32_t)f->gate + 5);
        jump[0] = 0xe9; /* JMP rel32 */
        memcpy(jump + 1, &distance, sizeof(distance));
        n = 5;
    } else {
        memcpy(jump + 6, &to, sizeof(to));
    }
    return f->gate >= l->base && f->gate + n <= l->base + l->size
        && native_memory_write(l->memory, (size_t)(f->gate - l->base), jump, n);
}

static bool fill(const struct pal_file *f, const struct place *l)
{
    const uint8_t *from = f->contents;
    bool good = true;

    for (uint32_t i = 0; good && i < f->head.sections; i++) {
        const struct xmhf_image_section *s = &f->section[i];
        if (pal_file_has_contents(s->type)) {
            good = native_memory_write(l->memory, (size_t)(s->address - l->base), from,
                                       s->pages * (size_t)PAGE);
            from += s->pages * (size_t)PAGE;
        }
    }
    return good && replace_gate(f, l);
}

/* --- opening and closing -------------------------------------------------------------- */

static void say_native(void)
{
    static const char text[] = "pal: NATIVE MODE: PALs of this program run in its own process, "
                               "unprotected (-lpal-native)\n";
    static _Atomic bool said;

    if (!atomic_exchange(&said, true)) {
        pal_os_complain(text, sizeof(text) - 1);
    }
}

static bool make(struct pal_handle *p, struct place *l)
{
    const struct pal_file *f = &p->file;
    const struct xmhf_image_section *last = &f->section[f->head.sections - 1];
    bool good;

    l->base = (uintptr_t)f->section[0].address;
    l->base -= l->base > GUARD ? GUARD : 0;
    l->base &= ~(uintptr_t)0xffff; /* Windows maps at such addresses */
    l->size = (size_t)(last->address + last->pages * (size_t)PAGE - l->base) + GUARD;
    l->budget = f->head.budget != 0 ? native_ticks_ns(f->head.budget) : 0;
    l->memory = native_memory_make(l->size);
    if (!l->memory || !fill(f, l) || !native_catch_faults()) {
        return false;
    }
    native_lock();
    forget_parent();
    while (inside != 0) {
        native_wait();
    }
    good = map_here(f, l);
    native_unlock();
    return good;
}

/* malloc aligns to 8 bytes in places. */
static struct place *make_place(void)
{
    char *raw = calloc(1, sizeof(struct place) + 16);
    struct place *l = (struct place *)(((uintptr_t)raw + 15) & ~(uintptr_t)15);

    if (raw) {
        l->raw = raw;
    }
    return raw ? l : NULL;
}

void pal_backend_open(struct pal_handle *p, struct pal_status *s)
{
    struct place *l;

    say_native();
    if (!p->image->file) {
        native_object_open(p, s);
        return;
    }
    if (pal_file_is_foreign(&p->file)) {
        s->error = PAL_BAD_IMAGE;
        s->detail = PAL_FILE_MODE_64;
        return;
    }
    l = make_place();
    if (!l) {
        s->error = PAL_NO_MEMORY;
        return;
    }
    p->place = l;
    if (native_inside() || !make(p, l)) {
        s->error = PAL_NO_MEMORY;
        pal_backend_free(p, true);
    }
}

void pal_backend_close(struct pal_handle *p, struct pal_status *s)
{
    struct place *l = p->place;

    if (!p->image->file) {
        return;
    }
    native_lock();
    for (unsigned k = 0; k < XMHF_IMAGE_STACKS; k++) {
        if (l->act[k].taken && !l->act[k].waits) {
            s->error = PAL_BUSY;
        }
    }
    if (s->error == PAL_OK) {
        l->closed = true;
        if (mapped == l) {
            native_unmap(l->base, l->size);
            mapped = NULL;
        }
        native_wake(); /* those that wait for a stack, or to come back from an ocall */
    }
    native_unlock();
}

void pal_backend_free(struct pal_handle *p, bool same)
{
    struct place *l = p->place;

    if (!p->image->file) {
        return;
    }
    if (same) {
        native_lock();
        if (mapped == l) {
            native_unmap(l->base, l->size);
            mapped = NULL;
        }
        native_unlock();
    }
    if (l->memory) {
        native_memory_free(l->memory);
    }
    free(l->raw);
    p->place = NULL;
}

/* --- parameters ----------------------------------------------------------------------- */

static int64_t bytes_of(const struct xmhf_image_param *q, const pal_word *args)
{
    if (q->counted_by == 0) {
        return q->size;
    }
    return args[q->counted_by - 1] > q->size / q->unit
           ? -1 : (int64_t)args[q->counted_by - 1] * q->unit;
}

/* The address of the k-th section of a type. */
static uintptr_t section_of(const struct pal_file *f, uint32_t type, unsigned k, size_t *size)
{
    for (uint32_t i = 0; i < f->head.sections; i++) {
        if (f->section[i].type == type && k-- == 0) {
            *size = f->section[i].pages * (size_t)PAGE;
            return (uintptr_t)f->section[i].address;
        }
    }
    *size = 0;
    return 0;
}

static bool counts(const struct xmhf_image_param *q, unsigned n, const pal_word *args,
                   int64_t *bytes)
{
    for (unsigned i = 0; i < n; i++) {
        bytes[i] = bytes_of(&q[i], args);
        if (bytes[i] < 0) {
            return false;
        }
    }
    return true;
}

bool native_arguments(const struct xmhf_image_param *q, unsigned n, const pal_word *args,
                      int64_t *bytes, pal_word out[4])
{
    if (!counts(q, n, args, bytes)) {
        out[1] = XMHF_STATUS_BAD_COUNT;
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (q[i].type == TV_PARAM_POINTER && bytes[i] != 0
            && !native_reachable(args[i], (size_t)bytes[i], (q[i].direction & XMHF_OUT) != 0,
                                 &out[0])) {
            out[1] = PAL_STATUS_FAULT;
            return false;
        }
    }
    return true;
}

/* The PAL's copies, and the words that it gets. */
static void copy_in(const struct pal_file *f, struct activation *a, unsigned k, pal_word *words)
{
    size_t size, offset = 0;
    const uintptr_t area = section_of(f, TV_SECTION_PARAM, k, &size);

    if (size != 0) {
        memset((void *)area, 0, size);
    }
    for (uint32_t i = 0; i < a->entry->params; i++) {
        const struct xmhf_image_param *q = &a->param[i];
        words[i] = q->type == XMHF_PARAM_OCALL ? 0 : a->args[i];
        if (q->type == TV_PARAM_POINTER) {
            words[i] = a->copy[i] = area + offset;
            if ((q->direction & XMHF_IN) && a->bytes[i] != 0) {
                memcpy((void *)a->copy[i], (const void *)a->args[i], (size_t)a->bytes[i]);
            }
            offset += ((size_t)q->size + 15) / 16 * 16;
        }
    }
}

static void copy_out(const struct activation *a)
{
    for (uint32_t i = 0; i < a->entry->params; i++) {
        if (a->param[i].type == TV_PARAM_POINTER && (a->param[i].direction & XMHF_OUT)
            && a->bytes[i] != 0) {
            memcpy((void *)a->args[i], (const void *)a->copy[i], (size_t)a->bytes[i]);
        }
    }
}

/* Its first stack frame, by the image's convention. */
static void prepare(const struct pal_file *f, struct activation *a, unsigned k,
                    const pal_word *words)
{
    struct native_context *c = &a->context;
    size_t size;
    const uintptr_t stack = section_of(f, TV_SECTION_STACK, k, &size);
    const unsigned n = a->entry->params;
    unsigned in_registers = 0, place = 0;
    pal_word *sp;

    if (f->head.convention == XMHF_SYSV) {
        in_registers = n < 6 ? n : 6;
        memcpy(c->regs, words, in_registers * sizeof(words[0]));
    } else if (f->head.convention == XMHF_MICROSOFT) {
        const unsigned order[4] = { 3, 2, 4, 5 }; /* RCX, RDX, R8, R9 */
        in_registers = n < 4 ? n : 4;
        place = 4;
        for (unsigned i = 0; i < in_registers; i++) {
            c->regs[order[i]] = words[i];
        }
    }
    sp = (pal_word *)((stack + size - (place + n - in_registers) * sizeof(*sp)) & ~(uintptr_t)15);
    for (unsigned i = in_registers; i < n; i++) {
        sp[place + i - in_registers] = words[i];
    }
    *--sp = (pal_word)pal_native_returned;
    c->inside = (pal_word)sp;
    c->entry = (pal_word)a->entry->address;
}

/* --- hypercalls from inside ----------------------------------------------------------- */

pal_word native_answer(uint32_t command, pal_word cx, pal_word dx)
{
    switch (command) {
    case XMHF_HC_RANDOM:
        return dx > XMHF_RANDOM_MAX ? TV_TOO_LONG
               : native_random((void *)cx, (size_t)dx) ? TV_OK : TV_NO_ENTROPY;
    case XMHF_HC_PAL_INTERRUPTED:
    case TV_HC_TEST:
        return 0;
    default:
        return TV_UNKNOWN_COMMAND;
    }
}

/* Do these bytes lie in a section that the PAL can write? */
static bool writable(const struct pal_file *f, pal_word at, pal_word bytes)
{
    for (uint32_t i = 0; i < f->head.sections; i++) {
        const struct xmhf_image_section *s = &f->section[i];
        const uint64_t size = s->pages * (uint64_t)PAGE;
        if (at >= s->address && at - s->address < size) {
            return (rights_of(s->type) & NATIVE_WRITE) && bytes <= size - (at - s->address);
        }
    }
    return bytes == 0;
}

static struct xmhf_ocall *ocall_of(const struct activation *a)
{
    for (uint32_t i = 0; i < a->entry->params; i++) {
        if (a->param[i].type == XMHF_PARAM_OCALL) {
            return (struct xmhf_ocall *)a->args[i];
        }
    }
    return NULL;
}

static uint32_t ocall_room(const struct activation *a)
{
    for (uint32_t i = 0; i < a->entry->params; i++) {
        if (a->param[i].type == XMHF_PARAM_OCALL) {
            return a->param[i].size;
        }
    }
    return 0;
}

/* 0: the request is told; else the error for the PAL. */
static pal_word begin_ocall(const struct pal_file *f, struct activation *a,
                            const struct native_registers *r)
{
    struct xmhf_ocall *o = ocall_of(a);

    if (!o) {
        return (pal_word)-TV_NO_OCALL;
    }
    if (r->si > ocall_room(a) || r->si > r->di) {
        return (pal_word)-TV_TOO_LONG;
    }
    if (!writable(f, r->dx, r->di)) {
        return (pal_word)-TV_BAD_ADDRESS;
    }
    a->buffer = r->dx;
    a->room = r->di;
    o->function = (uint32_t)r->cx;
    o->bytes = (uint32_t)r->si;
    memcpy(o + 1, (const void *)r->dx, (size_t)r->si);
    return 0;
}

/* What the PAL gets in RAX. */
static pal_word end_ocall(const struct activation *a)
{
    const struct xmhf_ocall *o = ocall_of(a);

    if (o->bytes > ocall_room(a) || o->bytes > a->room) {
        return (pal_word)-TV_TOO_LONG;
    }
    memcpy((void *)a->buffer, o + 1, o->bytes);
    return o->bytes;
}

/* --- a call --------------------------------------------------------------------------- */

/* A number that this thread has, and no other of the process ever: the system's come again, when a
 * thread that has left an ocall by longjmp ends and another begins. The lock is held. */
static uint64_t this_thread(void)
{
    static __thread uint64_t mine;
    static uint64_t last;

    mine = mine != 0 ? mine : ++last;
    return mine;
}

/* Is this thread asked something by the PAL just now? The lock is held. */
static bool waits_for_me(const struct pal_file *f, const struct place *l)
{
    for (unsigned k = 0; k < f->head.stacks; k++) {
        if (l->act[k].taken && l->act[k].waits && l->act[k].thread == this_thread()) {
            return true;
        }
    }
    return false;
}

/* A stack that is free, and the PAL mapped; -1: none will become free. */
static int enter(const struct pal_file *f, struct place *l)
{
    int found = -1;

    if (native_inside()) {
        return -1; /* a signal handler, over a call */
    }
    native_lock();
    for (bool own = false; found < 0 && !own && !l->dead && !l->closed;) {
        for (unsigned k = 0; k < f->head.stacks && found < 0; k++) {
            found = l->act[k].taken ? found : (int)k;
            own = own || (l->act[k].taken && l->act[k].thread == this_thread());
        }
        found = own && waits_for_me(f, l) ? -1 : found;
        if (found < 0 && !own) {
            native_wait();
        }
    }
    if (found >= 0) {
        l->act[found].taken = true;
        l->act[found].waits = false;
        l->act[found].thread = this_thread();
    }
    native_unlock();
    return found;
}

static bool go_inside(const struct pal_file *f, struct place *l, struct activation *a)
{
    bool good;

    native_lock();
    while (mapped != l && inside != 0 && !l->closed) {
        native_wait();
    }
    good = !l->closed && map_here(f, l);
    inside += good;
    if (good) {
        a->waits = false;
    }
    native_unlock();
    if (good && l->budget != 0) {
        native_timer_start(a->left);
    }
    return good;
}

/* To the program, which is asked something or gets the answer. */
static void go_outside(const struct place *l, struct activation *a, bool waits)
{
    if (l->budget != 0) {
        a->left = native_timer_stop(a->left);
    }
    native_lock();
    inside--;
    a->waits = waits;
    a->taken = waits;
    native_wake();
    native_unlock();
}

/* Of an instruction: section << 16, and the offset in it. */
static pal_word place_of(const struct pal_file *f, uintptr_t ip, pal_word *offset)
{
    for (uint32_t i = 0; i < f->head.sections; i++) {
        const struct xmhf_image_section *s = &f->section[i];
        if (ip >= s->address && ip - s->address < s->pages * (uint64_t)PAGE) {
            *offset = (pal_word)(ip - s->address);
            return (pal_word)i << 16;
        }
    }
    *offset = 0;
    return (pal_word)XMHF_NO_SECTION << 16;
}

static pal_word death_of(unsigned vector)
{
    return vector == 3 ? TV_DEATH_FORBIDDEN : vector == NATIVE_EXPIRED ? TV_DEATH_BUDGET
           : TV_DEATH_EXCEPTION | vector << 8;
}

static void note_death(const struct pal_file *f, struct place *l, const struct pal_fault *q)
{
    native_lock();
    if (!l->dead) {
        uintptr_t ip = q->ip;
#ifndef _WIN32
        ip -= q->vector == 3; /* Linux is behind an INT3 */
#endif
        l->death[1] = death_of(q->vector) | place_of(f, ip, &l->death[2]);
        l->death[0] = q->vector == 14 ? q->address : 0;
        l->dead = true;
        native_wake();
    }
    native_unlock();
}

/* Until the PAL returns, dies, or wants an answer of its program. */
static void go(const struct pal_file *f, struct place *l, struct activation *a, pal_word out[4])
{
    struct native_context *c = &a->context;

    while (c->reason == NATIVE_HYPERCALL) {
        struct native_registers *r = (struct native_registers *)c->inside;
        if ((uint32_t)r->ax != XMHF_HC_OCALL) {
            r->ax = native_answer((uint32_t)r->ax, r->cx, r->dx);
        } else {
            r->ax = begin_ocall(f, a, r);
            if (r->ax == 0) {
                ocall_of(a)->token[0] = 1 + (uint64_t)(a - l->act);
                ocall_of(a)->token[1] = ++a->token;
                out[1] = XMHF_STATUS_OCALL;
                go_outside(l, a, true);
                return;
            }
        }
        native_go_on(c);
    }
    if (c->reason == NATIVE_DIED) {
        note_death(f, l, &c->fault);
    }
    if (l->dead) {
        memcpy(out, l->death, sizeof(l->death));
    } else {
        copy_out(a);
        out[0] = c->result;
        out[1] = out[2] = 0;
    }
    go_outside(l, a, false);
}

static void unmapped(struct activation *a, pal_word out[4])
{
    native_lock();
    a->taken = false;
    native_wake();
    native_unlock();
    out[1] = PAL_STATUS_LOST;
}

void pal_backend_call(struct pal_handle *p, uint32_t entry, const pal_word *args, unsigned n,
                      pal_word out[4])
{
    const struct pal_file *f = &p->file;
    struct place *l = p->place;
    pal_word words[XMHF_IMAGE_ENTRY_PARAMS] = { 0 };
    int64_t bytes[XMHF_IMAGE_ENTRY_PARAMS];
    struct activation *a;
    int k;

    if (!p->image->file) {
        native_object_call(p, entry, args, n, out);
        return;
    }
    if (!native_arguments(&f->param[f->first_param[entry]], n, args, bytes, out)) {
        return;
    }
    k = enter(f, l);
    if (k < 0) {
        out[1] = l->dead || l->closed ? PAL_STATUS_LOST : XMHF_STATUS_BUSY;
        return;
    }
    a = &l->act[k];
    a->left = l->budget;
    a->entry = &f->entry[entry];
    a->param = &f->param[f->first_param[entry]];
    memcpy(a->args, args, n * sizeof(args[0]));
    memcpy(a->bytes, bytes, sizeof(bytes));
    a->context.begin = l->base;
    a->context.end = l->base + l->size;
    if (!native_signal_stack() || !go_inside(f, l, a)) {
        unmapped(a, out);
        return;
    }
    copy_in(f, a, (unsigned)k, words);
    prepare(f, a, (unsigned)k, words);
    native_go_in(&a->context);
    go(f, l, a, out);
}

void pal_backend_resume(struct pal_handle *p, const uint64_t token[2], pal_word out[4])
{
    const struct pal_file *f = &p->file;
    struct place *l = p->place;
    struct activation *a = &l->act[token[0] - 1];
    struct native_registers *r;

    if (l->dead || !go_inside(f, l, a)) {
        unmapped(a, out);
        return;
    }
    r = (struct native_registers *)a->context.inside;
    r->ax = end_ocall(a);
    native_go_on(&a->context);
    go(f, l, a, out);
}

void pal_backend_death(struct pal_handle *p, struct pal_status *s)
{
    const struct place *l = p->place;

    s->death = TV_DEATH_OWNER_GONE;
    if (p->image->file && l->dead) {
        s->death = XMHF_STATUS_DEATH(l->death[1]);
        s->vector = XMHF_STATUS_VECTOR(l->death[1]);
        s->section = XMHF_STATUS_SECTION(l->death[1]);
        s->offset = (uint32_t)l->death[2];
        s->address = l->death[0];
    }
}
