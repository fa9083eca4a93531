/* SPDX-License-Identifier: MIT */
/*
 * Starting a Linux bzImage by the 32-bit boot protocol (Linux' Documentation/arch/x86/
 * boot.rst and zero-page.rst), protocol 2.06 and later.
 */
#include <guest/linux_boot.h>
#include <guest/linux_header.h>

#include <util/bytes.h>
#include <util/e820.h>
#include <util/efi_map.h>
#include <util/string.h>

/* The setup header: offsets in the image and in boot_params alike. */
/* boot_params outside the header. */
#define BP_VIDEO_MODE    0x006
#define BP_VIDEO_COLS    0x007
#define BP_VIDEO_LINES   0x00e
#define BP_VIDEO_IS_VGA  0x00f
#define BP_VIDEO_POINTS  0x010
#define BP_LFB_WIDTH     0x012
#define BP_LFB_HEIGHT    0x014
#define BP_LFB_DEPTH     0x016
#define BP_LFB_BASE      0x018
#define BP_LFB_SIZE      0x01c
#define BP_LFB_PITCH     0x024
#define BP_LFB_COLOURS   0x026 /* size and position of red, green, blue, what is left */
#define BP_LFB_ABILITIES 0x036
#define BP_LFB_BASE_HIGH 0x03a
#define BP_RSDP          0x070
#define BP_EFI           0x1c0 /* from 2.08 */
#define BP_E820_ENTRIES  0x1e8
#define BP_E820_TABLE    0x2d0
#define BP_E820_MAX      128

#define VIDEO_TYPE_EFI     0x70
#define VIDEO_64BIT_BASE   BIT(1)

/* At BP_EFI. */
#define EFI_SIGNATURE      0
#define EFI_SYSTEM_TABLE   4
#define EFI_DESCRIPTOR     8
#define EFI_VERSION        12
#define EFI_MAP            16
#define EFI_MAP_SIZE       20
#define EFI_SYSTEM_TABLE_HIGH 24
#define EFI_MAP_HIGH       28
#define EFI_PROTOCOL       0x208

#define EFI_TAKEN_MAX 5 /* ranges: the protected one, low page, crash record twice, the copy */

/* Places: the first 64 KiB and what lies above 640 KiB belong to the firmware. */
#define LOW_FLOOR  KIB(64)
#define LOW_LIMIT  KIB(640)
#define LOW_SIZE   (LINUX_BOOT_PARAMS_SIZE + PAGE_SIZE + LINUX_MORE_SIZE) /* with cmdline */
#define HIGH_FLOOR MIB(1)

_Static_assert(LINUX_CMDLINE_MAX <= PAGE_SIZE, "the command line has one page");

struct e820_entry {
    uint64_t start;
    uint64_t size;
    uint32_t type;
} __attribute__((packed));

/* struct setup_data: the next block's address, type, bytes that follow. */
#define MORE_TYPE   8
#define MORE_LENGTH 12
#define MORE_DATA   16
#define MORE_E820   1     /* SETUP_E820_EXT */
#define MORE_PROTOCOL 0x209

_Static_assert(MORE_DATA + (BOOT_MEM_MAX - BP_E820_MAX) * sizeof(struct e820_entry)
               <= LINUX_MORE_SIZE, "all entries have room");

/* What the setup header says, checked. */
struct header {
    uint64_t setup_size;  /* real-mode part; the kernel follows */
    uint64_t kernel_size;
    uint64_t init_size;   /* memory the kernel needs at its place before it reads the map */
    uint64_t pref;        /* where it wants to be, and the lowest place where it stays */
    uint64_t align;
    uint64_t initrd_limit;
    bool relocatable;
    bool has_efi;         /* boot_params have a place for UEFI's tables */
    bool has_more;        /* and for a list of more data */
};

static int fail(const char **why, const char *text)
{
    *why = text;
    return -1;
}


/* Fields that depend on the protocol version. Before 2.10 kernels neither said where
 * they want to be nor how much room they need: 1 MiB, and three times their size. */
static void read_needs(const uint8_t *image, struct header *h)
{
    if (le16(image + HDR_VERSION) >= 0x20a) {
        h->pref = le64(image + HDR_PREF_ADDRESS);
        h->init_size = le32(image + HDR_INIT_SIZE);
    } else {
        h->pref = MIB(1);
        h->init_size = 3 * h->kernel_size;
    }
    if (h->init_size < h->kernel_size) {
        h->init_size = h->kernel_size;
    }
    h->init_size = align_up(h->init_size, PAGE_SIZE);
}

