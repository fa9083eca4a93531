/* SPDX-License-Identifier: MIT */
/* From a crash record's stack words to a call stack. */
#ifndef XMHF_TOOLS_LOGDECODE_STACK_H
#define XMHF_TOOLS_LOGDECODE_STACK_H

#include <logdecode/image.h>
#include <logdecode/parse.h>

/* How sure it is that a frame is one of the stack's. */
enum certainty {
    MAYBE,   /* a word that follows a call */
    LIKELY,  /* it follows a call of the function above */
    SURE,    /* it is where the frame above has its return address */
};

struct stack_frame {
    uint64_t pc;         /* where it is, or returns to */
    uint64_t lookup;     /* an address in the instruction that is being executed */
    enum certainty certainty;
    bool after_gap;      /* words between this frame and the one above are not in the record */
};

#define STACK_FRAMES_MAX (CRASH_STACK + 1)

/* Returns the number of frames in `out`, which has STACK_FRAMES_MAX places. */
unsigned stack_walk(const struct image *img, const struct log_record *r, struct stack_frame *out);

#endif
