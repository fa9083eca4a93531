/* SPDX-License-Identifier: MIT */
/* Collects PALs whose owners have gone, and so makes room for new ones. */
#ifndef TV_COLLECT_H
#define TV_COLLECT_H

#include "pal.h"

/* If the PAL's owner has gone for good, or put other memory where the stubs were, kill it. True
 * if so. */
bool collect_if_gone(struct vcpu *v, struct tv_slot *s);

enum room { ROOM_FOUND, ROOM_AGAIN, ROOM_NONE };
/* Look at up to `looks` PALs, and kill those whose owner is gone. ROOM_NONE: all were looked at
 * since one was found. */
enum room collect_look(struct vcpu *v, unsigned looks);
/* Is there memory for `pages`? Looks for dead PALs and dead owners if not. */
enum room collect_room(struct vcpu *v, size_t pages);

#endif
