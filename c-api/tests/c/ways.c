// What the other programs do not use: selects, calls that block, dumps and numbers, unbounded
// channels, and threads of all kinds at one channel.
#define _GNU_SOURCE
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static gosched_chan *one, *two;

static void selects(void *unused) {
    (void)unused;
    void *pointer;
    int thing = 0;
    size_t chosen = 99;
    gosched_case cases[] = {{NULL, 0, 0, NULL}, {one, 0, 0, NULL}, {two, 1, 0, &thing}};
    // Nothing is ready: the first is never, the second is empty, and the third is full.
    OK(gosched_chan_send(two, NULL));
    CHECK(gosched_select(cases, 3, 0, &chosen) == GOSCHED_WOULD_BLOCK);
    CHECK(gosched_select(cases, 3, MS, &chosen) == GOSCHED_TIMED_OUT);
    CHECK(chosen == 99);
    OK(gosched_chan_recv(two, &pointer));
    OK(gosched_select(cases, 3, GOSCHED_FOREVER, &chosen));
    CHECK(chosen == 2 && cases[2].code == GOSCHED_OK && cases[2].pointer == &thing);
    CHECK(gosched_chan_length(two) == 1);
    OK(gosched_chan_send(one, &chosen));
    OK(gosched_select(cases, 3, SECOND, &chosen));
    CHECK(chosen == 1 && cases[1].code == GOSCHED_OK && cases[1].pointer == &chosen);
    OK(gosched_chan_recv(two, &pointer));
    CHECK(pointer == &thing);
    // A closed channel is ready, and says so.
    OK(gosched_chan_close(one));
    cases[2].channel = NULL;
    cases[1].pointer = &thing;
    OK(gosched_select(cases, 3, 0, &chosen));
    CHECK(chosen == 1 && cases[1].code == GOSCHED_CLOSED && !cases[1].pointer);
    cases[1].sends = 1;
    OK(gosched_select(cases, 3, 0, &chosen));
    CHECK(chosen == 1 && cases[1].code == GOSCHED_CLOSED);
    CHECK(gosched_select(cases, 0, 0, &chosen) == GOSCHED_WOULD_BLOCK);
}

struct place {
    pthread_t thread;
    uint64_t goroutine;
    size_t stack;
};

static void looks(void *user) {
    struct place *place = user;
    char here = 0;
    place->thread = pthread_self();
    place->goroutine = gosched_current();
    place->stack = (size_t)(uintptr_t)&here;
    CHECK(gosched_context(NULL) != GOSCHED_CONTEXT_OUTSIDE);
}

static void *calls_that_block(void *unused) {
    struct place here, blocking, on_thread;
    looks(&here);
    OK(gosched_blocking(looks, &blocking));
    OK(gosched_on_thread_stack(looks, &on_thread));
    CHECK(here.goroutine != 0);
    CHECK(blocking.goroutine == here.goroutine && on_thread.goroutine == here.goroutine);
    CHECK(pthread_equal(on_thread.thread, here.thread));
    return unused;
}

static void *in_the_settled_mode(void *unused) {
    struct place here, on_thread;
    calls_that_block(unused);
    looks(&here);
    OK(gosched_on_thread_stack(looks, &on_thread));
    size_t apart = here.stack > on_thread.stack ? here.stack - on_thread.stack
                                                : on_thread.stack - here.stack;
    CHECK(apart > 1 << 16);
    return &one;
}

static void waits(void *unused) {
    void *pointer;
    (void)unused;
    gosched_chan_recv(two, &pointer);
}

static void is_seen(gosched_runtime *runtime) {
    gosched_goroutine *goroutine;
    gosched_go_options options = gosched_go_options_of();
    options.name = "the one that waits";
    options.own_thread = 1;
    OK(gosched_go_with(runtime, &options, waits, NULL, &goroutine));
    char text[4096], number[32];
    size_t length;
    do {
        OK(gosched_runtime_dump(runtime, text, sizeof text, &length));
        CHECK(length < sizeof text && strlen(text) == length);
    } while (!strstr(text, options.name) || gosched_yield() != GOSCHED_OK);
    snprintf(number, sizeof number, "%llu",
             (unsigned long long)gosched_goroutine_number(goroutine));
    CHECK(strstr(text, number));
    // What does not fit is cut.
    text[5] = '!', text[6] = '?';
    OK(gosched_runtime_dump(runtime, text, 6, &length));
    CHECK(strlen(text) == 5 && text[6] == '?' && length > 5);
    OK(gosched_runtime_dump(runtime, NULL, 0, &length));
    CHECK(gosched_runtime_dump(runtime, NULL, 1, &length) == GOSCHED_INVALID);

    // A program that knows two fields of the numbers gets two.
    struct {
        gosched_stats stats;
        uint64_t behind;
    } it = {{.size = 3}, 77};
    CHECK(gosched_runtime_stats(runtime, &it.stats) == GOSCHED_INVALID);
    it.stats.size = sizeof it;
    // Those that were joined may be about to end.
    do OK(gosched_runtime_stats(runtime, &it.stats));
    while (it.stats.goroutines != 1 && gosched_yield() == GOSCHED_OK);
    CHECK(it.stats.goroutines == 1 && it.stats.procs == 2 && it.behind == 77);
    CHECK(it.stats.size == sizeof it);
    OK(gosched_chan_close(two));
    OK(gosched_join(goroutine));
    gosched_goroutine_free(goroutine);
}

