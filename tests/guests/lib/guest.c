/* SPDX-License-Identifier: MIT */
/* Start-up, words on COM1, traps and code under test, for the tiny guests. */
#include "guest.h"

#include <stdatomic.h>
#include <util/fmt.h>
#include <xmhf/exits.h>

#define COM1 0x3f8

void guest_start(void);
void trap_c(struct trap_frame *f);
void exec_enter(struct exec *x, uint64_t *saved_rsp);
extern const uint8_t exec_leave[], start_gdt[];

const uint8_t *boot_params;
bool hypervisor;
struct gate idt[256] __attribute__((aligned(16)));
void (*volatile handlers[256])(struct trap_frame *f);
static char arguments[512];
static atomic_flag serial_lock = ATOMIC_FLAG_INIT;

/* --- words ------------------------------------------------------------------------ */

static void put(char c)
{
    for (unsigned i = 0; i < 100000 && !(inb(COM1 + 5) & 0x20); i++) {
        pause();
    }
    outb(COM1, (uint8_t)c);
}

static void line(const char *kind, const char *fmt, va_list ap)
{
    char text[400];
    int n = fmt_snprintf(text, sizeof(text), "GUEST %s ", kind);

    fmt_vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
    /* Bounded: a CPU that died with the lock held must not silence the others. */
    for (unsigned i = 0; i < 10000000 && atomic_flag_test_and_set(&serial_lock); i++) {
        pause();
    }
    for (const char *p = text; *p; p++) {
        put(*p);
    }
    put('\r');
    put('\n');
    atomic_flag_clear(&serial_lock);
}

