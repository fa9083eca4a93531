/* SPDX-License-Identifier: MIT */
/* The page pool: free pages are zero but for the link in their first word. */
#include <debug/log.h>
#include <hw/insn.h>
#include <mm/pool.h>
#include <smp/spinlock.h>
#include <xmhf/core_image.h>

static struct spinlock lock = SPINLOCK_INIT; /* guards free_list, free_pages, fresh, top */
static uint64_t *free_list;   /* freed pages, linked by their first word */
static uint64_t fresh;        /* VA: pages from here to `top` were never used */
static uint64_t top;
static size_t free_pages, total_pages;
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

/* Caller holds `lock` and has checked free_pages. */
static void *take(void)
{
    uint64_t *p = free_list;

    free_pages--;
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
    for (size_t i = 0; ok && i < n; i++) {
        out[i] = take();
    }
    spin_unlock(&lock);
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

void *pool_boot_pages(size_t n)
{
    void *p = NULL;

    spin_lock(&lock);
    if (n * PAGE_SIZE <= top - fresh) {
        top -= n * PAGE_SIZE;
        free_pages -= n;
        total_pages -= n;
        p = (void *)(uintptr_t)top;
    } else if (n == 1 && free_pages) {
        p = take(); /* all were in use once */
        total_pages--;
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
