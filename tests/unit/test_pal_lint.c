/* SPDX-License-Identifier: MIT */
/* pal-lint: images made of ELF files that are written here, read again, and broken in every place;
 * the hypervisor's own checks and measurement say the same. */
#include "unit.h"

#include "../../hypapps/trustvisor/check_image.h"
#include "../../hypapps/trustvisor/identity.h"
#include "../../pal_sdk/tools/lint/code.h"
#include "../../pal_sdk/tools/lint/decode.h"
#include "../../pal_sdk/tools/lint/image.h"
#include "../../pal_sdk/tools/lint/linked.h"

#include <elf.h>
#include <stdlib.h>

#define BASE 0x10000000ULL

/* --- a linked file -------------------------------------------------------------------- */

static uint8_t elf[65536];
static size_t elf_size, elf_symbols_at, elf_symbols;
static char names[1024];
static size_t names_size;
static Elf64_Shdr headers[16];
static unsigned header_count;

static uint32_t name(const char *s)
{
    const uint32_t at = (uint32_t)names_size;

    strcpy(names + at, s);
    names_size += strlen(s) + 1;
    return at;
}

static size_t put(const void *bytes, size_t n)
{
    const size_t at = (elf_size + 15) & ~15ULL;

    assert_true(at + n <= sizeof(elf));
    if (bytes) {
        memcpy(elf + at, bytes, n);
    }
    elf_size = at + n;
    return at;
}

static void begin(void)
{
    memset(elf, 0, sizeof(elf));
    elf_size = sizeof(Elf64_Ehdr);
    names_size = 1;
    header_count = 1;
    elf_symbols = 0;
    memset(headers, 0, sizeof(headers));
}

static void section(const char *s, uint32_t type, uint64_t flags, uint64_t address,
                    const void *bytes, size_t n)
{
    headers[header_count++] = (Elf64_Shdr){
        .sh_name = name(s), .sh_type = type, .sh_flags = flags, .sh_addr = address, .sh_size = n,
        .sh_offset = type == SHT_NOBITS ? 0 : put(bytes, n),
    };
}

static Elf64_Sym symbols[16];

static void symbol(const char *s, uint8_t type, uint8_t bind, uint16_t in, uint64_t value)
{
    symbols[1 + elf_symbols++] = (Elf64_Sym){
        .st_name = name(s), .st_info = ELF64_ST_INFO(bind, type), .st_shndx = in,
        .st_value = value,
    };
}

static void end(void)
{
    Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                      .e_type = ET_EXEC, .e_machine = EM_X86_64 };

    section(".symtab", SHT_SYMTAB, 0, 0, symbols, (1 + elf_symbols) * sizeof(symbols[0]));
    elf_symbols_at = headers[header_count - 1].sh_offset;
    headers[header_count - 1].sh_link = header_count;
    name(".strtab");
    headers[header_count] = (Elf64_Shdr){ .sh_name = name("s"), .sh_type = SHT_STRTAB };
    headers[header_count].sh_offset = put(names, names_size);
    headers[header_count++].sh_size = names_size;
    eh.e_shstrndx = (uint16_t)(header_count - 1);
    eh.e_shnum = (uint16_t)header_count;
    eh.e_shoff = put(headers, header_count * sizeof(headers[0]));
    memcpy(elf, &eh, sizeof(eh));
}

static struct pal_descriptor record(const char *s, uint32_t number, uint64_t address)
{
    struct pal_descriptor d = { .magic = PAL_DESCRIPTOR_MAGIC, .kind = PAL_DESCRIPTOR_ENTRY,
                                .number = number, .address.value = address };

    strcpy(d.name, s);
    return d;
}

static const struct xmhf_image_param integer = { TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 };

/* Code of a function at BASE that uses 24 bytes of stack with its return address and calls the
 * one at BASE + 16, which uses 4000 more. */
static const uint8_t good_code[] = {
    0x48, 0x83, 0xec, 0x10, 0xe8, 0x07, 0x00, 0x00, 0x00, 0x48, 0x83, 0xc4, 0x10, 0xc3, 0x90, 0x90,
    0x48, 0x81, 0xec, 0xa0, 0x0f, 0x00, 0x00, 0x48, 0x81, 0xc4, 0xa0, 0x0f, 0x00, 0x00, 0xc3,
};

