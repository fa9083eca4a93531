/* SPDX-License-Identifier: MIT */
/* The OS's nested tables: an identity map with memory types, less what is kept from the guest. */
#include <stdatomic.h>
#include <debug/log.h>
#include <guest/ipi.h>
#include <guest/phys.h>
#include <hw/apic.h>
#include <mm/host_map.h>
#include <mm/mtrr.h>
#include <mm/pool.h>
#include <smp/low_page.h>
#include <smp/spinlock.h>
#include <virt/virt.h>

struct nested_table guest_nested;

static struct mtrr mtrr;          /* for formats that have memory types */
static unsigned max_level;        /* of the nested tables' leaves */
static bool split_exec;           /* large leaves aren't executable */
static bool keeps_sizes;          /* leaves stay as they are once the guest runs */
static struct spinlock map_lock = SPINLOCK_INIT; /* a try-lock: guards guest_nested after boot */

static atomic_uint tables_since_boot;

/* Pages kept for tables that the guest's own running needs after boot, which PALs can't have: what
 * one use takes isn't taken from the other. Under map_lock. */
enum use { FOR_DEVICES, FOR_CODE, USES, FOR_RIGHTS = USES };
static unsigned kept[USES];
static enum use use;              /* what tables are wanted for now */

/* so many GiB of devices, or 512 GiB each with 1 GiB leaves, above what is mapped at boot */
#define DEVICE_TABLES 64u
/* code in so many pieces of 2 MiB besides: of firmware, at the ends of RAM */
#define CODE_BESIDE   16u

static hpa_t alloc_table(void *ctx)
{
    void *p;

    (void)ctx;
    if (use == FOR_RIGHTS) { /* these are given back */
        p = pool_alloc();
        return p ? core_hpa(p) : hpa(0);
    }
    p = kept[use] != 0 ? pool_reserved_page() : NULL;
    if (p) {
        kept[use]--;
        return core_hpa(p);
    }
    /* first, or free pages would seem to go for a moment */
    atomic_fetch_add(&tables_since_boot, 1);
    p = pool_boot_pages(1);
    if (!p) {
        atomic_fetch_sub(&tables_since_boot, 1);
    }
    return p ? core_hpa(p) : hpa(0);
}

unsigned guest_phys_tables(void)
{
    return atomic_load(&tables_since_boot);
}

static const struct page_source table_source = { .alloc = alloc_table, .va = core_va };

/* EPTP_WALK_4, and what CR4.LA57 = 0 gives the core and its NPT (APM vol. 2, 15.25.3) */
#define GUEST_LEVELS 4

#define RWX (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)

