/* SPDX-License-Identifier: MIT */
/*
 * The few ACPI tables the core needs (ACPI 6.5, chapter 5). All input is hostile. What is
 * wanted is copied out or read at once, so no pointer outlives the next map call.
 */
#include <acpi/acpi.h>

#include <util/bytes.h>
#include <util/string.h>

#define LAPIC_DEFAULT 0xfee00000ULL
#define TABLE_MAX     KIB(64)

/* 5.2.6: the header of every table but the RSDP. */
#define HEADER_SIZE   36
#define HEADER_LENGTH 4

/* 5.2.5.3: RSDP. */
#define RSDP_SIZE1    20
#define RSDP_REVISION 15
#define RSDP_RSDT     16
#define RSDP_LENGTH   20
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
#define FADT_FLAGS       112
#define FADT_RESET_REG   116
#define FADT_RESET_VALUE 128
#define FADT_X_FACS      132
#define FADT_X_DSDT      140
#define FADT_X_PM1A_EVT  148
#define FADT_X_PM1B_EVT  160
#define FADT_X_PM1A_CNT  172
#define FADT_X_PM1B_CNT  184
#define FADT_SIZE_MIN    116 /* ACPI 1.0 */
#define FADT_RESET_REG_SUP BIT(10)

#define GAS_SIZE         12 /* 5.2.3.2: generic address structure */
#define GAS_ADDRESS      4
#define GAS_SPACE_IO     1

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

/* Copy a checked RSDP to `out`; an ACPI 1.0 one is filled up with zeros. */
static bool read_rsdp(acpi_mapper map, uint64_t addr, uint8_t out[RSDP_SIZE2])
{
    const uint8_t *p = map(addr, RSDP_SIZE1);
    uint32_t length;

    memset(out, 0, RSDP_SIZE2);
    if (p == NULL || memcmp(p, "RSD PTR ", 8) != 0 || !sums_to_zero(p, RSDP_SIZE1)) {
        return false;
    }
    memcpy(out, p, RSDP_SIZE1);
    if (out[RSDP_REVISION] < 2) {
        return true;
    }
    p = map(addr, RSDP_SIZE2);
    if (p == NULL) {
        return false;
    }
    memcpy(out, p, RSDP_SIZE2);
    length = le32(out + RSDP_LENGTH);
    if (length < RSDP_SIZE2 || length > PAGE_SIZE) {
        return false;
    }
    p = map(addr, length);
    return p != NULL && sums_to_zero(p, length);
}

/* Look at every 16th byte of [start, start+size). */
static uint64_t scan(acpi_mapper map, uint64_t start, uint64_t size)
{
    uint8_t rsdp[RSDP_SIZE2];

    for (uint64_t at = start; at < start + size; at += 16) {
        const uint8_t *p = map(at, 8);

        if (p != NULL && memcmp(p, "RSD PTR ", 8) == 0 && read_rsdp(map, at, rsdp)) {
            return at;
        }
    }
    return 0;
}

uint64_t acpi_find_rsdp(acpi_mapper map)
{
    const uint8_t *p = map(0x40e, 2); /* BIOS data area: segment of the EBDA */
    uint64_t ebda = p != NULL ? ((uint64_t)p[0] | (uint64_t)p[1] << 8) << 4 : 0;
    uint64_t found = 0;

    if (ebda >= 0x500 && ebda + KIB(1) <= 0xa0000) {
        found = scan(map, ebda, KIB(1));
    }
    return found != 0 ? found : scan(map, 0xe0000, 0x20000);
}

/* The whole table at `addr` if it has `signature` and its checksum is right. */
static const uint8_t *get_table(acpi_mapper map, uint64_t addr, const char *signature,
                                size_t *length)
{
    const uint8_t *p = addr != 0 ? map(addr, HEADER_SIZE) : NULL;

    if (p == NULL || memcmp(p, signature, 4) != 0) {
        return NULL;
    }
    *length = le32(p + HEADER_LENGTH);
    if (*length < HEADER_SIZE || *length > TABLE_MAX) {
        return NULL;
    }
    p = map(addr, *length);
    return p != NULL && sums_to_zero(p, *length) ? p : NULL;
}

/* The list of all tables: the XSDT, or the RSDT. */
struct root {
    uint64_t addr;
    size_t count;
    size_t width; /* bytes of an entry */
};

static bool find_root(acpi_mapper map, const uint8_t *rsdp, struct root *root)
{
    size_t length;

    root->addr = le64(rsdp + RSDP_XSDT);
    root->width = 8;
    if (rsdp[RSDP_REVISION] < 2 || get_table(map, root->addr, "XSDT", &length) == NULL) {
        root->addr = le32(rsdp + RSDP_RSDT);
        root->width = 4;
        if (get_table(map, root->addr, "RSDT", &length) == NULL) {
            return false;
        }
    }
    root->count = (length - HEADER_SIZE) / root->width;
    return true;
}

