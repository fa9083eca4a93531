/* SPDX-License-Identifier: MIT */
/* The VMCS fields as data: names, and which exist on a CPU (SDM vol. 3, appendix B). */
#include <virt/vmx/vmcs.h>

struct condition { bool always; enum vmx_control word[2]; uint8_t bit[2]; };

#define ALWAYS               { .always = true }
#define IF(w, b)             { false, { VMX_##w, VMX_##w }, { b, b } }
#define IF2(w1, b1, w2, b2)  { false, { VMX_##w1, VMX_##w2 }, { b1, b2 } }

static const struct field {
    uint32_t encoding;
    const char *name;
    struct condition exists;
} fields[] = {
#define X(name, encoding, width, access, exists) { encoding, #name, exists },
#include <x86/vmcs_fields.def>
#undef X
};

static const struct field *find(uint32_t encoding)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (fields[i].encoding == encoding) {
            return &fields[i];
        }
    }
    return NULL;
}

bool vmcs_exists(const struct vmx_caps *c, enum vmcs_field field)
{
    const struct field *f = find(field);

    return f && (f->exists.always
                 || vmx_may_set(c, f->exists.word[0], f->exists.bit[0])
                 || vmx_may_set(c, f->exists.word[1], f->exists.bit[1]));
}

const char *vmcs_name(uint32_t encoding)
{
    const struct field *f = find(encoding);

    return f ? f->name : "?";
}
