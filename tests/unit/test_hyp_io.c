/* SPDX-License-Identifier: MIT */
/* Ports that the hypapp asked for: who is asked, what each answer does, INS and OUTS. */
#include "unit.h"

#include "fake/machine.h"
#include <debug/log_state.h>
#include <exit/dispatch.h>
#include <guest/phys.h>
#include <hypapp/hypapp.h>
#include <policy/asked.h>
#include <policy/io_policy.h>
#include <smp/stop.h>
#include <virt/virt.h>
#include <x86/cpu.h>

static struct vcpu v;
static struct guest_paging guest;
static uint8_t code[8];
static unsigned code_size, skips, gps, faults, agains, segment_faults;
static uint64_t fault_at;

/* --- the guest: two pages of memory at linear and guest-physical 0x5000 ----------------------- */

static uint8_t ram[2 * PAGE_SIZE];
static bool read_only;
struct guest_phys_ops guest_phys_ops;
void *guest_phys_firmware(const struct walk *w, unsigned right)
{
    (void)w;
    (void)right;
    return NULL;
}

enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out)
{
    (void)phys;
    (void)p;
    *out = (struct walk){ .gpa = gpa(va.a), .canonical = true };
    if (va.a < 0x5000 || va.a >= 0x7000 || (read_only && (access & ACCESS_WRITE))) {
        return WALK_FAULT;
    }
    out->ptr = ram + (va.a - 0x5000);
    return WALK_OK;
}

unsigned exit_fetch(struct vcpu *cpu, uint8_t *buf, struct guest_paging *p)
{
    (void)cpu;
    *p = guest;
    memcpy(buf, code, code_size);
    return code_size;
}

void exit_skip(struct vcpu *cpu, unsigned len) { cpu->regs.rip += len; skips++; }
void exit_nmi(struct vcpu *cpu) { (void)cpu; }
void hyp_inject_gp(struct vcpu *cpu) { (void)cpu; gps++; }
void hyp_inject_fault(struct vcpu *cpu, const struct gm_fault *f)
{
    (void)cpu;
    faults++;
    fault_at = f->addr.a;
}
void log_line(const char *fmt, ...) { (void)fmt; }
void log_break_lock(void) { }
void stop_other_cpus(void) { fail(); }
void stop_wipe(void) { fail(); }
void stop_reset(void) { fail(); abort(); }

static struct segment segments[SEG_COUNT];
static void get_segment(struct vcpu *cpu, enum segment_index i, struct segment *s)
{
    (void)cpu;
    *s = segments[i];
}
static bool inject(struct vcpu *cpu, const struct event *e)
{
    (void)cpu;
    segment_faults += e->vector == EXC_GP && e->has_error;
    return true;
}
static void end_shadow(struct vcpu *cpu) { (void)cpu; agains++; }
static const struct virt_ops ops = { .get_segment = get_segment, .inject = inject,
                                     .end_shadow = end_shadow };
const struct virt_ops *virt = &ops;

/* --- the hypapp ------------------------------------------------------------------------------ */

const struct hypapp hypapp = { .name = "test" };
static enum hyp_answer answer;
static struct hyp_io last;
static unsigned asks[2];
static uint32_t give;

static enum hyp_answer first_fn(struct vcpu *cpu, struct hyp_io *io)
{
    (void)cpu;
    asks[0]++;
    last = *io;
    io->value = give ? give : io->value;
    return answer;
}

static enum hyp_answer second_fn(struct vcpu *cpu, struct hyp_io *io)
{
    asks[1]++;
    asks[0]--;
    return first_fn(cpu, io);
}

static int setup(void **state)
{
    (void)state;
    machine_reset(0);
    v = (struct vcpu){ .regs.rip = 0x1000 };
    guest = (struct guest_paging){ .mode = MODE_LONG64, .cr0 = CR0_PG | CR0_PE };
    memset(segments, 0, sizeof(segments));
    memset(ram, 0, sizeof(ram));
    memset(asks, 0, sizeof(asks));
    read_only = false;
    answer = HYP_CORE;
    give = 0;
    return 0;
}

static void io(uint16_t port, unsigned size, bool in, bool string)
{
    const struct exit e = { .kind = EXIT_IO, .insn_len = string ? 0 : 2,
                            .io = { .port = port, .size = (uint8_t)size, .in = in,
                                    .string = string } };

    skips = gps = faults = agains = segment_faults = 0;
    exit_io(&v, &e);
    assert_int_equal(skips + gps + faults + agains + segment_faults, answer != HYP_SWITCHED);
}

