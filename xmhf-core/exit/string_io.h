/* SPDX-License-Identifier: MIT */
/* INS and OUTS at ports that the hypapp asked for. */
#ifndef XMHF_EXIT_STRING_IO_H
#define XMHF_EXIT_STRING_IO_H

#include <policy/answer.h>
#include <virt/exit.h>

/* One element of the string instruction at RIP, an EXIT_IO: `fn` is asked, then carried out or not.
 * With more to come the instruction runs again. */
void exit_string_io(struct vcpu *v, const struct exit *e, hyp_io_fn *fn);

/* The access of the core itself, as the policy has it; of an IN the value. */
void exit_io_carry_out(struct vcpu *v, struct hyp_io *io);

#endif
