/* SPDX-License-Identifier: MIT */
/* Sections and symbols of ELF files (System V gABI, chapter 4). */
#include "file.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* A section header, of either width, as Elf64_Shdr. */
static bool section_header(const struct file *f, const Elf64_Ehdr *eh, unsigned i, Elf64_Shdr *sh)
{
    const size_t size = f->bits == 64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    const void *at = file_at(f, eh->e_shoff + (uint64_t)i * size, size);
    Elf32_Shdr s;

    if (!at || eh->e_shoff > f->size) {
        return false;
    }
    if (f->bits == 64) {
        memcpy(sh, at, sizeof(*sh));
        return true;
    }
    memcpy(&s, at, sizeof(s));
    *sh = (Elf64_Shdr){ s.sh_name, s.sh_type, s.sh_flags, s.sh_addr, s.sh_offset, s.sh_size,
                        s.sh_link, s.sh_info, s.sh_addralign, s.sh_entsize };
    return true;
}

/* The file header, of either width, as Elf64_Ehdr. */
static const char *file_header(struct file *f, Elf64_Ehdr *eh)
{
    const unsigned char *ident = file_at(f, 0, EI_NIDENT);
    Elf32_Ehdr e;

    if (!ident || ident[EI_DATA] != ELFDATA2LSB
        || (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)) {
        return "is no ELF file of this kind of machine";
    }
    f->bits = ident[EI_CLASS] == ELFCLASS64 ? 64 : 32;
    if (!file_at(f, 0, f->bits == 64 ? sizeof(*eh) : sizeof(e))) {
        return "ends in its header";
    }
    if (f->bits == 64) {
        memcpy(eh, f->data, sizeof(*eh));
    } else {
        memcpy(&e, f->data, sizeof(e));
        *eh = (Elf64_Ehdr){ .e_type = e.e_type, .e_machine = e.e_machine, .e_shoff = e.e_shoff,
                            .e_shnum = e.e_shnum, .e_shstrndx = e.e_shstrndx };
    }
    if (eh->e_machine != (f->bits == 64 ? EM_X86_64 : EM_386)) {
        return "is for another kind of machine";
    }
    f->object = eh->e_type == ET_REL;
    return NULL;
}

/* The bytes of a table of strings, which end with a zero; NULL: there are none. */
static const char *strings(const struct file *f, const Elf64_Shdr *sh)
{
    const char *s = file_at(f, sh->sh_offset, sh->sh_size);

    return sh->sh_type == SHT_STRTAB && s && sh->sh_size > 0 && s[sh->sh_size - 1] == 0 ? s : NULL;
}

static void take_section(const struct file *f, struct section *s, const Elf64_Shdr *sh)
{
    s->address = sh->sh_addr;
    s->size = sh->sh_size;
    s->loaded = (sh->sh_flags & SHF_ALLOC) != 0;
    s->writable = (sh->sh_flags & SHF_WRITE) != 0;
    s->executable = (sh->sh_flags & SHF_EXECINSTR) != 0;
    s->tls = (sh->sh_flags & SHF_TLS) != 0;
    s->relocations = sh->sh_type == SHT_REL || sh->sh_type == SHT_RELA;
    if (sh->sh_type != SHT_NOBITS && sh->sh_type != SHT_NULL) {
        s->bytes = file_at(f, sh->sh_offset, sh->sh_size);
        s->filled = s->bytes ? sh->sh_size : 0;
    }
}

static const char *read_sections(struct file *f, const Elf64_Ehdr *eh)
{
    Elf64_Shdr names = { 0 };
    const char *string = NULL;

    if (eh->e_shnum == 0 || eh->e_shnum > FILE_SECTIONS) {
        return "has no list of sections that can be read";
    }
    if (eh->e_shstrndx < eh->e_shnum && section_header(f, eh, eh->e_shstrndx, &names)) {
        string = strings(f, &names);
    }
    f->sections = calloc(eh->e_shnum, sizeof(*f->sections));
    if (!f->sections || !string) {
        return "has no names of sections";
    }
    for (unsigned i = 0; i < eh->e_shnum; i++) {
        Elf64_Shdr sh;

        if (!section_header(f, eh, i, &sh)) {
            return "ends in its list of sections";
        }
        take_section(f, &f->sections[i], &sh);
        if (sh.sh_type != SHT_NOBITS && sh.sh_size && !f->sections[i].bytes && i) {
            return "ends in a section";
        }
        if (sh.sh_name < names.sh_size) {
            file_name(f->sections[i].name, string + sh.sh_name, names.sh_size - sh.sh_name);
        }
        f->section_count++;
    }
    return NULL;
}

static enum symbol_kind kind_of(unsigned type)
{
    return type == STT_FUNC ? SYMBOL_FUNCTION : type == STT_TLS ? SYMBOL_TLS
           : type == STT_GNU_IFUNC ? SYMBOL_IFUNC : type == STT_FILE ? SYMBOL_FILE : SYMBOL_OTHER;
}

static void take_symbol(const struct file *f, struct symbol *s, const uint8_t *at)
{
    Elf64_Sym y;
    Elf32_Sym e;

    if (f->bits == 64) {
        memcpy(&y, at, sizeof(y));
    } else {
        memcpy(&e, at, sizeof(e));
        y = (Elf64_Sym){ e.st_name, e.st_info, e.st_other, e.st_shndx, e.st_value, e.st_size };
    }
    s->address = y.st_value;
    s->size = y.st_size;
    s->kind = kind_of(ELF64_ST_TYPE(y.st_info));
    s->undefined = y.st_shndx == SHN_UNDEF;
    s->weak = ELF64_ST_BIND(y.st_info) == STB_WEAK;
    s->global = ELF64_ST_BIND(y.st_info) != STB_LOCAL;
}

/* The symbols of the table `sh`, whose names are in `names`. */
static const char *read_symbols(struct file *f, const Elf64_Shdr *sh, const Elf64_Shdr *names)
{
    const size_t size = f->bits == 64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
    const uint8_t *at = file_at(f, sh->sh_offset, sh->sh_size);
    const char *string = strings(f, names);
    const uint64_t n = sh->sh_size / size;

    if (!at || !string || n == 0) {
        return "has a list of symbols that can't be read";
    }
    f->symbols = calloc(n, sizeof(*f->symbols));
    if (!f->symbols) {
        return "has too many symbols";
    }
    for (uint64_t i = 1; i < n; i++) { /* number 0 is none */
        uint32_t name;

        memcpy(&name, at + i * size, sizeof(name)); /* st_name is first in both */
        take_symbol(f, &f->symbols[f->symbol_count], at + i * size);
        f->symbols[f->symbol_count++].name = name < names->sh_size ? string + name : "";
    }
    return NULL;
}

const char *elf_read(struct file *f)
{
    Elf64_Ehdr eh;
    const char *problem = file_header(f, &eh);

    problem = problem ? problem : read_sections(f, &eh);
    for (unsigned i = 0; !problem && i < f->section_count && !f->symbols; i++) {
        Elf64_Shdr sh, names;

        if (section_header(f, &eh, i, &sh) && sh.sh_type == SHT_SYMTAB
            && sh.sh_link < f->section_count && section_header(f, &eh, sh.sh_link, &names)) {
            problem = read_symbols(f, &sh, &names);
        }
    }
    return problem;
}
