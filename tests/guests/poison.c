/* SPDX-License-Identifier: MIT */
/*
 * Ring 0 sets everything that could lead out of a PAL to a gadget: system call and interrupt
 * entries, descriptor tables, flags, debug registers, control registers. Then ring 3 registers
 * and calls PALs that execute each instruction that transfers control or needs a right. Each
 * must end as a named death and the gadget never run; good PALs must not notice.
 */
#include <x86/cpuid.h>
#include <x86/msr.h>
#include <xmhf/trustvisor.h>
#include "guest.h"

#define SEL_GATE   0x63 /* a call gate in the GDT, for ring 3 */
#define SEL_LDT    0x70
#define PAGE 4096
#define ENTRY 0x100

extern const uint8_t poison_gadget[];
volatile uint64_t poison_count;

static uint8_t pal_code[PAGE] __attribute__((aligned(PAGE)));
static uint8_t pal_param[PAGE] __attribute__((aligned(PAGE)));
static uint8_t pal_stack[2 * PAGE] __attribute__((aligned(PAGE)));
static uint8_t pal_data[PAGE] __attribute__((aligned(PAGE)));
static uint64_t ldt[2] __attribute__((aligned(16)));

static const struct tv_pal_params params = {
    .num_params = 1, .params = { { .type = TV_PARAM_INTEGER, .size = 1 } },
};

static bool breakpoints;

static uint64_t entry(void) { return (uintptr_t)pal_code + ENTRY; }

/* Code that starts with `code`, with MOV $42, %eax; RET behind it. */
static void register_pal(const char *name, const uint8_t *code, size_t len)
{
    struct tv_pal_sections s = { .num_sections = 4, .sections = {
        { TV_SECTION_CODE, 1, (uintptr_t)pal_code }, { TV_SECTION_PARAM, 1, (uintptr_t)pal_param },
        { TV_SECTION_STACK, 2, (uintptr_t)pal_stack }, { TV_SECTION_DATA, 1, (uintptr_t)pal_data },
    } };

    memset(pal_code, 0x90, sizeof(pal_code));
    memset(pal_data, 0, sizeof(pal_data));
    memcpy(pal_code + ENTRY, code, len);
    memcpy(pal_code + ENTRY + len, "\xb8\x2a\0\0\0\xc3", 6);
    struct exec x = hypercall_in(3, TV_HC_REG, (uintptr_t)&s, 0, (uintptr_t)&params, entry());
    CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == 0, "%s: TV_HC_REG gave vector %llu, RAX %llu",
          name, (unsigned long long)x.vector, (unsigned long long)x.gpr[RAX]);
}

/* Call the PAL as a function that returns to INT 80h; interrupts on, flags as bad as can be.
 * A PAL that an interrupt stopped is resumed by what stands at the resume stub. */
static struct exec call_pal(uint64_t flags)
{
    struct exec x = exec_for(3, 64);
    uint8_t *back = (uint8_t *)this_cpu() + BLOCK_CODE;

    memcpy(back, "\xcd\x80", 2);
    x.rflags = flags;
    x.rsp -= 128;
    *(uint64_t *)(uintptr_t)x.rsp = (uintptr_t)back;
    for (unsigned i = 0; i < 16; i++) {
        x.gpr[i] = (uintptr_t)poison_gadget;
    }
    x.rip = entry();
    /* Breakpoints on the PAL's second byte and on its data, while it runs. */
    __asm__ volatile("mov %0, %%dr7" :: "r"(breakpoints ? 0xf0070fULL : 0x400ULL));
    exec_at(&x);
    __asm__ volatile("mov %0, %%dr7" :: "r"(0x400ULL));
    return x;
}

/* --- poison ------------------------------------------------------------------------- */

