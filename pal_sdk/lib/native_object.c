/* SPDX-License-Identifier: MIT */
/*
 * Native mode's second form: a PAL's sources as ordinary objects of the program (pal-cc --native)
 * for debuggers, sanitizers and coverage. A call is a call, but each pointer leads to a copy
 * between unmapped pages. A fault is the program's own.
 */
#include "call.h"
#include "native.h"
#include <pal/descriptor.h>
#include <pal/module.h>
#include <stdlib.h>
#include <string.h>
#include <xmhf/hypercall.h>

#undef PAL_BUSY /* module.h's */

static __thread struct pal_handle *calling;

/* --- its records become lists, as of an image ------------------------------------------- */

static const struct pal_descriptor *record(const struct pal_image *image, uint32_t kind,
                                           uint32_t from)
{
    const struct pal_descriptor *const *all = image->native, *best = NULL;

    for (const struct pal_descriptor *d; (d = *all) != NULL; all++) {
        if (d->kind == kind && d->number >= from && (!best || d->number < best->number)) {
            best = d;
        }
    }
    return best;
}

static bool add_entries(struct pal_file *f, const struct pal_image *image)
{
    const struct pal_descriptor *d;

    for (uint32_t from = 0; (d = record(image, PAL_DESCRIPTOR_ENTRY, from)); from = d->number + 1) {
        const uint32_t i = f->head.entries;
        if (i == XMHF_IMAGE_ENTRIES || d->params > XMHF_IMAGE_PARAMS - f->head.params) {
            return false;
        }
        f->first_param[i] = f->head.params;
        f->entry[i].address = (uintptr_t)d->address.function;
        f->entry[i].params = d->params;
        memcpy(&f->param[f->head.params], d->param, d->params * sizeof(d->param[0]));
        f->head.params += d->params;
        f->head.entries++;
    }
    pal_file_find_ocalls(f);
    return f->head.entries != 0;
}

static bool add_ocalls(struct pal_handle *p)
{
    const struct pal_descriptor *d;
    pal_unpack **list = calloc(PAL_DESCRIPTOR_OCALLS, sizeof(list[0]));

    if (!list) {
        return false;
    }
    for (uint32_t from = 0; (d = record(p->image, PAL_DESCRIPTOR_OCALL, from));
         from = d->number + 1) {
        if (d->number < PAL_DESCRIPTOR_OCALLS) {
            list[d->number] = pal_ocall_find(p->image->name, d->name);
        }
    }
    free(p->ocalls);
    p->ocalls = list;
    p->file.ocalls = PAL_DESCRIPTOR_OCALLS;
    return true;
}

void native_object_open(struct pal_handle *p, struct pal_status *s)
{
    p->file.head.convention = PAL_CONVENTION_NATIVE;
    if (!native_catch_faults()) {
        s->error = PAL_NO_MEMORY;
    } else if (!p->image->native || !add_entries(&p->file, p->image)) {
        s->error = PAL_BAD_IMAGE;
        s->detail = PAL_FILE_NATIVE_EMPTY;
    } else if (!add_ocalls(p)) {
        s->error = PAL_NO_MEMORY;
    }
}

/* --- a call ------------------------------------------------------------------------------ */

static void copy_back(const struct xmhf_image_param *q, uint32_t n, const pal_word *args,
                      const pal_word *words, const int64_t *bytes)
{
    for (uint32_t i = 0; i < n; i++) {
        if (q[i].type == TV_PARAM_POINTER) {
            if ((q[i].direction & XMHF_OUT) && bytes[i] != 0) {
                memcpy((void *)args[i], (const void *)words[i], (size_t)bytes[i]);
            }
            native_guarded_free((void *)words[i], (size_t)bytes[i]);
        }
    }
}

/* The words that the function gets. */
static void copy_all(const struct xmhf_image_param *q, unsigned n, const pal_word *args,
                     pal_word *words, const int64_t *bytes)
{
    for (unsigned i = 0; i < n; i++) {
        words[i] = args[i];
        if (q[i].type == TV_PARAM_POINTER) {
            words[i] = (pal_word)native_guarded((size_t)bytes[i]);
            if (words[i] && bytes[i] != 0 && (q[i].direction & XMHF_IN)) {
                memcpy((void *)words[i], (const void *)args[i], (size_t)bytes[i]);
            }
        }
    }
}

void native_object_call(struct pal_handle *p, uint32_t entry, const pal_word *args, unsigned n,
                        pal_word out[4])
{
    const struct xmhf_image_param *q = &p->file.param[p->file.first_param[entry]];
    struct pal_handle *const before = calling;
    pal_word words[XMHF_IMAGE_ENTRY_PARAMS] = { 0 };
    int64_t bytes[XMHF_IMAGE_ENTRY_PARAMS] = { 0 };

    if (before == p) {
        out[1] = XMHF_STATUS_BUSY;
        return;
    }
    if (!native_arguments(q, n, args, bytes, out)) {
        return;
    }
    copy_all(q, n, args, words, bytes);
    calling = p;
    pal_raw_call(p->file.head.convention, (const void *)(uintptr_t)p->file.entry[entry].address,
                 words, n, out);
    calling = before;
    copy_back(q, n, args, words, bytes);
    out[1] = out[2] = 0;
}

/* --- its hypercalls ----------------------------------------------------------------------- */

/* Bytes of the answer, or an error. */
static pal_word ask(uint32_t function, void *buffer, size_t bytes, size_t room)
{
    pal_unpack *unpack = calling && function < calling->file.ocalls ? calling->ocalls[function]
                                                                    : NULL;
    unsigned char *request, *answer;
    size_t n = 0;

    if (function == 0xffffffffu) { /* PAL_RT_OCALL_PRINT */
        pal_os_complain(buffer, bytes);
        return 0;
    }
    request = malloc(bytes + 1);
    answer = malloc(room + 1);
    if (unpack && request && answer) {
        memcpy(request, buffer, bytes);
        n = unpack(request, bytes, answer, room);
        memcpy(buffer, answer, n);
    }
    free(request);
    free(answer);
    return n;
}

pal_word native_object_hypercall(uint32_t command, pal_word cx, pal_word dx, pal_word si,
                                 pal_word di)
{
    if (command == XMHF_HC_OCALL) {
        return si <= di ? ask((uint32_t)cx, (void *)dx, si, di) : (pal_word)-TV_TOO_LONG;
    }
    return native_answer(command, cx, dx);
}
