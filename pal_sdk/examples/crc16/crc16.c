/* SPDX-License-Identifier: MIT */
/*
 * A program of 64 bits that runs 16-bit code as a PAL, whether its kernel can run such code or not.
 * It registers the image by the hypervisor's own interface (xmhf/image.h), since pal-cc makes none
 * of 16 bits: one segment, in which gcc -m16's pointers are offsets.
 */
#include <pal/pal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <xmhf/image.h>
#include <xmhf/measurement.h>

#define AT_CODE  0x1000u
#define AT_STACK 0x3000u
#define AT_PARAM 0x5000u
#define MOST     0x8000u        /* bytes of a call */

/* The code as it was linked for AT_CODE. */
__asm__(".pushsection .rodata\n"
        "code: .incbin \"" CRC16_CODE "\"\n"
        "code_end:\n"
        ".popsection\n");
extern const uint8_t code[], code_end[];

static uint8_t *stubs;          /* and behind it the code's page */

static uint64_t reg(void)
{
    static struct {
        struct xmhf_image image;
        struct xmhf_image_section section[3];
        struct xmhf_image_param param[2];
        struct xmhf_image_entry entry[1];
    } d;

    memcpy(stubs + PAL_PAGE, code, (size_t)(code_end - code));
    d.image = (struct xmhf_image){
        .size = sizeof(d), .version = XMHF_IMAGE_VERSION, .mode = PAL_ID_MODE_16,
        .convention = XMHF_CDECL, .stacks = 1, .sections = 3, .params = 2, .entries = 1,
        .stubs = (uintptr_t)stubs,
    };
    d.section[0] = (struct xmhf_image_section){
        TV_SECTION_CODE, 1, AT_CODE, (uintptr_t)(stubs + PAL_PAGE),
    };
    d.section[1] = (struct xmhf_image_section){ TV_SECTION_STACK, 1, AT_STACK, 0 };
    d.section[2] = (struct xmhf_image_section){
        TV_SECTION_PARAM, MOST / PAL_PAGE, AT_PARAM, 0,
    };
    d.param[0] = (struct xmhf_image_param){ TV_PARAM_POINTER, XMHF_IN, MOST, 2, 1 };
    d.param[1] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 4, 0, 0 };
    d.entry[0] = (struct xmhf_image_entry){ .address = AT_CODE, .params = 2, .result = 4 };
    return pal_hypercall(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, 0, 0, (uintptr_t)stubs);
}

/* *status: XMHF_STATUS_*, 0 if the PAL has returned. */
static uint32_t pal_crc(const void *bytes, uint64_t n, uint64_t *status)
{
    uint64_t result, rdx = 0;

    __asm__ volatile("sub $128, %%rsp; call *%%rbx; add $128, %%rsp"
                     : "=a"(result), "=c"(*status), "+d"(rdx), "+D"(bytes), "+S"(n)
                     : "b"(stubs) : "r8", "r9", "r10", "r11", "memory", "cc");
    return (uint32_t)result;
}

static uint32_t own_crc(const uint8_t *bytes, size_t n)
{
    uint32_t sum = ~0u;

    while (n-- > 0) {
        sum ^= *bytes++;
        for (unsigned i = 0; i < 8; i++) {
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
        }
    }
    return ~sum;
}

static int check(const uint8_t *bytes, uint64_t n, uint64_t expected)
{
    uint64_t status;
    const uint32_t crc = pal_crc(bytes, n, &status);
    const int good = status == expected && (status != 0 || crc == own_crc(bytes, n));

    printf("%6llu bytes: CRC %08x, status %llu%s\n", (unsigned long long)n, (unsigned)crc,
           (unsigned long long)status, good ? "" : ", WRONG");
    return !good;
}

int main(void)
{
    static uint8_t bytes[MOST + 1];
    uint64_t error;
    int wrong;

    if (!pal_available()) {
        puts("no hypervisor with PALs is running on this machine");
        return 1;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    stubs = mmap(NULL, 2 * PAL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    error = stubs == MAP_FAILED ? TV_NO_MEMORY : reg();
    if (error != TV_OK) {
        puts(pal_error_text(error));
        return 1;
    }
    wrong = check((const uint8_t *)"123456789", 9, 0) | check(bytes, 0, 0)
        | check(bytes + 1, 1000, 0) | check(bytes, MOST, 0)
        | check(bytes, MOST + 1, XMHF_STATUS_BAD_COUNT);
    error = pal_hypercall(XMHF_HC_IMAGE_UNREGISTER, (uintptr_t)stubs, 0, 0, 0);
    printf("16-bit code in a program of %u bits: %s\n", (unsigned)(8 * sizeof(void *)),
           wrong || error != TV_OK ? "WRONG" : "all as expected");
    return wrong || error != TV_OK;
}
