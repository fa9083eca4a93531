/* SPDX-License-Identifier: MIT */
/* pal_status_text: what happened to a PAL, where, and what to do next, in a sentence. */
#include <pal/module.h>
#include "handler.h"
#include "host.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- words ---------------------------------------------------------------------------- */

struct text {
    char *to;
    size_t size, n;
};

__attribute__((format(printf, 2, 3)))
static void say(struct text *t, const char *format, ...)
{
    va_list list;
    int n;

    va_start(list, format);
    n = vsnprintf(t->n < t->size ? t->to + t->n : NULL, t->n < t->size ? t->size - t->n : 0,
                  format, list);
    va_end(list);
    t->n += n > 0 ? (size_t)n : 0;
}

static const char *type_name(uint32_t type)
{
    switch (type) {
    case TV_SECTION_CODE:     return "CODE";
    case TV_SECTION_DATA:     return "DATA";
    case TV_SECTION_PARAM:    return "PARAM";
    case TV_SECTION_STACK:    return "STACK";
    case XMHF_SECTION_RODATA: return "RODATA";
    case XMHF_SECTION_BSS:    return "BSS";
    default:                  return "section";
    }
}

static const char *file_sentence(unsigned reason)
{
    switch (reason) {
#define X(name, sentence) case PAL_FILE_##name: return sentence;
    PAL_FILE_ERRORS(X)
#undef X
    default: return "unknown reason";
    }
}

/* --- places --------------------------------------------------------------------------- */

/* Section number i: its type, and which of them if there are several: STACK 2. */
static void say_section(struct text *t, const struct pal_file *f, unsigned i, const char *between)
{
    unsigned before = 0, all = 0;

    for (uint32_t k = 0; k < f->head.sections; k++) {
        const bool same = f->section[k].type == f->section[i].type;
        before += same && k < i;
        all += same;
    }
    say(t, "%s", type_name(f->section[i].type));
    if (all > 1) {
        say(t, "%s%u", between, before);
    }
}

/* Where the instruction is, as pal-addr2line takes it. */
static bool say_place(struct text *t, const struct pal_status *s, const struct pal_file *f)
{
    if (f && s->section < f->head.sections) {
        say_section(t, f, s->section, "");
        say(t, "+0x%x", (unsigned)s->offset);
        return true;
    }
    if (s->section != XMHF_NO_SECTION) {
        say(t, "section %u+0x%x", s->section, (unsigned)s->offset);
    }
    return false;
}

/* What lies where a fault touched; `exact`: its byte is known; `jump`: the instruction that faulted
 * is in no section, so that it is what was to be read. */
static void say_touched(struct text *t, uint64_t address, const struct pal_file *f, bool exact,
                        bool jump)
{
    const struct xmhf_image_section *s = f->section;
    unsigned n = 0;

    say(t, ", touched %s0x%llx", exact ? "" : "the page ", (unsigned long long)address);
    while (n < f->head.sections && s[n].address <= address) {
        n++; /* the first one behind */
    }
    if (n != 0 && address - s[n - 1].address < (uint64_t)s[n - 1].pages * 4096) {
        say(t, " in ");
        say_section(t, f, n - 1, " ");
        return;
    }
    if (n < f->head.sections && s[n].type == TV_SECTION_STACK
        && s[n].address - address <= 16 * 4096) {
        say(t, ", below ");
        say_section(t, f, n, " ");
        say(t, jump ? ": a jump to what is no code" : ": the stack is full (pal-cc --stack)");
        return;
    }
    if (n != 0) {
        const uint64_t end = s[n - 1].address + (uint64_t)s[n - 1].pages * 4096;
        if (address - end < 1 << 20) {
            say(t, ", behind the end of ");
            say_section(t, f, n - 1, " ");
            return;
        }
    }
    say(t, address < 4096 ? ", a null pointer" : ", which is not the PAL's memory");
}

/* --- deaths --------------------------------------------------------------------------- */

static void say_death(struct text *t, const struct pal_status *s, const struct pal_file *f)
{
    say(t, "it died: ");
    if (s->death == TV_DEATH_EXCEPTION) {
        say(t, "%s (vector %u)", pal_vector_name(s->vector), s->vector);
    } else {
        say(t, "%s", pal_death_text(s->death));
    }
    if (s->section != XMHF_NO_SECTION) {
        say(t, " at ");
        (void)say_place(t, s, f);
    }
    if (f && s->death == TV_DEATH_EXCEPTION && s->vector == 14) {
        say_touched(t, s->address, f, (f->head.flags & XMHF_IMAGE_DEBUG) || pal_is_native(),
                    s->section == XMHF_NO_SECTION);
    }
    if (s->death == TV_DEATH_EXCEPTION && s->vector == 6) {
        say(t, ", which is how a PAL ends itself: pal_abort, assert, abort, a compiler's trap, a "
            "damaged heap or stack");
    }
    if (f && s->section < f->head.sections) {
        say(t, "; the line: pal-addr2line %s.pal.elf ", s->image->name);
        (void)say_place(t, s, f);
    }
    say(t, ". All that it knew is gone; open it anew");
}

/* --- the others ----------------------------------------------------------------------- */