static void use(const uint8_t *bytes, unsigned n)
{
    memcpy(code, bytes, n);
    code_size = n;
}
#define USE(...) use((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* --- the tests ------------------------------------------------------------------------------- */

static void bad_ranges(void **state)
{
    static uint8_t bitmap[0x2000], none[0x2000];

    (void)state;
    asked_fill_ports(bitmap);
    assert_memory_equal(bitmap, none, sizeof(none));
    assert_int_equal(hyp_ports(0x80, 0, first_fn), -1);
    assert_int_equal(hyp_ports(0x80, 1, NULL), -1);
    assert_int_equal(hyp_ports(0xfff0, 17, first_fn), -1);
    assert_int_equal(hyp_ports(0xfff0, 16, first_fn), 0);
    assert_int_equal(hyp_ports(0x80, 4, first_fn), 0);
    assert_int_equal(hyp_ports(0x83, 2, second_fn), -1);
    assert_int_equal(hyp_ports(0x7f, 2, second_fn), -1);
    assert_int_equal(hyp_ports(0x84, 4, second_fn), 0);
    asked_fill_ports(bitmap);
    for (unsigned port = 0; port < 0x10000; port++) {
        bool want = port >= 0xfff0 || (port >= 0x80 && port < 0x88);

        assert_int_equal(bitmap[port / 8] >> (port % 8) & 1, want);
    }
}

static void each_answer(void **state)
{
    (void)state;
    v.regs.gpr[GPR_RAX] = 0x1122334455667788;
    io(0x80, 1, false, false); /* HYP_CORE: as ever */
    assert_true(asks[0] == 1 && last.port == 0x80 && last.size == 1 && !last.in
                && last.value == 0x88);
    assert_true(machine.out_count == 1 && machine.out[0].value == 0x88 && v.regs.rip == 0x1002);
    give = 0x5a;               /* with the hypapp's value */
    io(0x81, 1, false, false);
    assert_true(machine.out_count == 2 && machine.out[1].value == 0x5a
                && machine.out[1].port == 0x81);
    assert_int_equal(v.regs.gpr[GPR_RAX], 0x1122334455667788);
    give = 0;
    machine.port[0x82] = 0xbeef;
    io(0x82, 2, true, false);
    assert_true(last.in && last.value == 0 && v.regs.gpr[GPR_RAX] == 0x112233445566beef);
    assert_int_equal(hyp_port_in(&v, 0x82, 2), 0xbeef);
    answer = HYP_DONE;
    give = 0xcafe1234;
    io(0x80, 4, true, false);
    assert_int_equal(v.regs.gpr[GPR_RAX], 0xcafe1234);
    io(0x80, 4, false, false);
    assert_int_equal(machine.out_count, 2);
    answer = HYP_REFUSE;
    io(0x80, 4, false, false);
    assert_true(gps == 1 && machine.out_count == 2);
    answer = HYP_AGAIN;
    io(0x80, 4, false, false);
    assert_true(agains == 1 && (v.regs.rflags & RFLAGS_RF));
    answer = HYP_SWITCHED;
    io(0x80, 4, false, false);
}

/* An access that touches a port of two: the lower one's is asked. One that touches none isn't. */
static void who_is_asked(void **state)
{
    (void)state;
    io(0x83, 2, true, false);
    assert_true(asks[0] == 1 && asks[1] == 0);
    io(0x84, 4, true, false);
    assert_true(asks[0] == 1 && asks[1] == 1);
    io(0x7d, 4, true, false);
    assert_true(asks[0] == 2 && asks[1] == 1);
    io(0x88, 1, true, false);
    io(0x60, 1, true, false);
    assert_true(asks[0] == 2 && asks[1] == 1);
}

