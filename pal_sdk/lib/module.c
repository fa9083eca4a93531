/* SPDX-License-Identifier: MIT */
/* The PAL library: the module interface (pal/module.h). */
#include <pal/module.h>
#include "call.h"
#include "handler.h"
#include "os.h"
#include <string.h>

/* Behind each section, as in pal.c. */
#define GAP PAL_PAGE

/* --- sections ------------------------------------------------------------------------- */

static void *add_section(struct pal_module *m, uint32_t type, size_t pages)
{
    struct xmhf_module_section *s;
    void *start = (char *)m->memory + m->size;

    if (pages == 0) {
        return NULL;
    }
    s = &m->pal.section[m->pal.sections++];
    s->type = type;
    s->pages = pages;
    s->start = (uintptr_t)start;
    m->size += pages * PAL_PAGE + GAP;
    return start;
}

static size_t pages_of(size_t bytes)
{
    return (bytes + PAL_PAGE - 1) / PAL_PAGE;
}

/* A page of jumps, one for each entry, then the code. */
static void *add_code(struct pal_module *m, const struct pal_module_spec *spec)
{
    size_t size = (size_t)((const char *)spec->code_end - (const char *)spec->code_start);
    size_t pages = 1 + pages_of(size);
    char *start = add_section(m, TV_SECTION_CODE, pages);

    memset(start, 0xcc, pages * PAL_PAGE); /* INT3 */
    memcpy(start + PAL_PAGE, spec->code_start, size);
    return start + PAL_PAGE;
}

static size_t pages_in_all(const struct pal_module_spec *spec)
{
    size_t code = (size_t)((const char *)spec->code_end - (const char *)spec->code_start);

    return 1 + pages_of(code) + pages_of(spec->rodata_size) + spec->data_pages +
           (size_t)spec->stacks * (spec->stack_pages + spec->param_pages);
}

static unsigned sections(const struct pal_module_spec *spec)
{
    return 1u + (spec->data_pages != 0) + (spec->rodata_size != 0)
         + spec->stacks * ((spec->stack_pages != 0) + (unsigned)(spec->param_pages != 0));
}

static bool fits(const struct pal_module_spec *spec)
{
    return spec->stacks <= XMHF_MODULE_STACKS && sections(spec) <= XMHF_MODULE_SECTIONS;
}

int pal_module_create(struct pal_module *m, const struct pal_module_spec *spec)
{
    memset(m, 0, sizeof(*m));
    m->memory = fits(spec) ? pal_os_alloc(pages_in_all(spec) * PAL_PAGE + sections(spec) * GAP)
                           : NULL;
    if (!m->memory) {
        return -1;
    }
    m->pal.size = sizeof(m->pal);
    m->pal.version = XMHF_MODULE_VERSION;
    m->pal.convention = spec->convention;
    m->pal.stacks = spec->stacks;
    m->pal.budget = spec->budget;
    m->code_start = spec->code_start;
    m->code = add_code(m, spec);
    m->data = add_section(m, TV_SECTION_DATA, spec->data_pages);
    m->rodata = add_section(m, XMHF_SECTION_RODATA, pages_of(spec->rodata_size));
    if (m->rodata) {
        memcpy(m->rodata, spec->rodata, spec->rodata_size);
    }
    for (unsigned k = 0; k < spec->stacks; k++) {
        add_section(m, TV_SECTION_STACK, spec->stack_pages);
        add_section(m, TV_SECTION_PARAM, spec->param_pages);
    }
    return 0;
}

/* --- parameters and entries ----------------------------------------------------------- */

static int add_param(struct pal_module *m, uint32_t type, uint32_t direction, uint64_t bytes)
{
    if (m->pal.params >= XMHF_MODULE_PARAMS) {
        return -1;
    }
    m->pal.param[m->pal.params] = (struct xmhf_module_param){ type, direction, bytes };
    return (int)m->pal.params++;
}

