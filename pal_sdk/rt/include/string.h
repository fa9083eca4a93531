/* SPDX-License-Identifier: MIT */
/* <string.h> for PALs: what libpal-rt has of it, by C's names (pal_sdk/rt/string.c, search.c). */
#ifndef PAL_RT_STRING_H
#define PAL_RT_STRING_H

#include <pal_absent.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#define restrict __restrict
#endif

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n); /* not for secrets: pal_equal_ct */
void *memchr(const void *p, int c, size_t n);
void explicit_bzero(void *p, size_t n);             /* pal_wipe by another name */
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strcpy(char *restrict dst, const char *restrict src);
char *strncpy(char *restrict dst, const char *restrict src, size_t n);
char *strcat(char *restrict dst, const char *restrict src);
char *strncat(char *restrict dst, const char *restrict src, size_t n);
/* At most size - 1 bytes, and always a zero at the end if there is room for one; what they return
 * is as long as the whole text would have been. */
size_t strlcpy(char *restrict dst, const char *restrict src, size_t size);
size_t strlcat(char *restrict dst, const char *restrict src, size_t size);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *what);
size_t strspn(const char *s, const char *of);
size_t strcspn(const char *s, const char *of);
char *strpbrk(const char *s, const char *of);
char *strtok_r(char *restrict s, const char *restrict of, char **restrict rest);
char *strdup(const char *s);                        /* NULL: no memory */
char *strndup(const char *s, size_t n);
/* POSIX's and GNU's */
void *memmem(const void *p, size_t n, const void *what, size_t size);
void *memrchr(const void *p, int c, size_t n);
void *mempcpy(void *restrict dst, const void *restrict src, size_t n);
void *memccpy(void *restrict dst, const void *restrict src, int c, size_t n);
char *stpcpy(char *restrict dst, const char *restrict src);
char *stpncpy(char *restrict dst, const char *restrict src, size_t n);
char *strchrnul(const char *s, int c);
char *strsep(char **rest, const char *of);
int strcoll(const char *a, const char *b);          /* strcmp: there are no languages */

char *strtok(char *s, const char *of) PAL_ABSENT("several calls of a PAL may run: strtok_r");
char *strerror(int error) PAL_ABSENT("a PAL has no errno and no texts for it");

#ifdef __cplusplus
#undef restrict
}
#endif

#endif
