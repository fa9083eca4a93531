/* SPDX-License-Identifier: MIT */
/*
 * From a multiboot1 or multiboot2 information structure to struct boot_info.
 *
 * Loaders differ in one thing: QEMU's -kernel puts the file name before each command
 * line (hw/i386/multiboot.c), GRUB 2 doesn't. QEMU is known by its loader name.
 */
#include <boot/multiboot/parse.h>

#include <util/bytes.h>
#include <util/e820.h>
#include <util/efi_map.h>
#include <util/string.h>

/* Multiboot 0.6.96, section 3.3: the fields used here, by offset. */
#define MB1_FLAGS        0
#define MB1_CMDLINE      16
#define MB1_MODS_COUNT   20
#define MB1_MODS_ADDR    24
#define MB1_MMAP_LENGTH  44
#define MB1_MMAP_ADDR    48
#define MB1_LOADER_NAME  64
#define MB1_SIZE         68 /* of the part with these fields */
#define MB1_VBE_MODE     80
#define MB1_FRAMEBUFFER  88

#define MB1_HAS_CMDLINE  BIT(2)
#define MB1_HAS_MODS     BIT(3)
#define MB1_HAS_MMAP     BIT(6)
#define MB1_HAS_LOADER   BIT(9)
#define MB1_HAS_VBE      BIT(11)
#define MB1_HAS_FRAMEBUFFER BIT(12)

/* Both versions describe a framebuffer by the same bytes (multiboot 1, 3.3; multiboot 2,
 * 3.6.12). */
#define FB_PITCH    8
#define FB_WIDTH    12
#define FB_HEIGHT   16
#define FB_DEPTH    20
#define FB_TYPE     21
#define FB_SIZE     22
#define FB_RGB      1
#define FB_EGA_TEXT 2
#define FB_RED      24 /* multiboot 2: field's position and size, red, green, blue */
#define FB_RGB_SIZE 30

/* Multiboot2 2.0, section 3.6: tag types. */
enum mb2_tag {
    MB2_END = 0,
    MB2_CMDLINE = 1,
    MB2_MODULE = 3,
    MB2_MMAP = 6,
    MB2_VBE = 7,
    MB2_FRAMEBUFFER = 8,
    MB2_EFI32 = 11,
    MB2_EFI64 = 12,
    MB2_RSDP_OLD = 14,
    MB2_RSDP_NEW = 15,
    MB2_EFI_MMAP = 17,
    MB2_EFI_BOOT_SERVICES = 18,
};

/* The EFI memory map's body: size and version of a descriptor, then the map (3.6.17). */
#define EFI_MAP_DESCRIPTOR 0
#define EFI_MAP_VERSION    4
#define EFI_MAP_AT         8

struct mb1_module {
    uint32_t start;
    uint32_t end;
    uint32_t string;
    uint32_t reserved;
};

struct mem_entry { /* the same in both; `type` is followed by padding in multiboot2 */
    uint64_t start;
    uint64_t size;
    uint32_t type;
} __attribute__((packed));

static int fail(const char **why, const char *text)
{
    *why = text;
    return -1;
}

static bool fetch(mb_mapper map, uint64_t addr, void *dst, size_t len)
{
    const void *p = map(addr, len);

    if (p) {
        memcpy(dst, p, len);
    }
    return p != NULL;
}

/* The NUL-terminated string at `addr`. False if it can't be read or is too long. */
static bool fetch_string(mb_mapper map, uint64_t addr, char *dst, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!fetch(map, addr + i, &dst[i], 1)) {
            return false;
        }
        if (dst[i] == '\0') {
            return true;
        }
    }
    return false;
}

/* The string in a multiboot2 tag, terminated or not. False if it is too long. */
static bool copy_string(const uint8_t *src, size_t len, char *dst, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        dst[i] = i < len ? (char)src[i] : '\0';
        if (dst[i] == '\0') {
            return true;
        }
    }
    return false;
}

static void drop_first_word(char *s)
{
    char *rest = s;

    while (*rest != '\0' && *rest != ' ') {
        rest++;
    }
    while (*rest == ' ') {
        rest++;
    }
    memmove(s, rest, strlen(rest) + 1);
}

