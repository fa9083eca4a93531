/* SPDX-License-Identifier: MIT */
/*
 * PALs that try to get out, or reach what isn't theirs: each ends as a named death, its
 * caller gets SIGSEGV, and a gadget outside, offered as the target of every transfer, never
 * runs.   pal_attack [NAME]
 */
#include "tap.h"

static volatile unsigned gadget_counter;
static pal_word outside_word = 42;

/* What an escape would run. It never returns: the stack may be anybody's. */
static void gadget(void)
{
    gadget_counter++;
    for (;;) {
    }
}

/*
 * In every attack: RDI (EDI) = gadget's address, RSI = address of a word outside,
 * RDX = the PAL's DATA (first word: gadget, then a selector for code: a far pointer),
 * RCX = the PAL's CODE.
 */
#ifdef __x86_64__
#include "attacks64.h"
#define SELECTOR 0x33
#else
#include "attacks32.h"
#define SELECTOR 0x23
#endif

#define ATTACK(name, body) \
    extern const uint8_t attack_##name[]; \
    PAL_ASM(attack_##name, ATTACK_PROLOGUE body "\nmov $1, %eax\nret");

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

typedef pal_word (PAL_ABI *attack_fn)(void (*)(void), pal_word *, void *, void *);

static bool right_death(const struct attack *a, uint64_t death)
{
    int vector = (int)(death >> 16 & 0xff);

    if ((death & 0xffff) == TV_DEATH_FORBIDDEN) {
        return !a->exception_only;
    }
    return (death & 0xffff) == TV_DEATH_EXCEPTION && (vector == a->vector || vector == a->other);
}

static void prepare(struct pal *p, const uint8_t *code)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, code, 1, 1, 1 };
    pal_word far_pointer[2] = { (uintptr_t)gadget, SELECTOR };

    if (pal_create(p, &spec) != 0) {
        puts("Bail out! no memory");
        exit(98);
    }
    memcpy(p->data, far_pointer, sizeof(far_pointer));
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
                         : "eax", "ecx", "edx", "esi", "edi", "memory");
        return false;
    }
    return true;
}

static void try(const struct attack *a)
{
    static struct pal p;
    static volatile pal_word result;
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
    ok(tap_signal == SIGSEGV && right_death(a, death) && gadget_counter == 0 && outside_word == 42
       && pal_hypercall(TV_HC_UNREG, (uintptr_t)p.entry, 0, 0, 0) == TV_NOT_FOUND
       && tap_no_leak(&before),
       "%s: signal %d, death %u, vector %u, gadget ran %u times", a->name, (int)tap_signal,
       (unsigned)(death & 0xffff), (unsigned)(death >> 16 & 0xff), gadget_counter);
    p.registered = false;
    pal_destroy(&p);
}

/* What a PAL may do, so that the attacks above fail for the right reason. */
ATTACK(harmless, HARMLESS)

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