static _Noreturn void halt(void)
{
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

#define WORDS(name, begin, kind, end) \
    void name(const char *fmt, ...) \
    { \
        va_list ap; \
        begin; \
        va_start(ap, fmt); \
        line(kind, fmt, ap); \
        va_end(ap); \
        end; \
    }
WORDS(say, , "NOTE", )
WORDS(same, , "SAME", )
WORDS(fail, , "FAIL", halt())
WORDS(skip, , "SKIP", halt())

/* Where ticks are instructions, as run.py says: how long the exits took that this guest caused. */
static void check_exits(void)
{
    static const char *const names[] = {
#define X(name, sentence) #name,
        EXIT_KINDS(X)
#undef X
    };
    uint64_t limit = number("longest", 0);

    for (unsigned kind = 0; hypervisor && limit != 0 && kind < EXIT_KIND_COUNT; kind++) {
        uint64_t ticks = info(XMHF_INFO_LONGEST + kind);

        if (ticks != 0) {
            say("longest %s: %llu", names[kind], (unsigned long long)ticks);
        }
        CHECK(ticks <= limit, "an exit (%s) took %llu instructions", names[kind],
              (unsigned long long)ticks);
    }
}

WORDS(pass, check_exits(), "PASS", halt())

/* --- facts ------------------------------------------------------------------------ */

static const char *find_argument(const char *name)
{
    size_t n = strlen(name);

    for (const char *p = arguments; *p;) {
        if (strncmp(p, name, n) == 0 && (p[n] == '=' || p[n] == ' ' || p[n] == '\0')) {
            return p + n;
        }
        while (*p && *p != ' ') {
            p++;
        }
        while (*p == ' ') {
            p++;
        }
    }
    return NULL;
}

bool word(const char *name)
{
    return find_argument(name) != NULL;
}

uint64_t number(const char *name, uint64_t otherwise)
{
    const char *p = find_argument(name);
    uint64_t v = 0;

    if (!p || *p != '=') {
        return otherwise;
    }
    for (p++; *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (uint64_t)(*p - '0');
    }
    return v;
}

unsigned e820_count(void)
{
    return boot_params[0x1e8];
}

struct e820 e820_get(unsigned i)
{
    struct e820 e;

    memcpy(&e, boot_params + 0x2d0 + i * sizeof(e), sizeof(e));
    return e;
}

/* --- traps ------------------------------------------------------------------------ */

struct cpu *cpu_of(unsigned index)
{
    return (struct cpu *)cpu_blocks[index];
}

struct cpu *this_cpu(void)
{
    uint64_t here = (uintptr_t)__builtin_frame_address(0);

    return (struct cpu *)align_down(here, BLOCK_SIZE);
}

/* The code under test is over: what it left goes to its struct, and exec_enter returns. */
static void leave(struct cpu *c, struct trap_frame *f)
{
    struct exec *x = c->exec;

    memcpy(x->gpr, f->gpr, sizeof(f->gpr));
    memcpy(x->gpr + 8, f->r8_15, sizeof(f->r8_15));
    x->rip = f->rip;
    x->cs = f->cs;
    x->rflags = f->rflags;
    x->rsp = f->rsp;
    x->ss = f->ss;
    x->vector = f->vector;
    x->error = f->error;
    x->cr2 = read_cr2();
    c->exec = NULL;
    f->rip = (uintptr_t)exec_leave;
    f->cs = SEL_CODE64;
    f->ss = SEL_DATA;
    f->rflags = RFLAGS_ONE;
    f->rsp = c->exec_rsp;
}

void trap_c(struct trap_frame *f)
{
    struct cpu *c = this_cpu();

    if (handlers[f->vector]) {
        handlers[f->vector](f);
    } else if (c->exec) {
        leave(c, f);
    } else {
        fail("unexpected vector %u, error 0x%x, rip 0x%llx, cr2 0x%llx on CPU %u",
             (unsigned)f->vector, (unsigned)f->error, (unsigned long long)f->rip,
             (unsigned long long)read_cr2(), c->index);
    }
}

void set_gate(unsigned vector, uint64_t entry, unsigned ist, unsigned dpl)
{
    idt[vector] = (struct gate){
        .low = (uint16_t)entry, .mid = (uint16_t)(entry >> 16), .high = (uint32_t)(entry >> 32),
        .selector = SEL_CODE64, .ist = (uint8_t)ist, .type = (uint8_t)(0x8e | dpl << 5),
    };
}

/* Descriptor tables of this CPU. */
static void load_tables(struct cpu *c)
{
    uint64_t tss = (uintptr_t)&c->tss, block = (uintptr_t)c;
    struct { uint16_t limit; uint64_t base; } __attribute__((packed))
        gdtr = { sizeof(c->gdt) - 1, (uintptr_t)c->gdt },
            idtr = { sizeof(idt) - 1, (uintptr_t)idt };

    memcpy(c->gdt, start_gdt, SEL_TSS);
    c->gdt[SEL_TSS / 8] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ULL << 40
                        | (tss >> 24 & 0xff) << 56;
    c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
    c->tss.rsp[0] = c->tss.ist[0] = block + BLOCK_TRAP_TOP;
    c->tss.ist[1] = block + BLOCK_NMI_TOP;
    c->tss.iomap = sizeof(c->tss);
    __asm__ volatile("lgdt %0; lidt %1; ltr %w2" :: "m"(gdtr), "m"(idtr), "r"(SEL_TSS) : "memory");
}

void (*volatile ap_main)(struct cpu *c);

void ap_start(unsigned index);
void ap_start(unsigned index)
{
    struct cpu *c = cpu_of(index);

    c->index = index;
    load_tables(c);
    c->started++;
    ap_main(c);
    halt();
}

void guest_start(void)
{
    uint32_t p;

    memcpy(&p, boot_params + 0x228, sizeof(p));
    if (p) {
        str_copy(arguments, (const char *)(uintptr_t)p, sizeof(arguments));
    }
    outb(COM1 + 3, 0x83); /* 115200 baud, 8 bits, no interrupts: not every BIOS does it */
    outb(COM1, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);
    for (unsigned i = 0; i < 256; i++) {
        set_gate(i, (uintptr_t)trap_entries + 16 * i, i == EXC_NMI ? 2 : 1,
                 i == VECTOR_DONE ? 3 : 0);
    }
    load_tables(cpu_of(0));
    hypervisor = cpuid(XMHF_CPUID_BASE, 0).ebx == 0x46484d58; /* "XMHF" */
    outb(0x21, 0xff); /* no interrupts but those a test asks for */
    outb(0xa1, 0xff);
    guest_main();
    fail("guest_main returned");
}

/* --- code under test ---------------------------------------------------------------- */

struct exec exec_for(unsigned ring, unsigned bits)
{
    struct exec x = { .rflags = RFLAGS_ONE };

    x.rsp = (uintptr_t)this_cpu() + BLOCK_EXEC_TOP - 64;
    x.ss = ring ? SEL_USER_DATA : SEL_DATA;
    if (ring) {
        x.cs = bits == 64 ? SEL_USER64 : bits == 32 ? SEL_USER32 : SEL_USER16;
    } else {
        x.cs = bits == 64 ? SEL_CODE64 : bits == 32 ? SEL_CODE32 : SEL_CODE16;
    }
    return x;
}

unsigned exec_at(struct exec *x)
{
    struct cpu *c = this_cpu();

    x->start = x->rip;
    c->exec = x;
    exec_enter(x, &c->exec_rsp);
    return (unsigned)x->vector;
}

unsigned exec_bytes(struct exec *x, const void *code, size_t len)
{
    uint8_t *at = (uint8_t *)this_cpu() + BLOCK_CODE;

    memcpy(at, code, len);
    memcpy(at + len, "\xcd\x80", 2); /* INT 80h: VECTOR_DONE */
    x->rip = (uintptr_t)at;
    return exec_at(x);
}

unsigned try_rdmsr(uint32_t msr, uint64_t *value)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RCX] = msr;
    EXEC(&x, 0x0f, 0x32);
    *value = (uint32_t)x.gpr[RAX] | x.gpr[RDX] << 32;
    return (unsigned)x.vector;
}

