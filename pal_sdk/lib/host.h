/* SPDX-License-Identifier: MIT */
/* Inside the library: a handle, and what runs its PAL, the hypervisor or this process. */
#ifndef PAL_LIB_HOST_H
#define PAL_LIB_HOST_H

#include "image_file.h"
#include <pal/host.h>
#include <stdatomic.h>

#define PAL_CALLS_CLOSED 0x80000000u

struct pal_handle {
    const struct pal_image *image;
    struct pal_file file;
    uint32_t generation;          /* of the process that opened it */
    _Atomic uint32_t calls;       /* under way, and PAL_CALLS_CLOSED */
    _Atomic bool dead;            /* `death` is there and stays as it is */
    atomic_flag telling;          /* taken by who writes `death` */
    struct pal_status death;
    /* By entry: what the program was compiled with, once it was found to be the image's. */
    const struct pal_function *_Atomic function[XMHF_IMAGE_ENTRIES];
    pal_unpack **ocalls;          /* the program's functions by number, or NULL */
    void *place;                  /* the backend's */
};

/* --- the backend ------------------------------------------------------------------------ */

/* Make p's image callable; p->place is set. On an error `s` tells it, and nothing is left. */
void pal_backend_open(struct pal_handle *p, struct pal_status *s);
/* End that. On an error `s` tells it and nothing has changed. */
void pal_backend_close(struct pal_handle *p, struct pal_status *s);
/* Give its memory back: after pal_backend_close, and no thread is in it. In another process than
 * the one that opened it `same` is false, and the memory isn't there. */
void pal_backend_free(struct pal_handle *p, bool same);
/* Call an entry with all of its arguments; go on after an ocall. out[0..2]: RAX, RCX, RDX as the
 * hypervisor leaves them. */
void pal_backend_call(struct pal_handle *p, uint32_t entry, const pal_word *args, unsigned n,
                      pal_word out[4]);
void pal_backend_resume(struct pal_handle *p, const uint64_t token[2], pal_word out[4]);
/* Of a PAL that died meanwhile, in another thread's call: why. */
void pal_backend_death(struct pal_handle *p, struct pal_status *s);

/* In out[1]: the thread found its PAL's stubs without a PAL behind; or an argument's memory can't
 * be accessed, and out[0] is the address. */
#define PAL_STATUS_LOST  0xfeu
#define PAL_STATUS_FAULT 0xfdu

/* The program's function for an ocall, or NULL. */
pal_unpack *pal_ocall_find(const char *pal, const char *name);

#endif
