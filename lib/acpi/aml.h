/* SPDX-License-Identifier: MIT */
/*
 * What an AML table defines (ACPI 6.5, chapter 20), without interpreting it: a walk over its
 * bytes that knows which of them are opcodes, names and data. All input is hostile.
 */
#ifndef XMHF_ACPI_AML_H
#define XMHF_ACPI_AML_H

#include <xmhf/types.h>

/* Some bytes of AML. */
struct aml { const uint8_t *p; size_t len; };

struct aml_name {
    const uint8_t *seg; /* the last of its names, 4 bytes */
    bool at_root;       /* it is an object of the root */
    bool maybe_root;    /* it may be one: the scope wasn't understood, or depends on other tables */
};

enum aml_kind {
    AML_NAME,   /* Name(name, rest): `rest` begins with the data */
    AML_METHOD, /* Method(name): `rest` is its body */
    AML_ALIAS,  /* Alias(rest, name): `rest` begins with the other name */
    AML_RETURN, /* Return(rest); no name */
};

typedef void (*aml_visitor)(void *ctx, enum aml_kind kind, const struct aml_name *name,
                            struct aml rest);

/*
 * Call `visit` for whatever of these kinds is in `table` (without its header) or in a method's
 * body. `rest` ends where the block ends that the object is in. Where a byte isn't understood the
 * rest of that block is searched for the encoding of definitions, which then are maybe_root only,
 * unless their path begins at the root.
 */
void aml_walk(struct aml table, aml_visitor visit, void *ctx);

/* The integer constant that `a` begins with; its bytes are taken off. False: something else. */
bool aml_integer(struct aml *a, uint64_t *value);

/* The same for a package: `a` becomes its elements, `count` is how many it says it has. */
bool aml_package(struct aml *a, size_t *count);

/* The same for a name: its last part, NULL for the root alone. */
bool aml_name_string(struct aml *a, const uint8_t **seg);

#endif
