/* SPDX-License-Identifier: MIT */
/* The C library's memory and string functions for freestanding code. */
#ifdef XMHF_TEST_STRING
#include <util/string_test.h> /* gives the functions names that don't clash with libc's */
#endif
#include <util/string.h>

#include <util/string_body.inc>

NO_IDIOM int strcmp(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

NO_IDIOM int strncmp(const char *a, const char *b, size_t n)
{
    for (; n != 0; n--, a++, b++) {
        if (*a != *b || *a == '\0') {
            return (unsigned char)*a - (unsigned char)*b;
        }
    }
    return 0;
}

NO_IDIOM size_t str_copy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src);

    if (size != 0) {
        size_t n = len < size ? len : size - 1;

        memcpy(dst, src, n);
        dst[n] = '\0';
    }
    return len;
}
