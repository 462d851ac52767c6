// Forked children: whatever the parent's other threads had locked, each function returns at once.
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>

static gosched_runtime *runtime;
static gosched_goroutine *goroutine;
static gosched_chan *channel;
static gosched_mutex *mutex;
static gosched_wait_group *group;
static gosched_mailbox *mailbox;
static int over;

#define FORKED(call) CHECK((call) == GOSCHED_FORKED)

static void nothing(void *user) { (void)user; }
static void *returns(void *user) { return user; }

// Whoever hangs here dies of the alarm.
static void begin_child(void) { alarm(20); }

// The functions with a handle of the parent's. NULL would be INVALID, so that each is looked at.
static void the_parents_is_refused(void) {
    void *pointer;
    size_t length, chosen;
    gosched_attached *attached;
    gosched_goroutine *made;
    gosched_stats stats = {.size = sizeof stats};
    FORKED(gosched_runtime_shutdown(runtime, SECOND));
    FORKED(gosched_runtime_stats(runtime, &stats));
    FORKED(gosched_runtime_dump(runtime, NULL, 0, &length));
    FORKED(gosched_go(runtime, nothing, NULL));
    FORKED(gosched_go_with(runtime, NULL, nothing, NULL, &made));
    FORKED(gosched_call(runtime, returns, NULL, NULL));
    FORKED(gosched_enter(runtime, nothing, NULL));
    FORKED(gosched_enter_timeout(runtime, nothing, NULL, SECOND));
    FORKED(gosched_attach(runtime, &attached));
    FORKED(gosched_join(goroutine));
    FORKED(gosched_join_timeout(goroutine, SECOND));
    FORKED(gosched_cancel(goroutine));
    CHECK(gosched_goroutine_is_over(goroutine) == 0);
    CHECK(gosched_goroutine_number(goroutine) == 0);
    FORKED(gosched_chan_send(channel, NULL));
    FORKED(gosched_chan_try_send(channel, NULL));
    FORKED(gosched_chan_send_timeout(channel, NULL, SECOND));
    FORKED(gosched_chan_recv(channel, &pointer));
    FORKED(gosched_chan_try_recv(channel, &pointer));
    FORKED(gosched_chan_recv_timeout(channel, &pointer, SECOND));
    FORKED(gosched_chan_close(channel));
    CHECK(gosched_chan_length(channel) == 0);
    gosched_case cases[2] = {{.channel = NULL}, {.channel = channel}};
    FORKED(gosched_select(cases, 2, GOSCHED_FOREVER, &chosen));
    FORKED(gosched_mutex_lock(mutex));
    FORKED(gosched_mutex_try_lock(mutex));
    FORKED(gosched_mutex_lock_timeout(mutex, SECOND));
    FORKED(gosched_mutex_unlock(mutex));
    FORKED(gosched_wait_group_add(group, 1));
    FORKED(gosched_wait_group_done(group));
    FORKED(gosched_wait_group_wait(group));
    FORKED(gosched_wait_group_wait_timeout(group, SECOND));
    FORKED(gosched_mailbox_post(mailbox, NULL));
    FORKED(gosched_mailbox_recv(mailbox, &pointer));
    FORKED(gosched_mailbox_try_recv(mailbox, &pointer));
    FORKED(gosched_mailbox_recv_timeout(mailbox, &pointer, SECOND));
    CHECK(strcmp(gosched_last_error(), gosched_code_text(GOSCHED_FORKED)) == 0);
}

static void the_parents_goes_nowhere(void) {
    CHECK(gosched_runtime_share(runtime) == runtime);
    CHECK(gosched_goroutine_share(goroutine) == goroutine);
    CHECK(gosched_chan_share(channel) == channel);
    CHECK(gosched_mutex_share(mutex) == mutex);
    CHECK(gosched_wait_group_share(group) == group);
    CHECK(gosched_mailbox_share(mailbox) == mailbox);
    for (int each = 0; each < 2; each++) {
        gosched_runtime_free(runtime);
        gosched_goroutine_free(goroutine);
        gosched_chan_free(channel);
        gosched_mutex_free(mutex);
        gosched_wait_group_free(group);
        gosched_mailbox_free(mailbox);
    }
}

static void waits(void *user) {
    gosched_chan *answers = user;
    if (gosched_sleep(MS) == GOSCHED_OK) gosched_chan_send(answers, &over);
}

// What the child makes itself is whole.
static void its_own_works(uint32_t mode) {
    gosched_chan *answers;
    gosched_mutex *own;
    gosched_wait_group *done;
    gosched_mailbox *box;
    gosched_goroutine *made;
    void *pointer;
    OK(gosched_chan_new(0, NULL, &answers));
    OK(gosched_mutex_new(&own));
    OK(gosched_wait_group_new(&done));
    OK(gosched_mailbox_new(1, &box));
    OK(gosched_yield());
    OK(gosched_sleep(1));
    OK(gosched_blocking(nothing, NULL));
    OK(gosched_on_thread_stack(nothing, NULL));
    CHECK(gosched_chan_recv_timeout(answers, &pointer, MS) == GOSCHED_TIMED_OUT);
    OK(gosched_mutex_lock(own));
    OK(gosched_mailbox_post(box, answers));
    OK(gosched_mailbox_recv(box, &pointer));
    CHECK(pointer == answers);
    gosched_runtime *mine = runtime_of(mode, 2);
    OK(gosched_go_with(mine, NULL, waits, answers, &made));
    OK(gosched_chan_recv(answers, &pointer));
    CHECK(pointer == &over);
    OK(gosched_join(made));
    OK(gosched_enter(mine, nothing, NULL));
    OK(gosched_runtime_shutdown(mine, 10 * SECOND));
    gosched_runtime_free(mine);
    gosched_chan_free(answers);
}

