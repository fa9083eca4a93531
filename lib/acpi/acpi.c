/* SPDX-License-Identifier: MIT */
/*
 * The few ACPI tables the core needs (ACPI 6.5, chapter 5). All input is hostile. What is
 * wanted is copied out or read at once, so no pointer outlives the next map call.
 */
#include <acpi/acpi.h>

#include <util/bytes.h>
#include <util/string.h>

#define LAPIC_DEFAULT 0xfee00000ULL
#define TABLE_MAX     MIB(2) /* a laptop's DSDT has some 100 KiB, a large server's more */

/* 5.2.6: the header of every table but the RSDP. */
#define HEADER_SIZE   36
#define HEADER_LENGTH 4

/* 5.2.5.3: RSDP. */
#define RSDP_SIZE1    20
#define RSDP_REVISION 15
#define RSDP_RSDT     16
#define RSDP_XSDT     24
#define RSDP_SIZE2    36

/* 5.2.12: MADT. */
#define MADT_LAPIC    36
#define MADT_ENTRIES  44
#define MADT_TYPE_LAPIC      0  /* 5.2.12.2 */
#define MADT_TYPE_LAPIC_ADDR 5  /* 5.2.12.8 */
#define MADT_TYPE_X2APIC     9  /* 5.2.12.12 */
#define MADT_ENABLED  BIT(0)

/* 5.2.9: FADT. */
#define FADT_FACS        36
#define FADT_DSDT        40
#define FADT_PM1A_EVT    56
#define FADT_PM1B_EVT    60
#define FADT_PM1A_CNT    64
#define FADT_PM1B_CNT    68
#define FADT_PM_TMR      76
#define FADT_FLAGS       112
#define FADT_RESET_REG   116
#define FADT_RESET_VALUE 128
#define FADT_X_FACS      132
#define FADT_X_DSDT      140
#define FADT_X_PM1A_EVT  148
#define FADT_X_PM1B_EVT  160
#define FADT_X_PM1A_CNT  172
#define FADT_X_PM1B_CNT  184
#define FADT_X_PM_TMR    208
#define FADT_SIZE_MIN    116 /* ACPI 1.0 */
#define FADT_RESET_REG_SUP BIT(10)
#define FADT_HW_REDUCED    BIT(20) /* no fixed hardware: no timer either */

/* 5.2.16: SRAT; 5.2.16.2: memory affinity. */
#define SRAT_ENTRIES       48
#define SRAT_TYPE_MEMORY   1
#define SRAT_MEMORY_BASE   8
#define SRAT_MEMORY_LENGTH 16
#define SRAT_MEMORY_FLAGS  28
#define SRAT_MEMORY_SIZE   40
#define SRAT_HOTPLUG       (BIT(0) | BIT(1)) /* enabled, hot-pluggable */

#define GAS_SIZE         12 /* 5.2.3.2: generic address structure */
#define GAS_ADDRESS      4
#define GAS_SPACE_IO     1

/* IA-PC HPET 1.0a, 3.2.4. */
#define HPET_ADDRESS       40 /* a GAS */
#define HPET_SIZE          56

/* TCG ACPI Specification 1.4: TPM2 (8.3; with a log from revision 4 on) and a client's TCPA
 * (7.3). */
#define TPM2_LOG_SIZE      64 /* 4 bytes, then 8 of the address */
#define TCPA_CLASS         36 /* 0: a client */
#define TCPA_LOG_SIZE      38

/* TCG PC Client Platform Firmware Profile 1.05, 10.2.1: the head of an event by SHA-1. The first
 * one of a log in the other form is one that says so (10.4.5.1), the "03" as digits. */
#define EVENT_TYPE         4
#define EVENT_DATA         32
#define EVENT_NO_ACTION    3
static const char agile[] = "Spec ID Event03"; /* with its NUL */

static int fail(const char **why, const char *text)
{
    *why = text;
    return -1;
}

static bool sums_to_zero(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    return sum == 0;
}

#define X(name, text) text,
static const char *const warning_texts[] = { ACPI_WARNINGS(X) };
#undef X

const char *acpi_warning_text(enum acpi_warning w)
{
    return warning_texts[w];
}

static void warn(struct acpi_info *out, enum acpi_warning w, bool wrong)
{
    out->warnings |= wrong ? BIT(w) : 0;
}

/* Copy a checked RSDP to `out`; an ACPI 1.0 one is filled up with zeros. The extended checksum
 * only warns: the two addresses lead to tables with names of their own. */
