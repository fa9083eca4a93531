/* SPDX-License-Identifier: MIT */
/* INS and OUTS at ports that the hypapp asked for. */
#ifndef XMHF_EXIT_STRING_IO_H
#define XMHF_EXIT_STRING_IO_H

#include <policy/answer.h>
#include <virt/exit.h>

/* Do one element of the string instruction at RIP, an EXIT_IO: `fn` is asked, and then the element
 * is carried out or not. If more elements are to come the instruction runs again. */
void exit_string_io(struct vcpu *v, const struct exit *e, hyp_io_fn *fn);

/* The core's part: carry the access out as the policy has it. Of an IN the value is put into
 * `io`. */
void exit_io_carry_out(struct vcpu *v, struct hyp_io *io);

#endif