static void ends_well(pid_t child) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (status != 0) fprintf(stderr, "a child ended with %#x\n", status);
    CHECK(status == 0);
}

// What holds the parent's handle goes on.
static void a_restart_serves(uint32_t mode) {
    gosched_options options = gosched_options_of(mode);
    OK(gosched_runtime_restart(runtime, &options));
    CHECK(gosched_runtime_restart(runtime, &options) == GOSCHED_INVALID);
    OK(gosched_enter(runtime, nothing, NULL));
    OK(gosched_call(runtime, returns, NULL, NULL));
    OK(gosched_runtime_shutdown(runtime, 10 * SECOND));
    CHECK(gosched_go(runtime, nothing, NULL) == GOSCHED_SHUT_DOWN);
    OK(gosched_runtime_restart(runtime, &options));
    OK(gosched_call(runtime, returns, NULL, NULL));
    FORKED(gosched_chan_close(channel));
    gosched_runtime_free(runtime);
}

// A thread that was a goroutine at the fork waits for nobody.
static void in_a_goroutine_of_the_parents(void) {
    gosched_chan *made;
    gosched_mutex *own;
    gosched_wait_group *done;
    gosched_mailbox *box;
    gosched_runtime *mine;
    gosched_options options = gosched_options_of(GOSCHED_MODE_THREADS);
    the_parents_is_refused();
    FORKED(gosched_yield());
    FORKED(gosched_sleep(SECOND));
    FORKED(gosched_blocking(nothing, NULL));
    FORKED(gosched_on_thread_stack(nothing, NULL));
    FORKED(gosched_chan_new(0, NULL, &made));
    FORKED(gosched_mutex_new(&own));
    FORKED(gosched_wait_group_new(&done));
    FORKED(gosched_mailbox_new(1, &box));
    FORKED(gosched_runtime_new(&options, &mine));
    FORKED(gosched_runtime_restart(runtime, &options));
    CHECK(gosched_current() != 0 && gosched_context(NULL) == GOSCHED_CONTEXT_GOROUTINE);
}

static void *forks_inside(void *user) {
    pid_t child = fork();
    if (child == 0) {
        begin_child();
        in_a_goroutine_of_the_parents();
        _exit(0);
    }
    ends_well(child);
    return user;
}

static void forks_in_enter(void *user) { forks_inside(user); }

static void forks_while_attached(void) {
    gosched_attached *attached;
    OK(gosched_attach(runtime, &attached));
    pid_t child = fork();
    if (child == 0) {
        begin_child();
        in_a_goroutine_of_the_parents();
        OK(gosched_detach(attached));
        its_own_works(GOSCHED_MODE_THREADS);
        _exit(0);
    }
    ends_well(child);
    OK(gosched_detach(attached));
}

// Has the locks of the runtime and of the process as often as it can.
static void *hammers(void *user) {
    gosched_stats stats = {.size = sizeof stats};
    gosched_goroutine *made;
    void *pointer;
    size_t length;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        gosched_chan_try_send(channel, user);
        gosched_chan_recv_timeout(channel, &pointer, 1000);
        OK(gosched_mutex_lock(mutex));
        OK(gosched_mutex_unlock(mutex));
        OK(gosched_go_with(runtime, NULL, nothing, NULL, &made));
        OK(gosched_runtime_stats(runtime, &stats));
        OK(gosched_runtime_dump(runtime, NULL, 0, &length));
        OK(gosched_enter(runtime, nothing, NULL));
        OK(gosched_wait_group_add(group, 1));
        OK(gosched_wait_group_done(group));
        gosched_mailbox_post(mailbox, user);
        gosched_mailbox_try_recv(mailbox, &pointer);
        OK(gosched_join(made));
        gosched_goroutine_free(made);
    }
    return NULL;
}

int main(void) {
    for (uint32_t mode = GOSCHED_MODE_THREADS; mode <= GOSCHED_MODE_SETTLED; mode++) {
        pthread_t threads[3];
        over = 0;
        runtime = runtime_of(mode, 2);
        OK(gosched_go_with(runtime, NULL, nothing, NULL, &goroutine));
        OK(gosched_chan_new(4, NULL, &channel));
        OK(gosched_mutex_new(&mutex));
        OK(gosched_wait_group_new(&group));
        OK(gosched_mailbox_new(4, &mailbox));
        for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, hammers, NULL) == 0);
        for (int i = 0; i < 40; i++) {
            pid_t child = fork();
            if (child == 0) {
                begin_child();
                the_parents_is_refused();
                the_parents_goes_nowhere();
                its_own_works(mode);
                the_parents_is_refused();
                a_restart_serves(mode);
                _exit(0);
            }
            ends_well(child);
        }
        for (int i = 0; i < 10; i++) {
            OK(gosched_enter(runtime, forks_in_enter, NULL));
            OK(gosched_call(runtime, forks_inside, NULL, NULL));
            forks_while_attached();
        }
        __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
        for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
        OK(gosched_runtime_shutdown(runtime, 30 * SECOND));
    }
    return 0;
}