enum { SENDERS = 4, EACH = 500 };

static void sends(void *channel) {
    for (intptr_t i = 1; i <= EACH; i++) OK(gosched_chan_send(channel, (void *)i));
}

static void *sends_plainly(void *channel) {
    sends(channel);
    return NULL;
}

static atomic_int released;

static void counts(void *unused) {
    (void)unused;
    released++;
}

// Goroutines and plain threads send; nothing is lost, and what is left is released.
static void everybody_sends(gosched_runtime *runtime, size_t capacity) {
    gosched_chan *channel;
    OK(gosched_chan_new(capacity, counts, &channel));
    pthread_t threads[SENDERS];
    gosched_goroutine *goroutines[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        OK(gosched_go_with(runtime, NULL, sends, channel, &goroutines[i]));
        CHECK(pthread_create(&threads[i], NULL, sends_plainly, channel) == 0);
    }
    intptr_t sum = 0;
    for (int i = 0; i < 2 * SENDERS * EACH; i++) {
        void *number;
        OK(gosched_chan_recv_timeout(channel, &number, 60 * SECOND));
        sum += (intptr_t)number;
    }
    // Before the channel goes: a sender that is about to return still uses it.
    for (int i = 0; i < SENDERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        OK(gosched_join(goroutines[i]));
        gosched_goroutine_free(goroutines[i]);
    }
    CHECK(sum == 2 * SENDERS * ((intptr_t)EACH * (EACH + 1) / 2));
    released = 0;
    gosched_code code = gosched_chan_try_send(channel, NULL);
    CHECK(code == (capacity ? GOSCHED_OK : GOSCHED_WOULD_BLOCK));
    CHECK(gosched_chan_share(channel) == channel);
    gosched_chan_free(channel);
    CHECK(released == 0);
    gosched_chan_free(channel);
    CHECK(released == (capacity ? 1 : 0));
}

static void answers(void *channel) { OK(gosched_chan_send(channel, channel)); }

static void counts_down(void *group) { OK(gosched_wait_group_done(group)); }

// Who has what was handed over frees the handle, though the other call has not quite returned.
static void frees_at_once(gosched_runtime *runtime) {
    for (int i = 0; i < 300; i++) {
        gosched_chan *channel;
        gosched_wait_group *group;
        void *answer;
        OK(gosched_chan_new(i % 2, NULL, &channel));
        OK(gosched_go(runtime, answers, channel));
        OK(gosched_chan_recv(channel, &answer));
        CHECK(answer == channel);
        gosched_chan_free(channel);
        OK(gosched_wait_group_new(&group));
        OK(gosched_wait_group_add(group, 1));
        OK(gosched_go(runtime, counts_down, group));
        OK(gosched_wait_group_wait(group));
        gosched_wait_group_free(group);
    }
}

int main(void) {
    for (uint32_t mode = GOSCHED_MODE_THREADS; mode <= GOSCHED_MODE_SETTLED; mode++) {
        gosched_runtime *runtime = runtime_of(mode, 2);
        void *value = NULL;
        OK(gosched_chan_new(1, NULL, &one));
        OK(gosched_chan_new(1, NULL, &two));
        selects(NULL);
        gosched_chan_free(one);
        OK(gosched_chan_new(1, NULL, &one));
        OK(gosched_enter(runtime, selects, NULL));
        OK(gosched_call(runtime, calls_that_block, NULL, NULL));
        if (mode == GOSCHED_MODE_SETTLED) {
            OK(gosched_call(runtime, in_the_settled_mode, NULL, &value));
            CHECK(value == &one);
        }
        is_seen(runtime);
        everybody_sends(runtime, 0);
        everybody_sends(runtime, 3);
        everybody_sends(runtime, GOSCHED_UNBOUNDED);
        frees_at_once(runtime);
        OK(gosched_runtime_shutdown(runtime, 60 * SECOND));
        gosched_runtime_free(runtime);
        gosched_chan_free(one);
        gosched_chan_free(two);
    }
    return 0;
}
