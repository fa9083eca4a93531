/* SPDX-License-Identifier: MIT */
/* The PAL library: detection, hypercalls, sections. */
#include <pal/pal.h>
#include "handler.h"
#include "os.h"
#include <string.h>

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
}

bool pal_available(void)
{
    uint32_t r[4];

    cpuid(TV_CPUID_LEAF, 0, r);
    return r[0] == TV_CPUID_REPLY_EAX;
}

/* VMMCALL on AMD and Hygon CPUs, VMCALL on all others: the wrong one is #UD. */
static bool is_amd(void)
{
    static _Atomic int known = -1; /* asked once: under a hypervisor CPUID is slow */
    uint32_t r[4];

    if (known < 0) {
        cpuid(0, 0, r);
        known = r[2] == 0x444d4163 /* "cAMD" */ || r[2] == 0x656e6975 /* "uine" of HygonGenuine */;
    }
    return known;
}

uint64_t pal_hypercall(uint32_t command, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    pal_word a = command, c = (pal_word)a1, d = (pal_word)a2, s = (pal_word)a3, i = (pal_word)a4;

    if (is_amd()) {
        __asm__ volatile(".byte 0x0f, 0x01, 0xd9" : "+a"(a)
                         : "c"(c), "d"(d), "S"(s), "D"(i) : "memory");
    } else {
        __asm__ volatile(".byte 0x0f, 0x01, 0xc1" : "+a"(a)
                         : "c"(c), "d"(d), "S"(s), "D"(i) : "memory");
    }
    return a;
}

uint64_t pal_info(uint32_t which)
{
    return pal_hypercall(XMHF_HC_INFO, which, 0, 0, 0);
}

const char *pal_error_text(uint64_t error)
{
    switch (error) {
#define X(name, number, sentence) case number: return sentence;
    TV_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}

const char *pal_error_name(uint64_t error)
{
    switch (error) {
#define X(name, number, sentence) case number: return "TV_" #name;
    TV_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}

/* Behind each section a page stays that is none of the PAL's: what writes over a section's end dies
 * there. It is ordinary memory of the process, and in the PAL nothing, or the page that its call
 * returns to. */
#define GAP PAL_PAGE

/* Add a section behind those that are there. */
static void *add_section(struct pal *p, uint32_t type, unsigned pages)
{
    struct tv_pal_section *s = &p->sections.sections[p->sections.num_sections++];
    void *start = (char *)p->memory + p->size;

    s->type = type;
    s->page_num = pages;
    s->start_addr = (uintptr_t)start;
    p->size += (size_t)pages * PAL_PAGE + GAP;
    return start;
}

int pal_create(struct pal *p, const struct pal_spec *spec)
{
    size_t code_size = (size_t)((const char *)spec->code_end - (const char *)spec->code_start);
    unsigned code_pages = (unsigned)((code_size + PAL_PAGE - 1) / PAL_PAGE);
    unsigned pages = code_pages + spec->data_pages + spec->stack_pages + spec->param_pages;

    memset(p, 0, sizeof(*p));
    p->memory = pal_os_alloc((size_t)pages * PAL_PAGE + (3u + (spec->data_pages != 0)) * GAP);
    if (!p->memory) {
        return -1;
    }
    p->code = add_section(p, TV_SECTION_CODE, code_pages);
    if (spec->data_pages != 0) {
        p->data = add_section(p, TV_SECTION_DATA, spec->data_pages);
    }
    p->stack = add_section(p, TV_SECTION_STACK, spec->stack_pages);
    p->param = add_section(p, TV_SECTION_PARAM, spec->param_pages);
    /* Code that runs off its end, or was given back while a call was under way, stops. */
    memset(p->code, 0xcc, (size_t)code_pages * PAL_PAGE); /* INT3 */
    memcpy(p->code, spec->code_start, code_size);
    p->entry = (char *)p->code + ((const char *)spec->entry - (const char *)spec->code_start);
    return 0;
}

static int add_param(struct pal *p, uint32_t type, uint64_t words)
{
    struct tv_pal_param *q;

    if (p->params.num_params >= TV_MAX_PARAMS) {
        return -1;
    }
    q = &p->params.params[p->params.num_params++];
    q->type = type;
    q->size = words;
    return 0;
}

int pal_add_integer(struct pal *p)
{
    return add_param(p, TV_PARAM_INTEGER, 1);
}

int pal_add_pointer(struct pal *p, uint64_t words)
{
    return add_param(p, TV_PARAM_POINTER, words);
}

uint64_t pal_register(struct pal *p)
{
    uint64_t error = pal_hypercall(TV_HC_REG, (uintptr_t)&p->sections, 0, (uintptr_t)&p->params,
                                   (uintptr_t)p->entry);

    p->registered = error == TV_OK;
    if (p->registered) {
        pal_handler_watch(p->entry, p->memory, p->size);
    }
    return error;
}

uint64_t pal_unregister(struct pal *p)
{
    uint64_t error = pal_hypercall(TV_HC_UNREG, (uintptr_t)p->entry, 0, 0, 0);

    if (error == TV_OK) {
        p->registered = false;
        pal_handler_forget(p->entry);
    }
    return error;
}

void pal_destroy(struct pal *p)
{
    if (p->registered) {
        pal_unregister(p);
    }
    if (p->memory) {
        pal_handler_forget(p->entry);
        pal_os_free(p->memory, p->size);
        p->memory = NULL;
    }
}
