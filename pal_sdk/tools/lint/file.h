/* SPDX-License-Identifier: MIT */
/*
 * A linked file, ELF or PE, of 32 or 64 bits: its sections and symbols. What is read may be
 * anyone's: nothing outside the bytes is touched, whatever they say.
 */
#ifndef PAL_LINT_FILE_H
#define PAL_LINT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILE_NAME_MAX 128u  /* bytes of a name that are kept, with the zero at its end */
#define FILE_SECTIONS 4096u /* of one file, at most */

struct section {
    char name[FILE_NAME_MAX];
    uint64_t address;
    uint64_t size;        /* bytes in memory */
    const uint8_t *bytes; /* in the file; NULL: zeros */
    uint64_t filled;      /* of `size`, bytes that `bytes` has */
    bool loaded;          /* takes memory when a loader has loaded the file */
    bool writable, executable, tls;
    bool relocations;     /* is a list for a loader */
};

enum symbol_kind { SYMBOL_OTHER, SYMBOL_FUNCTION, SYMBOL_TLS, SYMBOL_IFUNC, SYMBOL_FILE };

struct symbol {
    const char *name;     /* in the file, or in `names` */
    uint64_t address;
    uint64_t size;        /* 0: not known */
    enum symbol_kind kind;
    bool undefined, weak, global;
};

struct file {
    const uint8_t *data;
    size_t size;
    unsigned bits;        /* 32 or 64; of the code */
    bool pe;              /* else ELF */
    bool object;          /* relocatable: not linked yet */
    struct section *sections;
    size_t section_count;
    struct symbol *symbols;
    size_t symbol_count;
    char *names;          /* of PE symbols, which need not end with a zero in the file */
};

/* Read `size` bytes at `data`, which must stay while `f` is used. NULL, or a sentence's end that
 * tells what is wrong; then nothing has to be freed. */
const char *file_read(struct file *f, const uint8_t *data, size_t size);
void file_free(struct file *f);

/* The section of that name, or NULL. */
const struct section *file_section(const struct file *f, const char *name);
/* The section in memory that `address` is in, or NULL. */
const struct section *file_section_at(const struct file *f, uint64_t address);
/* The symbol of that name that is defined, or NULL. */
const struct symbol *file_symbol(const struct file *f, const char *name);

/* For file_read: bytes [at, at + n), or NULL if there aren't so many. */
static inline const void *file_at(const struct file *f, uint64_t at, uint64_t n)
{
    return at <= f->size && n <= f->size - at ? f->data + at : NULL;
}

/* Keep a name of at most `max` bytes; what isn't printable becomes '?'. */
void file_name(char to[FILE_NAME_MAX], const char *from, size_t max);

const char *elf_read(struct file *f);
const char *pe_read(struct file *f);

#endif