int pal_module_integer(struct pal_module *m)
{
    return add_param(m, TV_PARAM_INTEGER, XMHF_IN, 0);
}

int pal_module_pointer(struct pal_module *m, enum xmhf_direction direction, uint64_t bytes)
{
    return add_param(m, TV_PARAM_POINTER, direction, bytes);
}

void *pal_module_entry(struct pal_module *m, const void *function, int first, unsigned params)
{
    const ptrdiff_t in_code = (const char *)function - (const char *)m->code_start;
    uint8_t *at = (uint8_t *)m->memory + m->pal.entries * XMHF_MODULE_ENTRY_ALIGN;
    int32_t distance;

    if (m->pal.entries >= XMHF_MODULE_ENTRIES) {
        return NULL;
    }
    distance = (int32_t)((const uint8_t *)m->code + in_code - (at + 5));
    at[0] = 0xe9; /* JMP rel32 */
    memcpy(at + 1, &distance, sizeof(distance));
    m->pal.entry[m->pal.entries++] =
        (struct xmhf_module_entry){ (uintptr_t)at, first < 0 ? 0 : (uint32_t)first, params };
    return at;
}

/* --- hypercalls ------------------------------------------------------------------------ */

uint64_t pal_module_register(struct pal_module *m)
{
    uint64_t error = pal_hypercall(XMHF_HC_MODULE_REGISTER, (uintptr_t)&m->pal, 0, 0,
                                   m->pal.entry[0].address);

    m->registered = error == TV_OK;
    if (m->registered) {
        pal_handler_watch((const void *)(uintptr_t)m->pal.entry[0].address, m->memory, m->size);
    }
    return error;
}

uint64_t pal_module_unregister(struct pal_module *m)
{
    uint64_t error = pal_hypercall(XMHF_HC_MODULE_UNREGISTER, m->pal.entry[0].address, 0, 0, 0);

    if (error == TV_OK) {
        m->registered = false;
    }
    return error;
}

void pal_module_destroy(struct pal_module *m)
{
    if (m->registered) {
        pal_module_unregister(m);
    }
    if (m->memory) {
        pal_handler_forget((const void *)(uintptr_t)m->pal.entry[0].address);
        pal_os_free(m->memory, m->size);
        m->memory = NULL;
    }
}

uint64_t pal_limits(struct xmhf_pal_limits *l)
{
    const uint64_t error = pal_hypercall(XMHF_HC_PAL_LIMITS, (uintptr_t)l, 0, sizeof(*l), 0);

    if (error != TV_BAD_STRUCT) {
        return error;
    }
    l->image_area = 0; /* an older hypervisor's structure ends before it */
    return pal_hypercall(XMHF_HC_PAL_LIMITS, (uintptr_t)l, 0, XMHF_PAL_LIMITS_SHORT, 0);
}

uint64_t pal_stats(const void *entry, struct xmhf_pal_stats *st)
{
    return pal_hypercall(XMHF_HC_PAL_STATS, (uintptr_t)st, 0, sizeof(*st), (uintptr_t)entry);
}

const char *pal_death_text(uint64_t death)
{
    switch (death) {
#define X(name, number, sentence) case number: return sentence;
    TV_DEATHS(X)
#undef X
    case XMHF_STATUS_BUSY:
        return XMHF_BUSY_TEXT;
    default:
        return "unknown cause";
    }
}

/* --- the call -------------------------------------------------------------------------- */

struct pal_answer pal_module_call(const struct pal_module *m, void *entry, const pal_word *args,
                                  unsigned n)
{
    pal_word out[4] = { 0 };

    pal_raw_call(m->pal.convention, entry, args, n, out);
    return (struct pal_answer){
        .result = out[0],
        .death = (enum tv_death)XMHF_STATUS_DEATH(out[1]),
        .vector = XMHF_STATUS_VECTOR(out[1]),
        .section = XMHF_STATUS_SECTION(out[1]),
        .offset = (uint32_t)out[2],
    };
}