static int read_header(const uint8_t *image, uint64_t size, struct header *h, const char **why)
{
    unsigned sectors;

    if (size < 1024 || le16(image + HDR_BOOT_FLAG) != 0xaa55
        || memcmp(image + HDR_MAGIC, "HdrS", 4) != 0) {
        return fail(why, "the guest kernel is no Linux bzImage");
    }
    if (le16(image + HDR_VERSION) < 0x206 || (image[HDR_LOADFLAGS] & LOADED_HIGH) == 0) {
        return fail(why, "the guest kernel is too old (boot protocol below 2.02, or a zImage)");
    }
    sectors = image[HDR_SETUP_SECTS] != 0 ? image[HDR_SETUP_SECTS] : 4;
    h->setup_size = (sectors + 1) * 512ULL;
    if (h->setup_size >= size) {
        return fail(why, "the guest kernel is cut short");
    }
    h->kernel_size = size - h->setup_size;
    h->align = le32(image + HDR_KERNEL_ALIGNMENT);
    h->relocatable = image[HDR_RELOCATABLE] != 0;
    h->has_more = le16(image + HDR_VERSION) >= MORE_PROTOCOL;
    h->has_efi = le16(image + HDR_VERSION) >= EFI_PROTOCOL;
    h->initrd_limit = (uint64_t)le32(image + HDR_INITRD_ADDR_MAX) + 1;
    read_needs(image, h);
    if (h->relocatable && (h->align == 0 || (h->align & (h->align - 1)) != 0)) {
        return fail(why, "the guest kernel's alignment is no power of two");
    }
    return 0;
}

/* Ranges to keep clear of. */
struct avoid {
    struct boot_mem r[8];
    unsigned n;
};

static void avoid_add(struct avoid *a, uint64_t start, uint64_t size)
{
    if (size != 0) {
        a->r[a->n++] = (struct boot_mem){ .start = start, .size = size };
    }
}

static bool is_free(const struct boot_info *bi, const struct avoid *a, uint64_t start,
                    uint64_t size, uint64_t limit)
{
    if (!e820_is_usable(bi->mem, bi->mem_count, start, size) || start + size > limit) {
        return false;
    }
    for (unsigned i = 0; i < a->n; i++) {
        if (ranges_overlap(start, size, a->r[i].start, a->r[i].size)) {
            return false;
        }
    }
    return true;
}

/* The wanted place if it is free, else the lowest above it: below it the kernel would
 * move itself to the wanted one without asking (arch/x86/boot/compressed/head_64.S). */
static bool place_kernel(const struct boot_info *bi, const struct header *h,
                         const struct avoid *a, uint64_t *at)
{
    uint64_t floor = h->pref > HIGH_FLOOR ? h->pref : HIGH_FLOOR;

    if (is_free(bi, a, h->pref, h->init_size, GIB(4))) {
        *at = h->pref;
        return true;
    }
    return h->relocatable
        && e820_find_low(bi->mem, bi->mem_count, h->init_size, h->align, floor, GIB(4), a->r,
                         a->n, at);
}

/* `a` holds what no part may touch. */
static int plan_kernel(const struct boot_info *bi, const struct header *h, struct avoid a,
                       struct linux_plan *p, const char **why)
{
    struct avoid with_initrd = a;

    avoid_add(&with_initrd, p->initrd_src, p->initrd_size);
    if (!place_kernel(bi, h, &with_initrd, &p->kernel_dst)
        && !place_kernel(bi, h, &a, &p->kernel_dst)) { /* then the initrd gives way */
        return fail(why, "no room for the guest kernel");
    }
    p->entry = (uint32_t)p->kernel_dst;
    return 0;
}

/*
 * The initrd stays if it can. Otherwise it moves first, to a place that the kernel's
 * source doesn't need; if there is none, it moves last, which is safe if the kernel
 * doesn't land on it.
 */
static int plan_initrd(const struct boot_info *bi, const struct header *h, struct avoid a,
                       struct linux_plan *p, bool *initrd_first, const char **why)
{
    struct avoid with_source;