static void forget(struct boot_info *bi)
{
    bi->mem_count = 0;
    bi->module_count = 0;
    bi->rsdp = 0;
    bi->cmdline[0] = '\0';
    bi->screen = (struct boot_screen){ 0 };
    bi->framebuffer = (struct boot_framebuffer){ 0 };
    bi->efi = (struct boot_efi){ 0 };
    bi->low_page = bi->crash_place[0] = bi->crash_place[1] = 0;
    bi->cpu_count = 0;
    bi->firmware = BOOT_FIRMWARE_UNKNOWN;
    bi->start = BOOT_START_BY_IMAGE;
    bi->log = (struct boot_event_log){ .format = BOOT_LOG_NONE };
}

/* A text screen at `base`, if a VGA can have one there. At any other place nothing is written. */
static void set_text(struct boot_screen *s, uint64_t base, uint32_t columns, uint32_t rows)
{
    const uint64_t vga = 0xb0000, end = 0xc0000;

    *s = (struct boot_screen){ .kind = BOOT_SCREEN_NONE };
    if (columns >= 40 && columns <= 132 && rows >= 25 && rows <= 60 && base >= vga
        && base < end && 2 * columns * rows <= end - base) {
        *s = (struct boot_screen){ base, BOOT_SCREEN_TEXT, (uint16_t)columns, (uint16_t)rows };
    }
}

/* What the loader says of the framebuffer. */
static void set_framebuffer(struct boot_screen *s, const uint8_t fb[FB_SIZE])
{
    uint32_t columns = le32(fb + FB_WIDTH);

    s->kind = BOOT_SCREEN_NONE;
    if (fb[FB_TYPE] == FB_EGA_TEXT && le32(fb + FB_PITCH) == 2 * columns) {
        set_text(s, le64(fb), columns, le32(fb + FB_HEIGHT));
    }
}

/* The picture that a loader leaves where there is no text. */
static void set_picture(struct boot_framebuffer *out, const uint8_t *fb, size_t len)
{
    const uint8_t *rgb = fb + FB_RED;

    *out = (struct boot_framebuffer){ 0 };
    if (len < FB_RGB_SIZE || fb[FB_TYPE] != FB_RGB || le32(fb + FB_WIDTH) > UINT16_MAX
        || le32(fb + FB_HEIGHT) > UINT16_MAX || le32(fb + FB_PITCH) > UINT16_MAX) {
        return;
    }
    *out = (struct boot_framebuffer){
        .base = le64(fb),
        .pitch = le32(fb + FB_PITCH),
        .width = (uint16_t)le32(fb + FB_WIDTH),
        .height = (uint16_t)le32(fb + FB_HEIGHT),
        .depth = fb[FB_DEPTH],
        .red = { rgb[0], rgb[1] },
        .green = { rgb[2], rgb[3] },
        .blue = { rgb[4], rgb[5] },
    };
}

/* VBE modes from 100h on are graphics or wide text; those below are the BIOS's. */
static void set_vbe_mode(struct boot_screen *s, uint32_t mode)
{
    if (s->kind == BOOT_SCREEN_UNKNOWN && (mode & 0x3fff) >= 0x100) {
        s->kind = BOOT_SCREEN_NONE;
    }
}

/* Does the vector lead into a ROM, as that of a BIOS's handler does? */
static bool in_rom(const uint8_t *vector)
{
    const uint32_t at = vector ? (uint32_t)le16(vector + 2) * 16 + le16(vector) : 0;

    return at >= 0xc0000 && at < 0x100000;
}

/*
 * The BIOS data area (at 400h): 49h the video mode, 4Ah columns, 4Eh where the page that is shown
 * begins, 84h rows less one. Without a handler of INT 10h nobody keeps it.
 */
static void bios_screen(mb_mapper map, struct boot_screen *s)
{
    const uint8_t *bda = map(0x400, 0x100), *int10 = map(0x40, 4);

    if (bda && int10 && le32(int10) != 0) {
        uint8_t mode = bda[0x49] & 0x7f;
        uint32_t rows = bda[0x84] != 0 ? bda[0x84] + 1u : 25;

        if (mode == 2 || mode == 3 || mode == 7) {
            set_text(s, (mode == 7 ? 0xb0000 : 0xb8000) + le16(bda + 0x4e), le16(bda + 0x4a),
                     rows);
        }
    }
}

/*
 * A BIOS is known by its handler of INT 11h, the equipment's list: nobody hooks it. That of INT 10h
 * proves nothing, since UEFI firmware (OVMF's VbeShim) sets one up for a guest that asks for it.
 * Where there is no BIOS the cells of a VGA may be anything's, whatever a loader says.
 */
