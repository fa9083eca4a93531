/* SPDX-License-Identifier: MIT */
/* The crash record's form: where it goes, checking and printing it. Pure. */
#include <debug/crash.h>
#include <debug/log.h>
#include <exit/exit.h>
#include <util/e820.h>
#include <util/fmt.h>
#include <util/string.h>

/* Firmware and GRUB overwrite the top of RAM and much below 640 KiB, but hardly both of
 * these: see notes/crash-record.md for what was measured. */
#define LOW_FLOOR   0x90000ULL
#define LOW_LIMIT   0x9f000ULL
#define HIGH_FLOOR  MIB(64) /* below the top of RAM under 4 GiB */
#define HIGH_LIMIT  MIB(24)

void crash_places(const struct boot_mem *map, unsigned count, uint64_t place[CRASH_COPIES])
{
    uint64_t top = 0;

    for (unsigned i = 0; i < count; i++) {
        if (map[i].type == BOOT_MEM_USABLE && map[i].start < GIB(4)) {
            top = map[i].start + map[i].size;
        }
    }
    top = top > GIB(4) ? GIB(4) : top;
    place[0] = place[1] = 0;
    (void)e820_find_high(map, count, PAGE_SIZE, PAGE_SIZE, LOW_FLOOR, LOW_LIMIT, NULL, 0, &place[0]);
    if (top > HIGH_FLOOR + MIB(1)) {
        (void)e820_find_high(map, count, PAGE_SIZE, PAGE_SIZE, top - HIGH_FLOOR, top - HIGH_LIMIT,
                             NULL, 0, &place[1]);
    }
}

static uint64_t checksum(const struct crash_record *r)
{
    const uint8_t *p = (const uint8_t *)r->build_id;
    const uint8_t *end = (const uint8_t *)(r + 1);
    uint64_t h = 0xcbf29ce484222325ULL;

    for (; p < end; p++) {
        h = (h ^ *p) * 0x100000001b3ULL;
    }
    return h;
}

bool crash_valid(const struct crash_record *r)
{
    return r->magic == CRASH_MAGIC && r->version == CRASH_VERSION && r->size == sizeof(*r)
        && r->stack_count <= CRASH_STACK && r->exit_count <= CRASH_EXITS
        && r->text[CRASH_TEXT - 1] == 0 && r->checksum == checksum(r);
}

void crash_seal(struct crash_record *r)
{
    r->magic = CRASH_MAGIC;
    r->version = CRASH_VERSION;
    r->size = sizeof(*r);
    r->text[CRASH_TEXT - 1] = 0;
    r->checksum = checksum(r);
}

static const char *exit_name(uint32_t kind)
{
    static const char *const names[] = {
#define X(name, sentence) #name,
        EXIT_KINDS(X)
#undef X
    };

    return kind < ARRAY_SIZE(names) ? names[kind] : "?";
}

static void print_header(const struct crash_record *r)
{
    char text[CRASH_TEXT], id[2 * CRASH_BUILD_ID + 1];

    for (unsigned i = 0; i < CRASH_TEXT; i++) {
        char c = r->text[i];
        text[i] = c == 0 || (c >= 0x20 && c < 0x7f) ? c : '.';
    }
    for (unsigned i = 0; i < CRASH_BUILD_ID; i++) {
        fmt_snprintf(id + 2 * i, 3, "%02x", r->build_id[i]);
    }
    log_line("crash: the last boot ended in a panic (a guest could have forged this)");
    log_line("crash: build-id %s cpu %u", id, r->cpu);
    log_line("crash: text %s", text);
    if (r->has_trap) {
        log_line("crash: trap vector %u error 0x%llx", r->vector, (unsigned long long)r->error);
    }
    log_line("crash: rip 0x%llx rsp 0x%llx cr0 0x%llx cr3 0x%llx cr4 0x%llx",
             (unsigned long long)r->rip, (unsigned long long)r->rsp, (unsigned long long)r->cr0,
             (unsigned long long)r->cr3, (unsigned long long)r->cr4);
}

void crash_print(const struct crash_record *r)
{
    print_header(r);
    for (unsigned i = 0; i < r->stack_count; i++) {
        log_line("crash: stack 0x%llx", (unsigned long long)r->stack[i]);
    }
    for (unsigned i = 0; i < r->exit_count; i++) {
        log_line("crash: exit %s 0x%llx", exit_name(r->exit[i].kind),
                 (unsigned long long)r->exit[i].raw);
    }
    log_line("crash: end");
}
