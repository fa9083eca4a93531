/* SPDX-License-Identifier: MIT */
/*
 * The server's side of gdb's remote protocol, for what can only be looked at: packets from bytes,
 * and answers from packets. Pure: what is looked at is behind functions.
 */
#ifndef XMHFCTL_RSP_H
#define XMHFCTL_RSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSP_PACKET    4096u  /* bytes of a packet's contents, at most */
#define RSP_REGISTERS 24u    /* of 64 bits: RAX RBX RCX RDX RSI RDI RBP RSP R8..R15 RIP EFLAGS
                                CS SS DS ES FS GS; of 32 bits: EAX ECX EDX EBX ESP EBP ESI EDI EIP
                                EFLAGS CS SS DS ES FS GS */

struct rsp_target {
    unsigned bits;                    /* 64 or 32 */
    /* Copies bytes of memory; how many could be read, from the first. */
    size_t (*read)(void *context, uint64_t address, uint8_t *to, size_t bytes);
    /* Register number n in gdb's order; false if it isn't known. */
    bool (*get)(void *context, unsigned n, uint64_t *value);
    void *context;
};

/* A stream of bytes, in which packets are. */
enum rsp_event {
    RSP_NOTHING,   /* go on */
    RSP_PACKET_IN, /* `data` has the contents of a packet, ended by a zero byte */
    RSP_DAMAGED,   /* a packet whose sum is wrong, or that is too long */
    RSP_STOP,      /* Ctrl-C in gdb */
};
struct rsp_stream {
    unsigned state;
    uint8_t sum, said;
    size_t size;
    char data[RSP_PACKET + 1];
};
enum rsp_event rsp_feed(struct rsp_stream *s, uint8_t byte);

/* What is to be done beside answering. */
enum rsp_after { RSP_GO_ON, RSP_DETACH };

/* Answers the packet of `size` bytes, which a zero byte ends. At most RSP_PACKET bytes of contents
 * and a zero byte go to `answer`. */
enum rsp_after rsp_answer(const struct rsp_target *t, const char *packet, size_t size,
                          char *answer);

/* Puts $ before an answer and # and its sum behind; `to` has room for RSP_PACKET + 5 bytes. The
 * length. */
size_t rsp_frame(const char *answer, char *to);

#endif
