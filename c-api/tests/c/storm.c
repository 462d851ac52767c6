// Signals, as many as can be sent, on threads that come in, call and go again, and on goroutines'
// threads. The handler asks what it has interrupted and posts to a mailbox: it must find a whole
// goroutine on a thread with a signal stack, or nothing. Arguments: mode, binding.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { THREADS = 4, CALLS = 500 };

static gosched_runtime *runtime;
static gosched_chan *jobs;
static gosched_mailbox *mailbox;
static atomic_int torn, seen, posted, outside, left = THREADS;
static char last;

static void on_signal(int number) {
    (void)number;
    int before = errno;
    uint64_t goroutine = 0;
    switch (gosched_context(&goroutine)) {
    case GOSCHED_CONTEXT_OUTSIDE:
        outside++;
        torn += goroutine != 0;
        break;
    case GOSCHED_CONTEXT_ON_SIGNAL_STACK:
        seen++;
        torn += goroutine == 0;
        break;
    default: torn++;
    }
    if (gosched_mailbox_post(mailbox, (void *)&posted) == GOSCHED_OK) posted++;
    torn += errno != before;
}

struct job {
    int64_t value;
    gosched_chan *answer;
};

static void worker(void *unused) {
    (void)unused;
    void *next;
    while (gosched_chan_recv(jobs, &next) == GOSCHED_OK) {
        struct job *job = next;
        job->value = 2 * job->value + 1;
        OK(gosched_chan_send(job->answer, job));
    }
}

static void asks(void *user) {
    struct job *job = user;
    void *answer;
    OK(gosched_chan_send(jobs, job));
    OK(gosched_chan_recv(job->answer, &answer));
    CHECK(answer == job);
}

static void *calls(void *unused) {
    (void)unused;
    struct job job;
    OK(gosched_chan_new(1, NULL, &job.answer));
    // And on, until a signal has come inside and one outside.
    for (int i = 0; i < CALLS || !seen || !outside; i++) {
        job.value = i;
        errno = i;
        if (i % 7 == 0) {
            gosched_attached *attached;
            OK(gosched_attach(runtime, &attached));
            asks(&job);
            OK(gosched_detach(attached));
        } else {
            OK(gosched_enter(runtime, asks, &job));
        }
        CHECK(job.value == 2 * i + 1 && errno == i);
    }
    gosched_chan_free(job.answer);
    left--;
    // Until no signal is sent any more.
    while (left > -1) sched_yield();
    return NULL;
}

static void receives(void *count) {
    void *what;
    while (gosched_mailbox_recv(mailbox, &what) == GOSCHED_OK && what != &last) {
        CHECK(what == (void *)&posted);
        ++*(int *)count;
    }
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    gosched_options options = gosched_options_of((uint32_t)atoi(arguments[1]));
    options.binding = (uint32_t)atoi(arguments[2]);
    options.procs = 2;
    OK(gosched_runtime_new(&options, &runtime));
    OK(gosched_chan_new(16, NULL, &jobs));
    OK(gosched_mailbox_new(256, &mailbox));
    int received = 0;
    gosched_goroutine *receiver;
    OK(gosched_go_with(runtime, NULL, receives, &received, &receiver));
    for (int i = 0; i < 2; i++) OK(gosched_go(runtime, worker, NULL));

    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, calls, NULL) == 0);
    while (left > 0)
        for (int i = 0; i < THREADS; i++) pthread_kill(threads[i], SIGUSR1);
    left = -1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);

    while (gosched_mailbox_post(mailbox, &last) != GOSCHED_OK) gosched_yield();
    OK(gosched_join(receiver));
    gosched_goroutine_free(receiver);
    CHECK(torn == 0);
    CHECK(received == posted && received > 0);
    OK(gosched_chan_close(jobs));
    OK(gosched_runtime_shutdown(runtime, 60 * SECOND));
    gosched_chan_free(jobs);
    gosched_mailbox_free(mailbox);
    gosched_runtime_free(runtime);
    puts("a storm");
    return 0;
}
