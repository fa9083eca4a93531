/* SPDX-License-Identifier: MIT */
/*
 * <stdio.h> for PALs: printing into a buffer; the rest says why not at its use.
 *
 * Conversions: d i u x X o c s p %, with - + blank # 0, a width, a precision, and hh h l ll z t j.
 * No floating point, no n, no wide characters: such a conversion ends the text, and the
 * function returns -1. A floating-point argument is an error of the compiler; of what is behind a
 * va_list it knows nothing, so pal-cc warns where a constant of the image has %f or the like.
 */
#ifndef PAL_RT_STDIO_H
#define PAL_RT_STDIO_H

#include <pal/format.h>
#include <pal_absent.h>
#include <stdarg.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#define restrict __restrict
#endif

/* At most size - 1 bytes and a zero. How long the whole text is; or -1, where the conversion is
 * none of those above: then the text ends before it. */
PAL_PRINTF(3, 4)
int snprintf(char *restrict buf, size_t size, const char *restrict format, ...);
PAL_PRINTF(3, 0)
int vsnprintf(char *restrict buf, size_t size, const char *restrict format, va_list args);
#ifndef snprintf
#define snprintf(buf, size, ...) snprintf(buf, size, PAL_PRINTED(__VA_ARGS__))
#endif

#define EOF (-1)
#define BUFSIZ 512

typedef struct pal_no_file FILE;
extern FILE *stdin, *stdout, *stderr; /* are nowhere */

#define PAL_NO_OUTPUT PAL_ABSENT("pal_printf() of pal/rt.h prints in debug images, snprintf() " \
                                 "into a buffer, an ocall (pal/interface.h) outside")
#define PAL_NO_FILE PAL_ABSENT("a PAL has no files: declare an ocall (pal/interface.h)")
int printf(const char *restrict format, ...) PAL_NO_OUTPUT;
int vprintf(const char *restrict format, va_list args) PAL_NO_OUTPUT;
int fprintf(FILE *restrict f, const char *restrict format, ...) PAL_NO_OUTPUT;
int vfprintf(FILE *restrict f, const char *restrict format, va_list args) PAL_NO_OUTPUT;
int puts(const char *s) PAL_NO_OUTPUT;
int putchar(int c) PAL_NO_OUTPUT;
int fputs(const char *restrict s, FILE *restrict f) PAL_NO_OUTPUT;
int fputc(int c, FILE *f) PAL_NO_OUTPUT;
void perror(const char *s) PAL_NO_OUTPUT;
int fflush(FILE *f) PAL_NO_OUTPUT;
int sprintf(char *restrict buf, const char *restrict format, ...)
    PAL_ABSENT("it can't know the buffer's size: snprintf");
int vsprintf(char *restrict buf, const char *restrict format, va_list args)
    PAL_ABSENT("it can't know the buffer's size: vsnprintf");
int sscanf(const char *restrict s, const char *restrict format, ...)
    PAL_ABSENT("strtoul() and its like of stdlib.h read numbers");
int scanf(const char *restrict format, ...) PAL_NO_FILE;
int getchar(void) PAL_NO_FILE;
char *fgets(char *restrict buf, int size, FILE *restrict f) PAL_NO_FILE;
FILE *fopen(const char *restrict name, const char *restrict mode) PAL_NO_FILE;
int fclose(FILE *f) PAL_NO_FILE;
size_t fread(void *restrict p, size_t size, size_t n, FILE *restrict f) PAL_NO_FILE;
size_t fwrite(const void *restrict p, size_t size, size_t n, FILE *restrict f) PAL_NO_FILE;

#ifdef __cplusplus
#undef restrict
}
#endif

#endif