static uint64_t leaf_size(unsigned level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

/* True if [at, at+size) can be one leaf: it has one type. */
static bool one_type(uint64_t at, uint64_t size, enum mem_type *type)
{
    *type = MT_WB;
    return !virt->nested->type || mtrr_uniform(&mtrr, at, size, type);
}

/* Identity map what is absent of [start, end) with the types of the MTRRs, in the largest leaves
 * that these and the alignment allow. What is there stays: an earlier try may have run out of
 * tables on its way, and rights of what it mapped may have been taken since. */
static int map_typed(uint64_t start, uint64_t end)
{
    struct nested_leaf leaf;
    enum mem_type type;

    while (start < end) {
        if (nested_lookup(&guest_nested, gpa(start), &leaf)) {
            start = align_down(start, leaf_size(leaf.level)) + leaf_size(leaf.level);
            continue;
        }
        unsigned level = leaf.level < max_level ? leaf.level : max_level;
        while (level > 1 && ((start & (leaf_size(level) - 1)) || end - start < leaf_size(level)
                             || !one_type(start, leaf_size(level), &type))) {
            level--;
        }
        (void)one_type(start, leaf_size(level), &type);
        unsigned rights = level > 1 && split_exec ? RWX & ~ACCESS_EXEC : RWX;
        if (nested_map(&guest_nested, gpa(start), hpa(start), leaf_size(level), rights, type,
                       level) != 0) {
            return -1;
        }
        start += leaf_size(level);
    }
    return 0;
}

/* Identity map all RAM, and everything below 512 GiB (without 1G leaves, 4 GiB: each GiB takes
 * a table then), as far as the CPU's addresses go. The rest is mapped when touched. */
static int map_identity(void)
{
    uint64_t end = max_level == 3 ? GIB(512) : GIB(4);
    const uint64_t top = guest_map_ram_end(), limit = guest_map_limit();

    end = top > end ? align_up(top, PAGE_SIZE_1G) : end;
    return map_typed(0, end > limit ? limit : end);
}

/* What the nested tables of this CPU look like. */
static void choose_leaves(void)
{
    max_level = virt->max_leaf_level ? virt->max_leaf_level() : 3;
    split_exec = virt->split_exec && virt->split_exec();
    keeps_sizes = virt->keeps_sizes && virt->keeps_sizes();
    if (virt->nested->type) {
        mtrr_read(&mtrr);
    }
}

/* Only writes to the APIC page exit, where INIT and SIPI must pass through us
 * (notes/decisions/init-sipi-on-svm.md). What lies behind it is where devices write their
 * interrupts, INIT among them: no place for a CPU's stores (notes/bugs/around-the-traps.md). */
static int trap_apic(void)
{
    return ipi_traps_icr() ? nested_map(&guest_nested, gpa(APIC_PAGE), hpa(APIC_PAGE), MSI_SIZE,
                                        ACCESS_READ, MT_UC, 1)
                           : 0;
}

/* The page at `g` shows `h` with these rights. Where large leaves aren't executable its neighbours
 * become small ones that are: guest_phys_make_executable takes small ones for final. */
static int map_page(uint64_t g, uint64_t h, unsigned rights)
{
    struct nested_leaf leaf;
    enum mem_type type;
    uint64_t at = align_down(g, PAGE_SIZE_2M);

    if (!nested_lookup(&guest_nested, gpa(g), &leaf)) {
        return -1;
    }
    if (split_exec && leaf.level > 1) {
        (void)one_type(g, PAGE_SIZE, &type);
        if (nested_map(&guest_nested, gpa(at), hpa(at), PAGE_SIZE_2M, RWX, type, 1) != 0) {
            return -1;
        }
    }
    (void)one_type(g, PAGE_SIZE, &type);
    return nested_map(&guest_nested, gpa(g), hpa(h), PAGE_SIZE, rights, type, 1);
}

int guest_phys_device_rights(gpa_t g, unsigned rights)
{
    struct nested_leaf leaf;

    if (guest_phys_protected(g) || guest_phys_ops.map(g, PAGE_SIZE) || (g.a & PAGE_MASK)
        || align_down(g.a, MSI_SIZE) == APIC_PAGE) {
        return -1;
    }
    /* Else the GiB around it would be mapped later, and this page with it. */
    if (!nested_lookup(&guest_nested, g, &leaf) && !guest_phys_map_device(g)) {
        return -1;
    }
    return map_page(g.a, g.a, rights);
}

int guest_phys_write_protect(gpa_t g)
{
    return guest_phys_device_rights(g, ACCESS_READ | ACCESS_EXEC);
}

/* At most so many: where large leaves aren't executable a table for each 2 MiB of RAM, and one for
 * each GiB if that was one leaf. RAM that may be plugged in isn't counted: an SRAT names 1 TiB
 * where there is none. */
static uint64_t tables_for_code(void)
{
    const uint64_t bytes = guest_map_ram_bytes();

    return !split_exec ? 0 : bytes / PAGE_SIZE_2M + (max_level == 3 ? bytes / PAGE_SIZE_1G : 0)
        + CODE_BESIDE;
}

/* PALs must not take what the guest needs to reach its devices, and to run code in new places. The
 * boot stage made room for that (boot/common/place.c:boot_tables); where it could not, PALs keep
 * three eighths. */
static void reserve_tables(void)
{
    const size_t all = pool_total(), most = all / 2;
    const uint64_t code = tables_for_code();

    kept[FOR_DEVICES] = (unsigned)(all / 8 < DEVICE_TABLES ? all / 8 : DEVICE_TABLES);
    kept[FOR_CODE] = (unsigned)(code < most ? code : most);
    if (code > most) {
        log_line("tables for code are kept for %zu MiB of RAM only: a larger palmem= would help",
                 most * 2);
    }
    pool_reserve(kept[FOR_DEVICES] + kept[FOR_CODE]);
}

/* --- a CPU whose APIC is off ------------------------------------------------------------- */

/* the tables of its own tree, and the memory at APIC_PAGE */
static hpa_t off_pages[GUEST_LEVELS + 1];
/* Guards that tree, of which a copy that begins later says more. Inside map_lock. */
static struct spinlock off_lock = SPINLOCK_INIT;
static bool off_used;             /* some CPU has asked for it; under off_lock */

static int off_init(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(off_pages); i++) {
        void *page = pool_boot_pages(1);
        if (!page) {
            return -1;
        }
        off_pages[i] = core_hpa(page);
    }
    off_used = false;
    return 0;
}