static bool read_rsdp(acpi_mapper map, uint64_t addr, uint8_t out[RSDP_SIZE2], bool *sum_wrong)
{
    const uint8_t *p = map(addr, RSDP_SIZE1);

    memset(out, 0, RSDP_SIZE2);
    *sum_wrong = false;
    if (!p || memcmp(p, "RSD PTR ", 8) != 0 || !sums_to_zero(p, RSDP_SIZE1)) {
        return false;
    }
    memcpy(out, p, RSDP_SIZE1);
    if (out[RSDP_REVISION] < 2) {
        return true;
    }
    p = map(addr, RSDP_SIZE2);
    if (!p) {
        return false;
    }
    memcpy(out, p, RSDP_SIZE2);
    *sum_wrong = !sums_to_zero(out, RSDP_SIZE2);
    return true;
}

/* Look at every 16th byte of [start, start+size). `*second`, if 0, becomes the first one whose
 * extended checksum is wrong. */
static uint64_t scan(acpi_mapper map, uint64_t start, uint64_t size, uint64_t *second)
{
    uint8_t rsdp[RSDP_SIZE2];
    bool wrong;

    for (uint64_t at = start; at < start + size; at += 16) {
        const uint8_t *p = map(at, 8);

        if (p && memcmp(p, "RSD PTR ", 8) == 0 && read_rsdp(map, at, rsdp, &wrong)) {
            if (!wrong) {
                return at;
            }
            *second = *second != 0 ? *second : at;
        }
    }
    return 0;
}

uint64_t acpi_find_rsdp(acpi_mapper map)
{
    const uint8_t *p = map(0x40e, 2); /* BIOS data area: segment of the EBDA */
    uint64_t ebda = p ? ((uint64_t)p[0] | (uint64_t)p[1] << 8) << 4 : 0;
    uint64_t found = 0, second = 0;

    if (ebda >= 0x500 && ebda + KIB(1) <= 0xa0000) {
        found = scan(map, ebda, KIB(1), &second);
    }
    if (found == 0) {
        found = scan(map, 0xe0000, 0x20000, &second);
    }
    return found != 0 ? found : second;
}

/* The whole table at `addr` if it has `signature` and a length that can be. A wrong checksum is
 * told in `*sum_wrong`; Linux too takes such a table. */
static const uint8_t *get_table(acpi_mapper map, uint64_t addr, const char *signature,
                                size_t *length, bool *sum_wrong)
{
    const uint8_t *p = addr != 0 ? map(addr, HEADER_SIZE) : NULL;

    if (!p || memcmp(p, signature, 4) != 0) {
        return NULL;
    }
    *length = le32(p + HEADER_LENGTH);
    if (*length < HEADER_SIZE || *length > TABLE_MAX) {
        return NULL;
    }
    p = map(addr, *length);
    *sum_wrong = p && !sums_to_zero(p, *length);
    return p;
}

/* A list of all tables: the XSDT, or the RSDT. */
struct root {
    uint64_t addr;
    size_t count;
    size_t width; /* bytes of an entry */
};

static bool open_root(acpi_mapper map, uint64_t addr, const char *signature, size_t width,
                      struct root *root, bool *sum_wrong)
{
    size_t length;

    *root = (struct root){ addr, 0, width };
    if (!get_table(map, addr, signature, &length, sum_wrong)) {
        return false;
    }
    root->count = (length - HEADER_SIZE) / width;
    return true;
}

/* Both lists; false if there is neither. */
static bool find_roots(acpi_mapper map, const uint8_t *rsdp, struct root roots[2],
                       struct acpi_info *out)
{
    uint64_t xsdt = rsdp[RSDP_REVISION] < 2 ? 0 : le64(rsdp + RSDP_XSDT);
    bool new_wrong = false, old_wrong = false;
    bool new = open_root(map, xsdt, "XSDT", 8, &roots[0], &new_wrong);
    bool old = open_root(map, le32(rsdp + RSDP_RSDT), "RSDT", 4, &roots[1], &old_wrong);

    warn(out, ACPI_WARN_ROOT_SUM, new ? new_wrong : old_wrong);
    return new || old;
}

static uint64_t entry_of(acpi_mapper map, const struct root *root, size_t i)
{
    const uint8_t *p = map(root->addr + HEADER_SIZE + i * root->width, root->width);

    return !p ? 0 : root->width == 8 ? le64(p) : le32(p);
}

/* Address of the first table with `signature`, 0 if there is none. Firmware leaves entries
 * empty. */
