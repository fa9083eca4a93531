/* SPDX-License-Identifier: MIT */
/*
 * Is a noise source still one? The two continuous tests of NIST SP 800-90B, 4.4, for samples of any
 * kind: a source that sticks at a value fails the first, one that has lost much of its entropy the
 * second. Neither sees that a source is predictable.
 */
#ifndef LIB_RANDOM_HEALTH_H
#define LIB_RANDOM_HEALTH_H

#include <xmhf/types.h>

#define HEALTH_WINDOW 512u /* samples, of the second test; what isn't binary has so many */

struct health {
    /* Set by who owns it: the test fails at so many samples in a row that are the same, and at so
     * many in a window that are like its first one. */
    uint32_t repetitions, proportion;
    /* Zero at first. */
    uint64_t last, first;  /* sample; sample that begins the window */
    uint32_t same, like;   /* so many in a row are `last`, so many in this window are `first` */
    uint32_t in_window;
    bool failed;           /* for good */
};

/* The next sample. False: the source has failed, now or before. */
bool health_sample(struct health *h, uint64_t sample);

#endif