    *initrd_first = false;
    p->initrd_dst = p->initrd_src;
    avoid_add(&a, p->kernel_dst, h->init_size);
    if (p->initrd_size == 0 || is_free(bi, &a, p->initrd_src, p->initrd_size, h->initrd_limit)) {
        return 0;
    }
    with_source = a;
    avoid_add(&with_source, p->kernel_src, p->kernel_size);
    if (e820_find_high(bi->mem, bi->mem_count, p->initrd_size, PAGE_SIZE, HIGH_FLOOR,
                       h->initrd_limit, with_source.r, with_source.n, &p->initrd_dst)) {
        *initrd_first = true;
        return 0;
    }
    if (!ranges_overlap(p->kernel_dst, p->kernel_size, p->initrd_src, p->initrd_size)
        && e820_find_high(bi->mem, bi->mem_count, p->initrd_size, PAGE_SIZE, HIGH_FLOOR,
                          h->initrd_limit, a.r, a.n, &p->initrd_dst)) {
        return 0;
    }
    return fail(why, "no room for the guest's initrd");
}

/* boot_params, command line and GDT, clear of everything at any time of the moves. */
static int plan_low(const struct boot_info *bi, const struct header *h, struct avoid a,
                    struct linux_plan *p, const char **why)
{
    avoid_add(&a, p->kernel_src, p->kernel_size);
    avoid_add(&a, p->kernel_dst, h->init_size);
    avoid_add(&a, p->initrd_src, p->initrd_size); /* an initrd that moves goes above 1 MiB */
    if (!e820_find_low(bi->mem, bi->mem_count, LOW_SIZE, PAGE_SIZE, LOW_FLOOR, LOW_LIMIT, a.r,
                       a.n, &p->boot_params)) {
        return fail(why, "no room below 640 KiB for the guest kernel's parameters");
    }
    p->cmdline = p->boot_params + LINUX_BOOT_PARAMS_SIZE;
    if (bi->mem_count > BP_E820_MAX) {
        p->more = p->cmdline + PAGE_SIZE;
        return h->has_more ? 0 : fail(why, "the memory map has more than 128 entries, too many "
                                           "for this guest kernel (protocol below 2.09)");
    }
    return 0;
}

/*
 * UEFI's memory map for the guest: in low memory, which Linux keeps clear of early, else anywhere
 * below 4 GiB. The loader's is copied before anything moves, so it may lie where the kernel will.
 */
static int plan_efi(const struct boot_info *bi, const struct header *h, struct avoid a,
                    struct linux_plan *p, const char **why)
{
    const struct efi_map map = { NULL, bi->efi.map_size, bi->efi.descriptor_size };

    if (bi->efi.bits == 0 || !h->has_efi) {
        return 0;
    }
    if (map.descriptor_size < EFI_DESCRIPTOR_MIN || map.size > MIB(1)) {
        return fail(why, "UEFI's memory map has an impossible size");
    }
    p->efi_room = align_up(efi_map_room(&map, EFI_TAKEN_MAX), PAGE_SIZE);
    avoid_add(&a, p->kernel_src, p->kernel_size);
    avoid_add(&a, p->kernel_dst, h->init_size);
    avoid_add(&a, p->initrd_src, p->initrd_size);
    avoid_add(&a, p->initrd_dst, p->initrd_size);
    avoid_add(&a, p->boot_params, LOW_SIZE);
    avoid_add(&a, bi->efi.map, bi->efi.map_size);
    if (!e820_find_low(bi->mem, bi->mem_count, p->efi_room, PAGE_SIZE, LOW_FLOOR, LOW_LIMIT, a.r,
                       a.n, &p->efi_map)
        && !e820_find_high(bi->mem, bi->mem_count, p->efi_room, PAGE_SIZE, HIGH_FLOOR, GIB(4), a.r,
                           a.n, &p->efi_map)) {
        return fail(why, "no room for the guest's copy of UEFI's memory map");
    }
    return 0;
}