unsigned try_wrmsr(uint32_t msr, uint64_t value)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RCX] = msr;
    x.gpr[RAX] = (uint32_t)value;
    x.gpr[RDX] = value >> 32;
    return EXEC(&x, 0x0f, 0x30);
}

unsigned try_read64(uint64_t addr, uint64_t *value)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RCX] = addr;
    EXEC(&x, 0x48, 0x8b, 0x01); /* mov (%rcx), %rax */
    *value = x.gpr[RAX];
    return (unsigned)x.vector;
}

unsigned try_write64(uint64_t addr, uint64_t value)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RCX] = addr;
    x.gpr[RAX] = value;
    return EXEC(&x, 0x48, 0x89, 0x01); /* mov %rax, (%rcx) */
}

unsigned try_write_cr(unsigned cr, uint64_t value)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RAX] = value;
    return EXEC(&x, 0x0f, 0x22, (uint8_t)(0xc0 | cr << 3)); /* mov %rax, %crN */
}

unsigned try_xsetbv(uint32_t index, uint64_t value)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RCX] = index;
    x.gpr[RAX] = (uint32_t)value;
    x.gpr[RDX] = value >> 32;
    return EXEC(&x, 0x0f, 0x01, 0xd1);
}

struct exec hypercall_in(unsigned ring, uint64_t rax, uint64_t rcx, uint64_t rdx, uint64_t rsi,
                         uint64_t rdi)
{
    struct exec x = exec_for(ring, 64);

    x.gpr[RAX] = rax;
    x.gpr[RCX] = rcx;
    x.gpr[RDX] = rdx;
    x.gpr[RSI] = rsi;
    x.gpr[RDI] = rdi;
    EXEC(&x, 0x0f, 0x01, hypercall_byte());
    return x;
}

unsigned hypercall(uint64_t *rax, uint64_t rcx, uint64_t rdx, uint64_t rsi, uint64_t rdi)
{
    struct exec x = hypercall_in(0, *rax, rcx, rdx, rsi, rdi);

    *rax = x.gpr[RAX];
    return (unsigned)x.vector;
}

uint64_t hypercall_done(uint64_t rax, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    struct exec x = hypercall_in(3, rax, rcx, 0, rsi, rdi);

    CHECK(x.vector == VECTOR_DONE, "hypercall %llu: vector %llu", (unsigned long long)rax,
          (unsigned long long)x.vector);
    return x.gpr[RAX];
}

uint64_t info(uint64_t which)
{
    uint64_t rax = XMHF_HC_INFO;
    unsigned vector = hypercall(&rax, which, 0, 0, 0);

    CHECK(vector == VECTOR_DONE, "XMHF_HC_INFO %llu gave vector %u", (unsigned long long)which,
          vector);
    return rax;
}
