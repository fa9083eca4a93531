/* SPDX-License-Identifier: MIT */
/*
 * RAM that the OS knows and the firmware's map at boot doesn't: a module plugged in later. CPUID is
 * executed from it, it holds a PAL's arguments, and a PAL is registered in it. Needs root.
 *
 *   pal_hotplug [MiB [FRAME]]     memory to take; first frame that isn't in the map at boot
 */
#define _GNU_SOURCE
#include "pagemap.h"
#include "tap.h"
#include "tap_linux.h"
#include <fcntl.h>

#define WORDS 4

PAL_CODE static PAL_ABI pal_word sum(volatile pal_word *v, pal_word n)
{
    pal_word s = 0;

    for (pal_word i = 0; i < n; i++) {
        s += v[i];
        v[i] = s;
    }
    return s;
}

/* A page from `first` on, of those that this process gets. The others stay taken, so that what is
 * asked for next comes from there too. */
static uint8_t *find_page(size_t size, uint64_t first)
{
    uint8_t *m = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    for (size_t at = 0; m != MAP_FAILED && at < size; at += 4096) {
        if (page_frame(m + at) >= first) {
            return m + at;
        }
    }
    return NULL;
}

/* XOR EAX,EAX; XOR ECX,ECX; CPUID; RET, with EBX kept. */
static void try_cpuid(uint8_t *page)
{
    static const uint8_t code[] = { 0x53, 0x31, 0xc0, 0x31, 0xc9, 0x0f, 0xa2, 0x5b, 0xc3 };

    memcpy(page, code, sizeof(code));
    if (CATCH()) {
        ((void (*)(void))(uintptr_t)page)();
        tap_armed = 0;
    }
    ok(tap_signal == 0, "CPUID in frame 0x%llx (signal %d)", (unsigned long long)page_frame(page),
       (int)tap_signal);
}

static void try_pal(uint8_t *page, uint64_t first)
{
    struct pal_spec spec = PAL_SPEC(sum);
    volatile pal_word *v = (volatile pal_word *)(uintptr_t)(page + 2048);
    volatile pal_word result = 0;
    struct pal p;

    if (pal_create(&p, &spec) != 0) {
        ok(false, "memory for a PAL");
        return;
    }
    pal_add_pointer(&p, WORDS);
    pal_add_integer(&p);
    uint64_t frame = page_frame(p.code);
    ok(frame >= first, "the PAL's code is in frame 0x%llx", (unsigned long long)frame);
    if (!tap_no_error(pal_register(&p), "register")) {
        return;
    }
    for (pal_word i = 0; i < WORDS; i++) {
        v[i] = i + 1;
    }
    if (CATCH()) {
        result = ((pal_word (PAL_ABI *)(volatile pal_word *,
                                        pal_word))(uintptr_t)p.entry)(v, WORDS);
        tap_armed = 0;
    }
    ok(tap_signal == 0 && result == 10 && v[0] == 1 && v[3] == 10,
       "a call with a buffer there: %llu",
       (unsigned long long)result);
    ok(pal_unregister(&p) == TV_OK, "unregister");
}

int main(int argc, char **argv)
{
    size_t size = (size_t)(argc > 1 ? atoi(argv[1]) : 300) << 20;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x100000;
    uint8_t *page;

    tap_catch_signals();
    page = find_page(size, first);
    if (ok(page != NULL, "a page that is not in the map at boot")) {
        try_cpuid(page);
        if (pal_available()) {
            try_pal(page, first);
        }
    }
    return tap_end();
}
