/* SPDX-License-Identifier: MIT */
/* The crash record's form: checking and printing it. Pure. */
#include <debug/crash.h>
#include <debug/log.h>
#include <util/fmt.h>
#include <util/string.h>
#include <xmhf/exits.h>

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
        && r->other_count <= CRASH_OTHERS
        && r->text[CRASH_TEXT - 1] == 0 && r->virt[CRASH_VIRT - 1] == 0
            && r->checksum == checksum(r);
}

void crash_seal(struct crash_record *r)
{
    r->magic = CRASH_MAGIC;
    r->version = CRASH_VERSION;
    r->size = sizeof(*r);
    r->text[CRASH_TEXT - 1] = r->virt[CRASH_VIRT - 1] = 0;
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

/* One line: into the sum, then out. */
static void __attribute__((format(printf, 2, 3))) print(uint32_t *sum, const char *fmt, ...)
{
    char line[CRASH_TEXT + 64];
    va_list ap;

    va_start(ap, fmt);
    fmt_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    for (const char *p = line; *p; p++) {
        *sum = (*sum ^ (uint8_t)*p) * CRASH_SUM_PRIME;
    }
    log_line("crash: %s", line);
}

static void print_text(uint32_t *sum, const char *what, const char *from, size_t size)
{
    char text[CRASH_TEXT];

    for (size_t i = 0; i < size; i++) {
        text[i] = from[i] == 0 || (from[i] >= 0x20 && from[i] < 0x7f) ? from[i] : '.';
    }
    print(sum, "%s %s", what, text);
}

static void print_trap(uint32_t *sum, const struct crash_record *r)
{
    if (r->flags & CRASH_TRAP) {
        print(sum, "trap vector %u error 0x%llx", r->vector, (unsigned long long)r->error);
    }
    if (r->flags & CRASH_MSR) {
        print(sum, "msr 0x%x", r->msr);
    }
    if (r->flags & CRASH_FAULT) {
        print(sum, "fault 0x%llx", (unsigned long long)r->fault);
    }
}

static void print_header(uint32_t *sum, const struct crash_record *r)
{
    char id[2 * CRASH_BUILD_ID + 1];

    for (unsigned i = 0; i < CRASH_BUILD_ID; i++) {
        fmt_snprintf(id + 2 * i, 3, "%02x", r->build_id[i]);
    }
    print(sum, "build-id %s cpu %u", id, r->cpu);
    print_text(sum, "text", r->text, sizeof(r->text));
    print_text(sum, "virt", r->virt, sizeof(r->virt));
    print_trap(sum, r);
    print(sum, "rip 0x%llx rsp 0x%llx cr0 0x%llx cr3 0x%llx cr4 0x%llx",
          (unsigned long long)r->rip, (unsigned long long)r->rsp, (unsigned long long)r->cr0,
          (unsigned long long)r->cr3, (unsigned long long)r->cr4);
}

/* One line for each. Counts and numbers in it are a hostile page's. */
static void print_other(uint32_t *sum, const struct crash_other *o)
{
    static const char *const states[CRASH_STATES] = { "stopped", "waits", "silent", "off" };
    char exits[CRASH_OTHER_EXITS * 48] = "";
    size_t at = 0;

    for (unsigned i = 0; i < CRASH_OTHER_EXITS && i < o->exit_count; i++) {
        at += (size_t)fmt_snprintf(exits + at, sizeof(exits) - at, " exit %s 0x%llx",
                                   exit_name(o->kind[i]), (unsigned long long)o->raw[i]);
    }
    print(sum, "other %u %s rip 0x%llx rsp 0x%llx%s", o->cpu,
          o->state < CRASH_STATES ? states[o->state] : "?", (unsigned long long)o->rip,
          (unsigned long long)o->rsp, exits);
}

void crash_print(const struct crash_record *r)
{
    uint32_t sum = CRASH_SUM_START;

    print_header(&sum, r);
    for (unsigned i = 0; i < r->stack_count; i++) {
        if (i == CRASH_INNER && r->stack_skipped) {
            print(&sum, "skipped %u", r->stack_skipped);
        }
        print(&sum, "stack 0x%llx at 0x%x", (unsigned long long)r->stack[i].value,
              r->stack[i].offset);
    }
    for (unsigned i = 0; i < r->exit_count; i++) {
        print(&sum, "exit %s 0x%llx", exit_name(r->exit[i].kind),
              (unsigned long long)r->exit[i].raw);
    }
    for (unsigned i = 0; i < r->other_count; i++) {
        print_other(&sum, &r->other[i]);
    }
    log_line("crash: end 0x%x", sum);
}
