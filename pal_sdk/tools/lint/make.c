/* SPDX-License-Identifier: MIT */
/* An image from a linked file: its sections, what the records say, and the layout of stacks and
 * parameters behind them. */
#include "image.h"

#include <string.h>

#define PRINT_MAX 512u /* bytes of one pal_printf, PAL_PRINT_MAX of pal/rt.h */

/* How a linked file's sections become the image's. */
static const struct {
    const char *name;
    uint32_t type;
} sections[] = {
    { ".text", TV_SECTION_CODE },
    { ".rodata", XMHF_SECTION_RODATA },
    { ".rdata", XMHF_SECTION_RODATA },
    { ".data", TV_SECTION_DATA },
    { ".bss", XMHF_SECTION_BSS },
};

/* What is known while an image is being made. */
struct making {
    struct image *im;
    const struct file *file;
    struct problems *p;
    uint32_t numbers[XMHF_IMAGE_ENTRIES];  /* of entries, as the records have them */
    uint32_t first[XMHF_IMAGE_ENTRIES];    /* param of each */
    uint64_t stack, stacks, budget, debug; /* options of the sources; 0: none */
    struct pal_descriptor named;           /* that of the lowest number which says whose it is */
    bool ocalls;
    uint32_t ocall_bytes;                  /* the largest request or answer */
};

static uint32_t pages_of(uint64_t bytes)
{
    const uint64_t pages = bytes / IMAGE_PAGE + (bytes % IMAGE_PAGE != 0);

    return pages > XMHF_IMAGE_PAGES ? XMHF_IMAGE_PAGES + 1 : (uint32_t)pages;
}

static void add_section(struct image *im, uint32_t type, uint64_t address, uint32_t pages)
{
    im->sections[im->head.sections++] = (struct xmhf_image_section){ type, pages, address, 0 };
}

/* Insert behind those with lower addresses. */
static void take_section(struct image *im, uint32_t type, const struct section *s)
{
    uint32_t at = im->head.sections;

    for (; at > 0 && im->sections[at - 1].address > s->address; at--) {
        im->sections[at] = im->sections[at - 1];
        im->contents[at] = im->contents[at - 1];
        im->filled[at] = im->filled[at - 1];
    }
    im->sections[at] = (struct xmhf_image_section){ type, pages_of(s->size), s->address, 0 };
    im->contents[at] = image_has_contents(type) ? s->bytes : NULL;
    im->filled[at] = im->contents[at] ? s->filled : 0;
    im->head.sections++;
}

static void take_sections(struct making *m, const struct file *f)
{
    for (size_t i = 0; i < f->section_count; i++) {
        const struct section *s = &f->sections[i];

        for (size_t k = 0; k < sizeof(sections) / sizeof(sections[0]); k++) {
            if (!s->loaded || s->size == 0 || strcmp(s->name, sections[k].name) != 0) {
                continue;
            }
            if (m->im->head.sections >= XMHF_IMAGE_SECTIONS - 2 * XMHF_IMAGE_STACKS) {
                problem(m->p, PROBLEM_ERROR, 0, "%s: CODE, RODATA, DATA and BSS can each be there "
                        "once", s->name);
            } else {
                take_section(m->im, sections[k].type, s);
            }
        }
    }
}

/* --- records ------------------------------------------------------------------------ */

static void copy_name(char to[PAL_DESCRIPTOR_NAME], const char *from)
{
    char name[FILE_NAME_MAX];

    file_name(name, from, PAL_DESCRIPTOR_NAME - 1);
    memcpy(to, name, PAL_DESCRIPTOR_NAME);
}

/* Entries are kept in the order of their numbers; parameters stay where they are until all are
 * known. */