static void poison_tables(void)
{
    uint64_t to = (uintptr_t)poison_gadget, base = (uintptr_t)ldt;
    struct cpu *c = this_cpu();
    uint64_t gate = (to & 0xffff) | (uint64_t)SEL_CODE64 << 16 | 0xecULL << 40
                  | (to >> 16 & 0xffff) << 48; /* 64-bit call gate, DPL 3 */

    c->gdt[SEL_GATE / 8] = ldt[0] = gate;
    c->gdt[SEL_GATE / 8 + 1] = ldt[1] = to >> 32;
    c->gdt[SEL_LDT / 8] = (sizeof(ldt) - 1) | (base & 0xffffff) << 16 | 0x82ULL << 40
                        | (base >> 24 & 0xff) << 56;
    c->gdt[SEL_LDT / 8 + 1] = base >> 32;
    __asm__ volatile("lldt %w0" :: "r"(SEL_LDT));
    for (unsigned i = 0; i < 256; i++) {
        if (i != EXC_NMI && i != EXC_GP && i != VECTOR_DONE) {
            set_gate(i, to, 1, 3);
        }
    }
}

static void poison_msrs(void)
{
    static const uint32_t targets[] = { MSR_LSTAR, MSR_CSTAR, MSR_IA32_SYSENTER_EIP };

    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
        wrmsr(targets[i], (uintptr_t)poison_gadget);
    }
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (uint64_t)SEL_CODE64 << 32 | (uint64_t)SEL_USER32 << 48);
    wrmsr(MSR_SFMASK, 0);
    wrmsr(MSR_IA32_SYSENTER_CS, SEL_CODE64);
    wrmsr(MSR_IA32_SYSENTER_ESP, (uintptr_t)this_cpu() + BLOCK_TRAP_TOP);
    wrmsr(MSR_FS_BASE, (uintptr_t)pal_data);
    wrmsr(MSR_GS_BASE, (uintptr_t)pal_data);
    wrmsr(MSR_KERNEL_GS_BASE, (uintptr_t)pal_data);
    wrmsr(MSR_IA32_PAT, 0);
    try_wrmsr(MSR_IA32_DEBUGCTL, 3); /* branch records, traps on branches */
}

static void poison_registers(void)
{
    uint64_t cr4 = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE | CR4_PCE;

    write_cr4(read_cr4() | cr4);
    write_cr0(read_cr0() | CR0_TS | CR0_EM | CR0_AM);
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr1" :: "r"(entry() + 1), "r"((uintptr_t)pal_data));
}

/* What a ring 3 that ring 0 helps can have: IOPL 3, AC, NT, DF, and all that's harmless. */
#define BAD_FLAGS (RFLAGS_ONE | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_AC | RFLAGS_NT | RFLAGS_DF \
                   | RFLAGS_ID | RFLAGS_CF | RFLAGS_OF)

/* --- bad PALs ------------------------------------------------------------------------- */

struct form { const char *name; uint8_t len, bytes[24]; };

