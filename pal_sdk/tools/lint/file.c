/* SPDX-License-Identifier: MIT */
/* What ELF and PE files have in common. */
#include "file.h"

#include <stdlib.h>
#include <string.h>

void file_name(char to[FILE_NAME_MAX], const char *from, size_t max)
{
    size_t i = 0;

    for (; i < max && i < FILE_NAME_MAX - 1 && from[i]; i++) {
        to[i] = from[i] > ' ' && from[i] < 0x7f ? from[i] : '?';
    }
    to[i] = 0;
}

const char *file_read(struct file *f, const uint8_t *data, size_t size)
{
    const char *problem;

    memset(f, 0, sizeof(*f));
    f->data = data;
    f->size = size;
    if (size >= 4 && memcmp(data, "\177ELF", 4) == 0) {
        problem = elf_read(f);
    } else if (size >= 2 && (memcmp(data, "MZ", 2) == 0 || memcmp(data, "\x64\x86", 2) == 0
                             || memcmp(data, "\x4c\x01", 2) == 0)) {
        f->pe = true;
        problem = pe_read(f);
    } else {
        problem = "is neither an image nor an ELF or PE file";
    }
    if (problem) {
        file_free(f);
    }
    return problem;
}

void file_free(struct file *f)
{
    free(f->sections);
    free(f->symbols);
    free(f->names);
    memset(f, 0, sizeof(*f));
}

const struct section *file_section(const struct file *f, const char *name)
{
    for (size_t i = 0; i < f->section_count; i++) {
        if (strcmp(f->sections[i].name, name) == 0) {
            return &f->sections[i];
        }
    }
    return NULL;
}

const struct section *file_section_at(const struct file *f, uint64_t address)
{
    for (size_t i = 0; i < f->section_count; i++) {
        const struct section *s = &f->sections[i];

        if (s->loaded && address >= s->address && address - s->address < s->size) {
            return s;
        }
    }
    return NULL;
}

const struct symbol *file_symbol(const struct file *f, const char *name)
{
    for (size_t i = 0; i < f->symbol_count; i++) {
        if (!f->symbols[i].undefined && strcmp(f->symbols[i].name, name) == 0) {
            return &f->symbols[i];
        }
    }
    return NULL;
}
