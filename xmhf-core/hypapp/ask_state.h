/* SPDX-License-Identifier: MIT */
/* Set-up of the hypapp's boot module (hypapp/module.c); for init only. */
#ifndef XMHF_HYPAPP_ASK_STATE_H
#define XMHF_HYPAPP_ASK_STATE_H

#include <xmhf/boot_info.h>

/* Take the hypapp's module out of the list of modules, whichever place it has there. Boot CPU,
 * once. */
void hyp_module_take(struct boot_info *bi);

/* The guest is about to start: hyp_module gives nothing any more. */
void hyp_module_close(void);

#endif