void mb_look_for_bios(mb_mapper map, struct boot_info *bi)
{
    if (bi->firmware == BOOT_FIRMWARE_UNKNOWN && in_rom(map(4 * 0x11, 4))) {
        bi->firmware = BOOT_FIRMWARE_BIOS;
    }
    if (bi->firmware != BOOT_FIRMWARE_BIOS) {
        bi->screen = (struct boot_screen){ .kind = BOOT_SCREEN_NONE };
    } else if (bi->screen.kind == BOOT_SCREEN_UNKNOWN) {
        bi->screen.kind = BOOT_SCREEN_NONE;
        bios_screen(map, &bi->screen);
    }
}

static int add_mem(struct boot_info *bi, const struct mem_entry *e, const char **why)
{
    struct boot_mem m = { .start = e->start, .size = e->size, .type = e->type };

    return e820_add(bi->mem, &bi->mem_count, &m) ? 0
        : fail(why, "the memory map has too many entries");
}

static int finish_mem(struct boot_info *bi, const char **why)
{
    int n = e820_sanitize(bi->mem, bi->mem_count, BOOT_MEM_MAX);

    if (n < 0) {
        return fail(why, "the memory map has too many entries");
    }
    bi->mem_count = (uint32_t)n;
    if (e820_usable_bytes(bi->mem, bi->mem_count) == 0) {
        return fail(why, "the loader gave no memory map with usable memory");
    }
    return 0;
}

/* Take the next module slot for [start, end); its command line is the caller's. */
static struct boot_module *add_module(struct boot_info *bi, uint32_t start, uint32_t end,
                                      const char **why)
{
    struct boot_module *m = &bi->module[bi->module_count];

    if (bi->module_count == BOOT_MODULE_MAX) {
        *why = "too many modules";
        return NULL;
    }
    if (end <= start) {
        *why = "a module is empty";
        return NULL;
    }
    bi->module_count++;
    m->start = start;
    m->size = end - start;
    m->cmdline[0] = '\0';
    return m;
}

/* Each entry is preceded by its size, which doesn't count itself. */
static int mb1_mmap(mb_mapper map, const uint8_t *info, struct boot_info *bi, const char **why)
{
    uint64_t pos = le32(info + MB1_MMAP_ADDR);
    uint64_t end = pos + le32(info + MB1_MMAP_LENGTH);

    while (pos < end) {
        struct mem_entry e;
        uint32_t size;

        if (!fetch(map, pos, &size, sizeof(size)) || size < sizeof(e)
            || size > end - pos || end - pos - size < sizeof(size)
            || !fetch(map, pos + sizeof(size), &e, sizeof(e))) {
            return fail(why, "the multiboot memory map is malformed");
        }
        if (add_mem(bi, &e, why) != 0) {
            return -1;
        }
        pos += sizeof(size) + (uint64_t)size;
    }
    return finish_mem(bi, why);
}

static int mb1_modules(mb_mapper map, const uint8_t *info, bool named, struct boot_info *bi,
                       const char **why)
{
    uint32_t count = le32(info + MB1_MODS_COUNT);
    uint64_t addr = le32(info + MB1_MODS_ADDR);

    for (uint32_t i = 0; i < count; i++) {
        struct mb1_module in;
        struct boot_module *m;

        if (!fetch(map, addr + i * sizeof(in), &in, sizeof(in))) {
            return fail(why, "the multiboot module list can't be read");
        }
        m = add_module(bi, in.start, in.end, why);
        if (!m) {
            return -1;
        }
        if (in.string != 0 && !fetch_string(map, in.string, m->cmdline, sizeof(m->cmdline))) {
            return fail(why, "a module's command line is too long or can't be read");
        }
        if (named) {
            drop_first_word(m->cmdline);
        }
    }
    return 0;
}

/* True if the loader puts a file name before each command line. */
static bool mb1_named(mb_mapper map, const uint8_t *info)
{
    char name[4];

    return (le32(info + MB1_FLAGS) & MB1_HAS_LOADER) != 0
        && fetch(map, le32(info + MB1_LOADER_NAME), name, sizeof(name))
        && memcmp(name, "qemu", sizeof(name)) == 0;
}

