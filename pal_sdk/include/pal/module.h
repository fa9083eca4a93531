/* SPDX-License-Identifier: MIT */
/*
 * PALs by the module interface: several entries, several calls at once, pointers that are in, out
 * or in-out, read-only data, a time limit, and deaths that are told instead of a signal.
 *
 *     PAL_CODE static PAL_ABI pal_word sum(const uint32_t *list, pal_word n) { ... }
 *
 *     struct pal_module m;
 *     struct pal_module_spec spec = PAL_MODULE_SPEC;
 *     spec.stacks = 4;                                       four threads at once
 *     pal_module_create(&m, &spec);                          memory, code copied
 *     int list = pal_module_pointer(&m, XMHF_IN, 4000);      parameters, each with a number
 *     int n = pal_module_integer(&m);
 *     void *entry = pal_module_entry(&m, sum, list, 2);      takes two of them, from `list` on
 *     uint64_t error = pal_module_register(&m);              0, or pal_error_text(error) tells
 *     struct pal_answer a = pal_module_call(&m, entry, (pal_word[]){ (pal_word)numbers, 1000 }, 2);
 *     if (a.death != TV_DEATH_ALIVE) puts(pal_death_text(a.death)); else use(a.result);
 *     pal_module_destroy(&m);
 *
 * What pal.h says about a PAL's code holds here too, and that nothing checks it.
 */
#ifndef PAL_MODULE_H
#define PAL_MODULE_H

#include <pal/pal.h>

struct pal_module_spec {
    const void *code_start, *code_end;
    const void *rodata;             /* copied into a read-only section, or NULL */
    size_t rodata_size;             /* in bytes */
    unsigned data_pages;            /* of one DATA section, or 0 */
    unsigned stacks;                /* calls at the same time, 1 to XMHF_MODULE_STACKS */
    unsigned stack_pages;           /* of each */
    unsigned param_pages;           /* of each; 0 if there is no pointer */
    uint32_t convention;            /* enum xmhf_convention; PAL_CONVENTION by default */
    uint64_t budget;                /* TSC ticks that one call may run; 0: no limit */
};

#ifdef __x86_64__
#define PAL_CONVENTION XMHF_SYSV    /* what PAL_ABI says */
#else
#define PAL_CONVENTION XMHF_CDECL
#endif
/* The compiler's: what functions without PAL_ABI have. */
#ifdef _WIN64
#define PAL_CONVENTION_NATIVE XMHF_MICROSOFT
#else
#define PAL_CONVENTION_NATIVE PAL_CONVENTION
#endif
#define PAL_CONVENTION_OWN PAL_CONVENTION_NATIVE /* its former name */

/* All PAL_CODE of the program, one stack, a page of each section. */
#define PAL_MODULE_SPEC \
    { __start_pal_code, __stop_pal_code, NULL, 0, 1, 1, 1, 1, PAL_CONVENTION, 0 }

struct pal_module {
    struct xmhf_module pal;         /* what is registered; may be changed before */
    void *code, *data, *rodata;     /* sections; the copy of the code begins at `code` */
    void *memory;                   /* all sections, and their size in bytes */
    size_t size;
    const void *code_start;         /* where the code was copied from */
    bool registered;
};

/* No death: in a signal handler, or after a jump out of one, the thread called a PAL that it is in
 * already, and no stack is free. The call has not begun, and the PAL goes on. */
#ifndef PAL_HOST_H /* whose own one has the same value */
#define PAL_BUSY ((enum tv_death)XMHF_STATUS_BUSY)
#endif

/* How a call ended. */
struct pal_answer {
    pal_word result;                /* 0 if the PAL died */
    enum tv_death death;            /* TV_DEATH_ALIVE: it returned. Or PAL_BUSY: not begun */
    unsigned vector;                /* of the exception, if it was one */
    unsigned section;               /* where: number in pal.section[], or XMHF_NO_SECTION, ... */
    uint32_t offset;                /* ... and byte */
};

/* Get locked memory for the sections, which no child has, and copy code and read-only data. 0, or
 * -1: no memory (errno or GetLastError() tells), too many stacks, or more than XMHF_MODULE_SECTIONS
 * sections. */
int pal_module_create(struct pal_module *m, const struct pal_module_spec *spec);
/* Declare the next parameter. Its number, or -1 if there are XMHF_MODULE_PARAMS already. */
int pal_module_integer(struct pal_module *m);
int pal_module_pointer(struct pal_module *m, enum xmhf_direction direction, uint64_t bytes);
/* Declare an entry for `function`, which lies in the code and takes `params` parameters from
 * number `first` on. What to call, or NULL if there are XMHF_MODULE_ENTRIES already. */
void *pal_module_entry(struct pal_module *m, const void *function, int first, unsigned params);
/* From here on the sections belong to the PAL. TV_OK or an error, then nothing changed. */
uint64_t pal_module_register(struct pal_module *m);
/* Call an entry with `n` arguments, at most XMHF_MODULE_PARAMS; any thread. Waits as long as all
 * stacks are in use, unless one is by the thread itself (PAL_BUSY). */
struct pal_answer pal_module_call(const struct pal_module *m, void *entry, const pal_word *args,
                                  unsigned n);
uint64_t pal_module_unregister(struct pal_module *m);
/* Unregister if need be and free the memory. No thread may be in a call. */
void pal_module_destroy(struct pal_module *m);

/* What the hypervisor allows; and what became of the PAL with this first entry. TV_OK or an
 * error. */
uint64_t pal_limits(struct xmhf_pal_limits *l);
uint64_t pal_stats(const void *entry, struct xmhf_pal_stats *st);
/* Inside a PAL: how often this call was interrupted so far. */
static inline pal_word pal_interruptions(void)
{
    uint32_t a = 0, b, c = 0, d;
    pal_word n = XMHF_HC_PAL_INTERRUPTED;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (c == 0x444d4163 || c == 0x656e6975) { /* AMD, Hygon */
        __asm__ volatile(".byte 0x0f, 0x01, 0xd9" : "+a"(n) : : "memory");
    } else {
        __asm__ volatile(".byte 0x0f, 0x01, 0xc1" : "+a"(n) : : "memory");
    }
    return n;
}

/* The sentence for a death, or for PAL_BUSY. */
const char *pal_death_text(uint64_t death);

#endif