int linux_plan(const struct boot_info *bi, const void *image, struct linux_plan *plan,
               bool *initrd_first, const char **why)
{
    const uint8_t *bytes = image;
    struct avoid avoid = { .n = 0 };
    struct header h;

    *plan = (struct linux_plan){ 0 };
    if (bi->module_count == 0) {
        return fail(why, "no guest kernel: give a Linux bzImage as the first module");
    }
    if (read_header(bytes, bi->module[0].size, &h, why) != 0) {
        return -1;
    }
    if (strlen(bi->module[0].cmdline) > le32(bytes + HDR_CMDLINE_SIZE)) {
        return fail(why, "the command line is too long for the guest kernel");
    }
    plan->kernel_src = bi->module[0].start + h.setup_size;
    plan->kernel_size = h.kernel_size;
    if (bi->module_count > 1) {
        plan->initrd_src = bi->module[1].start;
        plan->initrd_size = bi->module[1].size;
    }
    avoid_add(&avoid, bi->protected_base, bi->protected_size);
    if (plan_kernel(bi, &h, avoid, plan, why) != 0
        || plan_initrd(bi, &h, avoid, plan, initrd_first, why) != 0) {
        return -1;
    }
    return plan_low(bi, &h, avoid, plan, why) != 0 ? -1 : plan_efi(bi, &h, avoid, plan, why);
}

int linux_copy_efi_map(struct linux_plan *plan, const struct boot_info *bi, const uint8_t *from,
                       uint8_t *to, const char **why)
{
    const struct efi_map map = { from, bi->efi.map_size, bi->efi.descriptor_size };
    const struct boot_mem taken[EFI_TAKEN_MAX] = {
        { .start = bi->protected_base, .size = bi->protected_size },
        { .start = bi->low_page, .size = bi->low_page ? PAGE_SIZE : 0 },
        { .start = bi->crash_place[0], .size = bi->crash_place[0] ? PAGE_SIZE : 0 },
        { .start = bi->crash_place[1], .size = bi->crash_place[1] ? PAGE_SIZE : 0 },
        { .start = plan->efi_map, .size = plan->efi_room },
    };

    plan->efi_size = efi_map_without(&map, taken, EFI_TAKEN_MAX, to, plan->efi_room);
    return plan->efi_size != 0 ? 0 : fail(why, "UEFI's memory map has too many overlaps");
}

/* The picture that UEFI's graphics output has left; its driver in Linux goes on with it. */
static void fill_picture(uint8_t *bp, const struct boot_framebuffer *f)
{
    const uint8_t colours = (uint8_t)(f->red.bits + f->green.bits + f->blue.bits);
    const uint8_t rest = f->depth > colours ? (uint8_t)(f->depth - colours) : 0;
    const uint8_t fields[8] = { f->red.bits, f->red.at, f->green.bits, f->green.at,
                                f->blue.bits, f->blue.at, rest, rest ? colours : 0 };

    bp[BP_VIDEO_IS_VGA] = VIDEO_TYPE_EFI;
    put_le16(bp + BP_LFB_WIDTH, f->width);
    put_le16(bp + BP_LFB_HEIGHT, f->height);
    put_le16(bp + BP_LFB_DEPTH, f->depth);
    put_le32(bp + BP_LFB_BASE, (uint32_t)f->base);
    put_le32(bp + BP_LFB_BASE_HIGH, (uint32_t)(f->base >> 32));
    put_le32(bp + BP_LFB_ABILITIES, f->base >= GIB(4) ? VIDEO_64BIT_BASE : 0);
    put_le32(bp + BP_LFB_SIZE, f->pitch * f->height);
    put_le16(bp + BP_LFB_PITCH, (uint16_t)f->pitch);
    memcpy(bp + BP_LFB_COLOURS, fields, sizeof(fields));
}

/* As a loader does that has ended boot services itself. The kernel's 32-bit entry takes it too: it
 * looks in boot_params for the signature, however it was entered. */
static void fill_efi(uint8_t *bp, const struct boot_efi *efi, const struct linux_plan *plan)
{
    uint8_t *at = bp + BP_EFI;

    memcpy(at + EFI_SIGNATURE, efi->bits == 32 ? "EL32" : "EL64", 4);
    put_le32(at + EFI_SYSTEM_TABLE, (uint32_t)efi->system_table);
    put_le32(at + EFI_SYSTEM_TABLE_HIGH, (uint32_t)(efi->system_table >> 32));
    put_le32(at + EFI_DESCRIPTOR, efi->descriptor_size);
    put_le32(at + EFI_VERSION, efi->descriptor_version);
    put_le32(at + EFI_MAP, (uint32_t)plan->efi_map);
    put_le32(at + EFI_MAP_HIGH, (uint32_t)(plan->efi_map >> 32));
    put_le32(at + EFI_MAP_SIZE, (uint32_t)plan->efi_size);
}

