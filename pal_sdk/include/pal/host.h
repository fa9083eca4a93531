/* SPDX-License-Identifier: MIT */
/*
 * Programs with PALs that are images: opening, calling, closing, and what went wrong, told in a
 * sentence. C and C++, Linux and Windows, 64 and 32 bits.
 *
 *     PAL_IMAGE(hello);                              (the object that pal-cc made has it)
 *     struct pal_handle *pal;
 *     struct pal_status s = pal_open(&hello_image, &pal);
 *     if (s.error == PAL_OK) s = hello_add(pal, &sum, 20, 22);    (pal/interface.h)
 *     char text[PAL_TEXT];
 *     if (s.error != PAL_OK) puts(pal_status_text(&s, text, sizeof(text)));
 *     pal_close(pal);
 *
 * Every function may be called by any thread, unless it says otherwise. None needs a hypervisor:
 * without one pal_open says PAL_NO_HYPERVISOR.
 */
#ifndef PAL_HOST_H
#define PAL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pal/image.h>

#ifdef __cplusplus
extern "C" {
#endif

#undef PAL_BUSY /* pal/module.h has its own, for the same thing */

/* A machine word: what an integer argument is. */
#ifndef PAL_WORD /* C99 has no second typedef of a name */
#define PAL_WORD
typedef uintptr_t pal_word;
#endif

enum pal_error {
    PAL_OK = 0,
    PAL_NO_HYPERVISOR,   /* no hypervisor with PALs is running here */
    PAL_OLD_HYPERVISOR,  /* there is one, which doesn't know images */
    PAL_FORKED,          /* the handle is a parent process's */
    PAL_CLOSED,          /* no handle, or it was closed */
    PAL_NO_MEMORY,
    PAL_BAD_IMAGE,       /* damaged, not of this program's width, or of another interface than the
                            program; `detail` has the reason */
    PAL_REFUSED,         /* by the hypervisor; `hypercall` has its error (TV_*) */
    PAL_DIED,            /* the PAL died, in this call or before */
    PAL_BAD_COUNT,       /* a count or a string is more than declared; the call has not begun */
    PAL_BAD_ARGUMENT,    /* no such entry, another number of arguments, NULL for data, or memory
                            that can't be accessed; `detail` has which. Nothing was called */
    PAL_NO_OCALL,        /* the program lacks a function that the PAL's interface declares */
    PAL_BUSY = 0x80,     /* all stacks are in use, one by this thread: it is inside already; or on
                            closing: a call is under way. Nothing has happened */
};

/* What is wrong with an argument: pal_status.detail. */
enum pal_argument {
    PAL_ARGUMENT_UNKNOWN,
    PAL_ARGUMENT_COUNT,    /* `value` is its count, `allowed` the most */
    PAL_ARGUMENT_TEXT,     /* a text of more than `allowed` bytes */
    PAL_ARGUMENT_READ,     /* `value` bytes must be there to be read */
    PAL_ARGUMENT_WRITE,    /* and to be written */
    PAL_ARGUMENT_ENTRY,    /* entry number `value` of `allowed` */
    PAL_ARGUMENT_NUMBER,   /* `value` arguments for `allowed` */
    PAL_ARGUMENT_OPEN,     /* pal_open: no image, an image without a name, or no place for *out */
};

/* How a call ended. */
struct pal_status {
    enum pal_error error;
    unsigned death, vector;      /* DIED: enum tv_death, and of an exception which */
    unsigned section;            /* DIED: number of the image's section, or 0xff */
    uint32_t offset;             /* DIED: of the instruction in it, in bytes */
    unsigned detail;             /* BAD_IMAGE, NO_OCALL: reason, number of the ocall; BAD_COUNT,
                                    BAD_ARGUMENT: enum pal_argument */
    uint64_t hypercall;          /* REFUSED */
    uint64_t address;            /* DIED by a page fault: what it touched (without a debug image
                                    its page), else 0. BAD_ARGUMENT: what can't be accessed */
    /* BAD_COUNT, BAD_ARGUMENT: names of entry and parameter, NULL if they aren't known; its number
     * as it was declared, from 1 on, 0: none of them; and what enum pal_argument says. */
    const char *entry, *parameter;
    unsigned number;
    uint64_t value, allowed;
    const struct pal_image *image; /* of which PAL, or NULL. It must be there for the text */
};

struct pal_handle;

/* Gets memory for the image, locked where the system allows it, which children made by fork don't
 * have, and registers the PAL. *out: the handle, or NULL if it fails. One image may be opened
 * several times: each is a PAL of its own. */
struct pal_status pal_open(const struct pal_image *image, struct pal_handle **out);

/* Unregisters the PAL, whose data is wiped, and frees the memory. PAL_BUSY while a call is under
 * way: then all stays as it is. A thread that jumped out of an ocall leaves its call under way for
 * good; pal_abandon closes such a PAL too. In a child made by fork it only frees the handle. With
 * NULL it does nothing. A closed handle may not be used again. */
struct pal_status pal_close(struct pal_handle *p);

/* Like pal_close, though calls may be under way that will never come back: those of threads
 * that have ended or jumped out of an ocall. PAL_BUSY only while a CPU runs the PAL. A
 * thread that comes back all the same is told PAL_CLOSED. */
struct pal_status pal_abandon(struct pal_handle *p);

/* Call an entry, by number, with n arguments: machine words, pointers among them; what an OCALL
 * needs is not. The stubs of pal/interface.h do this. *result is what it returned, 0 on errors; may
 * be NULL. Waits while all stacks are in use by other threads. */
struct pal_status pal_call_entry(struct pal_handle *p, uint32_t entry, pal_word *result,
                                 const pal_word *args, unsigned n);

/* One sentence: what happened, where, and what to do next. At most `size` bytes with the zero byte
 * go to `buffer`, which is returned. */
#define PAL_TEXT 512
const char *pal_status_text(const struct pal_status *s, char *buffer, size_t size);
/* The name of the constant, e.g. "PAL_DIED". */
const char *pal_status_name(const struct pal_status *s);

/* True if this program's library runs PALs in the process itself (libpal-native), unprotected. */
bool pal_is_native(void);

/* --- for pal/interface.h ----------------------------------------------------------------- */

/* A parameter as this program was compiled with it: a struct xmhf_image_param. */
struct pal_parameter {
    uint32_t type, direction, size;
    uint16_t counted_by, unit;
};
/* An entry as this program was compiled with it; it must stay as it is. */
struct pal_function {
    const char *image, *name;
    const struct pal_parameter *parameters; /* words, but for what an OCALL needs */
    const char *const *names;               /* of each; those of one parameter are the same */
};
/* pal_call_entry, after a look whether the image is the one of this name and has these n
 * parameters, besides what an OCALL needs; if not: PAL_BAD_IMAGE, and nothing is called. The same
 * function isn't looked at again. */
struct pal_status pal_call_declared(struct pal_handle *p, uint32_t entry, pal_word *result,
                                    const pal_word *args, unsigned n,
                                    const struct pal_function *function);

/* The status of a call that the stub refuses: the first of the n words that can't be right. */
struct pal_status pal_refuse(const struct pal_handle *p, const struct pal_function *function,
                             const pal_word *args, unsigned n);

/* A function of the program that a PAL may call. `unpack` takes the request apart, calls it, and
 * writes the answer, whose bytes it returns; 0 if the request is none. */
typedef size_t pal_unpack(const unsigned char *request, size_t bytes, unsigned char *answer,
                          size_t room);
struct pal_ocall {
    const char *pal, *name;
    pal_unpack *unpack;
    struct pal_ocall *next;      /* the library's */
};
/* Adds it to the list; before main, by PAL_OCALL. It stays for good. */
void pal_ocall_add(struct pal_ocall *o);

#ifdef __cplusplus
}
#endif
#endif