/* Two entries, in the wrong order and with a gap between their records. */
static void usual(const uint8_t *code, size_t n)
{
    uint8_t records[2 * sizeof(struct pal_descriptor) + 8] = { 0 };
    struct pal_descriptor d = record("second", 7, BASE + 16);

    begin();
    section(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, BASE, code, n);
    section(".rodata", SHT_PROGBITS, SHF_ALLOC, BASE + 0x2000, "constant", 8);
    section(".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, BASE + 0x4000, NULL, 5000);
    d.params = 2;
    d.param[0] = (struct xmhf_image_param){ TV_PARAM_POINTER, XMHF_INOUT, 5000, 2, 1 };
    d.param[1] = integer;
    memcpy(records, &d, sizeof(d));
    d = record("first", 3, BASE);
    d.params = 1;
    d.param[0] = integer;
    memcpy(records + sizeof(d) + 8, &d, sizeof(d));
    section(PAL_DESCRIPTOR_SECTION, SHT_PROGBITS, SHF_ALLOC, 0x60000000, records, sizeof(records));
    symbol("outer", STT_FUNC, STB_GLOBAL, 1, BASE);
    symbol("inner", STT_FUNC, STB_LOCAL, 1, BASE + 16);
}

/* --- making and checking ---------------------------------------------------------------- */

static struct problems problems;
static struct image image;
static struct file file;

static void make(const struct image_options *o)
{
    const struct image_options none = { 0 };
    struct code code;

    end();
    memset(&problems, 0, sizeof(problems));
    assert_null(file_read(&file, elf, elf_size));
    image_make(&image, &file, o ? o : &none, &problems);
    image_check(&image, &problems);
    linked_check(&file, &problems);
    assert_true(code_read(&code, &image, &file, &problems));
    code_stacks(&code, &problems, false);
    code_free(&code);
}

static const struct problem *told(const char *text)
{
    for (size_t i = 0; i < problems.count; i++) {
        if (strstr(problems.list[i].text, text)) {
            return &problems.list[i];
        }
    }
    return NULL;
}

static void assert_told(const char *text)
{
    if (!told(text)) {
        fail_msg("nobody told of \"%s\"; but: %s", text,
                 problems.count ? problems.list[0].text : "nothing");
    }
}

static void assert_fine(void)
{
    if (problems.count > 0) {
        fail_msg("%s", problems.list[0].text);
    }
}

static struct tv_image_lists hypervisor_lists;
static struct tv_param hypervisor_params[XMHF_IMAGE_PARAMS];
#define ROOM { .sections = hypervisor_lists.sections, .entries = hypervisor_lists.entries, \
               .params = hypervisor_params }

static enum tv_error by_the_hypervisor(const struct image *im, struct tv_image *out)
{
    static struct tv_descriptor d;
    static uint64_t at;

    memset(&d, 0, sizeof(d));
    d.image = im->head;
    memcpy(d.sections, im->sections, sizeof(d.sections));
    memcpy(d.entries, im->entries, sizeof(d.entries));
    d.params = im->params;
    d.image.stubs = 0x7000;
    at = 0x100000;
    for (uint32_t i = 0; i < im->head.sections; i++) {
        if (image_has_contents(im->sections[i].type)) {
            d.sections[i].source = at;
            at += im->sections[i].pages * 4096ULL;
        }
    }
    enum tv_error e = tv_check_image_head(&d.image, 0x7000, im->head.mode == 64);
    return e != TV_OK ? e : tv_check_image(&d, im->head.mode == 64, out);
}

static void test_layout(void **state)
{
    static struct tv_image out = ROOM;

    (void)state;
    usual(good_code, sizeof(good_code));
    make(&(struct image_options){ .stacks = 2, .name = "hello" });
    assert_fine();
    assert_int_equal(image.head.sections, 7);
    assert_int_equal(image.sections[2].type, XMHF_SECTION_BSS);
    assert_int_equal(image.sections[2].pages, 2);
    assert_int_equal(image.sections[3].type, TV_SECTION_STACK);
    assert_int_equal(image.sections[3].address, BASE + 0x16000);
    assert_int_equal(image.sections[4].address, BASE + 0x16000 + 0x14000);
    assert_int_equal(image.sections[5].type, TV_SECTION_PARAM);
    assert_int_equal(image.sections[5].pages, 2);
    assert_string_equal(image.entry_names[0], "first");
    assert_string_equal(image.entry_names[1], "second");
    assert_int_equal(image.params[1].size, 5000);
    assert_int_equal(by_the_hypervisor(&image, &out), TV_OK);
    file_free(&file);
}