static const struct form bad[] = {
    { "syscall", 2, { 0x0f, 0x05 } },
    { "sysenter", 2, { 0x0f, 0x34 } },
    { "sysexit", 2, { 0x0f, 0x35 } },
    { "sysret", 3, { 0x48, 0x0f, 0x07 } },
    { "int 80h", 2, { 0xcd, 0x80 } },
    { "int 41h", 2, { 0xcd, 0x41 } },
    { "int 2", 2, { 0xcd, 0x02 } },
    { "int3", 1, { 0xcc } },
    { "int1", 1, { 0xf1 } },
    { "divide by 0", 4, { 0x31, 0xc9, 0xf7, 0xf1 } },
    { "ud2", 2, { 0x0f, 0x0b } },
    /* push selector; push offset; lcall *(%rsp): RAX to RDX as the caller left them */
    { "far call, GDT gate", 11, { 0x6a, SEL_GATE, 0x68, 0, 0, 0x20, 0, 0x48, 0xff, 0x1c, 0x24 } },
    { "far call, LDT gate", 11, { 0x6a, 7, 0x68, 0, 0, 0x20, 0, 0x48, 0xff, 0x1c, 0x24 } },
    { "far call to ring 0", 11, { 0x6a, SEL_CODE64, 0x68, 0, 0, 0x20, 0, 0x48, 0xff, 0x1c, 0x24 } },
    { "far jump", 11, { 0x6a, SEL_USER64, 0x68, 0, 0, 0x20, 0, 0x48, 0xff, 0x2c, 0x24 } },
    { "far return to ring 0", 10, { 0x6a, SEL_CODE64, 0x68, 0, 0, 0x20, 0, 0x48, 0xcb, 0x90 } },
    { "iretq to ring 0", 16, { 0x6a, SEL_DATA, 0x68, 0, 0x70, 0x12, 0, 0x6a, 2, 0x6a, SEL_CODE64,
                               0x6a, 0, 0x48, 0xcf, 0x90 } },
    { "iretq to ring 3", 16, { 0x6a, SEL_USER_DATA, 0x68, 0, 0x70, 0x12, 0, 0x6a, 2, 0x6a,
                               SEL_USER64, 0x6a, 0, 0x48, 0xcf, 0x90 } },
    { "iretd", 1, { 0xcf } },
    { "in %dx", 1, { 0xec } },
    { "in 80h", 2, { 0xe4, 0x80 } },
    { "out 80h", 2, { 0xe6, 0x80 } },
    { "out 64h", 4, { 0xb0, 0xfe, 0xe6, 0x64 } },
    { "insb", 1, { 0x6c } },
    { "rep outsb", 2, { 0xf3, 0x6e } },
    { "cli", 1, { 0xfa } },
    { "sti", 1, { 0xfb } },
    { "hlt", 1, { 0xf4 } },
    { "mov %cr0", 3, { 0x0f, 0x20, 0xc0 } },
    { "mov to %cr3", 3, { 0x0f, 0x22, 0xd8 } },
    { "mov to %cr8", 4, { 0x44, 0x0f, 0x22, 0xc0 } },
    { "mov %dr7", 3, { 0x0f, 0x21, 0xf8 } },
    { "mov to %dr0", 3, { 0x0f, 0x23, 0xc0 } },
    { "lmsw", 3, { 0x0f, 0x01, 0xf0 } },
    { "clts", 2, { 0x0f, 0x06 } },
    { "rdmsr", 7, { 0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32 } },
    { "wrmsr", 7, { 0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x30 } },
    { "rdpmc", 4, { 0x31, 0xc9, 0x0f, 0x33 } },
    { "lgdt", 4, { 0x0f, 0x01, 0x14, 0x24 } },
    { "lidt", 4, { 0x0f, 0x01, 0x1c, 0x24 } },
    { "lldt", 3, { 0x0f, 0x00, 0xd0 } },
    { "ltr", 3, { 0x0f, 0x00, 0xd8 } },
    { "invlpg", 4, { 0x0f, 0x01, 0x3c, 0x24 } },
    { "wbinvd", 2, { 0x0f, 0x09 } },
    { "invd", 2, { 0x0f, 0x08 } },
    { "swapgs", 3, { 0x0f, 0x01, 0xf8 } },
    { "xsetbv", 3, { 0x0f, 0x01, 0xd1 } },
    { "vmrun", 3, { 0x0f, 0x01, 0xd8 } },
    { "stgi", 3, { 0x0f, 0x01, 0xdc } },
    { "rsm", 2, { 0x0f, 0xaa } },
    { "load %ds", 6, { 0x66, 0xb8, SEL_USER_DATA, 0, 0x8e, 0xd8 } },
    { "load %ss", 6, { 0x66, 0xb8, SEL_USER_DATA, 0, 0x8e, 0xd0 } },
    { "load %fs", 6, { 0x66, 0xb8, 7, 0, 0x8e, 0xe0 } },
    { "read %fs:0", 9, { 0x64, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x90 } },
    { "read %gs:0", 9, { 0x65, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x90 } },
    { "jump to the caller's RBX", 2, { 0xff, 0xe3 } },
    { "jump outside", 7, { 0xb8, 0, 0, 0x20, 0, 0xff, 0xe0 } },
    { "jump to a non-canonical address", 12,
      { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xe0 } },
    { "read address 0", 8, { 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x90 } },
    { "read the APIC", 7, { 0xb8, 0, 0, 0xe0, 0xfe, 0x8b, 0x00 } },
    { "read 1 MiB", 7, { 0xb8, 0, 0, 0x10, 0, 0x8b, 0x00 } },
    { "write its code", 7, { 0xc6, 0x05, 0, 0, 0, 0, 0x90 } },
    { "popf TF", 11, { 0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x90, 0x90 } },
    { "stack overflow", 3, { 0x50, 0xeb, 0xfd } },
};

