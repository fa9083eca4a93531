/* SPDX-License-Identifier: MIT */
/*
 * Threads that call one PAL at once: worker [THREADS [CALLS [ROUNDS]]]. Each thread hashes from its
 * own start; what comes out doesn't depend on how the calls mix, and the PAL has counted them all.
 * Standard error tells how often the OS interrupted the calls.
 */
#include "worker_interface.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PAL_IMAGE(worker);

static struct pal_handle *pal;
static unsigned calls = 8, rounds = 500;

struct job {
    pthread_t thread;
    uint8_t digest[32];
    uint64_t interruptions;
    struct pal_status status;
};

static void *work(void *arg)
{
    struct job *j = arg;

    for (unsigned i = 0; i < calls && j->status.error == PAL_OK; i++) {
        uint32_t interruptions = 0;

        j->status = worker_hash(pal, &interruptions, rounds, &j->digest);
        j->interruptions += interruptions;
    }
    return NULL;
}

static int report(const struct job *jobs, unsigned threads)
{
    uint64_t interruptions = 0, total = 0;
    char text[PAL_TEXT];
    struct pal_status s;

    for (unsigned i = 0; i < threads; i++) {
        if (jobs[i].status.error != PAL_OK) {
            puts(pal_status_text(&jobs[i].status, text, sizeof(text)));
            return 1;
        }
        printf("thread %u: ", i);
        for (unsigned j = 0; j < 32; j++) {
            printf("%02x", jobs[i].digest[j]);
        }
        putchar('\n');
        interruptions += jobs[i].interruptions;
    }
    s = worker_total(pal, &total);
    if (s.error != PAL_OK || total != (uint64_t)threads * calls * rounds) {
        printf("WRONG: the PAL counted %" PRIu64 " rounds\n", total);
        return 1;
    }
    printf("%" PRIu64 " rounds by %u threads, all counted\n", total, threads);
    fprintf(stderr, "%" PRIu64 " interruptions\n", interruptions);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 4, started;
    struct job *jobs = calloc(threads > 0 ? threads : 1, sizeof(*jobs));
    char text[PAL_TEXT];
    struct pal_status s = pal_open(&worker_image, &pal);
    int status = 1;

    calls = argc > 2 ? (unsigned)atoi(argv[2]) : calls;
    rounds = argc > 3 ? (unsigned)atoi(argv[3]) : rounds;
    if (s.error != PAL_OK || !jobs) {
        puts(pal_status_text(&s, text, sizeof(text)));
        return 1;
    }
    for (started = 0; started < threads; started++) {
        memset(jobs[started].digest, (int)started, 32);
        if (pthread_create(&jobs[started].thread, NULL, work, &jobs[started]) != 0) {
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(jobs[i].thread, NULL);
    }
    status = started == threads ? report(jobs, threads) : 1;
    pal_close(pal);
    free(jobs);
    return status;
}
