/* SPDX-License-Identifier: MIT */
/* Printing into a buffer, for PALs: whole numbers, characters, strings and pointers. */
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct out {
    char *buf;
    size_t size;
    size_t length;   /* of the whole text so far */
};

/* One conversion: %[flags][width][.precision][length]letter. */
struct conversion {
    bool left, plus, blank, alternate, zero;
    int width;
    int precision;   /* -1: none */
    unsigned bytes;  /* of the number, as passed */
    char letter;
};

static void put(struct out *o, char c)
{
    if (o->length + 1 < o->size) {
        o->buf[o->length] = c;
    }
    o->length++;
}

static void fill(struct out *o, char c, int n)
{
    for (; n > 0; n--) {
        put(o, c);
    }
}

static void put_text(struct out *o, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put(o, text[i]);
    }
}

/* Text and what comes before it, in a field of the conversion's width. `zeros`: of the precision,
 * between the two. */
static void put_field(struct out *o, const struct conversion *c, const char *before, int zeros,
                      const char *text, size_t n)
{
    int pad = c->width - (int)strlen(before) - zeros - (int)n;

    if (c->zero && !c->left && c->precision < 0) {
        zeros += pad > 0 ? pad : 0;
        pad = 0;
    }
    if (!c->left) {
        fill(o, ' ', pad);
    }
    put_text(o, before, strlen(before));
    fill(o, '0', zeros);
    put_text(o, text, n);
    if (c->left) {
        fill(o, ' ', pad);
    }
}

static void put_number(struct out *o, const struct conversion *c, uint64_t value, bool negative)
{
    const char *digits = c->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    const char *before = negative ? "-" : c->plus ? "+" : c->blank ? " " : "";
    unsigned base = c->letter == 'o' ? 8 : (c->letter | 0x20) == 'x' ? 16 : 10;
    char text[24];
    size_t n = 0;

    if (c->alternate && base == 16 && value != 0) {
        before = c->letter == 'X' ? "0X" : "0x";
    }
    for (uint64_t v = value; v != 0 || (n == 0 && c->precision != 0); v /= base) {
        text[sizeof(text) - ++n] = digits[v % base];
    }
    int zeros = c->precision > (int)n ? c->precision - (int)n : 0;
    if (c->alternate && base == 8 && zeros == 0 && (n == 0 || value != 0)) {
        zeros = 1;
    }
    put_field(o, c, before, zeros, text + sizeof(text) - n, n);
}

/* A number of `*` or of digits. */
static int number(const char **f, va_list *args)
{
    int n = 0;

    if (**f == '*') {
        (*f)++;
        return va_arg(*args, int);
    }
    for (; **f >= '0' && **f <= '9'; (*f)++) {
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, **f - '0', &n)) {
            n = INT_MAX / 2;
        }
    }
    return n;
}

static void read_flags(const char **f, struct conversion *c)
{
    for (;; (*f)++) {
        switch (**f) {
        case '-': c->left = true; break;
        case '+': c->plus = true; break;
        case ' ': c->blank = true; break;
        case '#': c->alternate = true; break;
        case '0': c->zero = true; break;
        default: return;
        }
    }
}

/* hh h l ll z t j: bytes of the argument as far as they count. */
static unsigned read_length(const char **f)
{
    char l = **f;

    if (l == 'h' || l == 'l') {
        bool twice = *++*f == l;

        *f += twice;
        return l == 'h' ? (twice ? 1 : 2) : twice ? sizeof(long long) : sizeof(long);
    }
    if (l == 'z' || l == 't' || l == 'j') {
        ++*f;
        return l == 'j' ? sizeof(intmax_t) : sizeof(size_t);
    }
    return sizeof(int);
}

static struct conversion read_conversion(const char **f, va_list *args)
{
    struct conversion c = { .precision = -1 };

    read_flags(f, &c);
    c.width = number(f, args);
    if (c.width < 0) {
        c.left = true;
        c.width = c.width == INT_MIN ? INT_MAX : -c.width;
    }
    if (**f == '.') {
        ++*f;
        c.precision = number(f, args);
    }
    c.bytes = read_length(f);
    c.letter = **f;
    *f += c.letter != '\0';
    return c;
}

static void put_signed(struct out *o, const struct conversion *c, va_list *args)
{
    int64_t v = c->bytes > sizeof(int) ? va_arg(*args, int64_t) : va_arg(*args, int);

    v = c->bytes == 1 ? (signed char)v : c->bytes == 2 ? (short)v : v;
    put_number(o, c, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
}

static void put_unsigned(struct out *o, const struct conversion *c, va_list *args)
{
    struct conversion plain = *c;
    uint64_t v = c->bytes > sizeof(int) ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);

    plain.plus = plain.blank = false;
    put_number(o, &plain, c->bytes == 1 ? (uint8_t)v : c->bytes == 2 ? (uint16_t)v : v, false);
}

static void put_string(struct out *o, struct conversion *c, const char *text)
{
    text = text ? text : "(null)";
    size_t n = c->precision < 0 ? strlen(text) : strnlen(text, (size_t)c->precision);
    c->zero = false;
    put_field(o, c, "", 0, text, n);
}

/* False: this conversion isn't known. */
static bool convert(struct out *o, struct conversion *c, va_list *args)
{
    char one;

    switch (c->letter) {
    case 'd': case 'i':
        put_signed(o, c, args);
        return true;
    case 'u': case 'x': case 'X': case 'o':
        put_unsigned(o, c, args);
        return true;
    case 'p':
        c->letter = 'x';
        c->alternate = true;
        put_number(o, c, (uintptr_t)va_arg(*args, void *), false);
        return true;
    case 's':
        put_string(o, c, va_arg(*args, const char *));
        return true;
    case 'c':
        one = (char)va_arg(*args, int);
        c->zero = false;
        put_field(o, c, "", 0, &one, 1);
        return true;
    case '%':
        put(o, '%');
        return true;
    default:
        return false;
    }
}

int vsnprintf(char *restrict buf, size_t size, const char *restrict text, va_list list)
{
    struct out o = { buf, size, 0 };
    const char *format = text;
    bool known = true;
    va_list args;

    va_copy(args, list);
    while (known && *format != '\0') {
        if (*format != '%') {
            put(&o, *format++);
            continue;
        }
        format++;
        struct conversion c = read_conversion(&format, &args);
        known = convert(&o, &c, &args);
    }
    va_end(args);
    if (size != 0) {
        buf[o.length < size ? o.length : size - 1] = '\0';
    }
    return known && o.length <= INT_MAX ? (int)o.length : -1;
}

int (snprintf)(char *restrict buf, size_t size, const char *restrict format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(buf, size, format, args);
    va_end(args);
    return n;
}
