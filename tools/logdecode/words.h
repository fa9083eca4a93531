/* SPDX-License-Identifier: MIT */
/* A crash record's numbers in words: exceptions, MSRs, exits. Pure. */
#ifndef XMHF_TOOLS_LOGDECODE_WORDS_H
#define XMHF_TOOLS_LOGDECODE_WORDS_H

#include <logdecode/parse.h>

/* The name of include/x86/msr.h, or NULL. */
const char *words_msr(uint32_t index);

/* What happened. `insn`: the bytes at RIP, as far as they are known. */
void words_exception(const struct log_record *r, const uint8_t *insn, size_t n, char *out,
                     size_t size);

/* What an exit was: its kind in words, and the vendor's name of the exit code. */
void words_exit(const struct log_record *r, const struct log_exit *e, char *out, size_t size);

#endif
