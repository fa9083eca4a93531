/* SPDX-License-Identifier: MIT */
/* Repetition count and adaptive proportion (NIST SP 800-90B, 4.4.1 and 4.4.2). */
#include <random/health.h>

static bool repeats(struct health *h, uint64_t sample)
{
    h->same = h->same != 0 && sample == h->last ? h->same + 1 : 1;
    h->last = sample;
    return h->same >= h->repetitions;
}

static bool prevails(struct health *h, uint64_t sample)
{
    if (h->in_window == 0) {
        h->first = sample;
        h->like = 0;
    }
    h->like += sample == h->first;
    h->in_window = (h->in_window + 1) % HEALTH_WINDOW;
    return h->like >= h->proportion;
}

bool health_sample(struct health *h, uint64_t sample)
{
    const bool stuck = repeats(h, sample), uneven = prevails(h, sample);

    h->failed = h->failed || stuck || uneven;
    return !h->failed;
}