static uint64_t find_in(acpi_mapper map, const struct root *root, const char *signature)
{
    for (size_t i = 0; i < root->count; i++) {
        uint64_t addr = entry_of(map, root, i);
        const uint8_t *p = addr != 0 ? map(addr, HEADER_SIZE) : NULL;
        if (p && memcmp(p, signature, 4) == 0) {
            return addr;
        }
    }
    return 0;
}

/* The XSDT goes first, as with every OS; what it leaves out may be in the RSDT. */
static uint64_t find_table(acpi_mapper map, const struct root roots[2], const char *signature)
{
    uint64_t addr = find_in(map, &roots[0], signature);

    return addr != 0 ? addr : find_in(map, &roots[1], signature);
}

/* Make room for an enabled CPU in a full list: drop one that isn't enabled. */
static void drop_disabled(struct acpi_info *out)
{
    for (unsigned i = out->cpu_count; i-- > 0;) {
        if (!out->cpu[i].enabled) {
            out->cpu_count--;
            memmove(&out->cpu[i], &out->cpu[i + 1], (out->cpu_count - i) * sizeof(out->cpu[0]));
            return;
        }
    }
}

/* An id listed twice is one CPU, enabled if either entry says so. Firmware lists all the sockets
 * and threads that a board could have: hundreds that aren't there. */
static void add_cpu(struct acpi_info *out, uint32_t apic_id, bool enabled)
{
    for (unsigned i = 0; i < out->cpu_count; i++) {
        if (out->cpu[i].apic_id == apic_id) {
            out->cpu[i].enabled |= enabled;
            return;
        }
    }
    if (out->cpu_count == ACPI_CPU_MAX && enabled) {
        drop_disabled(out);
    }
    if (out->cpu_count < ACPI_CPU_MAX) {
        out->cpu[out->cpu_count++] = (struct acpi_cpu){ apic_id, enabled };
    }
}

/* One MADT entry of `len` bytes (>= 2). The broadcast ids name no CPU: firmware fills
 * unused entries with them. False if it is too short. */
static bool madt_entry(const uint8_t *p, size_t len, struct acpi_info *out)
{
    switch (p[0]) {
    case MADT_TYPE_LAPIC:
        if (len >= 8 && p[3] != 0xff) {
            add_cpu(out, p[3], (le32(p + 4) & MADT_ENABLED) != 0);
        }
        return len >= 8;
    case MADT_TYPE_X2APIC:
        if (len >= 16 && le32(p + 4) != 0xffffffff) {
            add_cpu(out, le32(p + 4), (le32(p + 8) & MADT_ENABLED) != 0);
        }
        return len >= 16;
    case MADT_TYPE_LAPIC_ADDR:
        if (len >= 12) {
            out->lapic_base = le64(p + 4);
        }
        return len >= 12;
    default:
        return true;
    }
}

