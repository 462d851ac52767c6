// A shutdown, a cancel and a time limit end each kind of wait with a code, in C's own frames, which
// return in order: nothing unwinds them.
#include "check.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { WAITS = 13 };

static gosched_runtime *runtime;
static gosched_chan *empty, *full;
static gosched_mutex *held;
static gosched_wait_group *never;
static gosched_mailbox *silent;
static gosched_goroutine *endless;
static gosched_mutex *release_endless;
static atomic_int began, ended, blocked_for, kept;

static void *waits_inside(void *unused) {
    (void)unused;
    void *pointer;
    CHECK(gosched_chan_recv(empty, &pointer) == GOSCHED_CANCELLED);
    // The caller's frame is still there.
    kept++;
    return NULL;
}

static gosched_code wait_in(long how) {
    void *pointer = &pointer;
    size_t chosen;
    gosched_case cases[] = {{empty, 0, 0, NULL}, {full, 1, 0, NULL}, {NULL, 0, 0, NULL}};
    switch (how) {
    case 0: return gosched_chan_recv(empty, &pointer);
    case 1: return gosched_chan_send(full, &pointer);
    case 2: return gosched_chan_recv_timeout(empty, &pointer, 3600 * SECOND);
    case 3: return gosched_chan_send_timeout(full, &pointer, 3600 * SECOND);
    case 4: return gosched_mutex_lock(held);
    case 5: return gosched_mutex_lock_timeout(held, 3600 * SECOND);
    case 6: return gosched_wait_group_wait(never);
    case 7: return gosched_sleep(3600 * SECOND);
    case 8: return gosched_mailbox_recv(silent, &pointer);
    case 9: return gosched_join(endless);
    case 10: return gosched_call(runtime, waits_inside, NULL, NULL);
    case 11: return gosched_select(cases, 3, GOSCHED_FOREVER, &chosen);
    default: {
        gosched_code code;
        while ((code = gosched_yield()) == GOSCHED_OK) {
        }
        return code;
    }
    }
}

// Each in a frame of its own, so that an unwinding would skip some.
static __attribute__((noinline)) gosched_code nested(int depth, long how) {
    if (depth == 0) return wait_in(how);
    gosched_code code = nested(depth - 1, how);
    kept++;
    return code;
}

// How it waits, and whether a time limit ends that.
static void waits_for(long how, gosched_code expected) {
    began++;
    errno = 77;
    gosched_code code = nested(5, how);
    CHECK(errno == 77);
    // What was called, or joined, may have been cancelled first, and have returned.
    if (code == GOSCHED_OK && (how == 9 || how == 10)) code = wait_in(0);
    CHECK(code == expected);
    CHECK(gosched_last_error()[0] != 0);
    // It stays so: a second wait does not hang. What is joined may have ended meanwhile.
    CHECK(wait_in(how == 9 || how == 10 ? 0 : how) == expected);
    ended++;
}

static void waits(void *how) { waits_for((long)how, GOSCHED_CANCELLED); }

static void waits_a_while(void *how) { waits_for((long)how, GOSCHED_TIMED_OUT); }

static void waits_for_the_lock(void *unused) {
    (void)unused;
    while (gosched_mutex_lock(release_endless) != GOSCHED_OK) {
        // Does not heed its cancel, as no goroutine should: so it is still there.
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
        if (gosched_mutex_try_lock(release_endless) == GOSCHED_OK) break;
    }
    OK(gosched_mutex_unlock(release_endless));
}

static void make_things(uint32_t mode, size_t procs) {
    runtime = runtime_of(mode, procs);
    OK(gosched_chan_new(0, NULL, &empty));
    OK(gosched_chan_new(0, NULL, &full));
    OK(gosched_mutex_new(&held));
    OK(gosched_mutex_lock(held));
    OK(gosched_mutex_new(&release_endless));
    OK(gosched_mutex_lock(release_endless));
    OK(gosched_wait_group_new(&never));
    OK(gosched_wait_group_add(never, 1));
    OK(gosched_mailbox_new(1, &silent));
    // It has a thread: what blocks without heeding a cancel should hold nobody up.
    gosched_go_options options = gosched_go_options_of();
    options.own_thread = 1;
    OK(gosched_go_with(runtime, &options, waits_for_the_lock, NULL, &endless));
    began = ended = kept = blocked_for = 0;
}

static void free_things(void) {
    gosched_goroutine_free(endless);
    gosched_chan_free(empty);
    gosched_chan_free(full);
    gosched_mutex_free(held);
    gosched_mutex_free(release_endless);
    gosched_wait_group_free(never);
    gosched_mailbox_free(silent);
    gosched_runtime_free(runtime);
}

