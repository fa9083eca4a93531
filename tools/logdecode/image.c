/* SPDX-License-Identifier: MIT */
/* Symbols, source lines and frames of the core's ELF file, by elfutils. */
#include <logdecode/image.h>

#include <dirent.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DWARF_RSP 7 /* psABI, figure 3.36 */

struct image {
    int fd;
    Elf *elf;
    Dwarf *dwarf;           /* NULL: no debugging information */
    Dwarf_CFI *cfi;
    char name[256];
};

/* --- finding it --------------------------------------------------------------------- */

static bool has_build_id(Elf *elf, const char *wanted)
{
    const void *id;
    ssize_t n = dwelf_elf_gnu_build_id(elf, &id);
    size_t at = 0;

    if (n <= 0 || strlen(wanted) != 2 * (size_t)n) {
        return false;
    }
    for (; at < (size_t)n; at++) {
        char two[3];
        snprintf(two, sizeof(two), "%02x", ((const uint8_t *)id)[at]);
        if (memcmp(two, wanted + 2 * at, 2) != 0) {
            return false;
        }
    }
    return true;
}

static struct image *open_image(const char *path, const char *name, const char *wanted)
{
    struct image *img = calloc(1, sizeof(*img));

    if (!img) {
        return NULL;
    }
    img->fd = open(path, O_RDONLY | O_CLOEXEC);
    img->elf = img->fd < 0 ? NULL : elf_begin(img->fd, ELF_C_READ, NULL);
    if (!img->elf || elf_kind(img->elf) != ELF_K_ELF || !has_build_id(img->elf, wanted)) {
        image_close(img);
        return NULL;
    }
    snprintf(img->name, sizeof(img->name), "%s", name);
    img->dwarf = dwarf_begin_elf(img->elf, DWARF_C_READ, NULL);
    img->cfi = img->dwarf ? dwarf_getcfi(img->dwarf) : NULL;
    return img;
}

void image_close(struct image *img)
{
    if (img) {
        if (img->dwarf) {
            dwarf_end(img->dwarf);
        }
        if (img->elf) {
            elf_end(img->elf);
        }
        if (img->fd >= 0) {
            close(img->fd);
        }
        free(img);
    }
}

struct image *image_find(const char *dir, const char *build_id, unsigned *seen)
{
    struct image *found = NULL;
    struct dirent *e;
    DIR *d = opendir(dir);

    *seen = 0;
    elf_version(EV_CURRENT);
    while (d && !found && (e = readdir(d)) != NULL) {
        size_t n = strlen(e->d_name);
        char path[4096];

        if (n > 4 && strcmp(e->d_name + n - 4, ".elf") == 0
            && snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path)) {
            ++*seen;
            found = open_image(path, e->d_name, build_id);
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

const char *image_name(const struct image *img)
{
    return img->name;
}

/* --- code and symbols --------------------------------------------------------------- */

size_t image_bytes(const struct image *img, uint64_t addr, uint8_t *buf, size_t n)
{
    Elf_Scn *scn = NULL;

    while ((scn = elf_nextscn(img->elf, scn)) != NULL) {
        GElf_Shdr sh;
        Elf_Data *data = NULL;

        if (gelf_getshdr(scn, &sh) && (sh.sh_flags & SHF_EXECINSTR) && addr >= sh.sh_addr
            && addr - sh.sh_addr < sh.sh_size && (data = elf_getdata(scn, NULL)) != NULL
            && data->d_buf && addr - sh.sh_addr < data->d_size) {
            size_t at = addr - sh.sh_addr, left = data->d_size - at;
            n = n < left ? n : left;
            memcpy(buf, (const uint8_t *)data->d_buf + at, n);
            return n;
        }
    }
    return 0;
}

/* The symbol that `addr` is in: a function, or else (in assembly) the label before it. */
static bool find_symbol(const struct image *img, uint64_t addr, GElf_Sym *best, char *name,
                        size_t size)
{
    Elf_Scn *scn = NULL;
    bool found = false;

    while ((scn = elf_nextscn(img->elf, scn)) != NULL) {
        GElf_Shdr sh;
        Elf_Data *data;
        GElf_Sym sym;

        if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_SYMTAB
            || !(data = elf_getdata(scn, NULL))) {
            continue;
        }
        for (int i = 0; gelf_getsym(data, i, &sym); i++) {
            bool function = GELF_ST_TYPE(sym.st_info) == STT_FUNC;
            bool label = GELF_ST_TYPE(sym.st_info) == STT_NOTYPE && sym.st_shndx == 1;
            bool inside = sym.st_value <= addr
                && (!sym.st_size || addr - sym.st_value < sym.st_size);

            if ((function || label) && inside && (!found || sym.st_value > best->st_value
                || (function && sym.st_value == best->st_value))) {
                const char *text = elf_strptr(img->elf, sh.sh_link, sym.st_name);
                *best = sym;
                found = true;
                snprintf(name, size, "%s", text ? text : "?");
            }
        }
    }
    return found;
}

uint64_t image_function(const struct image *img, uint64_t addr)
{
    GElf_Sym sym;
    char name[96];

    return find_symbol(img, addr, &sym, name, sizeof(name)) ? sym.st_value : 0;
}

/* Forms of CALL (SDM vol. 2): E8 rel32; FF /2 with any ModRM, SIB and displacement. */
bool image_after_call(const struct image *img, uint64_t addr, uint64_t *target)
{
    uint8_t b[8];
    uint64_t first = addr - 7;
    size_t n = image_bytes(img, first, b, 7);

    *target = 0;
    if (n != 7) {
        return false;
    }
    if (b[2] == 0xe8) {
        int32_t rel;
        uint8_t there;
        memcpy(&rel, b + 3, 4);
        *target = addr + (uint64_t)(int64_t)rel;
        return image_bytes(img, *target, &there, 1) == 1;
    }
    for (unsigned len = 2; len <= 7; len++) {
        const uint8_t *p = b + 7 - len;
        unsigned mod = p[1] >> 6, rm = p[1] & 7;
        bool sib = mod != 3 && rm == 4;
        bool disp32 = mod == 2 || (mod == 0 && (rm == 5 || (sib && len > 2 && (p[2] & 7) == 5)));

        if (p[0] == 0xff && (p[1] >> 3 & 7) == 2
            && len == 2 + (sib ? 1u : 0u) + (disp32 ? 4u : mod == 1 ? 1u : 0u)) {
            return true;
        }
    }
    return false;
}

/* --- source lines ------------------------------------------------------------------- */

/* The compilation unit of `addr`. Not by .debug_aranges: clang makes none. */
static bool find_unit(const struct image *img, uint64_t addr, Dwarf_Die *unit)
{
    Dwarf_CU *cu = NULL;
    uint8_t type;

    while (img->dwarf && dwarf_get_units(img->dwarf, cu, &cu, NULL, &type, unit, NULL) == 0) {
        if (dwarf_haspc(unit, addr) == 1) {
            return true;
        }
    }
    return false;
}

static void set_name(struct source_frame *f, Dwarf_Die *die)
{
    Dwarf_Attribute attr;
    const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attr));

    snprintf(f->name, sizeof(f->name), "%s", name ? name : "?");
}