static void mb1_screen(mb_mapper map, uint64_t info_addr, uint32_t flags, struct boot_screen *s)
{
    uint8_t fb[FB_SIZE];
    uint8_t mode[2];

    if ((flags & MB1_HAS_FRAMEBUFFER) != 0
        && fetch(map, info_addr + MB1_FRAMEBUFFER, fb, sizeof(fb))) {
        set_framebuffer(s, fb);
    }
    if ((flags & MB1_HAS_VBE) != 0 && fetch(map, info_addr + MB1_VBE_MODE, mode, sizeof(mode))) {
        set_vbe_mode(s, le16(mode));
    }
}

int mb1_parse(mb_mapper map, uint64_t info_addr, struct boot_info *bi, const char **why)
{
    uint8_t info[MB1_SIZE];
    uint32_t flags;
    bool named;

    forget(bi);
    if (!fetch(map, info_addr, info, sizeof(info))) {
        return fail(why, "the multiboot information can't be read");
    }
    flags = le32(info + MB1_FLAGS);
    named = mb1_named(map, info);
    mb1_screen(map, info_addr, flags, &bi->screen);
    if ((flags & MB1_HAS_MMAP) == 0) {
        return fail(why, "the loader gave no memory map");
    }
    if ((flags & MB1_HAS_CMDLINE) != 0) {
        if (!fetch_string(map, le32(info + MB1_CMDLINE), bi->cmdline, sizeof(bi->cmdline))) {
            return fail(why, "the command line is too long or can't be read");
        }
        if (named) {
            drop_first_word(bi->cmdline);
        }
    }
    if ((flags & MB1_HAS_MODS) != 0 && mb1_modules(map, info, named, bi, why) != 0) {
        return -1;
    }
    return mb1_mmap(map, info, bi, why);
}

/* 3.6.8: entry size and version, then the entries. `body` is what follows type and size. */
static int mb2_mmap(const uint8_t *body, size_t len, struct boot_info *bi, const char **why)
{
    uint32_t entry_size = len >= 8 ? le32(body) : 0;

    if (entry_size < sizeof(struct mem_entry)) {
        return fail(why, "the multiboot memory map is malformed");
    }
    for (size_t pos = 8; len - pos >= entry_size; pos += entry_size) {
        struct mem_entry e;

        memcpy(&e, body + pos, sizeof(e));
        if (add_mem(bi, &e, why) != 0) {
            return -1;
        }
    }
    return 0;
}

/* 3.6.6: start, end, string. */
static int mb2_module(const uint8_t *body, size_t len, struct boot_info *bi, const char **why)
{
    struct boot_module *m;

    if (len < 8) {
        return fail(why, "a multiboot module tag is malformed");
    }
    m = add_module(bi, le32(body), le32(body + 4), why);
    if (!m) {
        return -1;
    }
    if (!copy_string(body + 8, len - 8, m->cmdline, sizeof(m->cmdline))) {
        return fail(why, "a module's command line is too long");
    }
    return 0;
}

/* 3.6.17. The loader has asked for it at the very end of boot services. */
static int mb2_efi_map(const uint8_t *body, size_t len, uint64_t addr, struct boot_info *bi,
                       const char **why)
{
    struct efi_map map;

    if (len < EFI_MAP_AT) {
        return fail(why, "the multiboot EFI memory map is malformed");
    }
    map.at = body + EFI_MAP_AT;
    map.size = len - EFI_MAP_AT;
    map.descriptor_size = le32(body + EFI_MAP_DESCRIPTOR);
    bi->efi.map = addr + EFI_MAP_AT;
    bi->efi.map_size = (uint32_t)map.size;
    bi->efi.descriptor_size = (uint32_t)map.descriptor_size;
    bi->efi.descriptor_version = le32(body + EFI_MAP_VERSION);
    return efi_map_convert(&map, EFI_MAP_AFTER, bi->mem, &bi->mem_count, why);
}