/* After each change of the tables, and for each CPU that begins to use it, which waits for no
 * change: one that is under way follows itself, behind us. */
static void off_follow(bool begins)
{
    spin_lock(&off_lock);
    off_used |= begins;
    if (off_used) {
        nested_variant(&guest_nested, gpa(APIC_PAGE), off_pages[GUEST_LEVELS], off_pages);
    }
    spin_unlock(&off_lock);
}

hpa_t guest_phys_root(bool apic_off)
{
    if (apic_off) {
        off_follow(true);
    }
    return apic_off ? off_pages[0] : guest_nested.root;
}

/* Our memory is zeros to read. The range may end within 2 MiB, the guest has the rest of them. */
static int hide(const struct boot_info *bi, hpa_t zero)
{
    const uint64_t large = align_down(bi->protected_size, PAGE_SIZE_2M);

    if (nested_decoy(&guest_nested, gpa(bi->protected_base), large, zero) != 0) {
        return -1;
    }
    for (uint64_t off = large; off < bi->protected_size; off += PAGE_SIZE) {
        if (map_page(bi->protected_base + off, zero.a, ACCESS_READ) != 0) {
            return -1;
        }
    }
    return map_page(low_page, zero.a, ACCESS_READ);
}

int guest_phys_init(const struct boot_info *bi, const struct acpi_info *acpi)
{
    void *zero = pool_boot_need(1);

    if (guest_map_init(bi) != 0) {
        return -1;
    }
    choose_leaves();
    if (nested_init(&guest_nested, virt->nested, &table_source, GUEST_LEVELS) != 0
        || map_identity() != 0
        || hide(bi, core_hpa(zero)) != 0 || trap_apic() != 0 || off_init() != 0) {
        log_error("cannot start: no memory for the guest's nested tables");
        return -1;
    }
    guest_map_add_ram(acpi);
    reserve_tables();
    atomic_store(&tables_since_boot, 0);
    return 0;
}

/* --- after boot ------------------------------------------------------------------------------- */

bool guest_phys_lock(void) { return spin_trylock(&map_lock); }
void guest_phys_unlock(void) { spin_unlock(&map_lock); }

void guest_phys_changed(void) { off_follow(false); }

bool guest_phys_map_device(gpa_t g)
{
    struct nested_leaf leaf;
    uint64_t at = align_down(g.a, PAGE_SIZE_1G);
    bool ok = false;

    if (guest_phys_beyond(g)) {
        return false;
    }
    if (!guest_phys_lock()) {
        return true; /* a whole GiB takes its time: the guest tries again */
    }
    use = FOR_DEVICES;
    if (nested_lookup(&guest_nested, g, &leaf)) {
        ok = leaf.h.a == g.a && (leaf.rights & ACCESS_WRITE); /* another CPU was faster */
    } else {
        ok = map_typed(at, at + PAGE_SIZE_1G) == 0;
    }
    guest_phys_changed();
    guest_phys_unlock();
    return ok;
}

