/* SPDX-License-Identifier: MIT */
/* Work for several threads at once: hashing, round after round. */
#ifndef WORKER_INTERFACE_H
#define WORKER_INTERFACE_H

#include <pal/interface.h>

/* Hash a digest with SHA-256 so many times: digest = SHA-256(digest). How often the call was
 * interrupted so far is the result. */
PAL_ENTRY(worker, uint32_t, hash, PAL_VALUE(uint32_t, rounds),
          PAL_INOUT_ARRAY(uint8_t, digest, 32))
/* Rounds of all calls that have ended, by any thread. */
PAL_ENTRY(worker, uint64_t, total)

#endif
