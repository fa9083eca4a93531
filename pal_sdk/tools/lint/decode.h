/* SPDX-License-Identifier: MIT */
/*
 * One instruction of compiled code: its length, where it goes on, what it does to the stack
 * pointer, and whether a PAL dies of it (SDM vol. 2, appendix A; APM vol. 3, appendix A).
 */
#ifndef PAL_LINT_DECODE_H
#define PAL_LINT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flow {
    FLOW_ON,            /* to the next instruction */
    FLOW_CALL,          /* `target`; comes back */
    FLOW_CALL_ANY,      /* to what a register or memory says; comes back */
    FLOW_JUMP,          /* `target` */
    FLOW_JUMP_IF,       /* `target`, or the next */
    FLOW_JUMP_ANY,
    FLOW_END,           /* return, or an instruction behind which nothing goes on */
};

enum stack_change {
    STACK_SAME,
    STACK_ADD,          /* `bytes` more are in use; negative: less */
    STACK_FRAME,        /* the frame pointer becomes the stack pointer */
    STACK_TO_FRAME,     /* the stack pointer becomes the frame pointer plus `bytes` */
    STACK_LEAVE,        /* ... and the frame pointer is popped */
    STACK_ALIGN,        /* rounded down to -`bytes` */
    STACK_SUB_REGISTER, /* by what a register holds */
    STACK_RESTORE,      /* to what it was at the beginning, from another register */
    STACK_SET,          /* to what the register `other` holds */
    STACK_COPY,         /* the register `other` becomes the stack pointer plus `bytes` */
    STACK_PROBE,        /* another register becomes the stack pointer minus `bytes`: how far a
                           loop that follows will go */
    STACK_PROBE_COPY,   /* `bytes` are taken off the register `other`, which may be a copy */
};

struct instruction {
    unsigned length;        /* bytes; 0: none, or cut off */
    enum flow flow;
    uint64_t target;
    enum stack_change stack;
    int64_t bytes;
    unsigned other;         /* 0 to 15 */
    unsigned changed;       /* a bit for each general register that may hold something else now;
                               not the stack pointer */
    const char *forbidden;  /* its name, if a PAL dies of it; else NULL */
    bool system_call;       /* is a forbidden one */
    bool hypercall;
    bool constant;          /* MOV of an immediate to a register: `value` */
    uint64_t value;
    bool reads_tls;         /* memory through FS or GS; `address` if `fixed` */
    bool fixed;             /* memory at `address`, whatever registers hold */
    uint64_t address;
    bool table_jump;        /* FLOW_JUMP_ANY through a table: *TABLE(,%reg,SIZE) */
};

/* Decode at most `n` bytes at `code`, which lie at `at`, of 32- or 64-bit code. */
void decode(const uint8_t *code, size_t n, unsigned bits, uint64_t at, struct instruction *i);

#endif
