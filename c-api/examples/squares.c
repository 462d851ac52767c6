// Threads that C made ask, and a goroutine answers.
//
// Each thread enters the runtime, sends a job with a channel for the answer, and waits for it as a
// goroutine does. Prints "1000 answers, sum 332833500".
#include <gosched.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, JOBS = 1000 };

struct job {
    int64_t value;
    gosched_chan *answer;
};

static gosched_runtime *runtime;
static gosched_chan *jobs;

// Ends the program where a call has failed that cannot fail here.
static void check(gosched_code code) {
    if (code != GOSCHED_OK) {
        fprintf(stderr, "%s: %s\n", gosched_code_text(code), gosched_last_error());
        exit(1);
    }
}

// A goroutine: it ends when the channel is closed, or when the runtime shuts down.
static void worker(void *unused) {
    (void)unused;
    void *next;
    while (gosched_chan_recv(jobs, &next) == GOSCHED_OK) {
        struct job *job = next;
        job->value *= job->value;
        gosched_chan_send(job->answer, job);
    }
}

// What a C library calls, on a thread of its own.
static void on_sample(void *user) {
    struct job *job = user;
    void *done;
    check(gosched_chan_new(1, NULL, &job->answer));
    check(gosched_chan_send(jobs, job));
    check(gosched_chan_recv(job->answer, &done));
    gosched_chan_free(job->answer);
}

static void *library_thread(void *first) {
    int64_t *sum = calloc(1, sizeof *sum);
    for (int64_t value = (intptr_t)first; value < JOBS; value += THREADS) {
        struct job job = {value, NULL};
        check(gosched_enter(runtime, on_sample, &job));
        *sum += job.value;
    }
    return sum;
}

int main(void) {
    // Nothing here waits inside a callback of other people's code, or in an initialiser or
    // destructor of a thread-local: that is what the settled mode asks for.
    gosched_options options = gosched_options_of(GOSCHED_MODE_SETTLED);
    check(gosched_runtime_new(&options, &runtime));
    check(gosched_chan_new(64, NULL, &jobs));
    check(gosched_go(runtime, worker, NULL));

    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, library_thread, (void *)i);
    int64_t sum = 0;
    for (int i = 0; i < THREADS; i++) {
        void *part;
        pthread_join(threads[i], &part);
        sum += *(int64_t *)part;
        free(part);
    }
    printf("%d answers, sum %" PRId64 "\n", JOBS, sum);

    gosched_chan_close(jobs);
    check(gosched_runtime_shutdown(runtime, 1000000000));
    gosched_chan_free(jobs);
    gosched_runtime_free(runtime);
    return 0;
}
