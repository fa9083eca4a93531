/* SPDX-License-Identifier: MIT */
/* Strings of PALs: searching, comparing, taking apart. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void *memchr(const void *p, int c, size_t n)
{
    const unsigned char *b = p;

    for (; n != 0; n--, b++) {
        if (*b == (unsigned char)c) {
            return (void *)(size_t)b;
        }
    }
    return NULL;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n] != '\0') {
        n++;
    }
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n != 0; n--, a++, b++) {
        if (*a != *b || *a == '\0') {
            return (unsigned char)*a - (unsigned char)*b;
        }
    }
    return 0;
}

char *strcpy(char *restrict dst, const char *restrict src)
{
    return memcpy(dst, src, strlen(src) + 1);
}

char *strncpy(char *restrict dst, const char *restrict src, size_t n)
{
    size_t len = strnlen(src, n);

    memcpy(dst, src, len);
    memset(dst + len, 0, n - len);
    return dst;
}

char *strcat(char *restrict dst, const char *restrict src)
{
    strcpy(dst + strlen(dst), src);
    return dst;
}

char *strncat(char *restrict dst, const char *restrict src, size_t n)
{
    char *end = dst + strlen(dst);
    size_t len = strnlen(src, n);

    memcpy(end, src, len);
    end[len] = '\0';
    return dst;
}

size_t strlcpy(char *restrict dst, const char *restrict src, size_t size)
{
    size_t len = strlen(src);

    if (size != 0) {
        size_t n = len < size ? len : size - 1;

        memcpy(dst, src, n);
        dst[n] = '\0';
    }
    return len;
}

size_t strlcat(char *restrict dst, const char *restrict src, size_t size)
{
    size_t len = strnlen(dst, size);

    return len + strlcpy(dst + len, src, size - len);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c) {
            return (char *)(size_t)s;
        }
        if (*s == '\0') {
            return NULL;
        }
    }
}

char *strrchr(const char *s, int c)
{
    const char *found = NULL;

    do {
        if (*s == (char)c) {
            found = s;
        }
    } while (*s++ != '\0');
    return (char *)(size_t)found;
}

char *strstr(const char *s, const char *what)
{
    size_t n = strlen(what);

    for (; strncmp(s, what, n) != 0; s++) {
        if (*s == '\0') {
            return NULL;
        }
    }
    return (char *)(size_t)s;
}

static size_t span(const char *s, const char *of, bool in)
{
    size_t n = 0;

    while (s[n] != '\0' && (strchr(of, s[n]) != NULL) == in) {
        n++;
    }
    return n;
}

size_t strspn(const char *s, const char *of) { return span(s, of, true); }
size_t strcspn(const char *s, const char *of) { return span(s, of, false); }

char *strpbrk(const char *s, const char *of)
{
    s += strcspn(s, of);
    return *s != '\0' ? (char *)(size_t)s : NULL;
}

char *strtok_r(char *restrict s, const char *restrict of, char **restrict rest)
{
    char *token = s ? s : *rest;

    token += strspn(token, of);
    *rest = token + strcspn(token, of);
    if (*token == '\0') {
        return NULL;
    }
    if (**rest != '\0') {
        *(*rest)++ = '\0';
    }
    return token;
}

char *strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = malloc(len + 1);

    if (copy) {
        memcpy(copy, s, len);
        copy[len] = '\0';
    }
    return copy;
}

char *strdup(const char *s) { return strndup(s, (size_t)-1); }

void *memmem(const void *p, size_t n, const void *what, size_t size)
{
    const unsigned char *at = p;

    for (; n >= size; n--, at++) {
        if (memcmp(at, what, size) == 0) {
            return (void *)(size_t)at;
        }
    }
    return NULL;
}

void *memrchr(const void *p, int c, size_t n)
{
    const unsigned char *b = p;

    while (n-- > 0) {
        if (b[n] == (unsigned char)c) {
            return (void *)(size_t)(b + n);
        }
    }
    return NULL;
}

void *mempcpy(void *restrict dst, const void *restrict src, size_t n)
{
    return (unsigned char *)memcpy(dst, src, n) + n;
}

void *memccpy(void *restrict dst, const void *restrict src, int c, size_t n)
{
    const unsigned char *last = memchr(src, c, n);
    const size_t all = last ? (size_t)(last - (const unsigned char *)src) + 1 : n;

    memcpy(dst, src, all);
    return last ? (unsigned char *)dst + all : NULL;
}

char *stpcpy(char *restrict dst, const char *restrict src)
{
    const size_t len = strlen(src);

    memcpy(dst, src, len + 1);
    return dst + len;
}

char *stpncpy(char *restrict dst, const char *restrict src, size_t n)
{
    return strncpy(dst, src, n) + strnlen(src, n);
}

char *strchrnul(const char *s, int c)
{
    char *found = strchr(s, c);

    return found ? found : (char *)(size_t)s + strlen(s);
}

char *strsep(char **rest, const char *of)
{
    char *token = *rest;

    if (token) {
        *rest = strpbrk(token, of);
        if (*rest) {
            *(*rest)++ = '\0';
        }
    }
    return token;
}

int strcoll(const char *a, const char *b) { return strcmp(a, b); }
