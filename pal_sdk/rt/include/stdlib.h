/* SPDX-License-Identifier: MIT */
/* <stdlib.h> for PALs: what libpal-rt has of it, by C's names; the rest says why not at its use. */
#ifndef PAL_RT_STDLIB_H
#define PAL_RT_STDLIB_H

#include <pal_absent.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#define restrict __restrict
#endif

/* The heap (pal/rt.h: PAL_HEAP). Blocks are aligned to 16 bytes and begin as zeros; what is freed
 * is wiped. NULL: no memory. What isn't a block, was freed before, or was overrun is a death. */
__attribute__((malloc, warn_unused_result)) void *malloc(size_t n);
__attribute__((malloc, warn_unused_result)) void *calloc(size_t count, size_t n);
__attribute__((warn_unused_result)) void *realloc(void *p, size_t n);
__attribute__((warn_unused_result)) void *reallocarray(void *p, size_t count, size_t n);
/* `align`: a power of two, at most 4096. */
__attribute__((malloc, warn_unused_result)) void *aligned_alloc(size_t align, size_t n);
/* 0, or 12 (ENOMEM) and `*p` is as it was; 22 (EINVAL): `align`. */
__attribute__((warn_unused_result)) int posix_memalign(void **p, size_t align, size_t n);
void free(void *p);

#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void abort(void); /* pal_abort() (pal/rt.h) dies where it is called */

/* Values that don't fit are the nearest one that does; there is no errno. */
long strtol(const char *restrict s, char **restrict end, int base);
unsigned long strtoul(const char *restrict s, char **restrict end, int base);
long long strtoll(const char *restrict s, char **restrict end, int base);
unsigned long long strtoull(const char *restrict s, char **restrict end, int base);
int atoi(const char *s);
long atol(const char *s);
long long atoll(const char *s);

/* In place, without a heap: heapsort, so that no order of the members is slow. */
void qsort(void *list, size_t count, size_t size, int (*compare)(const void *, const void *));
void *bsearch(const void *key, const void *list, size_t count, size_t size,
              int (*compare)(const void *, const void *));

static inline int abs(int x) { return x < 0 ? -x : x; }
static inline long labs(long x) { return x < 0 ? -x : x; }
static inline long long llabs(long long x) { return x < 0 ? -x : x; }

typedef struct { int quot, rem; } div_t;
typedef struct { long quot, rem; } ldiv_t;
typedef struct { long long quot, rem; } lldiv_t;
div_t div(int a, int b);
ldiv_t ldiv(long a, long b);
lldiv_t lldiv(long long a, long long b);

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
#define RAND_MAX 0x7fffffff

void exit(int status) PAL_ABSENT("it ends by returning, or by pal_abort() of pal/rt.h");
void _Exit(int status) PAL_ABSENT("it ends by returning, or by pal_abort() of pal/rt.h");
int atexit(void (*f)(void)) PAL_ABSENT("a PAL has no exit");
char *getenv(const char *name) PAL_ABSENT("the environment is the caller's: pass it as a string");
int system(const char *command) PAL_ABSENT("declare an ocall (pal/interface.h)");
int rand(void) PAL_ABSENT("pal_random() of pal/rt.h is random");
void srand(unsigned seed) PAL_ABSENT("pal_random() of pal/rt.h is random");
#define PAL_WHOLE_NUMBERS PAL_ABSENT("numbers in text are whole here: strtol() and its like")
double strtod(const char *restrict s, char **restrict end) PAL_WHOLE_NUMBERS;
float strtof(const char *restrict s, char **restrict end) PAL_WHOLE_NUMBERS;
double atof(const char *s) PAL_WHOLE_NUMBERS;

#ifdef __cplusplus
#undef restrict
}
#endif

#endif
