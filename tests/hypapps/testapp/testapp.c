/* SPDX-License-Identifier: MIT */
/* A hypapp for tests, outside hypapps/: every callback, each answering as the guest wants it. */
#include "testapp.h"
#include "testapp_services.h"

#include <hypapp/hypapp.h>
#include <x86/cpu.h>
#include <x86/msr.h>

static struct {
    _Atomic unsigned answer;
    _Atomic uint64_t value, count, last[3];
} channel[TA_CHANNELS];
static _Atomic unsigned on_fault, cpus, cpuids;
static unsigned option;
static uint64_t module_size, module_sum;

static enum hyp_answer asked(unsigned c, uint64_t what, uint64_t value, uint64_t more)
{
    channel[c].count++;
    channel[c].last[0] = what;
    channel[c].last[1] = value;
    channel[c].last[2] = more;
    return (enum hyp_answer)channel[c].answer;
}

static uint64_t replace(unsigned c, uint64_t value)
{
    return channel[c].value ? channel[c].value : value;
}

static enum hyp_answer io(struct vcpu *v, struct hyp_io *a)
{
    (void)v;
    enum hyp_answer r = asked(TA_IO, a->port | (uint64_t)a->size << 16 | (uint64_t)a->in << 24,
                              a->value, 0);

    a->value = (uint32_t)replace(TA_IO, a->value);
    return r;
}

static enum hyp_answer mmio(struct vcpu *v, struct hyp_mmio *m)
{
    (void)v;
    enum hyp_answer r = asked(TA_MMIO, m->at.a, m->value, m->size | (uint64_t)m->write << 8);

    m->value = replace(TA_MMIO, m->value);
    return r;
}

static enum hyp_answer msr(struct vcpu *v, uint32_t index, bool write, uint64_t *value)
{
    (void)v;
    enum hyp_answer r = asked(TA_MSR, index, *value, write);

    *value = replace(TA_MSR, *value);
    return r;
}

static enum hyp_answer cr_write(struct vcpu *v, unsigned cr, uint64_t *value)
{
    (void)v;
    enum hyp_answer r = asked(TA_CR, cr, *value, 0);

    *value = replace(TA_CR, *value);
    return r;
}

static enum hyp_answer table_write(struct vcpu *v, enum hyp_table which, uint64_t base,
                                   uint32_t limit)
{
    (void)v;
    return asked(TA_TABLE, which, base, limit);
}

static enum hyp_answer fault(struct vcpu *v, const struct exit *e)
{
    struct hyp_store st;

    (void)asked(TA_FAULT, e->fault.addr.a, e->fault.access, 0);
    switch (atomic_load(&on_fault)) {
    case FAULT_CARRY_OUT:
    case FAULT_SKIP:
        if (!hyp_store(v, e, &st)
            || (on_fault == FAULT_CARRY_OUT && gp_write(st.gpa, st.bytes, st.len) != GM_OK)) {
            return HYP_REFUSE;
        }
        hyp_store_done(v, &st);
        return HYP_DONE;
    case FAULT_GIVE_BACK:
        (void)hyp_rights(v, gpa(align_down(e->fault.addr.a, PAGE_SIZE)), 1,
                         ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC);
        return HYP_AGAIN;
    default:
        return HYP_REFUSE;
    }
}

static void guest_event(struct vcpu *v, enum hyp_event what)
{
    (void)asked(TA_EVENT, what, v->index, 0);
    log_line("testapp: event %u", what);
}

static bool cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid_regs *r)
{
    (void)v;
    (void)sub;
    if (leaf != TESTAPP_CPUID) {
        return false;
    }
    r->eax = TESTAPP_MAGIC;
    r->ebx = ++cpuids;
    return true;
}

static bool info(struct vcpu *v, uint32_t which, uint64_t *value)
{
    (void)v;
    *value = TESTAPP_MAGIC;
    return which == TESTAPP_INFO;
}

static enum hc_result hypercall(struct vcpu *v, uint32_t cmd)
{
    uint64_t *r = v->regs.gpr, op = r[GPR_RCX], a = r[GPR_RDX], b = r[GPR_RSI];

    if (cmd != TESTAPP_HC) {
        return HC_UNKNOWN;
    }
    switch (op) {
    case TA_SET:
        channel[a % TA_CHANNELS].answer = (unsigned)b;
        channel[a % TA_CHANNELS].value = r[GPR_RDI];
        break;
    case TA_COUNT:
        r[GPR_RAX] = atomic_exchange(&channel[a % TA_CHANNELS].count, 0);
        break;
    case TA_LAST: r[GPR_RAX] = channel[a % TA_CHANNELS].last[b % 3]; break;
    case TA_OPTION: r[GPR_RAX] = option; break;
    case TA_MODULE: r[GPR_RAX] = a ? module_sum : module_size; break;
    case TA_CPUS: r[GPR_RAX] = cpus; break;
    case TA_ON_FAULT: on_fault = (unsigned)a; break;
    default: return testapp_service(v, op, a, b);
    }
    return HC_DONE;
}

static int cpu_init(struct vcpu *v)
{
    cpus++;
    return testapp_sandbox_cpu(v);
}

static bool set_option(const char *value)
{
    return options_number(value, 10, 1, 1000, &option);
}

static const struct option_more options[] = { { "testapp", "1 to 1000", set_option }, { 0 } };

static int init(void)
{
    size_t size;
    const uint8_t *module = hyp_module(&size);

    for (size_t i = 0; i < size; i++) {
        module_sum += module[i];
    }
    module_size = size;
    log_line("testapp: a module of %zu bytes", size);
    return hyp_ports(0x70, 2, io) | hyp_ports(0x80, 4, io)
        | hyp_mmio(gpa(TESTAPP_MMIO), PAGE_SIZE, ACCESS_READ | ACCESS_WRITE, mmio)
        | hyp_msr_range(MSR_STAR, MSR_SFMASK, ACCESS_READ | ACCESS_WRITE)
        | hyp_msr_range(TESTAPP_MSR, TESTAPP_MSR, ACCESS_READ | ACCESS_WRITE)
        | hyp_cr_bits(0, CR0_WP | CR0_TS) | hyp_cr_bits(4, CR4_PGE) | hyp_cr_bits(3, ~0ULL)
        | hyp_trap_tables(1u << HYP_GDT | 1u << HYP_IDT | 1u << HYP_LDT | 1u << HYP_TR)
        | testapp_sandbox_init();
}

static void wipe(void)
{
    module_sum = 0;
}

const struct hypapp hypapp = {
    .name = "testapp", .options = options, .init = init, .cpu_init = cpu_init, .cpuid = cpuid,
    .hypercall = hypercall, .msr = msr, .cr_write = cr_write, .table_write = table_write,
    .fault = fault, .guest_event = guest_event, .sandbox_exit = testapp_sandbox_exit, .info = info,
    .wipe = wipe,
};
