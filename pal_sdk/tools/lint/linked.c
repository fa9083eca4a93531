/* SPDX-License-Identifier: MIT */
/* Sections and symbols of a linked file that need a loader, a C library or an OS. */
#include "linked.h"

#include <pal/descriptor.h>
#include <string.h>

/* Sections in memory, by how their names begin; NULL: an image has them. */
static const struct {
    const char *name;
    const char *why;
} known[] = {
    { ".text", NULL }, { ".rodata", NULL }, { ".rdata", NULL }, { ".data", NULL },
    { ".bss", NULL }, { PAL_DESCRIPTOR_SECTION, NULL },
    { ".tdata", "thread-local variables; a PAL has no thread-local storage; use plain ones" },
    { ".tbss", "thread-local variables; a PAL has no thread-local storage; use plain ones" },
    { ".tls", "thread-local variables; a PAL has no thread-local storage; use plain ones" },
    { ".rel", "relocations, and nobody relocates an image" },
    { ".plt", "functions that a loader chooses (ifunc) or finds" },
    { ".dynamic", "what a loader reads; an image is linked with -static" },
    { ".interp", "what a loader reads; an image is linked with -static" },
    { ".idata", "imports from DLLs; a PAL reaches nothing outside its image" },
    { ".edata", "exports of a DLL" },
};

/* Lists of functions that a loader or a C library calls. */
static const char *const constructors[] = { ".init_array", ".preinit_array", ".ctors", ".init",
                                            ".CRT" };
static const char *const destructors[] = { ".fini_array", ".dtors", ".fini" };

/* What a compiler's own library brings along without anybody having named it, by how its symbols
 * begin, and what in a source does so. */
static const struct {
    const char *name;
    const char *why;
} brought[] = {
    { "__cpu_indicator_init", "__builtin_cpu_supports and its like need a constructor, which nobody"
                              " would call; ask the CPU by __get_cpuid of <cpuid.h>" },
    { "__bid_", "decimal floating point (_Decimal64 and its like) needs thread-local variables of "
                "libgcc, and a PAL has no thread-local storage; use whole numbers" },
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static bool in_list(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (begins(name, list[i])) {
            return true;
        }
    }
    return false;
}

/* What brings a symbol along, or NULL. */
static const char *brought_by(const char *name)
{
    for (size_t i = 0; i < COUNT(brought); i++) {
        if (begins(name, brought[i].name)) {
            return brought[i].why;
        }
    }
    return NULL;
}

/* The function that `address` is in, or "". */
static const char *function_at(const struct file *f, uint64_t address)
{
    for (size_t i = 0; i < f->symbol_count; i++) {
        if (f->symbols[i].address == address && f->symbols[i].kind == SYMBOL_FUNCTION) {
            return f->symbols[i].name;
        }
    }
    return "";
}

/* Each function of a list that nobody will call. */
static void check_list(const struct file *f, const struct section *s, const char *what,
                       const char *instead, struct problems *p)
{
    const unsigned word = f->bits / 8;
    bool told = false;

    for (uint64_t at = 0; at + word <= s->filled && p->more == 0; at += word) {
        uint64_t address = 0;

        memcpy(&address, s->bytes + at, word);
        if (address != 0 && address != UINT64_MAX && address != UINT32_MAX) {
            const char *name = function_at(f, address), *why = brought_by(name);
            if (why) {
                problem(p, PROBLEM_ERROR, address, "%s: %s", name, why);
            } else {
                problem(p, PROBLEM_ERROR, address, "%s: a %s, which nobody would call: a PAL has "
                        "no loader; %s", name, what, instead);
            }
            told = true;
        }
    }
    if (!told && s->filled > 0 && begins(s->name, ".init") && !begins(s->name, ".init_")) {
        problem(p, PROBLEM_ERROR, s->address, "code in %s, which nobody would call", s->name);
    }
}

/* Is there a byte in the file that is not 0? */
static bool has_contents(const struct section *s)
{
    for (uint64_t i = 0; i < s->filled; i++) {
        if (s->bytes[i] != 0) {
            return true;
        }
    }
    return false;
}

