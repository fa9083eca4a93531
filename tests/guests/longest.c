/* SPDX-License-Identifier: MIT */
/*
 * What makes exits long: an image whose lists are the longest and in the worst order, registered
 * beside as many others as a process may have, and calls with pointers to 512 KiB from the middle
 * of a page. At the end run.py has the longest exit looked at.
 */
#include <x86/cpuid.h>
#include <xmhf/image.h>
#include "command.h"
#include "guest.h"

#define PAGE   4096ull
#define BASE   0x2000000ull      /* what the images are filled from */
#define STRIDE 128ull            /* pages between an image's sections: the others' are in between */
#define LINK   0x10000000ull
#define MANY   65u
#define CODE   (XMHF_IMAGE_SECTIONS - 3)     /* the last one with contents */
#define STACK  (XMHF_IMAGE_SECTIONS - 2)
#define PARAM  (XMHF_IMAGE_SECTIONS - 1)
#define STUBS(n) (BASE + (XMHF_IMAGE_SECTIONS * STRIDE + (n)) * PAGE)

/* The module: CODE, STACK and PARAM, where the images were; and what it is called with. */
#define MODULE BASE
#define AREA   0x80000u
#define DATA   (BASE + 0x400000)

static struct {
    struct xmhf_image image;
    struct xmhf_image_section sections[XMHF_IMAGE_SECTIONS];
    struct xmhf_image_param params[XMHF_IMAGE_PARAMS];
    struct xmhf_image_entry entries[XMHF_IMAGE_ENTRIES];
} d;

static struct xmhf_module m;

/* Number `n`: as many sections, parameters and entries as there may be. Its contents are in falling
 * order, and its CODE is behind all others. */
static uint64_t register_one(unsigned n)
{
    const unsigned each = XMHF_IMAGE_PARAMS / XMHF_IMAGE_ENTRIES;

    d.image = (struct xmhf_image){
        .size = sizeof(d), .version = XMHF_IMAGE_VERSION, .mode = 64, .convention = XMHF_SYSV,
        .stacks = 1, .sections = XMHF_IMAGE_SECTIONS, .params = XMHF_IMAGE_PARAMS,
        .entries = XMHF_IMAGE_ENTRIES, .stubs = STUBS(n),
    };
    for (unsigned i = 0; i < XMHF_IMAGE_SECTIONS; i++) {
        d.sections[i] = (struct xmhf_image_section){
            i == CODE ? TV_SECTION_CODE : i == STACK ? TV_SECTION_STACK
            : i == PARAM ? TV_SECTION_PARAM : TV_SECTION_DATA,
            1, LINK + 2 * i * PAGE, i > CODE ? 0 : BASE + ((CODE - i) * STRIDE + n) * PAGE,
        };
    }
    for (unsigned i = 0; i < XMHF_IMAGE_PARAMS; i++) {
        d.params[i] = i % each == each - 1
            ? (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 }
            : (struct xmhf_image_param){ TV_PARAM_POINTER, XMHF_INOUT, 64, (uint16_t)each, 8 };
    }
    for (unsigned i = 0; i < XMHF_IMAGE_ENTRIES; i++) {
        d.entries[i] = (struct xmhf_image_entry){ LINK + 2 * CODE * PAGE, each, 0 };
    }
    return command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, STUBS(n));
}

static void many(void)
{
    for (unsigned n = 0; n <= MANY; n++) {
        uint64_t error = register_one(n);
        CHECK(error == TV_OK, "image %u: error %llu", n, (unsigned long long)error);
    }
    /* One more is refused, and one in the others' place; neither has changed anything. */
    CHECK(register_one(MANY + 1) == TV_QUOTA, "more were registered");
    CHECK(command(XMHF_HC_IMAGE_UNREGISTER, STUBS(MANY), 0) == TV_OK, "unregistering");
    d.image.stubs = STUBS(MANY);
    d.sections[0].source = BASE + CODE * STRIDE * PAGE;
    CHECK(command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, STUBS(MANY)) == TV_OVERLAP,
          "two have the same page");
    CHECK(register_one(MANY) == TV_OK, "again");
    for (unsigned n = 0; n <= MANY; n++) {
        CHECK(command(XMHF_HC_IMAGE_UNREGISTER, STUBS(n), 0) == TV_OK, "unregistering %u", n);
    }
}

static struct exec call(uint64_t pointer)
{
    struct exec x = exec_for(3, bits);
    uint8_t *back = (uint8_t *)this_cpu() + BLOCK_CODE;

    memcpy(back, "\xcd\x80", 2);
    x.rsp -= 1024;
    if (bits == 64) {
        *(uint64_t *)(uintptr_t)x.rsp = (uintptr_t)back;
        x.gpr[RDI] = pointer;
    } else {
        ((uint32_t *)(uintptr_t)x.rsp)[0] = (uint32_t)(uintptr_t)back;
        ((uint32_t *)(uintptr_t)x.rsp)[1] = (uint32_t)pointer;
    }
    x.rflags |= RFLAGS_IF;
    x.rip = MODULE;
    exec_at(&x);
    CHECK(x.vector == VECTOR_DONE, "%u bits: a call ended by vector %llu", bits,
          (unsigned long long)x.vector);
    return x;
}

/* In and out: all of it in each of two exits. */
static void large(unsigned width)
{
    struct exec x;

    bits = width;
    *(uint8_t *)MODULE = 0xc3;
    m = (struct xmhf_module){
        .size = sizeof(m), .version = XMHF_MODULE_VERSION,
        .convention = bits == 64 ? XMHF_SYSV : XMHF_CDECL, .stacks = 1,
        .sections = 3, .params = 1, .entries = 1,
        .section = { { TV_SECTION_CODE, 0, 1, MODULE }, { TV_SECTION_STACK, 0, 1, MODULE + PAGE },
                     { TV_SECTION_PARAM, 0, AREA / PAGE, MODULE + 2 * PAGE } },
        .param = { { TV_PARAM_POINTER, XMHF_INOUT, AREA } },
        .entry = { { MODULE, 0, 1 } },
    };
    CHECK(command(XMHF_HC_MODULE_REGISTER, (uintptr_t)&m, MODULE) == TV_OK, "%u bits: refused",
          bits);
    for (unsigned i = 0; i < AREA; i++) {
        ((uint8_t *)DATA)[i + 2045] = (uint8_t)(i * 5);
    }
    x = call(DATA + 2045);
    say("%u bits, 512 KiB: longest %llu", bits, (unsigned long long)info(XMHF_INFO_LONGEST + 5));
    CHECK(x.gpr[RCX] == 0, "%u bits: the call died", bits);
    for (unsigned i = 0; i < AREA; i++) {
        CHECK(((const uint8_t *)DATA)[i + 2045] == (uint8_t)(i * 5), "byte %u changed", i);
    }
    CHECK(command(XMHF_HC_MODULE_UNREGISTER, MODULE, 0) == TV_OK, "unregistering the module");
}

void guest_main(void)
{
    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    large(32);
    large(64);
    many();
    pass("an image beside %u of %u sections; calls with %u KiB", MANY, XMHF_IMAGE_SECTIONS,
         AREA / 1024);
}