/* What needs no more words than the PAL's name. */
static const char *const sentences[] = {
    [PAL_OK] = "success",
    [PAL_NO_HYPERVISOR] = "no hypervisor with PALs is running on this machine; boot it with one, "
        "or link the program with -lpal-native to try the PAL unprotected",
    [PAL_OLD_HYPERVISOR] = "the hypervisor of this machine does not know PALs that are images; "
        "boot a newer one",
    [PAL_FORKED] = "the handle belongs to the parent process; open another one after fork()",
    [PAL_CLOSED] = "there is no handle, or it was closed; pal_open makes one",
    [PAL_NO_MEMORY] = "the system gives no memory for it, or none where it must lie; free some, or "
        "close other PALs",
};

/* What must be true of an argument, and isn't. */
static void say_wrong(struct text *t, const struct pal_status *s)
{
    const unsigned long long value = s->value, allowed = s->allowed;

    switch (s->detail) {
    case PAL_ARGUMENT_COUNT:
        say(t, " has a count of %llu, and may have at most %llu", value, allowed);
        return;
    case PAL_ARGUMENT_TEXT:
        say(t, " is a text of more than the %llu bytes that are allowed", allowed);
        return;
    case PAL_ARGUMENT_READ:
    case PAL_ARGUMENT_WRITE:
        say(t, s->address != 0 ? " needs %llu bytes that can be %s, and 0x%llx can't"
                               : " needs %llu bytes that can be %s, and is NULL", value,
            s->detail == PAL_ARGUMENT_READ ? "read" : "written", (unsigned long long)s->address);
        return;
    case PAL_ARGUMENT_ENTRY:
        say(t, "there is no entry number %llu; it has %llu, from 0 on", value, allowed);
        return;
    case PAL_ARGUMENT_NUMBER:
        say(t, "it was called with %llu arguments, and takes %llu", value, allowed);
        return;
    case PAL_ARGUMENT_OPEN:
        say(t, "pal_open needs an image with a name (PAL_IMAGE), and a place for the handle");
        return;
    default:
        say(t, "an argument can't be right");
        return;
    }
}

/* parameter 2 (code) of hello_check ..., or what isn't one parameter's fault. */
static void say_argument(struct text *t, const struct pal_status *s)
{
    const char *entry = s->entry ? s->entry : "?";

    if (s->number != 0) {
        say(t, "parameter %u", s->number);
        say(t, s->parameter ? " (%s) of " : " of ", s->parameter);
    }
    if (s->entry || s->number != 0) {
        say(t, "%s_%s%s", s->image ? s->image->name : "?", entry, s->number != 0 ? "" : ": ");
    }
    say_wrong(t, s);
    say(t, "; nothing was called");
}

static void say_error(struct text *t, const struct pal_status *s, const struct pal_file *f)
{
    const char *ocall = f ? pal_file_ocall_name(f, s->detail) : NULL;

    switch (s->error) {
    case PAL_BAD_IMAGE:
        say(t, "the image can't be used: %s", file_sentence(s->detail));
        return;
    case PAL_REFUSED:
        say(t, "the hypervisor refused (%s): %s", pal_error_name(s->hypercall),
            pal_error_text(s->hypercall));
        return;
    case PAL_BAD_COUNT:
    case PAL_BAD_ARGUMENT:
        say_argument(t, s);
        return;
    case PAL_NO_OCALL:
        say(t, "it called %s_ocall_%s (number %u), which this program does not have; include the "
            "interface's header", s->image ? s->image->name : "?", ocall ? ocall : "?", s->detail);
        return;
    case PAL_BUSY:
        say(t, "this thread is inside it already and no stack is free, or a call is under way "
            "while it is closed; nothing was done. If that call never comes back (longjmp), "
            "pal_abandon ends the PAL");
        return;
    default:
        say(t, (unsigned)s->error < sizeof(sentences) / sizeof(sentences[0]) ? "%s" : "status %s",
            (unsigned)s->error < sizeof(sentences) / sizeof(sentences[0]) ? sentences[s->error]
                                                                          : "unknown");
        return;
    }
}

const char *pal_status_text(const struct pal_status *s, char *buffer, size_t size)
{
    struct text t = { buffer, size, 0 };
    struct pal_file *f = s->image && s->image->file ? malloc(sizeof(*f)) : NULL;
    const struct pal_file *good = NULL;

    if (f && pal_file_read(s->image->file, s->image->size, f) == PAL_FILE_OK) {
        good = f;
    }
    if (size != 0) {
        buffer[0] = 0;
    }
    say(&t, "PAL %s: ", s->image ? s->image->name : "?");
    if (s->error == PAL_DIED) {
        say_death(&t, s, good);
    } else {
        say_error(&t, s, good);
    }
    say(&t, ".");
    free(f);
    return buffer;
}

const char *pal_status_name(const struct pal_status *s)
{
    static const char *const names[] = {
        "PAL_OK", "PAL_NO_HYPERVISOR", "PAL_OLD_HYPERVISOR", "PAL_FORKED", "PAL_CLOSED",
        "PAL_NO_MEMORY", "PAL_BAD_IMAGE", "PAL_REFUSED", "PAL_DIED", "PAL_BAD_COUNT",
        "PAL_BAD_ARGUMENT", "PAL_NO_OCALL",
    };

    if (s->error == PAL_BUSY) {
        return "PAL_BUSY";
    }
    return (unsigned)s->error < sizeof(names) / sizeof(names[0]) ? names[s->error] : "unknown";
}