static void test_identity(void **state)
{
    static struct tv_image out = ROOM;
    static struct image again;
    uint8_t ours[32], theirs[32], whole[64] = { 0 };
    size_t size;
    uint8_t *bytes;

    (void)state;
    usual(good_code, sizeof(good_code));
    make(&(struct image_options){ .debug = true, .budget = 5, .name = "hello" });
    assert_fine();
    bytes = image_write(&image, &size);
    assert_non_null(bytes);
    assert_true(image_read(&again, bytes, size, &problems));
    assert_fine();
    assert_int_equal(again.measured, 8 + again.head.size + 2 * 4096);
    assert_string_equal(again.name, "hello");
    assert_string_equal(again.entry_names[1], "second");
    image_identity(bytes, again.measured, ours);
    assert_int_equal(by_the_hypervisor(&again, &out), TV_OK);

    /* what the hypervisor hashes: its own encoding, then the pages as it copied them */
    struct sha256 h;
    for (uint32_t part = 0; part < tv_identity_parts(&out); part++) {
        tv_identity_part(&h, sha256_blocks, &out, part);
    }
    tv_identity_add(&h, bytes + 8 + again.head.size, 2 * 4096);
    tv_identity_end(&h, theirs);
    assert_memory_equal(ours, theirs, 32);
    memcpy(whole, bytes + 8 + again.head.size, sizeof(good_code));
    assert_memory_equal(whole, good_code, sizeof(good_code));
    assert_int_equal(bytes[8 + again.head.size + sizeof(good_code)], 0xcc);
    free(bytes);
    file_free(&file);
}

static void test_stack_need(void **state)
{
    struct code code;
    char room[24];

    (void)state;
    usual(good_code, sizeof(good_code));
    make(NULL);
    assert_fine();
    assert_true(code_read(&code, &image, &file, &problems));
    assert_int_equal(code.count, 2);
    assert_string_equal(code_name(&code.functions[0], room), "outer");
    assert_int_equal(code.functions[0].frame, 24);
    assert_int_equal(code.functions[1].frame, 4008);
    assert_int_equal(code.functions[0].need, 24 + 4008);
    code_free(&code);
    file_free(&file);
    usual(good_code, sizeof(good_code));
    make(&(struct image_options){ .stack = 4096 });
    assert_fine();
    file_free(&file);
}

/* A loop that is entered at its end: sub 64; jmp 1f; 0: sub 32; add 32; 1: jne 0b; add 64; ret */
static void test_loop_need(void **state)
{
    static const uint8_t loop[] = {
        0x48, 0x83, 0xec, 0x40, 0xeb, 0x08, 0x48, 0x83, 0xec, 0x20, 0x48, 0x83, 0xc4, 0x20,
        0x75, 0xf6, 0x48, 0x83, 0xc4, 0x40, 0xc3,
    };
    struct pal_descriptor d = record("e", 0, BASE);
    struct code code;

    (void)state;
    begin();
    section(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, BASE, loop, sizeof(loop));
    section(PAL_DESCRIPTOR_SECTION, SHT_PROGBITS, SHF_ALLOC, 0x60000000, &d, sizeof(d));
    make(NULL);
    assert_fine();
    assert_true(code_read(&code, &image, &file, &problems));
    assert_int_equal(code.functions[0].frame, 8 + 0x40 + 0x20);
    code_free(&code);
    file_free(&file);
}

/* What code of 32 bits needs that has one function with an entry; `unknown` of it. */
static uint64_t need32(const uint8_t *bytes, size_t n, unsigned *unknown)
{
    struct image im = { .head = { .mode = 32, .sections = 1, .entries = 1 } };
    struct code code;
    uint64_t need;

    im.sections[0] = (struct xmhf_image_section){ .type = TV_SECTION_CODE, .pages = 1,
                                                  .address = BASE };
    im.contents[0] = bytes;
    im.filled[0] = n;
    im.entries[0].address = BASE;
    memset(&problems, 0, sizeof(problems));
    assert_true(code_read(&code, &im, NULL, &problems));
    assert_fine();
    need = code.functions[0].need;
    *unknown = code.functions[0].unknown_below;
    code_free(&code);
    return need;
}

/* mov %esp,%eax; sub $0x9000,%eax; 0: sub $0x1000,%esp; jne 0b; sub $0xc40,%esp; ret. Without the
 * first two nobody knows. */
static void test_probes(void **state)
{
    static const uint8_t probes[] = {
        0x89, 0xe0, 0x2d, 0x00, 0x90, 0, 0, 0x81, 0xec, 0x00, 0x10, 0, 0, 0x75, 0xf8,
        0x81, 0xec, 0x40, 0x0c, 0, 0, 0xc3,
    };
    unsigned unknown;

    (void)state;
    assert_int_equal(need32(probes, sizeof(probes), &unknown), 4 + 0x9000 + 0xc40);
    assert_int_equal(unknown, 0);
    need32(probes + 7, sizeof(probes) - 7, &unknown);
    assert_int_equal(unknown, STACK_VARIABLE);
}

