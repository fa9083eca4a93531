/* SPDX-License-Identifier: MIT */
/*
 * A 64-bit process with one PAL of the public ABI, against the fake core: its memory, its
 * hypercalls and calls, and what it is to see afterwards. For tests of hypapps/trustvisor as a
 * whole.
 */
#ifndef XMHF_TESTS_TV_FIXTURE_H
#define XMHF_TESTS_TV_FIXTURE_H

#include "tv_process.h"

#define BASE   0x7f1234560000ULL
#define RESUME (BASE + PAGE_SIZE - 32)
#define VMMCALL_LEN 3

/* --- the process -------------------------------------------------------------------- */

extern struct vcpu v;                        /* the CPU that it runs on */
extern struct tv_pal_sections *sections;     /* descriptors of the PAL, at ARGS ... */
extern struct tv_pal_params *params;         /* ... and at ARGS + 0x800 */
extern uint64_t pal_entry;
extern unsigned pool_at_rest;                /* free pages when there is no PAL */

/* A process without PALs, after boot. */
int setup(void **state);
#define TEST(name) cmocka_unit_test_setup(name, setup)

void set_word(uint64_t va, uint64_t w);
/* Fill pages with a pattern; are bytes [from, from + n) of such pages there? */
void fill(uint64_t va, unsigned pages, uint8_t seed);
bool filled(const uint8_t *at, uint64_t from, uint64_t n, uint8_t seed);
/* Sections CODE, DATA, STACK, PARAM of these sizes from BASE, filled with patterns. */
void layout(unsigned code, unsigned data, unsigned stack, unsigned param);
/* The PAL takes `n` integers. */
void integers(unsigned n);

/* --- hypercalls --------------------------------------------------------------------- */

/* Registers of the process that nothing may change. */
void poison(void);
/* One exit. */
enum hc_result hypercall(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi);
/* As a guest does it: again as long as it is told to, faults resolved. ~0: SIGSEGV. */
uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi);
/* TV_HC_REG, TV_HC_UNREG and XMHF_HC_INFO; the last death. */
uint64_t reg(void);
uint64_t unreg(void);
uint64_t info(uint32_t which);
unsigned death(void);
/* One exit of a hypercall that was interrupted, on `regs`. */
enum hc_result again(struct vcpu_regs *regs);
/* All of them, to this answer. */
void until_done(struct vcpu_regs *regs, uint64_t answer);
void expect_no_pal_left(void);

/* --- calls -------------------------------------------------------------------------- */

extern const enum gpr arg_gpr[6];            /* System V's */

/* The process calls the entry; the result of the exit. */
enum hc_result call(const uint64_t *args, unsigned n);
/* The PAL's memory, while the sandbox is entered. */
uint8_t *pal_at(uint64_t va);
uint64_t pal_word(uint64_t va);
/* An exit of the PAL; an exception is #PF. */
void sandbox_exit(enum exit_kind kind);
/* The PAL executes RET with this result; its other registers are full of secrets. */
void pal_returns(uint64_t rax);
/* The process is back behind its call, with nothing of the PAL but the result. */
void expect_returned(uint64_t rax);
/* The process got an exception at the entry stub, as at the call. */
void expect_refused(enum fake_injection what);
/* The PAL has these registers, an interrupt comes; the thread is at the resume stub. */
void stop_pal(const struct exit *e, uint64_t token[2]);
void interrupt_pal(uint64_t token[2]);
/* The thread executes the resume stub. */
enum hc_result resume(const uint64_t token[2]);
/* The PAL runs again, with the registers of stop_pal; from here it can return. */
void expect_pal_goes_on(void);

/* --- another CPU -------------------------------------------------------------------- */

/* Is the PAL being unregistered? If not, then `other_cpu` looks again at the next access. */
bool leaves(void (*other_cpu)(void));

#endif
