/* SPDX-License-Identifier: MIT */
/*
 * What ordinary objects of a PAL (pal-cc --native) get of libpal-rt's own functions, in a program
 * whose C library has the others. BearSSL is the system's (-lbearssl). pal/ed25519.h, pal/x25519.h
 * and the heap's checks are absent.
 */
#include <pal/host.h>
#include <pal/rt.h>
#include <stdio.h>
#include <string.h>
#include <xmhf/hypercall.h>
#include <xmhf/image.h>

pal_word native_object_hypercall(uint32_t command, pal_word cx, pal_word dx, pal_word si,
                                 pal_word di);

void pal_rt_enter(void)
{
}

pal_word pal_rt_hypercall(uint32_t command, pal_word rcx, pal_word rdx, pal_word rsi, pal_word rdi)
{
    return native_object_hypercall(command, rcx, rdx, rsi, rdi);
}

int pal_random(void *buf, size_t n)
{
    uint8_t *p = buf;

    for (size_t done = 0, some; done < n; done += some) {
        pal_word error;
        some = n - done < XMHF_RANDOM_MAX ? n - done : XMHF_RANDOM_MAX;
        error = pal_rt_hypercall(XMHF_HC_RANDOM, (pal_word)(p + done), some, 0, 0);
        if (error != TV_OK) {
            memset(buf, 0, n);
            return (int)error;
        }
    }
    return 0;
}

pal_word pal_interruptions(void)
{
    return 0;
}

bool pal_inside(void)
{
    return false;
}

bool pal_equal_ct(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *p = a, *q = b;
    uint8_t different = 0;

    for (size_t i = 0; i < n; i++) {
        different |= p[i] ^ q[i];
    }
    return different == 0;
}

void pal_wipe(void *p, size_t n)
{
    memset(p, 0, n);
    __asm__ volatile("" : : "r"(p) : "memory");
}

int pal_rt_printf(const char *format, ...)
{
    va_list list;
    int n;

    va_start(list, format);
    n = vfprintf(stderr, format, list);
    va_end(list);
    return n;
}