/* push %ebx; call 0f; 0: pop %ebx; sub $64,%esp; call 1f; add $64,%esp; pop %ebx; ret;
 * 1: sub $128,%esp; add $128,%esp; ret */
static void test_where_am_i(void **state)
{
    static const uint8_t pic[] = {
        0x53, 0xe8, 0, 0, 0, 0, 0x5b, 0x83, 0xec, 0x40, 0xe8, 0x05, 0, 0, 0, 0x83, 0xc4, 0x40,
        0x5b, 0xc3, 0x81, 0xec, 0x80, 0, 0, 0, 0x81, 0xc4, 0x80, 0, 0, 0, 0xc3,
    };
    unsigned unknown;

    (void)state;
    assert_int_equal(need32(pic, sizeof(pic), &unknown), 4 + 4 + 64 + 4 + 128);
    assert_int_equal(unknown, 0);
}

static void test_too_little_stack(void **state)
{
    uint8_t code[sizeof(good_code)];

    (void)state;
    memcpy(code, good_code, sizeof(code));
    code[19] = code[26] = 0xf0; /* 4080: a frame of 4088, with outer's 4112 */
    usual(code, sizeof(code));
    make(&(struct image_options){ .stack = 4096 });
    assert_told("first: needs 4128 bytes of stack, and a stack has 4096 (outer 24 > inner 4088)");
    assert_true(told("second: needs 4104 bytes"));
    file_free(&file);
    code[20] = code[27] = 0x1f;
    usual(code, sizeof(code));
    make(&(struct image_options){ .stack = 4096 });
    assert_told("inner: a frame of 8184 bytes, and a stack has 4096");
    assert_int_equal(told("inner: a frame")->address, BASE + 16);
    file_free(&file);
}

