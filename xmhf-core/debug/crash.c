/* SPDX-License-Identifier: MIT */
/* Writing the crash record in a panic, and finding it at the next boot. */
#include <cpu/cpu.h>
#include <debug/crash.h>
#include <debug/log.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <util/string.h>

extern const uint8_t core_start[], core_text_end[];
extern const uint8_t core_build_id[]; /* ELF note: 12 bytes of header, "GNU\0", then the id */

uint64_t crash_place[CRASH_COPIES];

static bool is_code(uint64_t word)
{
    return word >= (uintptr_t)core_start && word < (uintptr_t)core_text_end;
}

/* Words of the stack from `rsp` up that point into the core's code. */
static void collect_stack(struct crash_record *r, uint64_t rsp)
{
    uint64_t end = host_stack_end(rsp);

    for (uint64_t at = align_up(rsp, 8); at < end && r->stack_count < CRASH_STACK; at += 8) {
        uint64_t word = *(const uint64_t *)(uintptr_t)at;
        if (is_code(word)) {
            r->stack[r->stack_count++] = word;
        }
    }
}

static void collect_exits(struct crash_record *r, const struct vcpu *v)
{
    for (unsigned i = 0; i < CRASH_EXITS && i < v->trace_next; i++) {
        const struct exit_trace *t = &v->trace[(v->trace_next - 1 - i) % VCPU_TRACE];
        r->exit[r->exit_count++] = (struct crash_exit){ .raw = t->raw, .kind = t->kind };
    }
}

void crash_write(const char *text, const struct trap_frame *trap)
{
    static struct crash_record r;
    const struct vcpu *v = this_vcpu();

    memset(&r, 0, sizeof(r));
    memcpy(r.build_id, core_build_id + 16, CRASH_BUILD_ID);
    r.cpu = v->index;
    r.has_trap = trap != NULL;
    r.vector = trap ? (uint32_t)trap->vector : 0;
    r.error = trap ? trap->error : 0;
    r.rip = trap ? trap->rip : (uintptr_t)__builtin_return_address(0);
    r.rsp = trap ? trap->rsp : hw_rsp();
    r.cr0 = hw_read_cr0();
    r.cr3 = hw_read_cr3();
    r.cr4 = hw_read_cr4();
    collect_stack(&r, r.rsp);
    collect_exits(&r, v);
    str_copy(r.text, text, sizeof(r.text));
    crash_seal(&r);
    for (unsigned i = 0; i < CRASH_COPIES; i++) {
        void *to = crash_place[i] ? host_phys(crash_place[i], sizeof(r)) : NULL;
        if (to) {
            memcpy(to, &r, sizeof(r));
        }
    }
}

/* A loader put a module where a record would be: then there is none, and that copy is lost. */
static bool in_module(const struct boot_info *bi, uint64_t page)
{
    for (unsigned i = 0; i < bi->module_count; i++) {
        if (ranges_overlap(bi->module[i].start, bi->module[i].size, page, PAGE_SIZE)) {
            return true;
        }
    }
    return false;
}

void crash_init(const struct boot_info *bi)
{
    bool printed = false;

    crash_places(bi->mem, bi->mem_count, crash_place);
    for (unsigned i = 0; i < CRASH_COPIES; i++) {
        if (in_module(bi, crash_place[i])) {
            crash_place[i] = 0;
        }
    }
    for (unsigned i = 0; i < CRASH_COPIES; i++) {
        struct crash_record *r = crash_place[i] ? host_phys(crash_place[i], sizeof(*r)) : NULL;
        if (r && crash_valid(r)) {
            if (!printed) {
                crash_print(r);
                printed = true;
            }
            memset(r, 0, sizeof(*r));
        }
    }
}
