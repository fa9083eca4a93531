/* SPDX-License-Identifier: MIT */
/*
 * PALs that try to get out, or reach what isn't theirs: each ends as a named death, its
 * caller gets SIGSEGV, and a gadget outside, offered as the target of every transfer, never
 * runs.   pal_attack [NAME]
 */
#include "tap.h"
#include <sys/mman.h>

static volatile unsigned gadget_counter;
static uint64_t outside_word = 42;

/* What an escape would run. It never returns: the stack may be anybody's. */
static void gadget(void)
{
    gadget_counter++;
    for (;;) {
    }
}

/*
 * In every attack: RDI = gadget's address, RSI = address of a word outside,
 * RDX = the PAL's DATA (first word: gadget, then selector 0x33: a far pointer),
 * RCX = the PAL's CODE.
 */
#define ATTACK(name, body) \
    extern const uint8_t attack_##name[]; \
    __asm__(".pushsection pal_code, \"ax\"\n.balign 16\nattack_" #name ":\n" body \
            "\nmov $1, %eax\nret\n.popsection\n");

#define ATTACKS(X) \
    X(syscall,      "mov $39, %eax; syscall",                         1, 6, -1) \
    X(int80,        "mov $20, %eax; int $0x80",                       0, 13, -1) \
    X(int3,         "int3",                                           0, 3, -1) \
    X(int1,         ".byte 0xf1",                                     0, 1, 6) \
    X(int_0x20,     "int $0x20",                                      0, 13, -1) \
    X(int_0xfe,     "int $0xfe",                                      0, 13, -1) \
    X(sysenter,     "sysenter",                                       1, 6, 13) \
    X(sysret,       "mov %rdi, %rcx; sysretq",                        1, 6, 13) \
    X(sysexit,      "mov %rdi, %rdx; .byte 0x0f, 0x35",               1, 6, 13) \
    X(far_call,     "lcall *(%rdx)",                                  1, 13, -1) \
    X(far_jump,     "ljmp *(%rdx)",                                   1, 13, -1) \
    X(far_return,   "push $0x33; push %rdi; lretq",                   1, 13, -1) \
    X(iret,         "mov %rsp, %rax; push $0x2b; push %rax; pushfq; push $0x33; push %rdi; iretq", \
                                                                      0, 13, -1) \
    X(near_jump,    "jmp *%rdi",                                      1, 14, -1) \
    X(near_call,    "call *%rdi",                                     1, 14, -1) \
    X(wild_return,  "push %rdi; ret",                                 1, 14, -1) \
    X(in,           "mov $0x60, %edx; in %dx, %al",                   0, 13, -1) \
    X(in_imm,       "in $0x71, %eax",                                 0, 13, -1) \
    X(out,          "mov $0xcf9, %edx; mov $6, %al; out %al, %dx",    0, 13, -1) \
    X(ins,          "mov %rdx, %rdi; mov $0x60, %edx; insb",          0, 13, -1) \
    X(hlt,          "hlt",                                            1, 13, -1) \
    X(cli,          "cli",                                            1, 13, -1) \
    X(sti,          "sti",                                            1, 13, -1) \
    X(rdmsr,        "mov $0xc0000080, %ecx; rdmsr",                   0, 13, -1) \
    X(wrmsr,        "mov $0xc0000082, %ecx; mov %edi, %eax; xor %edx, %edx; wrmsr", 0, 13, -1) \
    X(rdpmc,        "xor %ecx, %ecx; rdpmc",                          0, 13, -1) \
    X(mov_cr3,      "mov %cr3, %rax",                                 0, 13, -1) \
    X(to_cr0,       "mov %rdi, %cr0",                                 0, 13, -1) \
    X(mov_dr7,      "mov %dr7, %rax",                                 0, 13, -1) \
    X(lgdt,         "lgdt (%rdx)",                                    0, 13, -1) \
    X(lidt,         "lidt (%rdx)",                                    0, 13, -1) \
    X(ltr,          "mov $0x40, %eax; ltr %ax",                       0, 13, -1) \
    X(clts,         "clts",                                           0, 13, -1) \
    X(invd,         "invd",                                           0, 13, -1) \
    X(wbinvd,       "wbinvd",                                         0, 13, -1) \
    X(invlpg,       "invlpg (%rdx)",                                  0, 13, -1) \
    X(swapgs,       "swapgs",                                         0, 13, -1) \
    X(xsetbv,       "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; xsetbv", 0, 13, 6) \
    X(vmrun,        "mov %rdx, %rax; .byte 0x0f, 0x01, 0xd8",         0, 13, 6) \
    X(vmload,       "mov %rdx, %rax; .byte 0x0f, 0x01, 0xda",         0, 13, 6) \
    X(stgi,         ".byte 0x0f, 0x01, 0xdc",                         0, 13, 6) \
    X(skinit,       "xor %eax, %eax; .byte 0x0f, 0x01, 0xde",         0, 13, 6) \
    X(load_fs,      "mov $0x33, %eax; mov %ax, %fs; mov %fs:0, %rax", 1, 13, 14) \
    X(load_ss,      "mov $0x2b, %eax; mov %ax, %ss",                  1, 13, -1) \
    X(divide,       "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; div %ecx", 1, 0, -1) \
    X(ud2,          "ud2",                                            1, 6, -1) \
    X(trap_flag,    "pushfq; orq $0x100, (%rsp); popfq; nop; nop",    1, 1, -1) \
    X(read_outside, "mov (%rsi), %rax",                               1, 14, -1) \
    X(write_outside, "movq $7, (%rsi)",                               1, 14, -1) \
    X(read_null,    "mov 0, %rax",                                    1, 14, -1) \
    X(read_kernel,  "mov $0xffffffff81000000, %rsi; mov (%rsi), %rax",1, 14, -1) \
    X(non_canonical, "mov $0x8000000000000000, %rsi; mov (%rsi), %rax", 1, 13, -1) \
    X(jump_non_canonical, "mov $0x8000000000000000, %rsi; jmp *%rsi", 1, 13, -1) \
    X(write_code,   "movb $0x90, (%rcx)",                             1, 14, -1) \
    X(run_data,     "movb $0xc3, (%rdx); call *%rdx",                 1, 14, -1) \
    X(run_stack,    "push $0xc3; call *%rsp",                         1, 14, -1) \
    X(write_gate,   "mov (%rsp), %rax; movb $0x90, (%rax)",           1, 14, -1) \
    X(stack_overflow, "1: push %rax; jmp 1b",                         1, 14, -1) \
    X(bad_stack,    "mov %rsi, %rsp; push %rax",                      1, 14, -1) \
    X(sse_fault,    "movl $0, -8(%rsp); ldmxcsr -8(%rsp); xorps %xmm0, %xmm0; divss %xmm0, %xmm0", \
                                                                      1, 19, -1) \
    X(x87_fault,    "movw $0x300, -8(%rsp); fldcw -8(%rsp); fld1; fldz; fdivrp; fwait; fwait", \
                                                                      1, 16, 7)