static void strings_in(void **state)
{
    (void)state;
    USE(0xf3, 0x6d); /* REP INSD */
    machine.port[0x80] = 0x01020304;
    v.regs.gpr[GPR_RDI] = 0x5ffe; /* crosses pages */
    v.regs.gpr[GPR_RCX] = 2;
    io(0x80, 4, true, true);
    assert_true(agains == 1 && v.regs.rip == 0x1000 && v.regs.gpr[GPR_RCX] == 1
                && v.regs.gpr[GPR_RDI] == 0x6002);
    io(0x80, 4, true, true);
    assert_true(skips == 1 && v.regs.rip == 0x1002 && v.regs.gpr[GPR_RCX] == 0
                && v.regs.gpr[GPR_RDI] == 0x6006);
    assert_memory_equal(ram + 0xffe, ((uint8_t[]){ 4, 3, 2, 1, 4, 3, 2, 1 }), 8);
    USE(0x6c);       /* INSB, backwards */
    v.regs.rflags = RFLAGS_DF;
    answer = HYP_DONE;
    give = 0x77;
    io(0x81, 1, true, true);
    assert_true(skips == 1 && v.regs.gpr[GPR_RDI] == 0x6005 && ram[0x1006] == 0x77);
    read_only = true; /* the fault comes before the access */
    asks[0] = 0;
    io(0x81, 1, true, true);
    assert_true(faults == 1 && fault_at == 0x6005 && asks[0] == 0);
    read_only = false;
    v.regs.gpr[GPR_RDI] = 0x6ffe;
    USE(0x6d);
    io(0x80, 4, true, true);
    assert_true(faults == 1 && fault_at == 0x7000 && asks[0] == 0);
    USE(0x6f); /* another instruction by now */
    io(0x80, 4, true, true);
    assert_true(gps == 1 && asks[0] == 0);
}

/* REP with a count of 0 touches nothing, by the count's own width. */
static void strings_of_no_elements(void **state)
{
    (void)state;
    USE(0xf3, 0x6d);
    v.regs.gpr[GPR_RDI] = 0x5000;
    io(0x80, 4, true, true);
    assert_true(skips == 1 && v.regs.rip == 0x1002 && v.regs.gpr[GPR_RCX] == 0
                && v.regs.gpr[GPR_RDI] == 0x5000);
    USE(0x67, 0xf3, 0x6e);
    v.regs.gpr[GPR_RCX] = 1ull << 32;
    v.regs.gpr[GPR_RSI] = 0x9000; /* not there */
    io(0x80, 1, false, true);
    assert_true(skips == 1 && v.regs.gpr[GPR_RCX] == 1ull << 32 && v.regs.gpr[GPR_RSI] == 0x9000);
    assert_int_equal(asks[0], 0);
    assert_int_equal(machine.out_count, 0);
}

static void strings_out(void **state)
{
    (void)state;
    memcpy(ram + 0x10, "abcd", 4);
    USE(0x66, 0x67, 0xf3, 0x6f); /* REP OUTSW by ESI */
    v.regs.gpr[GPR_RSI] = 0xffffffff00005010;
    v.regs.gpr[GPR_RCX] = 0xffffffff00000001;
    io(0x80, 2, false, true);
    assert_true(skips == 1 && v.regs.rip == 0x1004 && last.value == 0x6261);
    assert_int_equal(v.regs.gpr[GPR_RSI], 0x5012);
    assert_int_equal(v.regs.gpr[GPR_RCX], 0);
    assert_true(machine.out_count == 1 && machine.out[0].value == 0x6261
                && machine.out[0].size == 2);
    /* 16-bit code, an override, a base and a limit */
    guest.mode = MODE_PROT16;
    segments[SEG_FS] = (struct segment){ .attr = SEG_ATTR_DATA_REAL, .limit = 0x1fff,
                                         .base = 0x5000 };
    USE(0x64, 0x6e);
    v.regs.gpr[GPR_RSI] = 0xffff0012;
    io(0x80, 1, false, true);
    assert_true(skips == 1 && last.value == 'c' && v.regs.gpr[GPR_RSI] == 0xffff0013);
    segments[SEG_FS].limit = 0x12;
    io(0x80, 1, false, true);
    assert_int_equal(segment_faults, 1);
    segments[SEG_FS].limit = 0x1fff;
    segments[SEG_FS].attr = 0x9b & ~2; /* code that can't be read */
    io(0x80, 1, false, true);
    assert_int_equal(segment_faults, 1);
    segments[SEG_FS].attr = 0x97;      /* expand-down: above the limit */
    io(0x80, 1, false, true);
    assert_int_equal(segment_faults, 1);
    segments[SEG_FS].limit = 0x12;
    io(0x80, 1, false, true);
    assert_true(skips == 1 && last.value == 'd');
    answer = HYP_REFUSE;
    io(0x80, 1, false, true);
    assert_true(gps == 1 && v.regs.gpr[GPR_RSI] == 0xffff0014);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bad_ranges, setup), cmocka_unit_test_setup(each_answer, setup),
        cmocka_unit_test_setup(who_is_asked, setup), cmocka_unit_test_setup(strings_in, setup),
        cmocka_unit_test_setup(strings_out, setup),
        cmocka_unit_test_setup(strings_of_no_elements, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