/* Deaths that name themselves; anything else is a hole. */
static const char *death_name(uint64_t death)
{
    switch (death) {
#define X(name, number, sentence) case number: return #name;
    TV_DEATHS(X)
#undef X
    default: return NULL;
    }
}

static void check_bad(const struct form *f)
{
    register_pal(f->name, f->bytes, f->len);
    struct exec x = call_pal(BAD_FLAGS);
    CHECK(poison_count == 0, "%s ran the gadget (vector %llu at 0x%llx)", f->name,
          (unsigned long long)x.vector, (unsigned long long)x.rip);
    CHECK(x.vector == EXC_GP && x.error == 0 && x.rip == entry() && (x.cs & 3) == 3,
          "%s: vector %llu, error %llu, RIP at entry%lld, CS 0x%llx, RAX 0x%llx", f->name,
          (unsigned long long)x.vector, (unsigned long long)x.error,
          (long long)(x.rip - entry()), (unsigned long long)x.cs, (unsigned long long)x.gpr[RAX]);
    struct exec d = hypercall_in(3, XMHF_HC_INFO, XMHF_INFO_LAST_DEATH, 0, 0, 0);
    uint64_t death = d.gpr[RAX] >> 32;
    CHECK(d.vector == VECTOR_DONE && death == (d.gpr[RAX] & 0xffff)
          && (death == TV_DEATH_EXCEPTION || death == TV_DEATH_FORBIDDEN
              || death == TV_DEATH_ESCAPE), "%s: death %llu", f->name, (unsigned long long)death);
    if (word("names")) {
        say("%s: %s, vector %llu", f->name, death_name(death),
            (unsigned long long)(d.gpr[RAX] >> 16 & 0xff));
    }
    CHECK(info(XMHF_INFO_PALS) == 0, "%s: a PAL is left", f->name);
}

/* --- good PALs -------------------------------------------------------------------------- */

static const struct { struct form f; uint64_t result; bool fixed; } good[] = {
    { { "return 42", 1, { 0x90 } }, 42, true },
    { { "its flags", 3, { 0x9c, 0x58, 0xc3 } }, RFLAGS_ONE | RFLAGS_IF, true },
    { { "its code segment", 3, { 0x8c, 0xc8, 0xc3 } }, SEL_USER64, true },
    { { "x87", 8, { 0xd9, 0xe8, 0x9b, 0xdd, 0xd8, 0x90, 0x90, 0x90 } }, 42, true },
    { { "SSE", 4, { 0x0f, 0x57, 0xc0, 0x90 } }, 42, true },
    { { "rdtsc", 2, { 0x0f, 0x31 } }, 42, true },
    { { "cpuid", 4, { 0x31, 0xc0, 0x0f, 0xa2 } }, 42, true },
    { { "misaligned read", 5, { 0x48, 0x8b, 0x44, 0x24, 0xf1 } }, 42, true },
    { { "stack at the top", 3, { 0x50, 0x58, 0x90 } }, 42, true },
    { { "popf IOPL does nothing", 13, { 0x9c, 0x81, 0x0c, 0x24, 0, 0x30, 0, 0, 0x9d, 0x9c, 0x58,
                                        0xc3, 0x90 } }, RFLAGS_ONE | RFLAGS_IF, true },
    { { "caller's R12", 4, { 0x4c, 0x89, 0xe0, 0xc3 } }, 0, true },
    { { "caller's RBX", 4, { 0x48, 0x89, 0xd8, 0xc3 } }, 0, true },
};

