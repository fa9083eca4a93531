/* SPDX-License-Identifier: MIT */
/* Sections and symbols of PE images and COFF objects (Microsoft PE format, 3 to 5). */
#include "file.h"

#include <stdlib.h>
#include <string.h>

#define MACHINE_386   0x14cu
#define MACHINE_AMD64 0x8664u
#define PE32          0x10bu
#define PE32_PLUS     0x20bu

#define SCN_CODE        0x00000020u
#define SCN_ZEROS       0x00000080u
#define SCN_DISCARDABLE 0x02000000u
#define SCN_EXECUTE     0x20000000u
#define SCN_WRITE       0x80000000u

#define CLASS_EXTERNAL  2u
#define CLASS_FILE      103u
#define CLASS_WEAK      105u
#define TYPE_FUNCTION   0x20u

#define SECTION_SIZE 40u
#define SYMBOL_SIZE  18u

/* Where the parts of a file are. */
struct parts {
    uint64_t base;             /* what a section's address counts from */
    uint64_t sections;         /* offset of the list */
    uint32_t section_count;
    uint64_t symbols, symbol_count;
    const char *strings;       /* NULL: none; else ended by a zero */
    uint32_t strings_size;
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

/* The address that an image is linked for. */
static bool image_base(struct file *f, uint64_t optional, uint64_t *base)
{
    const uint8_t *at = file_at(f, optional, 32);

    if (!at) {
        return false;
    }
    *base = get16(at) == PE32_PLUS ? get32(at + 24) | (uint64_t)get32(at + 28) << 32
                                   : get32(at + 28);
    return get16(at) == (f->bits == 64 ? PE32_PLUS : PE32);
}

static const char *headers(struct file *f, struct parts *p)
{
    const uint8_t *dos = file_at(f, 0, 64), *at;
    const bool image = f->data[0] == 'M';
    uint64_t coff = 0;

    if (image) {
        coff = dos ? get32(dos + 60) : f->size;
        at = file_at(f, coff, 4);
        if (!at || memcmp(at, "PE\0\0", 4) != 0) {
            return "is a program of DOS, not a PE file";
        }
        coff += 4;
    }
    at = file_at(f, coff, 20);
    if (!at || (get16(at) != MACHINE_386 && get16(at) != MACHINE_AMD64)) {
        return "is for another kind of machine";
    }
    f->bits = get16(at) == MACHINE_AMD64 ? 64 : 32;
    f->object = !image;
    if (image && !image_base(f, coff + 20, &p->base)) {
        return "has no PE header that can be read";
    }
    p->section_count = get16(at + 2);
    p->symbols = get32(at + 8);
    p->symbol_count = p->symbols ? get32(at + 12) : 0;
    p->sections = coff + 20 + get16(at + 16);
    return NULL;
}

/* Behind the symbols is a table of long names, which begins with its size. */
static void find_strings(const struct file *f, struct parts *p)
{
    const uint64_t at = p->symbols + p->symbol_count * SYMBOL_SIZE;
    const uint8_t *size = p->symbols ? file_at(f, at, 4) : NULL;
    const uint8_t *all = size ? file_at(f, at, get32(size)) : NULL;

    if (all && get32(size) > 4 && all[get32(size) - 1] == 0) {
        p->strings = (const char *)all;
        p->strings_size = get32(size);
    }
}

/* The name of a section: 8 bytes, or "/123": at 123 in the long names. */
static void section_name(const struct parts *p, char to[FILE_NAME_MAX], const char *at)
{
    char digits[8] = { 0 };
    unsigned long offset;

    memcpy(digits, at + 1, 7);
    offset = strtoul(digits, NULL, 10);
    if (at[0] == '/' && p->strings && offset < p->strings_size) {
        file_name(to, p->strings + offset, p->strings_size - offset);
    } else {
        file_name(to, at, 8);
    }
}

static const char *read_sections(struct file *f, const struct parts *p)
{
    if (p->section_count == 0 || p->section_count > FILE_SECTIONS) {
        return "has no list of sections that can be read";
    }
    f->sections = calloc(p->section_count, sizeof(*f->sections));
    for (uint32_t i = 0; f->sections && i < p->section_count; i++) {
        const uint8_t *at = file_at(f, p->sections + (uint64_t)i * SECTION_SIZE, SECTION_SIZE);
        struct section *s = &f->sections[i];
        uint32_t flags, raw;

        if (!at) {
            return "ends in its list of sections";
        }
        section_name(p, s->name, (const char *)at);
        flags = get32(at + 36);
        raw = get32(at + 16);
        s->address = p->base + get32(at + 12);
        s->size = f->object || !get32(at + 8) ? raw : get32(at + 8);
        s->bytes = flags & SCN_ZEROS ? NULL : file_at(f, get32(at + 20), raw);
        s->filled = s->bytes ? raw < s->size ? raw : s->size : 0;
        if (!s->bytes && !(flags & SCN_ZEROS) && raw) {
            return "ends in a section";
        }
        s->loaded = !(flags & SCN_DISCARDABLE) && strncmp(s->name, ".debug", 6) != 0;
        s->writable = (flags & SCN_WRITE) != 0;
        s->executable = (flags & (SCN_EXECUTE | SCN_CODE)) != 0;
        s->tls = strncmp(s->name, ".tls", 4) == 0;
        s->relocations = strcmp(s->name, ".reloc") == 0;
        f->section_count++;
    }
    return f->sections ? NULL : "has too many sections";
}

/* A symbol's name goes to `names`, whose room is known to do. C's names have one more underscore
 * with 32 bits. */
static const char *symbol_name(const struct file *f, const struct parts *p, const uint8_t *at,
                               char **names)
{
    const char *from = (const char *)at, *name = *names;
    size_t n = strnlen(from, 8);

    if (get32(at) == 0) {
        uint32_t offset = get32(at + 4);

        from = p->strings && offset < p->strings_size ? p->strings + offset : "";
        return f->bits == 32 && from[0] == '_' ? from + 1 : from;
    }
    memcpy(*names, from, n);
    (*names)[n] = 0;
    *names += n + 1;
    return f->bits == 32 && name[0] == '_' ? name + 1 : name;
}

static void take_symbol(const struct file *f, struct symbol *s, const uint8_t *at)
{
    const uint16_t section = get16(at + 12);
    const uint8_t class = at[16];

    s->address = get32(at + 8);
    if (section > 0 && section <= f->section_count) {
        s->address += f->sections[section - 1].address;
    }
    s->kind = class == CLASS_FILE ? SYMBOL_FILE
              : get16(at + 14) == TYPE_FUNCTION ? SYMBOL_FUNCTION : SYMBOL_OTHER;
    s->global = class == CLASS_EXTERNAL || class == CLASS_WEAK;
    s->weak = class == CLASS_WEAK;
    s->undefined = s->global && section == 0;
}

static const char *read_symbols(struct file *f, const struct parts *p)
{
    const uint8_t *at = file_at(f, p->symbols, p->symbol_count * SYMBOL_SIZE);
    char *names;

    if (p->symbol_count == 0) {
        return NULL;
    }
    f->symbols = at ? calloc(p->symbol_count, sizeof(*f->symbols)) : NULL;
    f->names = at ? calloc(p->symbol_count, 9) : NULL;
    if (!f->symbols || !f->names) {
        return "has a list of symbols that can't be read";
    }
    names = f->names;
    for (uint64_t i = 0; i < p->symbol_count; i += 1 + at[i * SYMBOL_SIZE + 17]) {
        struct symbol *s = &f->symbols[f->symbol_count++];

        take_symbol(f, s, at + i * SYMBOL_SIZE);
        s->name = symbol_name(f, p, at + i * SYMBOL_SIZE, &names);
    }
    return NULL;
}

const char *pe_read(struct file *f)
{
    struct parts p = { 0 };
    const char *problem = headers(f, &p);

    if (!problem) {
        find_strings(f, &p);
        problem = read_sections(f, &p);
    }
    return problem ? problem : read_symbols(f, &p);
}
