#include "callbacks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "_cgo_export.h"

static void must(int error, const char *what) {
    if (error != 0) {
        fprintf(stderr, "%s: error %d\n", what, error);
        abort();
    }
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct member {
    const struct crew *crew;
    pthread_barrier_t *warm;
    uint32_t number;
    int64_t began, ended;
};

static void call(const struct crew *crew, uint32_t number) {
    switch (crew->callee) {
    case CALLS_EMPTY:
        callback_empty();
        break;
    case CALLS_CHANNEL:
        callback_round_trip(number);
        break;
    case CALLS_SERVICE:
        callback_service();
        break;
    case CALLS_CLOSURE:
        callback_closure(crew->closure, number);
        break;
    case CALLS_POST:
        callback_post(number);
        break;
    }
}

static void pause_by_chance(uint64_t *random, uint32_t most_us) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    struct timespec pause = {0, (long)((*random >> 33) % most_us) * 1000};
    nanosleep(&pause, NULL);
}

static void timed_calls(const struct crew *crew, uint32_t number, int64_t began) {
    int64_t *latencies = crew->latencies + (size_t)number * crew->calls;
    uint64_t random = number;
    for (uint32_t i = 0; i < crew->calls; i++) {
        if (crew->pause_us > 0) {
            pause_by_chance(&random, crew->pause_us);
        }
        int64_t before = now_ns();
        call(crew, number);
        int64_t after = now_ns();
        latencies[i] = after - before;
        if (crew->limit_ms > 0 && after - began > (int64_t)crew->limit_ms * 1000000) {
            return;
        }
    }
}

static void *work(void *argument) {
    struct member *member = argument;
    const struct crew *crew = member->crew;
    for (uint32_t i = 0; i < crew->warm_up; i++) {
        call(crew, member->number);
    }
    pthread_barrier_wait(member->warm);
    member->began = now_ns();
    if (crew->latencies != NULL) {
        timed_calls(crew, member->number, member->began);
    } else {
        for (uint32_t i = 0; i < crew->calls; i++) {
            call(crew, member->number);
        }
    }
    member->ended = now_ns();
    return NULL;
}

int64_t crew_work(const struct crew *crew) {
    pthread_t threads[crew->threads];
    struct member members[crew->threads];
    pthread_barrier_t warm;
    must(pthread_barrier_init(&warm, NULL, crew->threads), "pthread_barrier_init");
    for (uint32_t i = 0; i < crew->threads; i++) {
        members[i] = (struct member){crew, &warm, i, 0, 0};
        must(pthread_create(&threads[i], NULL, work, &members[i]), "pthread_create");
    }
    int64_t began = INT64_MAX, ended = 0;
    for (uint32_t i = 0; i < crew->threads; i++) {
        must(pthread_join(threads[i], NULL), "pthread_join");
        began = members[i].began < began ? members[i].began : began;
        ended = members[i].ended > ended ? members[i].ended : ended;
    }
    pthread_barrier_destroy(&warm);
    return ended - began;
}

static int64_t timed_call(void) {
    int64_t before = now_ns();
    callback_empty();
    return now_ns() - before;
}

static void *first_and_later(void *extra) {
    int64_t first = timed_call();
    for (int i = 0; i < 31; i++) {
        callback_empty();
    }
    *(int64_t *)extra = first - timed_call();
    return NULL;
}

void first_calls(int64_t *extra, size_t threads) {
    for (size_t i = 0; i < threads; i++) {
        pthread_t thread;
        must(pthread_create(&thread, NULL, first_and_later, &extra[i]), "pthread_create");
        must(pthread_join(thread, NULL), "pthread_join");
    }
}

// Resident memory and page tables.
static int64_t memory(void) {
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) {
        abort();
    }
    char line[256];
    long kib = 0, sum = 0;
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &kib) == 1 || sscanf(line, "VmPTE: %ld", &kib) == 1) {
            sum += kib;
        }
    }
    fclose(status);
    return (int64_t)sum * 1024;
}

static pthread_barrier_t exists, may_call, has_called, may_end;

static void *call_once(void *nothing) {
    pthread_barrier_wait(&exists);
    pthread_barrier_wait(&may_call);
    callback_empty();
    pthread_barrier_wait(&has_called);
    pthread_barrier_wait(&may_end);
    return nothing;
}

int64_t bound_threads_memory(size_t threads) {
    // The first thread takes the memory that all later ones share.
    int64_t unused;
    first_calls(&unused, 1);
    pthread_t *all = calloc(threads, sizeof *all);
    pthread_barrier_t *stages[] = {&exists, &may_call, &has_called, &may_end};
    for (size_t i = 0; i < 4; i++) {
        must(pthread_barrier_init(stages[i], NULL, (unsigned)threads + 1), "pthread_barrier_init");
    }
    for (size_t i = 0; i < threads; i++) {
        must(pthread_create(&all[i], NULL, call_once, NULL), "pthread_create");
    }
    pthread_barrier_wait(&exists);
    int64_t before = memory();
    pthread_barrier_wait(&may_call);
    pthread_barrier_wait(&has_called);
    int64_t grown = memory() - before;
    pthread_barrier_wait(&may_end);
    for (size_t i = 0; i < threads; i++) {
        must(pthread_join(all[i], NULL), "pthread_join");
    }
    free(all);
    return grown;
}

struct beat {
    uint32_t every_us, for_ms;
};

static void *beat(void *argument) {
    const struct beat *beat = argument;
    int64_t end = now_ns() + (int64_t)beat->for_ms * 1000000;
    while (now_ns() < end) {
        struct timespec pause = {0, (long)beat->every_us * 1000};
        nanosleep(&pause, NULL);
        callback_light();
    }
    return NULL;
}

void call_light(uint32_t every_us, uint32_t for_ms) {
    struct beat of = {every_us, for_ms};
    pthread_t thread;
    must(pthread_create(&thread, NULL, beat, &of), "pthread_create");
    must(pthread_join(thread, NULL), "pthread_join");
}
