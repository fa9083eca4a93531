/* SPDX-License-Identifier: MIT */
/* What guest/phys.c needs of the rest of the core: a pool that counts, and a vendor that is only a
 * format of nested tables. For tests of the OS's memory; include once. */
#ifndef XMHF_TESTS_FAKE_PHYS_H
#define XMHF_TESTS_FAKE_PHYS_H

#include <debug/crash.h>
#include <debug/log.h>
#include <guest/ipi.h>
#include <guest/phys.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <smp/low_page.h>
#include <stdarg.h>
#include <virt/virt.h>
#include <virt/vmx/vmx.h>

#define FAKE_POOL_MAX (MIB(384) / PAGE_SIZE)

static uint8_t *fake_pool;            /* FAKE_POOL_MAX pages */
static uint64_t fake_pool_base;       /* their physical address */
static size_t fake_pool_used, fake_pool_total, fake_pool_kept;
static char fake_log[300];            /* the last line */
static bool fake_1g, fake_split, fake_intel;
static struct guest_paging fake_paging;
static void (*fake_flush)(struct vcpu *v);

uint64_t crash_place[CRASH_COPIES];
uint64_t low_page = 0x9d000;
struct vmx_common vmx_common;

void *pool_boot_pages(size_t n)
{
    if (n > fake_pool_total - fake_pool_used) {
        return NULL;
    }
    fake_pool_used += n;
    return memset(fake_pool + (fake_pool_used - n) * PAGE_SIZE, 0, n * PAGE_SIZE);
}

void *pool_boot_need(size_t n)
{
    void *p = pool_boot_pages(n);

    if (!p) {
        fail_msg("the pool is too small");
    }
    return p;
}

/* Pages that are given back are the next to go out. */
static size_t fake_freed[FAKE_POOL_MAX], fake_freed_count;
static bool fake_is_free[FAKE_POOL_MAX];

void *pool_alloc(void)
{
    void *p = fake_freed_count > 0 ? fake_pool + fake_freed[--fake_freed_count] * PAGE_SIZE
        : pool_boot_pages(1);

    if (p) {
        fake_is_free[((uint8_t *)p - fake_pool) / PAGE_SIZE] = false;
    }
    return p;
}

void pool_free_dirty(void *page)
{
    size_t i = (size_t)((uint8_t *)page - fake_pool) / PAGE_SIZE;

    assert_false(fake_is_free[i]);
    fake_is_free[i] = true;
    fake_freed[fake_freed_count++] = i;
    memset(page, 0, PAGE_SIZE);
}

/* The last `fake_pool_kept` pages behind those that others may take. */
void *pool_reserved_page(void)
{
    return fake_pool_kept == 0 ? NULL
        : memset(fake_pool + (fake_pool_total + --fake_pool_kept) * PAGE_SIZE, 0, PAGE_SIZE);
}
void pool_reserve(size_t n)
{
    assert_true(n <= fake_pool_total - fake_pool_used && fake_pool_kept == 0);
    fake_pool_total -= n;
    fake_pool_kept = n;
}
size_t pool_total(void) { return fake_pool_total; }
hpa_t core_hpa(const void *va)
{
    return hpa(fake_pool_base + (uint64_t)((const uint8_t *)va - fake_pool));
}
void *core_va(hpa_t h) { return fake_pool + (h.a - fake_pool_base); }
bool ipi_traps_icr(void) { return !fake_intel; }
bool hw_invept(uint64_t type, uint64_t eptp) { return (type | eptp) != 0; }
bool hw_invvpid(uint64_t type, uint16_t vpid) { return (type | vpid) != 0; }

void log_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(fake_log, sizeof(fake_log), fmt, ap);
    va_end(ap);
}

void log_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(fake_log, sizeof(fake_log), fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

static unsigned fake_max_level(void) { return fake_1g ? 3 : 2; }
static bool fake_split_exec(void) { return fake_split; }
static bool fake_has_mbec, fake_keep;
static bool fake_keeps_sizes(void) { return fake_keep; }
static bool fake_user_exec(void) { return fake_has_mbec; }

static void fake_get_paging(struct vcpu *v, struct guest_paging *p)
{
    (void)v;
    *p = fake_paging;
}

static unsigned fake_shadows_ended;
static void fake_end_shadow(struct vcpu *v) { (void)v; fake_shadows_ended++; }
static bool fake_queued;
static bool fake_event_queued(struct vcpu *v) { (void)v; return fake_queued; }

static void fake_flush_nested(struct vcpu *v)
{
    if (fake_flush) {
        fake_flush(v);
    }
}

static const struct virt_ops fake_vendors[] = {
    { .name = "AMD", .nested = &npt_format, .max_leaf_level = fake_max_level,
      .keeps_sizes = fake_keeps_sizes, .get_paging = fake_get_paging,
      .event_queued = fake_event_queued, .end_shadow = fake_end_shadow,
      .flush_nested = fake_flush_nested },
    { .name = "Intel", .nested = &ept_format, .max_leaf_level = fake_max_level,
      .split_exec = fake_split_exec, .user_exec = fake_user_exec, .get_paging = fake_get_paging,
      .event_queued = fake_event_queued, .end_shadow = fake_end_shadow,
      .flush_nested = fake_flush_nested },
};
const struct virt_ops *virt;

/* A new machine: `pages` of the pool, which lies at `base`. */
static void fake_phys_reset(bool intel, uint64_t base, size_t pages)
{
    if (!fake_pool) {
        fake_pool = aligned_alloc(PAGE_SIZE, FAKE_POOL_MAX * PAGE_SIZE);
    }
    assert_true(fake_pool && pages <= FAKE_POOL_MAX);
    fake_pool_base = base;
    fake_pool_total = pages;
    fake_pool_used = fake_pool_kept = fake_freed_count = 0;
    memset(fake_is_free, 0, sizeof(fake_is_free));
    fake_intel = intel;
    virt = &fake_vendors[intel];
    fake_log[0] = '\0';
    memset(crash_place, 0, sizeof(crash_place));
}

#endif
