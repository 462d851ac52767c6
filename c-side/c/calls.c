/*
 * Threads that do nothing but call a function pointer, again and again, and take the time: of all
 * calls together, or of each call. C's clock is read before the call and after its return.
 */
#define _POSIX_C_SOURCE 200809L
#include "c_side.h"

#include <time.h>

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void pause_at_random(uint64_t *random, uint64_t most_ns) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)((*random >> 33) % most_ns)};
    nanosleep(&pause, NULL);
}

/* One call after the other, without reading the clock in between. */
static void in_a_row(struct c_calls *job) {
    for (; job->made < job->calls; job->made++) {
        job->call(job->ctx);
    }
}

static void one_by_one(struct c_calls *job) {
    uint64_t random = job->seed;
    for (; job->made < job->calls; job->made++) {
        if (job->max_pause_ns != 0) {
            pause_at_random(&random, job->max_pause_ns);
        }
        uint64_t before = now_ns();
        job->call(job->ctx);
        uint64_t after = now_ns();
        job->took_ns[job->made] = after - before;
        if (after - job->began_ns > job->limit_ns) {
            job->made++;
            return;
        }
    }
}

static void *caller_main(void *arg) {
    struct c_calls *job = arg;
    pthread_mutex_lock(job->gate);
    pthread_mutex_unlock(job->gate);
    job->began_ns = now_ns();
    if (job->took_ns == NULL) {
        in_a_row(job);
    } else {
        one_by_one(job);
    }
    job->ended_ns = now_ns();
    return NULL;
}

/*
 * Makes a thread for each job; they begin when all are there. Returns when they have ended: 0, or
 * the errno value for which a thread could not be made. The threads before it have run all the
 * same.
 */
int c_calls_run(struct c_calls *jobs, size_t count) {
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int error = 0;
    size_t made = 0;
    pthread_mutex_lock(&gate);
    for (; made < count; made++) {
        jobs[made].gate = &gate;
        error = pthread_create(&jobs[made].thread, NULL, caller_main, &jobs[made]);
        if (error != 0) {
            break;
        }
    }
    pthread_mutex_unlock(&gate);
    for (size_t i = 0; i < made; i++) {
        pthread_join(jobs[i].thread, NULL);
    }
    return error;
}