/* Bytes that are no entry: less than an entry's head, or zeros to the table's end. */
static bool is_tail(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len && len >= 2; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Read the MADT. One that can't be read to its end is refused, since it may hide a CPU from us.
 * (Linux goes without ACPI then.) */
static int read_madt(acpi_mapper map, uint64_t addr, struct acpi_info *out, const char **why)
{
    size_t length;
    bool wrong = false;
    const uint8_t *p = get_table(map, addr, "APIC", &length, &wrong);

    if (!p || length < MADT_ENTRIES) {
        return fail(why, "the MADT is missing or can't be read");
    }
    warn(out, ACPI_WARN_MADT_SUM, wrong);
    out->lapic_base = le32(p + MADT_LAPIC);
    for (size_t at = MADT_ENTRIES; at < length;) {
        size_t len = length - at >= 2 ? p[at + 1] : 0;

        if (is_tail(p + at, length - at)) {
            warn(out, ACPI_WARN_MADT_TAIL, true);
            break;
        }
        if (len < 2 || len > length - at || !madt_entry(p + at, len, out)) {
            return fail(why, "the MADT has a malformed entry");
        }
        at += len;
    }
    if (out->lapic_base == 0) {
        out->lapic_base = LAPIC_DEFAULT;
    }
    return 0;
}

/* The I/O port of a PM1 block or the timer: the X_ field if it is there and names a port. */
static uint16_t pm1_port(const uint8_t *fadt, size_t length, size_t old, size_t x)
{
    uint64_t port = le32(fadt + old);

    if (length >= x + GAS_SIZE && fadt[x] == GAS_SPACE_IO && le64(fadt + x + GAS_ADDRESS) != 0) {
        port = le64(fadt + x + GAS_ADDRESS);
    }
    return port <= 0xffff ? (uint16_t)port : 0;
}

/* A table of AML, of any size. Its checksum doesn't matter: the OS uses it all the same. */
static bool get_aml(acpi_mapper map, uint64_t addr, const char *signature, struct aml *out)
{
    const uint8_t *p = addr != 0 ? map(addr, HEADER_SIZE) : NULL;
    size_t length = p && memcmp(p, signature, 4) == 0 ? le32(p + HEADER_LENGTH) : 0;

    if (length < HEADER_SIZE || (p = map(addr, length)) == NULL) {
        return false;
    }
    *out = (struct aml){ p + HEADER_SIZE, length - HEADER_SIZE };
    return true;
}

/* A table's address, for which a FADT has two fields: that of 64 bits, if it is there and not 0. */
static uint64_t fadt_address(const uint8_t *fadt, size_t length, size_t field32, size_t field64)
{
    uint64_t addr = length >= field64 + 8 ? le64(fadt + field64) : 0;

    return addr != 0 ? addr : le32(fadt + field32);
}

/* Look for the sleep states' definitions. What a table that can't be read would have told stays
 * unknown. `dsdt`: the DSDT's address. */
static void read_sleep(acpi_mapper map, const struct root *root, uint64_t dsdt,
                       struct acpi_info *out)
{
    static const char *const kinds[] = { "SSDT", "PSDT" }; /* the same but for the name: 5.2.11.3 */
    struct sleep_search search;
    struct aml aml;

    sleep_begin(&search);
    do {
        if (get_aml(map, dsdt, "DSDT", &aml)) {
            sleep_table(&search, aml);
        }
        for (size_t i = 0; i < root->count * ARRAY_SIZE(kinds); i++) {
            uint64_t at = entry_of(map, root, i / ARRAY_SIZE(kinds));
            if (get_aml(map, at, kinds[i % ARRAY_SIZE(kinds)], &aml)) {
                sleep_table(&search, aml);
            }
        }
    } while (sleep_again(&search));
    out->sleep = search.result;
}

static void find_facs(const uint8_t *fadt, size_t length, struct acpi_info *out)
{
    out->facs[0] = le32(fadt + FADT_FACS);
    out->facs[1] = length >= FADT_X_FACS + 8 ? le64(fadt + FADT_X_FACS) : 0;
    if (out->facs[1] == out->facs[0]) {
        out->facs[1] = 0;
    }
}

static int read_fadt(acpi_mapper map, const struct root *root, uint64_t addr,
                     struct acpi_info *out, const char **why)
{
    size_t length;
    bool wrong = false;
    const uint8_t *p = get_table(map, addr, "FACP", &length, &wrong);

    if (!p || length < FADT_SIZE_MIN) {
        return fail(why, "the FADT can't be read");
    }
    warn(out, ACPI_WARN_FADT_SUM, wrong);
    out->has_fadt = true;
    out->pm1a_cnt = pm1_port(p, length, FADT_PM1A_CNT, FADT_X_PM1A_CNT);
    out->pm1b_cnt = pm1_port(p, length, FADT_PM1B_CNT, FADT_X_PM1B_CNT);
    out->pm1a_evt = pm1_port(p, length, FADT_PM1A_EVT, FADT_X_PM1A_EVT);
    out->pm1b_evt = pm1_port(p, length, FADT_PM1B_EVT, FADT_X_PM1B_EVT);
    if (!(le32(p + FADT_FLAGS) & FADT_HW_REDUCED)) {
        out->pm_timer = pm1_port(p, length, FADT_PM_TMR, FADT_X_PM_TMR);
    }
    find_facs(p, length, out);
    if ((le32(p + FADT_FLAGS) & FADT_RESET_REG_SUP) != 0 && length > FADT_RESET_VALUE) {
        out->has_reset_reg = true;
        out->reset_space = p[FADT_RESET_REG];
        out->reset_addr = le64(p + FADT_RESET_REG + GAS_ADDRESS);
        out->reset_value = p[FADT_RESET_VALUE];
    }
    /* `p` is gone now */
    read_sleep(map, root, fadt_address(p, length, FADT_DSDT, FADT_X_DSDT), out);
    return 0;
}

/* Neighbours become one: firmware has an entry for each module's place. False: no room. */
static bool add_hotplug(struct acpi_info *out, uint64_t start, uint64_t end)
{
    struct acpi_range *last = &out->hotplug[out->hotplug_count] - 1;

    if (out->hotplug_count != 0 && last->end == start) {
        last->end = end;
        return true;
    }
    if (out->hotplug_count == ACPI_HOTPLUG_MAX) {
        return false;
    }
    out->hotplug[out->hotplug_count++] = (struct acpi_range){ start, end };
    return true;
}

static bool srat_entry(const uint8_t *p, size_t len, struct acpi_info *out)
{
    if (p[0] != SRAT_TYPE_MEMORY) {
        return true;
    }
    if (len < SRAT_MEMORY_SIZE) {
        return false;
    }
    uint64_t start = le64(p + SRAT_MEMORY_BASE), end = start + le64(p + SRAT_MEMORY_LENGTH);
    bool hotplug = (le32(p + SRAT_MEMORY_FLAGS) & SRAT_HOTPLUG) == SRAT_HOTPLUG;
    return !hotplug || end <= start || add_hotplug(out, start, end);
}

/* Read the SRAT. What can't be read of it is not known to be RAM; nothing else depends on it. */
static void read_srat(acpi_mapper map, uint64_t addr, struct acpi_info *out)
{
    size_t length = 0;
    bool wrong = false;
    const uint8_t *p = get_table(map, addr, "SRAT", &length, &wrong);

    for (size_t at = SRAT_ENTRIES; p && at < length;) {
        size_t len = length - at >= 2 ? p[at + 1] : 0;

        if (len < 2 || len > length - at || !srat_entry(p + at, len, out)) {
            warn(out, ACPI_WARN_SRAT_CUT, true);
            break;
        }
        at += len;
    }
}

/* Read the HPET's table. One that can't be read counts as absent: the HPET is only asked where no
 * other clock runs. */
static void read_hpet(acpi_mapper map, uint64_t addr, struct acpi_info *out)
{
    size_t length = 0;
    bool wrong = false;
    const uint8_t *p = get_table(map, addr, "HPET", &length, &wrong);

    if (p && !wrong && length >= HPET_SIZE && p[HPET_ADDRESS] == 0) {
        out->hpet = le64(p + HPET_ADDRESS + GAS_ADDRESS);
    }
}

/* Where the firmware's event log is, by the size and the address at `field` of that table. */
static void read_log(acpi_mapper map, uint64_t addr, const char *signature, size_t field,
                     struct boot_event_log *log)
{
    size_t length = 0;
    bool wrong = false;
    const uint8_t *p = get_table(map, addr, signature, &length, &wrong);

    if (!p || wrong || length < field + 12
        || (field == TCPA_LOG_SIZE && le16(p + TCPA_CLASS) != 0)) {
        return;
    }
    uint64_t size = le32(p + field), base = le64(p + field + 4);
    const uint8_t *event = base && size >= EVENT_DATA + sizeof(agile) && base + size > base
        ? map(base, EVENT_DATA + sizeof(agile)) : NULL;
    if (event) {
        bool second = le32(event + EVENT_TYPE) == EVENT_NO_ACTION
            && memcmp(event + EVENT_DATA, agile, sizeof(agile)) == 0;
        *log = (struct boot_event_log){ .base = base, .size = size,
                                        .format = second ? BOOT_LOG_AGILE : BOOT_LOG_SHA1 };
    }
}

int acpi_read(acpi_mapper map, uint64_t rsdp_addr, struct acpi_info *out, const char **why)
{
    uint8_t rsdp[RSDP_SIZE2];
    struct root roots[2];
    uint64_t madt, fadt;
    bool wrong;

    memset(out, 0, sizeof(*out));
    if (rsdp_addr == 0 || !read_rsdp(map, rsdp_addr, rsdp, &wrong)) {
        return fail(why, "no ACPI root pointer (RSDP)");
    }
    warn(out, ACPI_WARN_RSDP_SUM, wrong);
    if (!find_roots(map, rsdp, roots, out)) {
        return fail(why, "the ACPI root table (XSDT or RSDT) is missing or can't be read");
    }
    madt = find_table(map, roots, "APIC");
    fadt = find_table(map, roots, "FACP");
    if (read_madt(map, madt, out, why) != 0) {
        return -1;
    }
    read_srat(map, find_table(map, roots, "SRAT"), out);
    read_hpet(map, find_table(map, roots, "HPET"), out);
    read_log(map, find_table(map, roots, "TCPA"), "TCPA", TCPA_LOG_SIZE, &out->log);
    read_log(map, find_table(map, roots, "TPM2"), "TPM2", TPM2_LOG_SIZE, &out->log);
    /* XSDT and RSDT mostly list the same definition blocks. Those of the XSDT count, if there is
     * one: it is what every OS uses. */
    return fadt != 0 ? read_fadt(map, &roots[roots[0].count != 0 ? 0 : 1], fadt, out, why) : 0;
}