#define X(name, body, death, vector, other) ATTACK(name, body)
ATTACKS(X)
#undef X

/* death 1: TV_DEATH_EXCEPTION with `vector` (or `other`); 0: that, or TV_DEATH_FORBIDDEN. */
static const struct attack {
    const char *name;
    const uint8_t *code;
    bool exception_only;
    int vector, other;
} attacks[] = {
#define X(name, body, death, vector, other) { #name, attack_##name, death, vector, other },
    ATTACKS(X)
#undef X
};

typedef uint64_t (PAL_ABI *attack_fn)(void (*)(void), uint64_t *, void *, void *);

static bool right_death(const struct attack *a, uint64_t death)
{
    int vector = (int)(death >> 16 & 0xff);

    if (death >> 32 == TV_DEATH_FORBIDDEN) {
        return !a->exception_only;
    }
    return death >> 32 == TV_DEATH_EXCEPTION && (vector == a->vector || vector == a->other);
}

static void prepare(struct pal *p, const uint8_t *code)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, code, 1, 1, 1 };
    uint64_t far[2] = { (uintptr_t)gadget, 0x33 };

    if (pal_create(p, &spec) != 0) {
        puts("Bail out! no memory");
        exit(98);
    }
    memcpy(p->data, far, sizeof(far));
    for (unsigned i = 0; i < 4; i++) {
        pal_add_integer(p);
    }
}