static uint64_t entry_of(acpi_mapper map, const struct root *root, size_t i)
{
    const uint8_t *p = map(root->addr + HEADER_SIZE + i * root->width, root->width);

    return p == NULL ? 0 : root->width == 8 ? le64(p) : le32(p);
}

/* Address of the first table with `signature`, 0 if there is none. */
static uint64_t find_table(acpi_mapper map, const struct root *root, const char *signature)
{
    for (size_t i = 0; i < root->count; i++) {
        uint64_t addr = entry_of(map, root, i);
        const uint8_t *p = addr != 0 ? map(addr, HEADER_SIZE) : NULL;
        if (p != NULL && memcmp(p, signature, 4) == 0) {
            return addr;
        }
    }
    return 0;
}

/* An id listed twice is one CPU, enabled if either entry says so. */
static void add_cpu(struct acpi_info *out, uint32_t apic_id, bool enabled)
{
    for (unsigned i = 0; i < out->cpu_count; i++) {
        if (out->cpu[i].apic_id == apic_id) {
            out->cpu[i].enabled |= enabled;
            return;
        }
    }
    if (out->cpu_count == ACPI_CPU_MAX) {
        out->cpus_truncated = true;
        return;
    }
    out->cpu[out->cpu_count++] = (struct acpi_cpu){ apic_id, enabled };
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

/* A MADT that can't be read to its end may hide a CPU from us: refused. */
static int read_madt(acpi_mapper map, uint64_t addr, struct acpi_info *out, const char **why)
{
    size_t length;
    const uint8_t *p = get_table(map, addr, "APIC", &length);

    if (p == NULL || length < MADT_ENTRIES) {
        return fail(why, "the MADT is missing or damaged");
    }
    out->lapic_base = le32(p + MADT_LAPIC);
    for (size_t at = MADT_ENTRIES; at < length;) {
        size_t len = length - at >= 2 ? p[at + 1] : 0;

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

/* The I/O port of a PM1 control block: the X_ field if it is there and names a port. */
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
    size_t length = p != NULL && memcmp(p, signature, 4) == 0 ? le32(p + HEADER_LENGTH) : 0;

    if (length < HEADER_SIZE || (p = map(addr, length)) == NULL) {
        return false;
    }
    *out = (struct aml){ p + HEADER_SIZE, length - HEADER_SIZE };
    return true;
}

/* Of a FADT's two fields for one table the wider, if it is there and not 0. */
static uint64_t wide_or(const uint8_t *fadt, size_t length, size_t narrow, size_t wide)
{
    uint64_t addr = length >= wide + 8 ? le64(fadt + wide) : 0;

    return addr != 0 ? addr : le32(fadt + narrow);
}

/* A table that can't be read leaves the sleep states unknown that it would have told. `dsdt`: its
 * address. */
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
    const uint8_t *p = get_table(map, addr, "FACP", &length);

    if (p == NULL || length < FADT_SIZE_MIN) {
        return fail(why, "the FADT is damaged");
    }
    out->has_fadt = true;
    out->pm1a_cnt = pm1_port(p, length, FADT_PM1A_CNT, FADT_X_PM1A_CNT);
    out->pm1b_cnt = pm1_port(p, length, FADT_PM1B_CNT, FADT_X_PM1B_CNT);
    out->pm1a_evt = pm1_port(p, length, FADT_PM1A_EVT, FADT_X_PM1A_EVT);
    out->pm1b_evt = pm1_port(p, length, FADT_PM1B_EVT, FADT_X_PM1B_EVT);
    find_facs(p, length, out);
    if ((le32(p + FADT_FLAGS) & FADT_RESET_REG_SUP) != 0 && length > FADT_RESET_VALUE) {
        out->has_reset_reg = true;
        out->reset_space = p[FADT_RESET_REG];
        out->reset_addr = le64(p + FADT_RESET_REG + GAS_ADDRESS);
        out->reset_value = p[FADT_RESET_VALUE];
    }
    read_sleep(map, root, wide_or(p, length, FADT_DSDT, FADT_X_DSDT), out); /* `p` is gone now */
    return 0;
}

int acpi_read(acpi_mapper map, uint64_t rsdp_addr, struct acpi_info *out, const char **why)
{
    uint8_t rsdp[RSDP_SIZE2];
    struct root root;
    uint64_t madt, fadt;

    memset(out, 0, sizeof(*out));
    if (rsdp_addr == 0 || !read_rsdp(map, rsdp_addr, rsdp)) {
        return fail(why, "no ACPI root pointer (RSDP)");
    }
    if (!find_root(map, rsdp, &root)) {
        return fail(why, "the ACPI root table (XSDT or RSDT) is missing or damaged");
    }
    madt = find_table(map, &root, "APIC");
    fadt = find_table(map, &root, "FACP");
    if (read_madt(map, madt, out, why) != 0) {
        return -1;
    }
    return fadt != 0 ? read_fadt(map, &root, fadt, out, why) : 0;
}