/* Code that a PAL can't have, and what is told. */
static void test_code_refused(void **state)
{
    static const struct { uint8_t code[8]; const char *text; } bad[] = {
        { { 0x0f, 0x05, 0xc3 }, "a system call (syscall)" },
        { { 0xcd, 0x80, 0xc3 }, "a system call (int)" },
        { { 0xf4 }, "the instruction hlt" },
        { { 0x0f, 0x32, 0xc3 }, "the instruction rdmsr" },
        { { 0xe6, 0x80, 0xc3 }, "the instruction out" },
        { { 0x0f, 0x22, 0xd8, 0xc3 }, "mov to a control register" },
        { { 0x0f, 0x01, 0x08, 0xc3 }, "the instruction sidt" },
        { { 0x0f, 0x01, 0xe0, 0xc3 }, "the instruction smsw" },
        { { 0x0f, 0x00, 0xc8, 0xc3 }, "the instruction str" },
        { { 0xf3, 0x0f, 0xae, 0xd8, 0xc3 }, "the instruction wrgsbase" },
        { { 0x66, 0x0f, 0xae, 0xf1, 0xc3 }, "the instruction tpause" },
        { { 0x0f, 0xc7, 0x18, 0xc3 }, "the instruction xrstors" },
        { { 0x66, 0x0f, 0x38, 0x82, 0x08, 0xc3 }, "the instruction invpcid" },
        { { 0xf2, 0x0f, 0x38, 0xf8, 0x08, 0xc3 }, "the instruction enqcmd" },
        { { 0xf3, 0x0f, 0x3a, 0xf0, 0xc0, 0x00, 0xc3 }, "the instruction hreset" },
        { { 0x0f, 0x01, 0xfe, 0xc3 }, "the instruction invlpgb" },
        { { 0xf3, 0x0f, 0xc7, 0xf0, 0xc3 }, "the instruction senduipi" },
        { { 0x64, 0x8b, 0x00, 0xc3 }, "thread-local storage (FS or GS)" },
        { { 0x8b, 0x05, 0x00, 0x00, 0x10, 0x00, 0xc3 }, "uses memory at 0x10100006" },
        { { 0xe8, 0x00, 0x00, 0x10, 0x00, 0xc3 }, "goes to 0x10100005" },
        { { 0xe9, 0xfb, 0xff, 0xff, 0xef }, "a weak function that is defined nowhere" },
        { { 0xe8, 0xfb, 0xff, 0xff, 0xff, 0xc3 }, "recursion" },
        { { 0x48, 0x29, 0xc4, 0xc3 }, "a frame whose size isn't fixed" },
        { { 0x48, 0x89, 0xd4, 0xc3 }, "a frame whose size isn't fixed" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t code[32];

        memset(code, 0x90, sizeof(code));
        code[31] = 0xc3;
        memcpy(code, bad[i].code, sizeof(bad[i].code));
        usual(code, sizeof(code));
        make(NULL);
        assert_told(bad[i].text);
        assert_true(told(bad[i].text)->address == BASE);
        file_free(&file);
    }
}

/* Code that looks like it and isn't: a large number taken off an ordinary register in a loop, a
 * stack pointer that comes back from a copy, and a NULL pointer that dies. */
static void test_code_taken(void **state)
{
    static const uint8_t loop[] = { 0x81, 0xed, 0x00, 0x80, 0x00, 0x00, 0x75, 0xf8, 0xc3 };
    static const uint8_t copy[] = { 0x48, 0x89, 0xe6, 0x50, 0x50, 0x48, 0x89, 0xf4, 0xc3 };
    static const uint8_t null[] = { 0x8b, 0x04, 0x25, 0x10, 0, 0, 0, 0x0f, 0x0b };
    static const uint8_t rdrand[] = { 0x0f, 0xc7, 0xf0, 0x0f, 0xae, 0xf0, 0x0f, 0xae, 0x38, 0xc3 };
    static const struct { const uint8_t *code; size_t n; } fine[] = {
        { rdrand, sizeof(rdrand) },
        { loop, sizeof(loop) }, { copy, sizeof(copy) }, { null, sizeof(null) },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        uint8_t code[32];

        memset(code, 0x90, sizeof(code));
        code[31] = 0xc3;
        memcpy(code, fine[i].code, fine[i].n);
        usual(code, sizeof(code));
        make(NULL);
        assert_fine();
        file_free(&file);
    }
}

static void test_linked_refused(void **state)
{
    static const uint64_t list[] = { BASE + 16 };
    static const struct { const char *section; uint64_t flags; const char *text; } bad[] = {
        { ".tdata", SHF_WRITE | SHF_TLS, "section .tdata: thread-local variables" },
        { ".init_array", SHF_WRITE, "inner: a constructor" },
        { ".fini_array.1", SHF_WRITE, "inner: a destructor" },
        { ".rela.iplt", 0, "section .rela.iplt: relocations" },
        { ".idata", SHF_WRITE, "section .idata: imports from DLLs" },
        { ".text.hot", SHF_WRITE | SHF_EXECINSTR, "can be written and executed" },
        { "secrets", SHF_WRITE, "section secrets: is no section that an image can have" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        usual(good_code, sizeof(good_code));
        section(bad[i].section, SHT_PROGBITS, SHF_ALLOC | bad[i].flags, 0x70000000, list, 8);
        make(NULL);
        assert_told(bad[i].text);
        assert_int_equal(problems.errors, 1);
        file_free(&file);
    }
    usual(good_code, sizeof(good_code));
    symbol("away", STT_NOTYPE, STB_GLOBAL, SHN_UNDEF, 0);
    symbol("maybe", STT_NOTYPE, STB_WEAK, SHN_UNDEF, 0);
    symbol("mine", STT_TLS, STB_GLOBAL, 1, 0);
    symbol("choice", STT_GNU_IFUNC, STB_GLOBAL, 1, BASE + 16);
    make(NULL);
    assert_told("away: undefined, defined nowhere");
    assert_told("maybe: weak, defined nowhere");
    assert_told("mine: a thread-local variable");
    assert_told("choice: a function that a loader would choose (ifunc)");
    assert_int_equal(problems.errors, 4);
    file_free(&file);
}

/* A BSS whose contents would be dropped; one that the linker filled with zeros is fine. */
static void test_bss_contents(void **state)
{
    static uint8_t bytes[64];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        bytes[63] = (uint8_t)(i * 5);
        begin();
        section(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, BASE, good_code,
                sizeof(good_code));
        section(".bss", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, BASE + 0x4000, bytes, sizeof(bytes));
        make(NULL);
        assert_int_equal(told("section .bss has contents") != NULL, i);
        file_free(&file);
    }
}

/* and $-0x20000,%rsp; and $-0x10000,%rsp; and $0xff00,%rsp */
static void test_large_alignment(void **state)
{
    static const uint32_t masks[] = { 0xfffe0000, 0xffff0000, 0x0000ff00 };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t code[32] = { 0x48, 0x81, 0xe4 };

        memset(code + 7, 0x90, sizeof(code) - 7);
        memcpy(code + 3, &masks[i], 4);
        code[31] = 0xc3;
        usual(code, sizeof(code));
        make(NULL);
        assert_told("outer: a frame of ");
        file_free(&file);
    }
}

/* --- what the records say ------------------------------------------------------------- */

static void with_record(const struct pal_descriptor *d, size_t n, const struct image_options *o)
{
    begin();
    section(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, BASE, good_code, sizeof(good_code));
    section(PAL_DESCRIPTOR_SECTION, SHT_PROGBITS, SHF_ALLOC, 0x60000000, d, n);
    make(o);
    file_free(&file);
}

