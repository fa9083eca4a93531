/* SPDX-License-Identifier: MIT */
/* The page pool: free pages are zero but for the link in their first word. */
#include <debug/log.h>
#include <hw/insn.h>
#include <mm/pool.h>
#include <smp/spinlock.h>
#include <xmhf/core_image.h>

/* guards free_list, free_pages, reserved, fresh, top */
static struct spinlock lock = SPINLOCK_INIT;
static uint64_t *free_list;   /* freed pages, linked by their first word */
static uint64_t fresh;        /* VA: pages from here to `top` were never used */
static uint64_t top;
static size_t free_pages, total_pages; /* without those that are ... */
static size_t reserved;       /* ... free and for tables only */
static uint64_t protected_hpa;
static uint64_t pool_start, pool_end; /* VA */

hpa_t core_hpa(const void *va)
{
    return hpa((uintptr_t)va - CORE_VA + protected_hpa);
}

void *core_va(hpa_t h)
{
    return (void *)(uintptr_t)(h.a - protected_hpa + CORE_VA);
}

void pool_init(uint64_t base_hpa, uint64_t first, uint64_t end)
{
    protected_hpa = base_hpa;
    pool_start = fresh = CORE_VA + first;
    pool_end = top = CORE_VA + end;
    total_pages = free_pages = (end - first) >> PAGE_SHIFT;
}

/* Caller holds `lock`, has checked that there is one, and counts it. */
static void *take(void)
{
    uint64_t *p = free_list;

    if (p) {
        free_list = (uint64_t *)(uintptr_t)*p;
        *p = 0;
        return p;
    }
    p = (uint64_t *)(uintptr_t)fresh;
    fresh += PAGE_SIZE;
    return p;
}

void *pool_alloc(void)
{
    void *p = NULL;

    spin_lock(&lock);
    if (free_pages) {
        free_pages--;
        p = take();
    }
    spin_unlock(&lock);
    return p;
}

bool pool_alloc_many(void **out, size_t n)
{
    bool ok;

    spin_lock(&lock);
    ok = free_pages >= n;
    free_pages -= ok ? n : 0;
    spin_unlock(&lock);
    for (size_t i = 0; ok && i < n; i++) { /* they are ours; the lock is held for one at a time */
        spin_lock(&lock);
        out[i] = take();
        spin_unlock(&lock);
    }
    return ok;
}

void pool_free(void *page)
{
    uint64_t *p = page;

    spin_lock(&lock);
    *p = (uintptr_t)free_list;
    free_list = p;
    free_pages++;
    spin_unlock(&lock);
}

void pool_free_dirty(void *page)
{
    hw_fill64(page, 0, PAGE_SIZE / 8);
    pool_free(page);
}

/* Caller holds `lock`. A single page may be one that was in use. */
static void *take_for_ever(size_t n)
{
    if (n * PAGE_SIZE <= top - fresh) {
        top -= n * PAGE_SIZE;
        return (void *)(uintptr_t)top;
    }
    return n == 1 ? take() : NULL;
}

void *pool_boot_pages(size_t n)
{
    void *p = NULL;

    spin_lock(&lock);
    if (n <= free_pages && (p = take_for_ever(n)) != NULL) {
        free_pages -= n;
        total_pages -= n;
    }
    spin_unlock(&lock);
    return p;
}

void *pool_boot_need(size_t n)
{
    void *p = pool_boot_pages(n);

    if (!p) {
        log_error("cannot start: our memory (palmem=) is too small for this machine's "
                  "tables and CPUs");
        launch_refuse();
    }
    return p;
}

void pool_reserve(size_t n)
{
    spin_lock(&lock);
    free_pages -= n;
    total_pages -= n;
    reserved += n;
    spin_unlock(&lock);
}

void *pool_reserved_page(void)
{
    void *p = NULL;

    spin_lock(&lock);
    if (reserved) {
        reserved--;
        p = take_for_ever(1);
    }
    spin_unlock(&lock);
    return p;
}

size_t pool_free_count(void)
{
    return free_pages;
}

size_t pool_total(void)
{
    return total_pages;
}

void pool_wipe(void)
{
    hw_fill64((void *)(uintptr_t)pool_start, 0, (top - pool_start) / 8);
}