/* One tag, whose body of `len` bytes lies at physical address `addr`. */
static int mb2_tag(uint32_t type, const uint8_t *body, size_t len, uint64_t addr,
                   struct boot_info *bi, const char **why)
{
    switch (type) {
    case MB2_CMDLINE:
        return copy_string(body, len, bi->cmdline, sizeof(bi->cmdline))
            ? 0 : fail(why, "the command line is too long");
    case MB2_MODULE:
        return mb2_module(body, len, bi, why);
    case MB2_MMAP: /* made of UEFI's, which says more */
        return bi->firmware == BOOT_FIRMWARE_UEFI ? 0 : mb2_mmap(body, len, bi, why);
    case MB2_EFI_MMAP:
        return mb2_efi_map(body, len, addr, bi, why);
    case MB2_RSDP_OLD: /* ACPI 1.0: 20 bytes; only if there is no newer one */
        if (len >= 20 && bi->rsdp == 0) {
            bi->rsdp = addr;
        }
        return 0;
    case MB2_RSDP_NEW: /* ACPI 2.0: 36 bytes */
        if (len >= 36) {
            bi->rsdp = addr;
        }
        return 0;
    default:
        return 0;
    }
}

/* 3.6.12: the system table's address; two tags, by its size. */
static int mb2_system_table(const uint8_t *body, size_t len, uint32_t bits, struct boot_info *bi,
                            const char **why)
{
    if (len < bits / 8) {
        return fail(why, "a multiboot EFI system table tag is malformed");
    }
    bi->firmware = BOOT_FIRMWARE_UEFI;
    bi->efi.bits = bits;
    bi->efi.system_table = bits == 32 ? le32(body) : le64(body);
    return 0;
}

/* What must be known before anything else is judged: the screen, for the refusal, and which
 * firmware this is. */
static int mb2_look(uint32_t type, const uint8_t *body, size_t len, uint64_t addr,
                    struct boot_info *bi, const char **why)
{
    (void)addr;
    switch (type) {
    case MB2_FRAMEBUFFER:
        if (len >= FB_SIZE) {
            set_framebuffer(&bi->screen, body);
        }
        set_picture(&bi->framebuffer, body, len);
        return 0;
    case MB2_VBE: /* 3.6.11: the mode comes first */
        if (len >= 2) {
            set_vbe_mode(&bi->screen, le16(body));
        }
        return 0;
    case MB2_EFI32:
        return mb2_system_table(body, len, 32, bi, why);
    case MB2_EFI64:
        return mb2_system_table(body, len, 64, bi, why);
    case MB2_EFI_MMAP:
        bi->firmware = BOOT_FIRMWARE_UEFI;
        return 0;
    case MB2_EFI_BOOT_SERVICES: /* our header doesn't ask for that */
        bi->firmware = BOOT_FIRMWARE_UEFI;
        return fail(why, "the loader has left UEFI's boot services running");
    default:
        return 0;
    }
}

struct mb2 {
    const uint8_t *info;
    uint64_t addr, total;
};

/* Give each tag to `use` up to the end tag. */
static int mb2_each(const struct mb2 *in, struct boot_info *bi, const char **why,
                    int (*use)(uint32_t type, const uint8_t *body, size_t len, uint64_t addr,
                               struct boot_info *bi, const char **why))
{
    for (uint64_t pos = 8;;) {
        uint32_t type, size;

        if (pos > in->total || in->total - pos < 8) {
            return fail(why, "the multiboot2 information has no end tag");
        }
        type = le32(in->info + pos);
        size = le32(in->info + pos + 4);
        if (size < 8 || size > in->total - pos) {
            return fail(why, "a multiboot2 tag is malformed");
        }
        if (type == MB2_END) {
            return 0;
        }
        if (use(type, in->info + pos + 8, size - 8, in->addr + pos + 8, bi, why) != 0) {
            return -1;
        }
        pos = align_up(pos + size, 8); /* 3.6.2 */
    }
}

int mb2_parse(mb_mapper map, uint64_t info_addr, struct boot_info *bi, const char **why)
{
    struct mb2 in = { .addr = info_addr };
    uint8_t head[8];

    forget(bi);
    if (!fetch(map, info_addr, head, sizeof(head))) {
        return fail(why, "the multiboot2 information can't be read");
    }
    in.total = le32(head);
    in.info = map(info_addr, in.total);
    if (!in.info) {
        return fail(why, "the multiboot2 information can't be read");
    }
    if (mb2_each(&in, bi, why, mb2_look) != 0 || mb2_each(&in, bi, why, mb2_tag) != 0) {
        return -1;
    }
    if (bi->firmware == BOOT_FIRMWARE_UEFI && (bi->efi.map == 0 || bi->efi.bits == 0)) {
        return fail(why, "the loader tells of UEFI without its memory map, or system table");
    }
    return finish_mem(bi, why);
}