static void take_entry(struct making *m, const struct pal_descriptor *d)
{
    struct image *im = m->im;
    uint32_t n = im->head.entries, at = n;

    if (n == XMHF_IMAGE_ENTRIES) {
        problem(m->p, PROBLEM_ERROR, 0, "%s: an image has at most %u entries", d->name,
                XMHF_IMAGE_ENTRIES);
        return;
    }
    if (d->params > XMHF_IMAGE_ENTRY_PARAMS) {
        problem(m->p, PROBLEM_ERROR, d->address.value, "%s: %u parameters; an entry has at most %u",
                d->name, d->params, XMHF_IMAGE_ENTRY_PARAMS);
        return;
    }
    if (d->params > XMHF_IMAGE_PARAMS - im->head.params) {
        problem(m->p, PROBLEM_ERROR, d->address.value, "%s: the entries of an image have at most "
                "%u parameters together", d->name, XMHF_IMAGE_PARAMS);
        return;
    }
    for (; at > 0 && m->numbers[at - 1] > d->number; at--) {
        m->numbers[at] = m->numbers[at - 1];
        m->first[at] = m->first[at - 1];
        im->entries[at] = im->entries[at - 1];
        memcpy(im->entry_names[at], im->entry_names[at - 1], PAL_DESCRIPTOR_NAME);
    }
    m->numbers[at] = d->number;
    m->first[at] = im->head.params;
    im->entries[at] = (struct xmhf_image_entry){ d->address.value, d->params, 0 };
    copy_name(im->entry_names[at], d->name);
    memcpy(&im->params[im->head.params], d->param, d->params * sizeof(d->param[0]));
    im->head.params += d->params;
    im->head.entries++;
}

static void take_ocall(struct making *m, const struct pal_descriptor *d)
{
    struct image *im = m->im;

    if (d->number >= PAL_DESCRIPTOR_OCALLS) {
        problem(m->p, PROBLEM_ERROR, 0, "%s: an ocall's number is below %u", d->name,
                PAL_DESCRIPTOR_OCALLS);
        return;
    }
    if (im->ocalls[d->number][0]) {
        problem(m->p, PROBLEM_ERROR, 0, "%s and %s are ocalls of the same number", d->name,
                im->ocalls[d->number]);
    }
    copy_name(im->ocalls[d->number], d->name);
    m->ocalls = true;
    if (d->params > 0 && d->param[0].size > m->ocall_bytes) {
        m->ocall_bytes = d->param[0].size;
    }
    if (im->ocall_count <= d->number) {
        im->ocall_count = d->number + 1;
    }
}

static void take_option(struct making *m, const struct pal_descriptor *d)
{
    if (strcmp(d->name, "stack") == 0) {
        m->stack = d->address.value;
    } else if (strcmp(d->name, "stacks") == 0) {
        m->stacks = d->address.value;
    } else if (strcmp(d->name, "budget") == 0) {
        m->budget = d->address.value;
    } else if (strcmp(d->name, "debug") == 0) {
        m->debug = d->address.value;
    } else {
        problem(m->p, PROBLEM_ERROR, 0, "%s: there is no such option of an image", d->name);
    }
}

/* Compilers write records in any order. */
static void find_named(void *context, const struct pal_descriptor *d)
{
    struct making *m = context;

    if (d->pal[0] && (!m->named.pal[0] || d->number < m->named.number)) {
        m->named = *d;
    }
}

/* Are all records one PAL's? A program's stubs have the name in theirs. */
static void check_pal(struct making *m, const struct pal_descriptor *d)
{
    const struct symbol *function = file_symbol(m->file, d->name);

    if (d->pal[0] && strcmp(d->pal, m->named.pal) != 0) {
        problem(m->p, PROBLEM_ERROR, d->address.value ? d->address.value
                : function ? function->address : 0, "%s: its macro says that it is the PAL %s's "
                "(line %u), and %s is the PAL %s's: an image is one PAL; write one name in both, "
                "or make two interfaces and an image of each", d->name, d->pal, d->line,
                m->named.name, m->named.pal);
    }
}