/* As the firmware leaves it: the VGA BIOS' mode 3, or 7 on a monochrome one; the font by the number
 * of rows. Of a screen without text nothing is said: Linux then takes it for absent. */
static void fill_screen(uint8_t *bp, const struct boot_screen *s)
{
    if (s->kind != BOOT_SCREEN_TEXT) {
        return;
    }
    bp[BP_VIDEO_MODE] = s->base < 0xb8000 ? 7 : 3;
    bp[BP_VIDEO_COLS] = (uint8_t)s->columns;
    bp[BP_VIDEO_LINES] = (uint8_t)s->rows;
    bp[BP_VIDEO_IS_VGA] = 1;
    put_le16(bp + BP_VIDEO_POINTS, s->rows > 28 ? 8 : (uint16_t)(400 / s->rows));
}

/* The entries from `first` on, but not `end` and later ones. Returns their bytes. */
static uint32_t put_e820(uint8_t *out, const struct boot_info *bi, unsigned first, unsigned end)
{
    struct e820_entry e;

    for (unsigned i = first; i < end; i++) {
        e = (struct e820_entry){ bi->mem[i].start, bi->mem[i].size,
                                 e820_guest_type(bi->mem[i].type) };
        memcpy(out + (i - first) * sizeof(e), &e, sizeof(e));
    }
    return (end - first) * (uint32_t)sizeof(e);
}

static void fill_e820(uint8_t *bp, const struct boot_info *bi)
{
    unsigned count = bi->mem_count < BP_E820_MAX ? bi->mem_count : BP_E820_MAX;

    (void)put_e820(bp + BP_E820_TABLE, bi, 0, count);
    bp[BP_E820_ENTRIES] = (uint8_t)count;
}

void linux_fill_more(void *more, const struct boot_info *bi)
{
    uint8_t *block = more;

    memset(block, 0, LINUX_MORE_SIZE);
    put_le32(block + MORE_TYPE, MORE_E820);
    put_le32(block + MORE_LENGTH, put_e820(block + MORE_DATA, bi, BP_E820_MAX, bi->mem_count));
}

/* boot.rst, "32-bit boot protocol": the header is copied to its end, which the jump
 * at 0x200 tells; the rest of boot_params is zero. */
static void copy_header(uint8_t *bp, const uint8_t *image)
{
    size_t end = HDR_MAGIC + (size_t)image[HDR_JUMP_LEN];

    if (end > HDR_END_MAX) {
        end = HDR_END_MAX;
    }
    memcpy(bp + HDR_START, image + HDR_START, end - HDR_START);
}

void linux_fill_params(void *params, const void *image, const struct linux_plan *plan,
                       const struct boot_info *bi)
{
    uint8_t *bp = params;

    memset(bp, 0, LINUX_BOOT_PARAMS_SIZE);
    copy_header(bp, image);
    bp[HDR_TYPE_OF_LOADER] = LOADER_OTHER;
    bp[HDR_LOADFLAGS] &= (uint8_t)~CAN_USE_HEAP;
    put_le32(bp + HDR_CODE32_START, plan->entry);
    put_le32(bp + HDR_RAMDISK_IMAGE, (uint32_t)plan->initrd_dst);
    put_le32(bp + HDR_RAMDISK_SIZE, (uint32_t)plan->initrd_size);
    put_le32(bp + HDR_CMD_LINE_PTR, (uint32_t)plan->cmdline);
    if (le16(bp + HDR_VERSION) >= MORE_PROTOCOL) {
        put_le64(bp + HDR_SETUP_DATA, plan->more);
    }
    fill_screen(bp, &bi->screen);
    fill_e820(bp, bi);
    if (bi->framebuffer.base != 0) {
        fill_picture(bp, &bi->framebuffer);
    }
    if (plan->efi_size != 0) {
        fill_efi(bp, &bi->efi, plan);
    }
    if (bi->rsdp != 0 && !e820_is_usable(bi->mem, bi->mem_count, bi->rsdp, 1)) {
        put_le64(bp + BP_RSDP, bi->rsdp);
    }
}
