/* SPDX-License-Identifier: MIT */
/* Intercepted ports: resets wipe first, S3 is refused, everything else is carried out. */
#include <debug/log.h>
#include <debug/log_state.h>
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <exit/string_io.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <hypapp/hypapp.h>
#include <policy/asked.h>
#include <policy/io_policy.h>
#include <policy/regions.h>
#include <smp/spinlock.h>
#include <smp/stop.h>
#include <virt/virt.h>

/* what the policy was told is what the ports get */
static struct spinlock out_lock = SPINLOCK_INIT;

static void smi_open(void)
{
    if (virt->smi_open) {
        virt->smi_open();
    }
}

static void smi_close(struct vcpu *v)
{
    if (virt->smi_close) {
        virt->smi_close();
        exit_nmi(v); /* a kick or a guest's NMI may have come meanwhile */
    }
}

static uint32_t port_in(struct vcpu *v, uint16_t port, unsigned size)
{
    smi_open();
    uint32_t value = size == 1 ? hw_in8(port) : size == 2 ? hw_in16(port) : hw_in32(port);
    smi_close(v);
    return value;
}

/* Leaves SMIs open: after the write that ends the machine firmware may have to finish. The caller
 * closes them where the machine goes on. */
static void port_out(uint16_t port, unsigned size, uint32_t value)
{
    smi_open();
    if (size == 1) {
        hw_out8(port, (uint8_t)value);
    } else if (size == 2) {
        hw_out16(port, (uint16_t)value);
    } else {
        hw_out32(port, value);
    }
}

static uint32_t do_in(struct vcpu *v, uint16_t port, unsigned size)
{
    return io_policy_read(port, size, port_in(v, port, size));
}

uint32_t hyp_port_in(struct vcpu *v, uint16_t port, unsigned size)
{
    return do_in(v, port, size);
}

/* What IN leaves in RAX. */
static void take_in(struct vcpu *v, unsigned size, uint32_t value)
{
    uint64_t *rax = &v->regs.gpr[GPR_RAX];

    if (size == 4) {
        *rax = value;
    } else {
        uint64_t mask = size == 1 ? 0xff : 0xffff;
        *rax = (*rax & ~mask) | (value & mask);
    }
}

/* Power goes off some time after the write, and a reset meanwhile would win. */
static void await_power_off(void)
{
    wait_us(3000000);
}

/* In SMM firmware may wait for all CPUs: for those that wait here too. */
static void lock_ports(struct vcpu *v)
{
    while (!spin_trylock(&out_lock)) {
        smi_open();
        hw_pause();
        smi_close(v);
    }
}

/* The write that ends the machine, and with SMIs' help may take a while. */
_Noreturn static void last_out(struct vcpu *v, const struct hyp_io *io, enum io_action action,
                               uint32_t value)
{
    exit_guest_event(v, action == IO_RESET ? HYP_RESET : HYP_POWER_OFF);
    stop_other_cpus();
    stop_wipe();
    log_break_lock(); /* the last line */
    log_line("guest %s through port 0x%x: protected memory is wiped",
             action == IO_RESET ? "reset" : "power-off", io->port);
    port_out(io->port, io->size, value);
    if (action == IO_POWER_OFF) {
        await_power_off();
    }
    stop_reset(); /* in case that the port did nothing */
}

static void do_out(struct vcpu *v, const struct hyp_io *io)
{
    uint32_t value = io->value;

    lock_ports(v);
    enum io_action action = io_policy_write(io->port, io->size, &value);
    if (action == IO_PASS) {
        port_out(io->port, io->size, value);
        smi_close(v);
    }
    spin_unlock(&out_lock);
    if (action == IO_PASS) {
        return;
    }
    if (action == IO_SUSPEND) {
        log_line("suspend refused: the machine would wake up without the hypervisor");
        io_policy_suspend_refused();
        return;
    }
    last_out(v, io, action, value);
}

void exit_io_carry_out(struct vcpu *v, struct hyp_io *io)
{
    if (io->in) {
        io->value = do_in(v, io->port, io->size);
    } else {
        do_out(v, io);
    }
}

/* How long is the IN or OUT? */
static unsigned insn_len(const struct vcpu *v, const struct exit *e)
{
    return e->io.next_rip ? (unsigned)(e->io.next_rip - v->regs.rip) : e->insn_len;
}

/* `fn` is the hypapp's, or NULL. */
static void single_io(struct vcpu *v, const struct exit *e, hyp_io_fn *fn)
{
    struct hyp_io io = { .port = e->io.port, .size = e->io.size, .in = e->io.in };
    enum hyp_answer a;

    if (!io.in) {
        io.value = (uint32_t)(v->regs.gpr[GPR_RAX] & (io.size == 4 ? ~0u
                                                      : (1u << 8 * io.size) - 1));
    }
    a = fn ? fn(v, &io) : HYP_CORE;
    if (a == HYP_CORE) {
        exit_io_carry_out(v, &io);
        a = HYP_DONE;
    }
    if (a == HYP_DONE && io.in) {
        take_in(v, io.size, io.value);
    }
    (void)exit_answered(v, a, insn_len(v, e));
}

/* A port of the policy; or one that no row has, which doesn't exit. */
static void policy_port(struct vcpu *v, const struct exit *e)
{
    single_io(v, e, NULL);
}

void exit_io(struct vcpu *v, const struct exit *e)
{
    const struct region *r = region_find(REGION_PORTS, e->io.port, e->io.size,
                                         e->io.in ? ACCESS_READ : ACCESS_WRITE);
    hyp_io_fn *fn = asked_port(e->io.port, e->io.size);

    if (e->io.string && fn) {
        exit_string_io(v, e, fn);
    } else if (e->io.string) {
        hyp_inject_gp(v); /* INS/OUTS on a port with a handler: nobody needs it */
    } else if (fn) {
        single_io(v, e, fn);
    } else {
        (r ? r->handle : policy_port)(v, e);
    }
}

int exit_io_init(void)
{
    uint16_t ports[IO_POLICY_PORTS];
    size_t n = io_policy_ports(ports);

    for (size_t i = 0; i < n; i++) {
        const struct region r = { ports[i], 1, ACCESS_READ | ACCESS_WRITE, policy_port };
        if (region_add(REGION_PORTS, &r) != 0) {
            return -1;
        }
    }
    return 0;
}