static void *enters(void *how) {
    OK(gosched_enter(runtime, waits, how));
    return NULL;
}

static void *enters_for_a_while(void *how) {
    OK(gosched_enter_timeout(runtime, waits_a_while, how, 20 * MS));
    return NULL;
}

static void *attaches(void *how) {
    gosched_attached *attached;
    OK(gosched_attach(runtime, &attached));
    waits(how);
    OK(gosched_detach(attached));
    return NULL;
}

static void until(atomic_int *count, int wanted) {
    while (*count < wanted) gosched_yield();
}

// Goroutines, and threads that came in, wait in every way, and the runtime shuts down.
static void at_a_shutdown(uint32_t mode, size_t procs) {
    make_things(mode, procs);
    pthread_t threads[2 * WAITS];
    for (long how = 0; how < WAITS; how++) {
        OK(gosched_go(runtime, waits, (void *)how));
        // A mailbox has one receiver at a time.
        long other = how == 8 ? 0 : how;
        CHECK(pthread_create(&threads[how], NULL, enters, (void *)other) == 0);
        CHECK(pthread_create(&threads[WAITS + how], NULL, attaches, (void *)other) == 0);
    }
    until(&began, 3 * WAITS);
    void *pointer;
    while (gosched_mailbox_try_recv(silent, &pointer) != GOSCHED_BUSY) gosched_yield();
    CHECK(gosched_runtime_shutdown(runtime, 0) == GOSCHED_STILL_RUNNING);
    CHECK(strstr(gosched_last_error(), "have not ended"));
    OK(gosched_mutex_unlock(release_endless));
    OK(gosched_runtime_shutdown(runtime, 60 * SECOND));
    for (int i = 0; i < 2 * WAITS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(ended == 3 * WAITS);
    // Five frames each, and those that gosched_call has run.
    CHECK(kept >= 5 * 3 * WAITS);
    free_things();
}

// The same with the cancel of one goroutine, and with a time limit; the runtime stays.
static void one_by_one(uint32_t mode, size_t procs) {
    make_things(mode, procs);
    for (long how = 0; how < WAITS; how++) {
        gosched_goroutine *goroutine;
        OK(gosched_go_with(runtime, NULL, waits, (void *)how, &goroutine));
        until(&began, how + 1);
        CHECK(gosched_join_timeout(goroutine, MS) == GOSCHED_TIMED_OUT);
        OK(gosched_cancel(goroutine));
        OK(gosched_join(goroutine));
        gosched_goroutine_free(goroutine);
    }
    CHECK(ended == WAITS);
    // A join that is cut short says so, and a call waits on for its function.
    for (long how = 0; how < WAITS; how++) {
        if (how == 10) continue;
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, enters_for_a_while, (void *)how) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(ended == 2 * WAITS - 1);
    OK(gosched_mutex_unlock(release_endless));
    OK(gosched_join(endless));
    OK(gosched_runtime_shutdown(runtime, 60 * SECOND));
    free_things();
}

static void counts(void *count) { ++*(atomic_int *)count; }

static void never_called(void *unused) {
    (void)unused;
    CHECK(!"it was cancelled before it began");
}

static void keeps_the_only_processor(void *go) {
    while (!*(atomic_int *)go) {
    }
}

// A goroutine that has not begun is never called, its pointer is released, and its joiner told.
static void before_it_begins(void) {
    runtime = runtime_of(GOSCHED_MODE_SETTLED, 1);
    atomic_int go = 0, released = 0;
    gosched_goroutine *goroutine, *keeper;
    gosched_go_options options = gosched_go_options_of();
    options.behaves = GOSCHED_BEHAVES_TALKS;
    OK(gosched_go_with(runtime, &options, keeps_the_only_processor, &go, &keeper));
    options.release = counts;
    OK(gosched_go_with(runtime, &options, never_called, &released, &goroutine));
    OK(gosched_cancel(goroutine));
    CHECK(gosched_join(goroutine) == GOSCHED_CANCELLED);
    CHECK(gosched_join(goroutine) == GOSCHED_CANCELLED);
    CHECK(strstr(gosched_last_error(), "before it began") && released == 1);
    go = 1;
    OK(gosched_join(keeper));
    gosched_goroutine_free(goroutine);
    gosched_goroutine_free(keeper);
    OK(gosched_runtime_shutdown(runtime, 60 * SECOND));
    gosched_runtime_free(runtime);
}

int main(void) {
    for (uint32_t mode = GOSCHED_MODE_THREADS; mode <= GOSCHED_MODE_SETTLED; mode++) {
        for (size_t procs = 1; procs <= 4; procs += 3) {
            at_a_shutdown(mode, procs);
            one_by_one(mode, procs);
        }
    }
    before_it_begins();
    return 0;
}