static void check_section(const struct file *f, const struct section *s, struct problems *p)
{
    const char *why = "is no section that an image can have; let its name begin with .text. (code),"
                      " .rodata., .data. or .bss.";

    if (in_list(s->name, constructors, COUNT(constructors))) {
        check_list(f, s, "constructor", "do it in an entry, or let constants do", p);
        return;
    }
    if (in_list(s->name, destructors, COUNT(destructors))) {
        check_list(f, s, "destructor", "a PAL never ends, it is wiped", p);
        return;
    }
    if (s->writable && s->executable) {
        problem(p, PROBLEM_ERROR, 0, "section %s can be written and executed; a PAL has no such "
                "memory", s->name);
    }
    if (begins(s->name, ".bss") && has_contents(s)) {
        problem(p, PROBLEM_ERROR, 0, "section %s has contents, and a BSS begins as zeros; let "
                "their section's name begin with .data.", s->name);
    }
    for (size_t i = 0; i < COUNT(known); i++) {
        if (begins(s->name, known[i].name)) {
            why = known[i].why;
        }
    }
    if (why) {
        problem(p, PROBLEM_ERROR, 0, "section %s: %s", s->name, why);
    }
}

static void check_symbol(const struct symbol *s, bool pe, struct problems *p)
{
    if (s->kind == SYMBOL_TLS && brought_by(s->name)) {
        problem(p, PROBLEM_ERROR, 0, "%s", brought_by(s->name));
    } else if (s->kind == SYMBOL_TLS && !s->undefined) {
        problem(p, PROBLEM_ERROR, 0, "%s: a thread-local variable; a PAL has no thread-local "
                "storage; use a plain one", s->name);
    } else if (s->kind == SYMBOL_IFUNC) {
        problem(p, PROBLEM_ERROR, s->address, "%s: a function that a loader would choose (ifunc); "
                "a PAL has no loader", s->name);
    } else if (s->undefined && s->name[0] && begins(s->name, "__imp_")) {
        problem(p, PROBLEM_ERROR, 0, "%s: imported from a DLL; a PAL reaches nothing outside its "
                "image", s->name);
    } else if (s->undefined && s->name[0] && !pe) { /* a PE file lists what was dropped, too */
        problem(p, PROBLEM_ERROR, 0, "%s: %s, defined nowhere in the image; a PAL reaches nothing "
                "outside", s->name, s->weak ? "weak" : "undefined");
    }
}

/* --- conversions that libpal-rt's snprintf hasn't got ---------------------------------- */

/* Bytes of the conversion of a floating-point number at the start of a text, or 0. Not with a
 * blank as its flag, which is as often a percentage and a word. */
static size_t float_conversion(const char *text)
{
    size_t n = 1;

    n += strspn(text + n, "-+#0");
    n += strspn(text + n, "0123456789*");
    if (text[n] == '.') {
        n += 1 + strspn(text + n + 1, "0123456789*");
    }
    n += strspn(text + n, "lL");
    return text[n] != 0 && strchr("aAeEfFgG", text[n]) ? n + 1 : 0;
}

/* A text of the source, which ends with a zero byte. */
static void check_text(const char *text, struct problems *p)
{
    for (const char *at = strchr(text, '%'); at; at = strchr(at, '%')) {
        const size_t n = float_conversion(at);
        if (n != 0) {
            problem(p, PROBLEM_WARNING, 0, "\"%s\": if snprintf or vsnprintf get this, %.*s ends "
                    "the text and they return -1: they print no floating point in a PAL; print "
                    "whole numbers", text, (int)n, at);
            return;
        }
        at += at[1] == '%' ? 2 : 1;
    }
}

/* Texts among constants: printable bytes between zeros. Tables have none but by chance. */
static void check_texts(const struct section *s, struct problems *p)
{
    uint64_t first = 0;

    for (uint64_t i = 0; s->bytes && i < s->filled; i++) {
        const uint8_t byte = s->bytes[i];
        if (byte == 0) {
            if (i - first >= 2) {
                check_text((const char *)s->bytes + first, p);
            }
            first = i + 1;
        } else if (!(byte >= ' ' && byte < 0x7f) && !(byte >= '\t' && byte <= '\r')) {
            first = i + 1; /* and what follows is a part of something else */
            while (first < s->filled && s->bytes[first] != 0) {
                first++;
            }
            i = first++;
        }
    }
}

static void check_formats(const struct file *f, struct problems *p)
{
    if (!file_symbol(f, "vsnprintf")) {
        return;
    }
    for (size_t i = 0; i < f->section_count; i++) {
        const struct section *s = &f->sections[i];
        if (s->loaded && (begins(s->name, ".rodata") || begins(s->name, ".rdata"))) {
            check_texts(s, p);
        }
    }
}

void linked_check(const struct file *f, struct problems *p)
{
    check_formats(f, p);
    for (size_t i = 0; i < f->section_count; i++) {
        if (f->sections[i].loaded && f->sections[i].size > 0) {
            check_section(f, &f->sections[i], p);
        }
    }
    for (size_t i = 0; i < f->symbol_count; i++) {
        check_symbol(&f->symbols[i], f->pe, p);
    }
}