static void test_records(void **state)
{
    struct pal_descriptor d[65];

    (void)state;
    for (uint32_t i = 0; i < 65; i++) {
        char s[8];

        snprintf(s, sizeof(s), "e%u", i);
        d[i] = record(s, i, BASE);
    }
    with_record(d, 64 * sizeof(d[0]), NULL);
    assert_fine();
    with_record(d, sizeof(d), NULL);
    assert_told("e64: an image has at most 64 entries");
    d[0].params = 33;
    with_record(d, sizeof(d[0]), NULL);
    assert_told("e0: 33 parameters; an entry has at most 32");
    d[0] = record("e0", 0, BASE + 0x5000);
    with_record(d, sizeof(d[0]), NULL);
    assert_told("entry 0 (e0) is at 0x10005000, outside CODE");
    d[0] = record("e1", 0, BASE);
    with_record(d, 2 * sizeof(d[0]), NULL);
    assert_told("e1: two entries of that name");
    with_record(d, sizeof(d[0]) - 1, NULL);
    assert_told("is cut off");
    d[0].magic++;
    with_record(d, sizeof(d[0]), NULL);
    assert_told("has something that is no record");
    with_record(d + 1, sizeof(d[0]), &(struct image_options){ .stacks = 31 });
    assert_told("31 stacks: there can be at most 30");
    with_record(d, 0, NULL);
    assert_told("the image has no entry");
}

/* An image is one PAL's, and is called as its records say. */
static void test_names_of_pals(void **state)
{
    struct pal_descriptor d[3] = { record("b", 7, BASE), record("a", 2, BASE),
                                   record("ask", 9, 0) };

    (void)state;
    with_record(d, sizeof(d[0]), &(struct image_options){ .otherwise = "file" });
    assert_fine();
    assert_string_equal(image.name, "file");
    strcpy(d[0].pal, "one");
    strcpy(d[1].pal, "one");
    with_record(d, 2 * sizeof(d[0]), &(struct image_options){ .otherwise = "file",
                                                              .header = "one" });
    assert_fine();
    assert_string_equal(image.name, "one");
    with_record(d, 2 * sizeof(d[0]), &(struct image_options){ .header = "three" });
    assert_told("a: its macro says that it is the PAL one's, and the header is called three_");
    assert_string_equal(image.name, "one");
    with_record(d, 2 * sizeof(d[0]), &(struct image_options){ .name = "two" });
    assert_told("a: its macro says that it is the PAL one's, and --name calls the image two");
    assert_int_equal(problems.errors, 0);
    assert_string_equal(image.name, "two");
    strcpy(d[0].pal, "two");
    with_record(d, 2 * sizeof(d[0]), NULL);
    assert_told("b: its macro says that it is the PAL two's (line 0), and a is the PAL one's");
    assert_int_equal(problems.errors, 1);
    d[2].kind = PAL_DESCRIPTOR_OCALL;
    strcpy(d[2].pal, "two");
    with_record(d + 1, 2 * sizeof(d[0]), NULL);
    assert_told("ask: its macro says that it is the PAL two's");
    memset(d[1].pal, 'x', sizeof(d[1].pal));
    with_record(d + 1, sizeof(d[0]), NULL);
    assert_told("has something that is no record");
}

static void test_ocalls(void **state)
{
    struct pal_descriptor d[3] = { record("e", 0, BASE), record("ask", 4, 0),
                                   record("e2", 9, BASE) };

    (void)state;
    d[1].kind = PAL_DESCRIPTOR_OCALL;
    d[1].params = 1;
    d[1].param[0] = (struct xmhf_image_param){ XMHF_PARAM_OCALL, XMHF_INOUT, 100, 0, 0 };
    with_record(d, sizeof(d), NULL);
    assert_fine();
    assert_int_equal(image.ocall_count, 5);
    assert_string_equal(image.ocalls[4], "ask");
    assert_int_equal(image.head.params, 2);
    assert_int_equal(image.params[1].type, XMHF_PARAM_OCALL);
    assert_int_equal(image.params[1].size, 100);
    with_record(d, sizeof(d), &(struct image_options){ .debug = true });
    assert_int_equal(image.params[0].size, 512);
    d[0].params = 32;
    for (unsigned i = 0; i < 32; i++) {
        d[0].param[i] = integer;
    }
    with_record(d, sizeof(d), NULL);
    assert_told("e: 33 parameters, with the one for ocalls");
    d[1].number = PAL_DESCRIPTOR_OCALLS;
    with_record(d, sizeof(d), NULL);
    assert_told("ask: an ocall's number is below 1024");
}