bool guest_phys_make_executable(gpa_t g)
{
    struct nested_leaf leaf;
    uint64_t at = align_down(g.a, PAGE_SIZE_2M);
    enum mem_type type;
    bool ok = false;

    if (!split_exec || guest_phys_protected(g)) {
        return false;
    }
    if (!guest_phys_lock()) {
        return true;
    }
    use = FOR_CODE;
    if (nested_lookup(&guest_nested, g, &leaf) && leaf.h.a == g.a) {
        /* A large leaf has one type. If it is small by now another CPU was faster. */
        (void)one_type(align_down(g.a, PAGE_SIZE), PAGE_SIZE, &type);
        ok = leaf.level == 1 ? leaf.rights & ACCESS_EXEC
            : nested_map(&guest_nested, gpa(at), hpa(at), PAGE_SIZE_2M, RWX, type, 1) == 0;
    }
    guest_phys_changed();
    guest_phys_unlock();
    return ok;
}

/* --- rights --------------------------------------------------------------------------------- */

/* Where large leaves aren't executable, those that are large have all rights: guest_phys_protect
 * makes others small. */
static unsigned rights_of(const struct nested_leaf *leaf)
{
    return leaf->rights | (split_exec && leaf->level > 1 ? ACCESS_EXEC : 0);
}

unsigned guest_phys_rights(gpa_t g)
{
    struct nested_leaf leaf;

    return nested_lookup(&guest_nested, g, &leaf) ? rights_of(&leaf) : RWX;
}

void *guest_phys_firmware(const struct walk *w, unsigned right)
{
    struct nested_leaf leaf;

    return w->beside_ram && w->gpa.a < MIB(1) && nested_lookup(&guest_nested, w->gpa, &leaf)
        && leaf.h.a == w->gpa.a && (rights_of(&leaf) & right)
        ? host_phys(w->gpa.a, PAGE_SIZE - (w->gpa.a & PAGE_MASK)) : NULL;
}

bool guest_phys_can_split(void) { return !keeps_sizes; }

/* RAM that was plugged in may not have been touched yet: it is mapped as when that happens. */
static bool look_up(gpa_t g, struct nested_leaf *leaf)
{
    const uint64_t at = align_down(g.a, PAGE_SIZE_1G);

    use = FOR_DEVICES;
    return nested_lookup(&guest_nested, g, leaf)
        || (map_typed(at, at + PAGE_SIZE_1G) == 0 && nested_lookup(&guest_nested, g, leaf));
}

int guest_phys_split(gpa_t g, uint64_t size, unsigned rights)
{
    struct nested_leaf leaf;

    if (!look_up(g, &leaf)) {
        return -1;
    }
    use = FOR_RIGHTS;
    if (leaf.level == 1 || rights_of(&leaf) == rights) {
        return 0;
    }
    if (leaf.level == 3 && nested_split(&guest_nested, g, 3, 0) != 0) {
        return -1;
    }
    return size == PAGE_SIZE_2M && !split_exec ? 0
        : nested_split(&guest_nested, g, 2, split_exec ? ACCESS_EXEC : 0);
}

int guest_phys_protect(gpa_t g, uint64_t size, unsigned rights)
{
    struct nested_leaf leaf;

    if (nested_lookup(&guest_nested, g, &leaf) && leaf.level > 1 && rights_of(&leaf) == rights) {
        return 0;
    }
    return nested_protect(&guest_nested, g, size, rights);
}

bool guest_phys_merge(gpa_t g, unsigned level, hpa_t *page)
{
    struct nested_leaf leaf;

    if (level > max_level || !nested_lookup(&guest_nested, g, &leaf) || leaf.level != level - 1
        || (split_exec && rights_of(&leaf) != RWX)) {
        return false;
    }
    return nested_merge(&guest_nested, g, level, leaf.rights,
                        split_exec ? leaf.rights & ~ACCESS_EXEC : leaf.rights, page);
}
