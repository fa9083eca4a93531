/* SPDX-License-Identifier: MIT */
/* A small vsnprintf for freestanding code. */
#include <util/fmt.h>

#include <stdbool.h>
#include <stdint.h>

struct out {
    char *buf;
    size_t size;
    size_t len;  /* characters asked for so far, kept or not */
};

enum length { LEN_INT, LEN_LONG, LEN_LONG_LONG, LEN_SIZE };

struct spec {
    bool left, zero;
    int width;
    int precision;  /* -1: none; counts for %s only */
    enum length length;
};

struct args { va_list ap; }; /* so that functions can share it by pointer */

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size) {
        o->buf[o->len] = c;
    }
    o->len++;
}

/* `prefix` and `s` together, padded to the width; zeros go between the two. */
static void put_padded(struct out *o, const struct spec *sp, const char *prefix, size_t plen,
                       const char *s, size_t slen)
{
    size_t width = sp->width > 0 ? (size_t)sp->width : 0;
    size_t pad = width > plen + slen ? width - plen - slen : 0;

    if (!sp->left && !sp->zero) {
        for (size_t i = 0; i < pad; i++) {
            put(o, ' ');
        }
    }
    for (size_t i = 0; i < plen; i++) {
        put(o, prefix[i]);
    }
    if (!sp->left && sp->zero) {
        for (size_t i = 0; i < pad; i++) {
            put(o, '0');
        }
    }
    for (size_t i = 0; i < slen; i++) {
        put(o, s[i]);
    }
    if (sp->left) {
        for (size_t i = 0; i < pad; i++) {
            put(o, ' ');
        }
    }
}

/* *v /= base; returns the remainder. In 16-bit steps, since the 32-bit boot stage has no
 * 64-bit division. */
static unsigned divide(uint64_t *v, unsigned base)
{
    uint64_t quotient = 0;
    uint32_t rest = 0;

    for (int shift = 48; shift >= 0; shift -= 16) {
        uint32_t part = rest << 16 | (uint32_t)(*v >> shift & 0xffff);

        quotient |= (uint64_t)(part / base) << shift;
        rest = part % base;
    }
    *v = quotient;
    return rest;
}

static void put_number(struct out *o, const struct spec *sp, const char *prefix, size_t plen,
                       uint64_t v, unsigned base)
{
    char digits[20]; /* 2^64 - 1 has 20 decimal digits */
    size_t n = sizeof(digits);

    do {
        digits[--n] = "0123456789abcdef"[divide(&v, base)];
    } while (v != 0);
    put_padded(o, sp, prefix, plen, &digits[n], sizeof(digits) - n);
}

static void put_string(struct out *o, struct spec *sp, const char *s)
{
    size_t n = 0;

    if (!s) {
        s = "(null)";
    }
    while ((sp->precision < 0 || n < (size_t)sp->precision) && s[n] != '\0') {
        n++;
    }
    sp->zero = false;
    put_padded(o, sp, "", 0, s, n);
}

static void put_signed(struct out *o, const struct spec *sp, int64_t v)
{
    if (v < 0) {
        put_number(o, sp, "-", 1, 0 - (uint64_t)v, 10);
    } else {
        put_number(o, sp, "", 0, (uint64_t)v, 10);
    }
}

static int64_t next_signed(struct args *a, enum length length)
{
    switch (length) {
    case LEN_LONG: return va_arg(a->ap, long);
    case LEN_LONG_LONG: return va_arg(a->ap, long long);
    case LEN_SIZE: return va_arg(a->ap, ptrdiff_t);
    default: return va_arg(a->ap, int);
    }
}

static uint64_t next_unsigned(struct args *a, enum length length)
{
    switch (length) {
    case LEN_LONG: return va_arg(a->ap, unsigned long);
    case LEN_LONG_LONG: return va_arg(a->ap, unsigned long long);
    case LEN_SIZE: return va_arg(a->ap, size_t);
    default: return va_arg(a->ap, unsigned);
    }
}

/* A decimal number, at most 9999 so that nothing can overflow. */
static const char *parse_number(const char *f, int *n)
{
    *n = 0;
    for (; *f >= '0' && *f <= '9'; f++) {
        *n = *n * 10 + (*f - '0');
        if (*n > 9999) {
            *n = 9999;
        }
    }
    return f;
}

/* Flags, width, precision and length; returns the conversion character's place. */
static const char *parse_spec(const char *f, struct spec *sp)
{
    *sp = (struct spec){ .precision = -1 };
    for (; *f == '-' || *f == '0'; f++) {
        if (*f == '-') {
            sp->left = true;
        } else {
            sp->zero = true;
        }
    }
    f = parse_number(f, &sp->width);
    if (*f == '.') {
        f = parse_number(f + 1, &sp->precision);
    }
    if (*f == 'z') {
        sp->length = LEN_SIZE;
        f++;
    }
    for (; *f == 'l' && sp->length < LEN_LONG_LONG; f++) {
        sp->length++;
    }
    return f;
}

/* One conversion; false if `c` is none. */
static bool convert(struct out *o, struct spec *sp, char c, struct args *a)
{
    switch (c) {
    case 'd':
        put_signed(o, sp, next_signed(a, sp->length));
        return true;
    case 'u':
        put_number(o, sp, "", 0, next_unsigned(a, sp->length), 10);
        return true;
    case 'x':
        put_number(o, sp, "", 0, next_unsigned(a, sp->length), 16);
        return true;
    case 'p':
        put_number(o, sp, "0x", 2, (uintptr_t)va_arg(a->ap, void *), 16);
        return true;
    case 's':
        put_string(o, sp, va_arg(a->ap, const char *));
        return true;
    case 'c': {
        char ch = (char)va_arg(a->ap, int);

        sp->zero = false;
        put_padded(o, sp, "", 0, &ch, 1);
        return true;
    }
    case '%':
        put(o, '%');
        return true;
    default:
        return false;
    }
}

int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct out o = { buf, size, 0 };
    struct spec sp;
    struct args a;

    va_copy(a.ap, ap);
    for (const char *f = fmt; *f != '\0'; f++) {
        const char *end;

        if (*f != '%') {
            put(&o, *f);
            continue;
        }
        end = parse_spec(f + 1, &sp);
        if (convert(&o, &sp, *end, &a)) {
            f = end;
        } else {
            put(&o, '%'); /* unknown: shown as it stands */
        }
    }
    va_end(a.ap);
    if (size != 0) {
        buf[o.len < size ? o.len : size - 1] = '\0';
    }
    return (int)o.len;
}

int fmt_snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = fmt_vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
