// Misuse that can be seen is a code, and has a text.
#include "check.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void nothing(void *unused) { (void)unused; }

static void *returns(void *pointer) { return pointer; }

static void shuts_down_inside(void *runtime) {
    CHECK(gosched_runtime_shutdown(runtime, SECOND) == GOSCHED_INSIDE);
    CHECK(gosched_go(runtime, nothing, NULL) == GOSCHED_OK);
}

static void *detaches(void *attached) {
    CHECK(gosched_detach(attached) == GOSCHED_WRONG_THREAD);
    return NULL;
}

static void counts(void *count) { ++*(int *)count; }

static void null_handles(void) {
    void *pointer;
    size_t number;
    gosched_stats stats = {.size = sizeof stats};
    CHECK(gosched_runtime_new(NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_runtime_shutdown(NULL, 0) == GOSCHED_INVALID);
    CHECK(strcmp(gosched_last_error(), "a handle is NULL") == 0);
    CHECK(gosched_runtime_stats(NULL, &stats) == GOSCHED_INVALID);
    CHECK(gosched_runtime_dump(NULL, NULL, 0, &number) == GOSCHED_INVALID);
    CHECK(gosched_enter(NULL, nothing, NULL) == GOSCHED_INVALID);
    CHECK(gosched_enter_timeout(NULL, nothing, NULL, 1) == GOSCHED_INVALID);
    CHECK(gosched_attach(NULL, (gosched_attached **)&pointer) == GOSCHED_INVALID);
    CHECK(gosched_detach(NULL) == GOSCHED_INVALID);
    CHECK(gosched_go(NULL, nothing, NULL) == GOSCHED_INVALID);
    CHECK(gosched_go_with(NULL, NULL, nothing, NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_call(NULL, NULL, NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_blocking(NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_on_thread_stack(NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_join(NULL) == GOSCHED_INVALID && gosched_cancel(NULL) == GOSCHED_INVALID);
    CHECK(gosched_join_timeout(NULL, 1) == GOSCHED_INVALID);
    CHECK(gosched_goroutine_is_over(NULL) == 0 && gosched_goroutine_number(NULL) == 0);
    CHECK(gosched_chan_new(1, NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_chan_send(NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_chan_try_send(NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_chan_send_timeout(NULL, NULL, 1) == GOSCHED_INVALID);
    CHECK(gosched_chan_recv(NULL, &pointer) == GOSCHED_INVALID);
    CHECK(gosched_chan_try_recv(NULL, &pointer) == GOSCHED_INVALID);
    CHECK(gosched_chan_recv_timeout(NULL, &pointer, 1) == GOSCHED_INVALID);
    CHECK(gosched_chan_close(NULL) == GOSCHED_INVALID && gosched_chan_length(NULL) == 0);
    CHECK(gosched_select(NULL, 0, 0, &number) == GOSCHED_INVALID);
    CHECK(gosched_mailbox_new(1, NULL) == GOSCHED_INVALID);
    CHECK(gosched_mailbox_post(NULL, NULL) == GOSCHED_INVALID);
    CHECK(gosched_mailbox_recv(NULL, &pointer) == GOSCHED_INVALID);
    CHECK(gosched_mailbox_try_recv(NULL, &pointer) == GOSCHED_INVALID);
    CHECK(gosched_mailbox_recv_timeout(NULL, &pointer, 1) == GOSCHED_INVALID);
    CHECK(gosched_mutex_new(NULL) == GOSCHED_INVALID);
    CHECK(gosched_mutex_lock(NULL) == GOSCHED_INVALID);
    CHECK(gosched_mutex_try_lock(NULL) == GOSCHED_INVALID);
    CHECK(gosched_mutex_lock_timeout(NULL, 1) == GOSCHED_INVALID);
    CHECK(gosched_mutex_unlock(NULL) == GOSCHED_INVALID);
    CHECK(gosched_wait_group_new(NULL) == GOSCHED_INVALID);
    CHECK(gosched_wait_group_add(NULL, 1) == GOSCHED_INVALID);
    CHECK(gosched_wait_group_done(NULL) == GOSCHED_INVALID);
    CHECK(gosched_wait_group_wait(NULL) == GOSCHED_INVALID);
    CHECK(gosched_wait_group_wait_timeout(NULL, 1) == GOSCHED_INVALID);
    CHECK(!gosched_runtime_share(NULL) && !gosched_goroutine_share(NULL));
    CHECK(!gosched_chan_share(NULL) && !gosched_mailbox_share(NULL));
    CHECK(!gosched_mutex_share(NULL) && !gosched_wait_group_share(NULL));
    gosched_runtime_free(NULL);
    gosched_goroutine_free(NULL);
    gosched_chan_free(NULL);
    gosched_mailbox_free(NULL);
    gosched_mutex_free(NULL);
    gosched_wait_group_free(NULL);
}

static void wrong_options(void) {
    gosched_runtime *runtime = NULL;
    gosched_options good = gosched_options_of(GOSCHED_MODE_THREADS), bad;
    bad = good, bad.abi++;
    CHECK(gosched_runtime_new(&bad, &runtime) == GOSCHED_WRONG_ABI);
    CHECK(strstr(gosched_last_error(), "ABI 2"));
    bad = good, bad.size = 3;
    CHECK(gosched_runtime_new(&bad, &runtime) == GOSCHED_INVALID);
    bad = good, bad.mode = 0;
    CHECK(gosched_runtime_new(&bad, &runtime) == GOSCHED_INVALID);
    bad = good, bad.mode = 77;
    CHECK(gosched_runtime_new(&bad, &runtime) == GOSCHED_INVALID);
    CHECK(strcmp(gosched_last_error(), "there is no mode 77") == 0);
    bad = good, bad.binding = 9;
    CHECK(gosched_runtime_new(&bad, &runtime) == GOSCHED_INVALID);
    bad = good, bad.warnings = 9;
    CHECK(gosched_runtime_new(&bad, &runtime) == GOSCHED_INVALID);
    bad = good, bad.procs = 5000;
    CHECK(gosched_runtime_new(&bad, &runtime) == GOSCHED_INVALID);
    bad = good, bad.stack_size = 1;
    CHECK(gosched_runtime_new(&bad, &runtime) == GOSCHED_INVALID);
    CHECK(!runtime);
    // A program that is newer than the library, with options that are not set and one that is.
    struct {
        gosched_options known;
        uint64_t unknown;
    } newer = {good, 0};
    newer.known.size = sizeof newer;
    OK(gosched_runtime_new(&newer.known, &runtime));
    gosched_runtime_free(runtime);
    newer.unknown = 1;
    CHECK(gosched_runtime_new(&newer.known, &runtime) == GOSCHED_INVALID);
}

static void wrong_goroutines(gosched_runtime *runtime) {
    int released = 0;
    gosched_goroutine *goroutine = NULL;
    gosched_go_options options = gosched_go_options_of();
    options.release = counts;
    options.stack_size = 5;
    CHECK(gosched_go_with(runtime, &options, nothing, &released, &goroutine) == GOSCHED_INVALID);
    options.stack_size = 0, options.behaves = 3;
    CHECK(gosched_go_with(runtime, &options, nothing, &released, &goroutine) == GOSCHED_INVALID);
    CHECK(released == 0 && !goroutine);
    options.behaves = GOSCHED_BEHAVES_TALKS;
    options.name = "once";
    OK(gosched_go_with(runtime, &options, nothing, &released, &goroutine));
    OK(gosched_join(goroutine));
    OK(gosched_join_timeout(goroutine, SECOND));
    CHECK(released == 1 && gosched_goroutine_is_over(goroutine));
    CHECK(gosched_goroutine_number(goroutine) != 0);
    gosched_goroutine_free(goroutine);
}

static void wrong_order(gosched_runtime *runtime) {
    void *pointer = runtime;
    gosched_mutex *mutex;
    OK(gosched_mutex_new(&mutex));
    CHECK(gosched_mutex_unlock(mutex) == GOSCHED_NOT_HELD);
    OK(gosched_mutex_lock(mutex));
    CHECK(gosched_mutex_try_lock(mutex) == GOSCHED_WOULD_BLOCK);
    CHECK(gosched_mutex_lock_timeout(mutex, MS) == GOSCHED_TIMED_OUT);
    OK(gosched_mutex_unlock(mutex));
    CHECK(gosched_mutex_unlock(mutex) == GOSCHED_NOT_HELD);
    gosched_mutex_free(mutex);

    gosched_wait_group *group;
    OK(gosched_wait_group_new(&group));
    CHECK(gosched_wait_group_done(group) == GOSCHED_NOT_HELD);
    OK(gosched_wait_group_add(group, 1));
    CHECK(gosched_wait_group_wait_timeout(group, MS) == GOSCHED_TIMED_OUT);
    OK(gosched_wait_group_done(group));
    OK(gosched_wait_group_wait(group));
    gosched_wait_group_free(group);

    gosched_chan *channel;
    CHECK(gosched_chan_new((size_t)1 << 40, NULL, &channel) == GOSCHED_INVALID);
    OK(gosched_chan_new(1, NULL, &channel));
    CHECK(gosched_chan_try_recv(channel, &pointer) == GOSCHED_WOULD_BLOCK && !pointer);
    OK(gosched_chan_send(channel, &pointer));
    CHECK(gosched_chan_try_send(channel, NULL) == GOSCHED_WOULD_BLOCK);
    CHECK(gosched_chan_send_timeout(channel, NULL, MS) == GOSCHED_TIMED_OUT);
    CHECK(gosched_chan_length(channel) == 1);
    OK(gosched_chan_close(channel));
    OK(gosched_chan_close(channel));
    CHECK(gosched_chan_send(channel, NULL) == GOSCHED_CLOSED);
    CHECK(gosched_chan_recv(channel, NULL) == GOSCHED_INVALID);
    OK(gosched_chan_recv(channel, &pointer));
    CHECK(pointer == &pointer);
    CHECK(gosched_chan_recv(channel, &pointer) == GOSCHED_CLOSED && !pointer);
    gosched_chan_free(channel);

    gosched_attached *attached;
    OK(gosched_attach(runtime, &attached));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, detaches, attached) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(gosched_current() != 0);
    OK(gosched_detach(attached));
    CHECK(gosched_current() == 0);

    gosched_mailbox *mailbox;
    CHECK(gosched_mailbox_new(0, &mailbox) == GOSCHED_INVALID);
    CHECK(gosched_mailbox_new((size_t)1 << 24, &mailbox) == GOSCHED_INVALID);
    OK(gosched_mailbox_new(1, &mailbox));
    CHECK(gosched_mailbox_try_recv(mailbox, &pointer) == GOSCHED_WOULD_BLOCK && !pointer);
    CHECK(gosched_mailbox_recv_timeout(mailbox, &pointer, MS) == GOSCHED_TIMED_OUT);
    OK(gosched_mailbox_post(mailbox, &mailbox));
    CHECK(gosched_mailbox_post(mailbox, NULL) == GOSCHED_WOULD_BLOCK);
    OK(gosched_mailbox_recv(mailbox, &pointer));
    CHECK(pointer == &mailbox);
    gosched_mailbox_free(mailbox);
}

static void too_late(gosched_runtime *runtime) {
    int released = 0;
    gosched_attached *attached;
    gosched_goroutine *goroutine = NULL;
    gosched_go_options options = gosched_go_options_of();
    options.release = counts;
    CHECK(gosched_enter(runtime, nothing, NULL) == GOSCHED_SHUT_DOWN);
    CHECK(gosched_attach(runtime, &attached) == GOSCHED_SHUT_DOWN);
    CHECK(gosched_go(runtime, nothing, NULL) == GOSCHED_SHUT_DOWN);
    CHECK(gosched_call(runtime, returns, NULL, NULL) == GOSCHED_SHUT_DOWN);
    CHECK(gosched_go_with(runtime, &options, nothing, &released, &goroutine)
          == GOSCHED_SHUT_DOWN);
    CHECK(released == 1 && !goroutine);
    CHECK(strcmp(gosched_last_error(), "the runtime is shut down") == 0);
}

// Each joiner is told that there was no memory, not only the first.
static void no_stack(gosched_runtime *runtime) {
    int released = 0;
    gosched_goroutine *goroutine;
    gosched_go_options options = gosched_go_options_of();
    options.stack_size = (size_t)1 << 40;
    options.release = counts;
    struct rlimit before, less;
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    less = before;
    less.rlim_cur = (rlim_t)1 << 38;
    CHECK(setrlimit(RLIMIT_AS, &less) == 0);
    OK(gosched_go_with(runtime, &options, nothing, &released, &goroutine));
    for (int i = 0; i < 3; i++) CHECK(gosched_join(goroutine) == GOSCHED_RESOURCES);
    CHECK(released == 1);
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    gosched_goroutine_free(goroutine);
}

// A forked child has the parent's runtime without its threads.
static void in_a_child(gosched_runtime *runtime) {
    gosched_mailbox *mailbox;
    OK(gosched_mailbox_new(1, &mailbox));
    void *value = NULL;
    OK(gosched_call(runtime, returns, runtime, NULL));
    OK(gosched_call(runtime, returns, runtime, &value));
    CHECK(value == runtime);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        void *pointer;
        gosched_attached *attached;
        CHECK(gosched_enter(runtime, nothing, NULL) == GOSCHED_FORKED);
        CHECK(gosched_attach(runtime, &attached) == GOSCHED_FORKED);
        CHECK(gosched_go(runtime, nothing, NULL) == GOSCHED_FORKED);
        CHECK(gosched_call(runtime, returns, NULL, NULL) == GOSCHED_FORKED);
        CHECK(gosched_runtime_shutdown(runtime, SECOND) == GOSCHED_FORKED);
        gosched_stats stats = {.size = sizeof stats};
        size_t length;
        CHECK(gosched_runtime_stats(runtime, &stats) == GOSCHED_FORKED);
        CHECK(gosched_runtime_dump(runtime, NULL, 0, &length) == GOSCHED_FORKED);
        CHECK(gosched_mailbox_post(mailbox, NULL) == GOSCHED_FORKED);
        CHECK(gosched_mailbox_recv(mailbox, &pointer) == GOSCHED_FORKED);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    gosched_mailbox_free(mailbox);
}

int main(void) {
    CHECK(gosched_abi() == GOSCHED_ABI);
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", GOSCHED_VERSION_MAJOR, GOSCHED_VERSION_MINOR,
             GOSCHED_VERSION_PATCH);
    CHECK(strcmp(gosched_version(), version) == 0);
    CHECK(gosched_last_error()[0] == 0);
    CHECK(strcmp(gosched_code_text(-5), "an unknown code") == 0);
    null_handles();
    wrong_options();
    for (uint32_t mode = GOSCHED_MODE_THREADS; mode <= GOSCHED_MODE_SETTLED; mode++) {
        gosched_runtime *runtime = runtime_of(mode, 2);
        CHECK(gosched_runtime_share(runtime) == runtime);
        wrong_goroutines(runtime);
        wrong_order(runtime);
        in_a_child(runtime);
        if (mode == GOSCHED_MODE_SETTLED) no_stack(runtime);
        OK(gosched_enter(runtime, shuts_down_inside, runtime));
        OK(gosched_runtime_shutdown(runtime, 30 * SECOND));
        OK(gosched_runtime_shutdown(runtime, 30 * SECOND));
        too_late(runtime);
        gosched_runtime_free(runtime);
        gosched_runtime_free(runtime);
    }
    return 0;
}