static void check_good(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        register_pal(good[i].f.name, good[i].f.bytes, good[i].f.len);
        struct exec x = call_pal(BAD_FLAGS);
        CHECK(x.vector == VECTOR_DONE, "%s: vector %llu at entry%lld", good[i].f.name,
              (unsigned long long)x.vector, (long long)(x.rip - entry()));
        uint64_t got = x.gpr[RAX] & ~(i == 1 || i == 9 ? RFLAGS_ZF | RFLAGS_PF : 0);
        CHECK(got == good[i].result, "%s: the PAL gave 0x%llx, not 0x%llx", good[i].f.name,
              (unsigned long long)x.gpr[RAX], (unsigned long long)good[i].result);
        CHECK(x.gpr[R12] == (uintptr_t)poison_gadget && x.gpr[RBX] == x.gpr[R12],
              "%s: R12 or RBX came back changed", good[i].f.name);
        CHECK(((x.rflags ^ BAD_FLAGS) & (RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID)) == 0,
              "%s: the caller's flags became 0x%llx", good[i].f.name, (unsigned long long)x.rflags);
        x = hypercall_in(3, TV_HC_UNREG, entry(), 0, 0, 0);
        CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == 0, "TV_HC_UNREG gave %llu",
              (unsigned long long)x.gpr[RAX]);
    }
    CHECK(poison_count == 0, "the gadget ran");
}

/* Breakpoints of the OS on the PAL's code and data. They don't exist in the PAL's context;
 * TCG forgets to take them out at VMRUN, so there the PAL may die of #DB, by name. */
static void check_breakpoints(void)
{
    register_pal("breakpoints", good[0].f.bytes, good[0].f.len);
    breakpoints = true;
    struct exec x = call_pal(BAD_FLAGS);
    breakpoints = false;
    CHECK(poison_count == 0, "a breakpoint ran the gadget");
    if (x.vector == VECTOR_DONE) {
        CHECK(x.gpr[RAX] == 42, "breakpoints: the PAL gave 0x%llx", (unsigned long long)x.gpr[RAX]);
        hypercall_in(3, TV_HC_UNREG, entry(), 0, 0, 0);
    } else {
        struct exec d = hypercall_in(3, XMHF_HC_INFO, XMHF_INFO_LAST_DEATH, 0, 0, 0);
        CHECK(x.vector == EXC_GP && d.gpr[RAX] >> 16 == (1ULL << 16 | EXC_DB),
              "breakpoints: vector %llu, death 0x%llx", (unsigned long long)x.vector,
              (unsigned long long)d.gpr[RAX]);
        say("this emulator keeps the OS's breakpoints in the PAL: it died of #DB");
    }
}

/* The traps are real: outside a PAL each leads to the gadget. */
static unsigned check_traps(void)
{
    static const struct form traps[] = {
        { "syscall", 2, { 0x0f, 0x05 } }, { "int 41h", 2, { 0xcd, 0x41 } }, { "int3", 1, { 0xcc } },
        { "far call, GDT gate", 11,
          { 0x6a, SEL_GATE, 0x68, 0, 0, 0x20, 0, 0x48, 0xff, 0x1c, 0x24 } },
        { "far call, LDT gate", 11, { 0x6a, 7, 0x68, 0, 0, 0x20, 0, 0x48, 0xff, 0x1c, 0x24 } },
        { "ud2", 2, { 0x0f, 0x0b } },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(traps); i++) {
        struct exec x = exec_for(3, 64);

        exec_bytes(&x, traps[i].bytes, traps[i].len);
        CHECK(poison_count == i + 1, "control: %s didn't reach the gadget (vector %llu)",
              traps[i].name, (unsigned long long)x.vector);
    }
    poison_count = 0;
    return ARRAY_SIZE(traps);
}

void guest_main(void)
{
    uint64_t before;

    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    before = info(XMHF_INFO_POOL_FREE);
    check_good();
    poison_tables();
    poison_msrs();
    unsigned traps = check_traps();
    poison_registers();
    check_good();
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        check_bad(&bad[i]);
    }
    check_breakpoints();
    check_good();
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "%llu pages of the pool are free, %llu before",
          (unsigned long long)info(XMHF_INFO_POOL_FREE), (unsigned long long)before);
    pass("%u PALs died by name, %u worked, the gadget ran 0 times (control: %u times)",
         (unsigned)ARRAY_SIZE(bad), (unsigned)(3 * ARRAY_SIZE(good)), traps);
}
