/* SPDX-License-Identifier: MIT */
/* Finding the FACS, taking the waking vectors, and which bytes stay as they are. */
#include <debug/log.h>
#include <guest/facs.h>
#include <guest/phys.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <util/bytes.h>

/* 5.2.10 */
#define FACS_LENGTH   4
#define FACS_VECTOR   12
#define FACS_X_VECTOR 24
#define FACS_SIZE     64
#define FACS_SIZE_MIN 32 /* ACPI 1.0's ends there */

static struct facs {
    uint64_t at;
    uint8_t *page; /* the core's pointer to its page */
} facs[2];
static unsigned count;

bool facs_page(unsigned i, uint64_t *page)
{
    if (i < count) {
        *page = align_down(facs[i].at, PAGE_SIZE);
    }
    return i < count;
}

/* The vectors, and signature and length: without those firmware sees no FACS, starts afresh and
 * wipes nothing. All the rest is the OS's and SMM's: the global lock, flags, other data. */
static bool guarded(uint64_t at)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t off = at - facs[i].at;
        if (at >= facs[i].at
            && (off < 8 || (off >= FACS_VECTOR && off < FACS_VECTOR + 4)
                || (off >= FACS_X_VECTOR && off < FACS_X_VECTOR + 8))) {
            return true;
        }
    }
    return false;
}

uint8_t *facs_bytes(gpa_t g, unsigned size, uint8_t *keep)
{
    *keep = 0;
    for (unsigned i = 0; i < size; i++) {
        *keep = (uint8_t)(*keep | (unsigned)guarded(g.a + i) << i);
    }
    for (unsigned i = 0; i < count; i++) {
        if (align_down(g.a, PAGE_SIZE) == align_down(facs[i].at, PAGE_SIZE)) {
            return facs[i].page + (g.a & PAGE_MASK);
        }
    }
    return NULL;
}

/* A core pointer to the page of the FACS at `at`, or NULL where none can be: beyond the guest's
 * width, or across two pages. Such an address isn't mapped: an entry with bits above the CPU's
 * width would be a fault in the core when it is used (SDM vol. 3, 4.7). */
static uint8_t *page_of(uint64_t at)
{
    if (guest_phys_beyond(gpa(at)) || (at & PAGE_MASK) > PAGE_SIZE - FACS_SIZE) {
        return NULL;
    }
    return host_map_page(align_down(at, PAGE_SIZE));
}

static const char *guard_one(uint64_t at)
{
    uint8_t *page = page_of(at), *p = page ? page + (at & PAGE_MASK) : NULL;

    if (!p || memcmp(p, "FACS", 4) != 0 || le32(p + FACS_LENGTH) < FACS_SIZE_MIN) {
        return "no FACS where the FADT says";
    }
    if (guest_phys_write_protect(gpa(align_down(at, PAGE_SIZE))) != 0) {
        return "the FACS can't be guarded";
    }
    facs[count++] = (struct facs){ at, page };
    return NULL;
}

const char *facs_guard(const struct acpi_info *acpi)
{
    const char *why = NULL;

    if (!acpi->facs[0] && !acpi->facs[1]) {
        log_line("ACPI: no FACS, so no waking vector: no sleep is taken to lead back to the OS");
    }
    for (unsigned i = 0; i < ARRAY_SIZE(facs); i++) {
        const char *failed = acpi->facs[i] ? guard_one(acpi->facs[i]) : NULL;
        why = failed ? failed : why;
    }
    return why;
}

void facs_take(uint32_t vector)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *p = facs[i].page + (facs[i].at & PAGE_MASK);

        /* A 64-bit vector comes first if it isn't 0, and is entered in another mode. */
        put_le64(p + FACS_X_VECTOR, 0);
        put_le32(p + FACS_VECTOR, vector);
    }
    /* An S3 that nobody watches loses what is in caches only: the vectors, and the code that they
     * lead to (smp/low_page.c), would be gone, and firmware would find the OS's. */
    hw_wbinvd();
}
