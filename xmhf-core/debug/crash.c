/* SPDX-License-Identifier: MIT */
/* Writing the crash record in a panic, and finding it at the next boot. */
#include <cpu/traps.h>
#include <cpu/vcpus.h>
#include <debug/crash.h>
#include <debug/log.h>
#include <facts/facts.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <util/string.h>
#include <x86/cpu.h>

extern const uint8_t core_start[], core_text_end[], core_end[];
extern const uint8_t core_build_id[]; /* ELF note: 12 bytes of header, "GNU\0", then the id */

uint64_t crash_place[CRASH_COPIES];

static struct crash_record record;

static bool is_code(uint64_t word)
{
    return word >= (uintptr_t)core_start && word < (uintptr_t)core_text_end;
}

/* If there are too many words, those in the middle are left out: a stack that overflowed repeats
 * itself there. */
static void keep_word(struct crash_record *r, const struct crash_word *word)
{
    struct crash_word *outer = &r->stack[CRASH_INNER];

    if (r->stack_count < CRASH_STACK) {
        r->stack[r->stack_count++] = *word;
        return;
    }
    memmove(outer, outer + 1, (CRASH_STACK - CRASH_INNER - 1) * sizeof(*outer));
    r->stack[CRASH_STACK - 1] = *word;
    r->stack_skipped++;
}

/* Words of the stack from `rsp` up that point into the core's code. */
static void collect_stack(struct crash_record *r, uint64_t rsp)
{
    uint64_t end = host_stack_end(rsp), start = host_stack_floor(rsp);

    for (uint64_t at = align_up(rsp > start ? rsp : start, 8); at < end; at += 8) {
        const struct crash_word word = { .value = *(const uint64_t *)(uintptr_t)at,
                                         .offset = (uint32_t)(at - rsp) };
        if (is_code(word.value)) {
            keep_word(r, &word);
        }
    }
}

static void collect_exits(struct crash_record *r, const struct vcpu *v)
{
    for (unsigned i = 0; i < CRASH_EXITS && i < v->trace_next; i++) {
        const struct exit_trace *t = &v->trace[(v->trace_next - 1 - i) % VCPU_TRACE];
        r->exit[r->exit_count++] = (struct crash_exit){ .raw = t->raw, .kind = t->kind };
    }
    str_copy(r->virt, core_vendor(), sizeof(r->virt));
}

static enum crash_state state_of(const struct vcpu *v)
{
    return !atomic_load(&v->online) ? CRASH_OFF : atomic_load(&v->stopped) ? CRASH_STOPPED
        : atomic_load(&v->waiting) ? CRASH_WAITS : CRASH_SILENT;
}

/* The others have stopped, or don't answer: what they left in their vCPUs. */
static void collect_others(struct crash_record *r, const struct vcpu *self)
{
    for (unsigned i = 0; i < vcpu_count && r->other_count < CRASH_OTHERS; i++) {
        const struct vcpu *v = vcpus[i];
        struct crash_other *o = &r->other[r->other_count];

        if (v == self) {
            continue;
        }
        r->other_count++;
        o->cpu = (uint8_t)i;
        o->state = (uint8_t)state_of(v);
        o->rip = v->nmi_rip;
        o->rsp = v->nmi_rsp;
        for (unsigned e = 0; e < CRASH_OTHER_EXITS && e < v->trace_next; e++) {
            const struct exit_trace *t = &v->trace[(v->trace_next - 1 - e) % VCPU_TRACE];

            o->kind[e] = (uint8_t)t->kind;
            o->raw[e] = t->raw;
            o->exit_count++;
        }
    }
}

/* An address that faulted may come from a guest's register. These can't: a null pointer's
 * neighbourhood, our stacks and our image. */
static bool is_ours(uint64_t addr)
{
    return addr < PAGE_SIZE || host_stack_end(addr) != addr
        || (addr >= (uintptr_t)core_start && addr < (uintptr_t)core_end);
}

static void collect_trap(struct crash_record *r, const struct trap_frame *f)
{
    const uint8_t *insn = (const uint8_t *)(uintptr_t)f->rip;

    r->flags = CRASH_TRAP;
    r->vector = (uint32_t)f->vector;
    r->error = f->error;
    if (f->vector == EXC_GP && is_code(f->rip) && is_code(f->rip + 1)
        && insn[0] == 0x0f && (insn[1] == 0x30 || insn[1] == 0x32)) {
        r->flags |= CRASH_MSR;
        r->msr = (uint32_t)f->rcx;
    }
    if (f->vector == EXC_PF && is_ours(hw_read_cr2())) {
        r->flags |= CRASH_FAULT;
        r->fault = hw_read_cr2();
    }
}

void crash_collect(const char *text, const struct trap_frame *trap, uint64_t rip, uint64_t rsp)
{
    struct crash_record *r = &record;
    const struct vcpu *v = this_vcpu();

    memset(r, 0, sizeof(*r));
    memcpy(r->build_id, core_build_id + 16, CRASH_BUILD_ID);
    r->cpu = v->index;
    r->rip = trap ? trap->rip : rip;
    r->rsp = trap ? trap->rsp : rsp;
    r->cr0 = hw_read_cr0();
    r->cr3 = hw_read_cr3();
    r->cr4 = hw_read_cr4();
    if (trap) {
        collect_trap(r, trap);
    }
    collect_stack(r, r->rsp);
    collect_exits(r, v);
    collect_others(r, v);
    str_copy(r->text, text, sizeof(r->text));
    crash_seal(r);
}

void crash_write(void)
{
    for (unsigned i = 0; i < CRASH_COPIES; i++) {
        void *to = crash_place[i] ? host_phys(crash_place[i], sizeof(record)) : NULL;
        if (to) {
            memcpy(to, &record, sizeof(record));
        }
    }
    hw_wbinvd(); /* before the slow printing: someone may press the reset button */
    crash_print(&record);
}

/* Did a loader put a module at `page`, where a record would be? Then that page holds no record,
 * and gets none. */
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

    const struct boot_mem protected = { .start = bi->protected_base, .size = bi->protected_size };

    _Static_assert(sizeof(bi->crash_place) == sizeof(crash_place), "a place for each copy");
    if (bi->crash_place[0] || bi->crash_place[1]) {
        memcpy(crash_place, bi->crash_place, sizeof(crash_place));
    } else {
        keep_crash(bi->mem, bi->mem_count, &protected, 1, crash_place);
    }
    for (unsigned i = 0; i < CRASH_COPIES; i++) {
        if (in_module(bi, crash_place[i])) {
            crash_place[i] = 0;
        }
    }
    for (unsigned i = 0; i < CRASH_COPIES; i++) {
        struct crash_record *r = crash_place[i] ? host_phys(crash_place[i], sizeof(*r)) : NULL;
        if (r && crash_valid(r)) {
            if (!printed) {
                log_line("crash: the last boot ended in a panic (a guest could have forged this)");
                crash_print(r);
                printed = true;
            }
            memset(r, 0, sizeof(*r));
        }
    }
}