static void test_options(void **state)
{
    struct pal_descriptor d[3] = { record("e", 0, BASE), record("stack", 0, 20000),
                                   record("stacks", 0, 3) };

    (void)state;
    d[1].kind = d[2].kind = PAL_DESCRIPTOR_OPTION;
    with_record(d, sizeof(d), NULL);
    assert_fine();
    assert_int_equal(image.head.stacks, 3);
    assert_int_equal(code_stack_bytes(&image), 20480);
    with_record(d, sizeof(d), &(struct image_options){ .stack = 4096 * 2, .stacks = 1 });
    assert_int_equal(image.head.stacks, 1);
    assert_int_equal(code_stack_bytes(&image), 8192);
    strcpy(d[1].name, "stick");
    with_record(d, sizeof(d), NULL);
    assert_told("stick: there is no such option");
}

/* --- hostile files --------------------------------------------------------------------- */

/* Whatever a word is replaced by, nothing outside is touched, and what our check lets through the
 * hypervisor takes, and the other way. */
static void agree(const uint8_t *bytes, size_t size)
{
    static struct tv_image out = ROOM;
    struct code code;

    memset(&problems, 0, sizeof(problems));
    if (image_read(&image, bytes, size, &problems)) {
        bool sources = false;

        image_check(&image, &problems);
        for (uint32_t i = 0; i < image.head.sections; i++) {
            sources |= image.sections[i].source != 0;
        }
        if (!sources && image.head.stubs == 0 && image.head.caller == 0) { /* in files only */
            assert_int_equal(problems.errors == 0, by_the_hypervisor(&image, &out) == TV_OK);
        }
        assert_true(code_read(&code, &image, NULL, &problems));
        code_stacks(&code, &problems, true);
        code_free(&code);
    }
}

/* 0x30002: counted by parameter 1, in units of 3 bytes. */
static const uint64_t words[] = { 0, 1, 2, 3, 4, 16, 17, 33, 65, 0x1000, 0xffff, 0x30002,
                                  0x10000000, 0x7fffffff, 0xffffffff, 0x7fffffffffff, UINT64_MAX };

static void test_broken_images(void **state)
{
    size_t size, lists;
    uint8_t *bytes, *broken;

    (void)state;
    usual(good_code, sizeof(good_code));
    make(&(struct image_options){ .stacks = 2 });
    bytes = image_write(&image, &size);
    lists = 8 + image.head.size;
    broken = malloc(size);
    assert_true(bytes && broken);
    for (size_t at = 8; at < lists; at += 4) {
        for (size_t w = 0; w < 2 * sizeof(words) / sizeof(words[0]); w++) {
            memcpy(broken, bytes, size);
            memcpy(broken + at, &words[w / 2], w & 1 ? 8 : 4);
            agree(broken, size);
        }
    }
    for (size_t n = 0; n < size; n += n < 600 ? 1 : 37) {
        uint8_t *cut = malloc(n + 1); /* so that ASan sees a byte too far */

        memcpy(cut, bytes, n);
        cut = realloc(cut, n ? n : 1);
        agree(cut, n);
        free(cut);
    }
    free(bytes);
    free(broken);
    file_free(&file);
}

static void test_broken_files(void **state)
{
    static const struct image_options none = { 0 };
    uint8_t *broken = malloc(sizeof(elf));

    (void)state;
    usual(good_code, sizeof(good_code));
    make(NULL);
    file_free(&file);
    for (size_t at = 0; at < elf_size; at += at < 64 ? 2 : 8) {
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
            struct code code;

            broken = realloc(broken, elf_size);
            memcpy(broken, elf, elf_size);
            memcpy(broken + at, &words[w], elf_size - at < 8 ? elf_size - at : 8);
            memset(&problems, 0, sizeof(problems));
            if (!file_read(&file, broken, elf_size)) {
                image_make(&image, &file, &none, &problems);
                image_check(&image, &problems);
                linked_check(&file, &problems);
                assert_true(code_read(&code, &image, &file, &problems));
                code_stacks(&code, &problems, true);
                code_free(&code);
                file_free(&file);
            }
        }
    }
    free(broken);
}

/* --- the decoder ------------------------------------------------------------------------ */