static void take_record(void *context, const struct pal_descriptor *d)
{
    struct making *m = context;

    check_pal(m, d);
    if (d->kind == PAL_DESCRIPTOR_ENTRY) {
        take_entry(m, d);
    } else if (d->kind == PAL_DESCRIPTOR_OCALL) {
        take_ocall(m, d);
    } else {
        take_option(m, d);
    }
}

/* Has entry `i` no place for ocalls, though its image has some? */
static bool lacks_ocalls(const struct making *m, uint32_t i)
{
    const struct xmhf_image_param *params = &m->im->params[m->first[i]];

    for (uint32_t k = 0; k < m->im->entries[i].params; k++) {
        if (params[k].type == XMHF_PARAM_OCALL) {
            return false;
        }
    }
    return m->ocalls;
}

/* Parameters in the order of the entries, each with a place for ocalls if there are any. */
static void order_params(struct making *m)
{
    struct image *im = m->im;
    struct xmhf_image_param ordered[XMHF_IMAGE_PARAMS + XMHF_IMAGE_ENTRIES];
    uint32_t n = 0;

    for (uint32_t i = 0; i < im->head.entries; i++) {
        memcpy(&ordered[n], &im->params[m->first[i]], im->entries[i].params * sizeof(ordered[0]));
        n += im->entries[i].params;
        if (lacks_ocalls(m, i)) {
            ordered[n++] = (struct xmhf_image_param){ XMHF_PARAM_OCALL, XMHF_INOUT, m->ocall_bytes,
                                                      0, 0 };
            im->entries[i].params++;
        }
        if (im->entries[i].params > XMHF_IMAGE_ENTRY_PARAMS) {
            problem(m->p, PROBLEM_ERROR, im->entries[i].address, "%s: %u parameters, with the one "
                    "for ocalls; an entry has at most %u", im->entry_names[i],
                    im->entries[i].params, XMHF_IMAGE_ENTRY_PARAMS);
        }
    }
    if (n > XMHF_IMAGE_PARAMS) {
        problem(m->p, PROBLEM_ERROR, 0, "%u parameters, with those for ocalls; the entries of an "
                "image have at most %u together", n, XMHF_IMAGE_PARAMS);
        n = XMHF_IMAGE_PARAMS;
    }
    im->head.params = n;
    memcpy(im->params, ordered, n * sizeof(ordered[0]));
}

/* A debug image prints by an ocall of the library's. */
static void allow_printing(struct making *m)
{
    m->ocalls = true;
    m->ocall_bytes = m->ocall_bytes > PRINT_MAX ? m->ocall_bytes : PRINT_MAX;
}

static void check_names(struct making *m)
{
    struct image *im = m->im;

    for (uint32_t i = 0; i < im->head.entries; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(im->entry_names[i], im->entry_names[k]) == 0) {
                problem(m->p, PROBLEM_ERROR, im->entries[i].address,
                        "%s: two entries of that name", im->entry_names[i]);
            }
        }
    }
}

/* The image's name, which isn't measured; and whether a program would miss another one. */
static void choose_name(struct making *m, const struct image_options *o)
{
    const char *pal = m->named.pal;

    copy_name(m->im->name, o->name ? o->name : pal[0] ? pal : o->otherwise ? o->otherwise : "pal");
    if (pal[0] && o->name && strcmp(o->name, pal) != 0) {
        problem(m->p, PROBLEM_WARNING, m->named.address.value, "%s: its macro says that it is the "
                "PAL %s's, and --name calls the image %s: a program with %s_image can't call "
                "%s_%s() unless it has an image %s, too; leave --name out, or write %s in the "
                "interface", m->named.name, pal, o->name, o->name, pal, m->named.name, pal,
                o->name);
    } else if (pal[0] && !o->name && o->header && strcmp(o->header, pal) != 0) {
        problem(m->p, PROBLEM_WARNING, m->named.address.value, "%s: its macro says that it is the "
                "PAL %s's, and the header is called %s_interface.h: the image is %s_image, by the "
                "macro, and PAL_IMAGE(%s) declares it; call both the same, or give --name %s",
                m->named.name, pal, o->header, pal, pal, pal);
    }
}