/* Where the inlined function of `die` was called from. */
static void call_place(Dwarf_Die *unit, Dwarf_Die *die, struct source_frame *f)
{
    Dwarf_Attribute attr;
    Dwarf_Files *files;
    Dwarf_Word file = 0, line = 0;
    size_t count;

    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attr), &line) == 0) {
        f->line = (int)line;
    }
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attr), &file) == 0
        && dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count) {
        const char *name = dwarf_filesrc(files, file, NULL, NULL);
        snprintf(f->file, sizeof(f->file), "%s", name ? name : "?");
    }
}

static void line_of(Dwarf_Die *unit, uint64_t addr, struct source_frame *f)
{
    Dwarf_Line *line = dwarf_getsrc_die(unit, addr);
    const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;

    if (line) {
        dwarf_lineno(line, &f->line);
    }
    snprintf(f->file, sizeof(f->file), "%s", file ? file : "");
}

/* The DIEs around `addr`, innermost first, by where the code is and not where it was written. */
static int scopes_at(Dwarf_Die *unit, uint64_t addr, Dwarf_Die **scopes)
{
    Dwarf_Die *inner, first;

    if (dwarf_getscopes(unit, addr, &inner) <= 0) {
        return 0;
    }
    first = inner[0];
    free(inner);
    return dwarf_getscopes_die(&first, scopes);
}

static unsigned frames_by_dwarf(const struct image *img, uint64_t addr, struct source_frame *out,
                                unsigned max)
{
    Dwarf_Die unit, *scopes = NULL;
    unsigned n = 0;

    if (!find_unit(img, addr, &unit)) {
        return 0;
    }
    line_of(&unit, addr, &out[0]);
    int count = scopes_at(&unit, addr, &scopes);
    for (int i = 0; i < count && n < max; i++) {
        int tag = dwarf_tag(&scopes[i]);

        if (tag == DW_TAG_subprogram) {
            set_name(&out[n++], &scopes[i]);
            break;
        }
        if (tag == DW_TAG_inlined_subroutine) {
            set_name(&out[n], &scopes[i]);
            out[n++].inlined = true;
            if (n < max) {
                call_place(&unit, &scopes[i], &out[n]);
            }
        }
    }
    if (count > 0) {
        free(scopes);
    }
    return n;
}

unsigned image_frames(const struct image *img, uint64_t addr, struct source_frame *out,
                      unsigned max)
{
    GElf_Sym sym = { .st_value = addr };
    char name[96] = "";
    bool known = find_symbol(img, addr, &sym, name, sizeof(name));

    memset(out, 0, max * sizeof(*out));
    unsigned n = frames_by_dwarf(img, addr, out, max);
    if (n == 0 && known) {
        snprintf(out[0].name, sizeof(out[0].name), "%s", name);
        n = 1;
    }
    if (n) {
        out[n - 1].offset = addr - sym.st_value;
    }
    return n;
}

bool image_return_slot(const struct image *img, uint64_t addr, uint64_t *offset)
{
    Dwarf_Frame *frame = NULL;
    Dwarf_Op *ops;
    size_t n = 0;
    bool known = false;

    if (!img->cfi || dwarf_cfi_addrframe(img->cfi, addr, &frame) != 0) {
        return false;
    }
    if (dwarf_frame_cfa(frame, &ops, &n) == 0 && n == 1) {
        bool rsp = ops[0].atom == DW_OP_breg0 + DWARF_RSP;
        bool rspx = ops[0].atom == DW_OP_bregx && ops[0].number == DWARF_RSP;
        known = rsp || rspx;
        *offset = (rspx ? ops[0].number2 : ops[0].number) - 8;
    }
    free(frame);
    return known;
}