static const struct {
    uint8_t code[12];
    unsigned bits, length;
    enum flow flow;
    enum stack_change stack;
    int64_t bytes;
} decoded[] = {
    { { 0x55 }, 64, 1, FLOW_ON, STACK_ADD, 8 },
    { { 0x41, 0x57 }, 64, 2, FLOW_ON, STACK_ADD, 8 },
    { { 0x5d }, 32, 1, FLOW_ON, STACK_ADD, -4 },
    { { 0x48, 0x89, 0xe5 }, 64, 3, FLOW_ON, STACK_FRAME, 0 },
    { { 0x48, 0x83, 0xec, 0x18 }, 64, 4, FLOW_ON, STACK_ADD, 0x18 },
    { { 0x83, 0xc4, 0x0c }, 32, 3, FLOW_ON, STACK_ADD, -0x0c },
    { { 0x48, 0x83, 0xe4, 0xe0 }, 64, 4, FLOW_ON, STACK_ALIGN, -32 },
    { { 0x48, 0x8d, 0x64, 0x24, 0xf8 }, 64, 5, FLOW_ON, STACK_ADD, 8 },
    { { 0x48, 0x8d, 0x65, 0xd8 }, 64, 4, FLOW_ON, STACK_TO_FRAME, -40 },
    { { 0x4c, 0x8d, 0x9c, 0x24, 0x00, 0x00, 0xfe, 0xff }, 64, 8, FLOW_ON, STACK_PROBE,
      0x20000 },
    { { 0xc9 }, 64, 1, FLOW_ON, STACK_LEAVE, 0 },
    { { 0xc3 }, 64, 1, FLOW_END, STACK_SAME, 0 },
    { { 0xff, 0xd0 }, 64, 2, FLOW_CALL_ANY, STACK_SAME, 0 },
    { { 0xff, 0x24, 0xc5, 0, 0, 0, 0x10 }, 64, 7, FLOW_JUMP_ANY, STACK_SAME, 0 },
    { { 0x0f, 0x84, 1, 0, 0, 0 }, 64, 6, FLOW_JUMP_IF, STACK_SAME, 0 },
    { { 0x66, 0x0f, 0x6f, 0x05, 1, 0, 0, 0 }, 64, 8, FLOW_ON, STACK_SAME, 0 },
    { { 0xc5, 0xf8, 0x77 }, 64, 3, FLOW_ON, STACK_SAME, 0 },
    { { 0xc4, 0xe3, 0x7d, 0x39, 0xc1, 0x01 }, 64, 6, FLOW_ON, STACK_SAME, 0 },
    { { 0x62, 0xf1, 0x7c, 0x48, 0x28, 0x40, 0x01 }, 64, 7, FLOW_ON, STACK_SAME, 0 },
    { { 0xc5, 0x00 }, 32, 2, FLOW_ON, STACK_SAME, 0 },
    { { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8 }, 64, 10, FLOW_ON, STACK_SAME, 0 },
    { { 0x66, 0xb8, 1, 2 }, 64, 4, FLOW_ON, STACK_SAME, 0 },
    { { 0xf6, 0xc0, 1 }, 64, 3, FLOW_ON, STACK_SAME, 0 },
    { { 0xf7, 0xd8 }, 64, 2, FLOW_ON, STACK_SAME, 0 },
    { { 0xa1, 1, 2, 3, 4, 5, 6, 7, 8 }, 64, 9, FLOW_ON, STACK_SAME, 0 },
    { { 0xa1, 1, 2, 3, 4 }, 32, 5, FLOW_ON, STACK_SAME, 0 },
    { { 0x06 }, 32, 1, FLOW_ON, STACK_ADD, 4 },
    { { 0x0f, 0x0b }, 64, 2, FLOW_END, STACK_SAME, 0 },
    { { 0x0f, 0x04 }, 64, 0, FLOW_ON, STACK_SAME, 0 },
};
static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(decoded) / sizeof(decoded[0]); i++) {
        struct instruction in;

        decode(decoded[i].code, sizeof(decoded[i].code), decoded[i].bits, 0x1000, &in);
        if (in.length != decoded[i].length || in.flow != decoded[i].flow
            || in.stack != decoded[i].stack || in.bytes != decoded[i].bytes) {
            fail_msg("line %zu: length %u, flow %u, stack %u, bytes %lld", i, in.length, in.flow,
                     in.stack, (long long)in.bytes);
        }
        for (unsigned n = 0; n < decoded[i].length; n++) {
            uint8_t *cut = malloc(n + 1);

            memcpy(cut, decoded[i].code, n);
            decode(cut, n, decoded[i].bits, 0, &in);
            assert_int_equal(in.length, 0);
            free(cut);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_stack_need),
        cmocka_unit_test(test_loop_need),
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_where_am_i),
        cmocka_unit_test(test_too_little_stack),
        cmocka_unit_test(test_code_refused),
        cmocka_unit_test(test_code_taken),
        cmocka_unit_test(test_linked_refused),
        cmocka_unit_test(test_bss_contents),
        cmocka_unit_test(test_large_alignment),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_names_of_pals),
        cmocka_unit_test(test_ocalls),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_broken_images),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