/* --- stacks and parameters ------------------------------------------------------------ */

uint64_t image_param_bytes(const struct xmhf_image_param *params, uint32_t n)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (params[i].type == TV_PARAM_POINTER) {
            bytes += ((uint64_t)params[i].size + 15) & ~15ULL;
        }
    }
    return bytes;
}

/* Pages of a PARAM section: what the largest entry needs; one if there are POINTERs of no size. */
static uint32_t param_pages(const struct image *im)
{
    const struct xmhf_image_param *params = im->params;
    uint64_t most = 0;

    for (uint32_t i = 0; i < im->head.params; i++) {
        most = most == 0 && params[i].type == TV_PARAM_POINTER ? 1 : most;
    }
    for (uint32_t i = 0; i < im->head.entries; i++) {
        const uint64_t bytes = image_param_bytes(params, im->entries[i].params);

        most = bytes > most ? bytes : most;
        params += im->entries[i].params;
    }
    return pages_of(most);
}

static void add_stacks(struct making *m, uint64_t stack, uint64_t stacks)
{
    struct image *im = m->im;
    const uint32_t pages = pages_of(stack), params = param_pages(im);
    uint64_t at = 0;

    if (stacks > XMHF_IMAGE_STACKS) {
        problem(m->p, PROBLEM_ERROR, 0, "%llu stacks: there can be at most %u, since each has a "
                "STACK and a PARAM section, and an image has %u sections with CODE, RODATA, DATA "
                "and BSS", (unsigned long long)stacks, XMHF_IMAGE_STACKS, XMHF_IMAGE_SECTIONS);
        stacks = XMHF_IMAGE_STACKS;
    }
    if (im->head.sections > 0) {
        const struct xmhf_image_section *last = &im->sections[im->head.sections - 1];

        at = last->address + (uint64_t)last->pages * IMAGE_PAGE;
    }
    at += IMAGE_STACK_GAP * IMAGE_PAGE;
    im->head.stacks = (uint32_t)stacks;
    for (uint64_t i = 0; i < stacks; i++) {
        add_section(im, TV_SECTION_STACK, at, pages);
        at += ((uint64_t)pages + IMAGE_STACK_GAP) * IMAGE_PAGE;
    }
    for (uint64_t i = 0; i < stacks && params > 0; i++) {
        add_section(im, TV_SECTION_PARAM, at, params);
        at += ((uint64_t)params + 1) * IMAGE_PAGE;
    }
}

/* What counts of what the command line and the sources say. */
static uint64_t choose(uint64_t told, uint64_t source, uint64_t otherwise)
{
    return told ? told : source ? source : otherwise;
}

void image_make(struct image *im, const struct file *f, const struct image_options *o,
                struct problems *p)
{
    struct making m = { .im = im, .file = f, .p = p };
    const struct symbol *gate = file_symbol(f, "pal_rt_gate");

    memset(im, 0, sizeof(*im));
    im->head.version = XMHF_IMAGE_VERSION;
    im->head.mode = f->bits;
    im->head.convention = f->bits == 32 ? XMHF_CDECL : f->pe ? XMHF_MICROSOFT : XMHF_SYSV;
    im->gate = gate ? gate->address : 0;
    take_sections(&m, f);
    if (descriptors_each(f, p, find_named, &m)) {
        descriptors_each(f, p, take_record, &m);
        if (o->debug || m.debug) {
            allow_printing(&m);
        }
        order_params(&m);
        check_names(&m);
    }
    choose_name(&m, o);
    add_stacks(&m, choose(o->stack, m.stack, IMAGE_STACK_DEFAULT), choose(o->stacks, m.stacks, 1));
    im->head.budget = choose(o->budget, m.budget, 0);
    im->head.flags = o->debug || m.debug ? XMHF_IMAGE_DEBUG : 0;
    im->head.size = (uint32_t)XMHF_IMAGE_SIZE(im->head.sections, im->head.params,
                                              im->head.entries);
}