/* QEMU's TCG never raises #XM: does this fault at all, outside of a PAL? */
static bool faults_here(const struct attack *a)
{
    if (CATCH()) {
        __asm__ volatile("call *%0; ldmxcsr %1"
                         :: "r"(a->code), "m"((uint32_t){ 0x1f80 })
                         : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
        return false;
    }
    return true;
}

static void try(const struct attack *a)
{
    static struct pal p;
    static volatile uint64_t result;
    uint64_t death, before = pal_info(XMHF_INFO_POOL_FREE);

    if (a->vector == 19 && !faults_here(a)) {
        skip("%s: this machine doesn't raise #XM", a->name);
        return;
    }
    prepare(&p, a->code);
    if (!tap_no_error(pal_register(&p), "register")) {
        return;
    }
    if (CATCH()) {
        result = ((attack_fn)(uintptr_t)p.entry)(gadget, &outside_word, p.data, p.code);
        ok(false, "%s: the PAL returned %llu", a->name, (unsigned long long)result);
        pal_destroy(&p);
        return;
    }
    death = pal_info(XMHF_INFO_LAST_DEATH);
    ok(tap_signal == SIGSEGV && right_death(a, death) && gadget_counter == 0 && outside_word == 42 &&
       pal_hypercall(TV_HC_UNREG, (uintptr_t)p.entry, 0, 0, 0) == TV_NOT_FOUND &&
       pal_info(XMHF_INFO_POOL_FREE) == before,
       "%s: signal %d, death %u, vector %u, gadget ran %u times", a->name, (int)tap_signal,
       (unsigned)(death >> 32), (unsigned)(death >> 16 & 0xff), gadget_counter);
    p.registered = false;
    pal_destroy(&p);
}

/* What a PAL may do, so that the attacks above fail for the right reason. */
ATTACK(harmless, "mov (%rdx), %rax; push %rax; pop %rax; cpuid; rdtsc; ret")

static void test_control(void)
{
    struct pal p;

    prepare(&p, attack_harmless);
    if (tap_no_error(pal_register(&p), "register")) {
        if (CATCH()) {
            ((attack_fn)(uintptr_t)p.entry)(gadget, &outside_word, p.data, p.code);
            ok(true, "control: CPUID, RDTSC, stack and data work in a PAL");
        } else {
            ok(false, "control: signal %d", (int)tap_signal);
        }
    }
    pal_destroy(&p);
}

/* A stub that has lost its PAL. */
static void test_dead_stub(void)
{
    struct pal p;

    prepare(&p, attacks[0].code);
    if (!tap_no_error(pal_register(&p), "register")) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (CATCH()) {
            ((attack_fn)(uintptr_t)p.entry)(gadget, &outside_word, p.data, p.code);
        }
    }
    ok(tap_signal == SIGILL, "calling a dead PAL's stub: signal %d", (int)tap_signal);
    p.registered = false;
    pal_destroy(&p);
}

int main(int argc, char **argv)
{
    tap_need_hypervisor();
    tap_catch_signals();
    test_control();
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        if (argc < 2 || strcmp(argv[1], attacks[i].name) == 0) {
            try(&attacks[i]);
        }
    }
    test_dead_stub();
    ok(gadget_counter == 0, "the gadget ran %u times", gadget_counter);
    return tap_end();
}
