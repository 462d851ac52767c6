/*
 * A storm of signals on every thread of lines.c: one thread that calls pthread_kill round robin as fast as it can, and
 * the profiling timer of the process, whose signal goes to whichever thread is running.
 *
 * A target leaves the storm in the second round of its thread-specific destructors, so that signals also arrive while
 * the other libraries' destructors run: the end of a thread is where a callback library takes off what it put on.
 */
#define _GNU_SOURCE
#include "c_side.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>

enum { TARGETS = 1024, TIMER_US = 1000, CALM_ROUNDS = 64 };

/* Ignored by default: one that arrives where nobody expects it does no harm. */
#define STORM_SIGNAL SIGURG

/* Who may use `thread`: the target while CLAIMED, the storm while SENDING; only a LIVE slot changes hands. */
enum { EMPTY, CLAIMED, LIVE, SENDING };

static struct target {
    atomic_int state;
    pthread_t thread;
} targets[TARGETS];

static atomic_size_t used; /* no slot at or above it was ever taken */
static _Atomic(c_on_signal) handler_fn;
static atomic_bool stopping;
static atomic_uint_least64_t sent;
static atomic_uint_least64_t received;
static pthread_t storm_thread;
static pthread_key_t leave_key;
static pthread_once_t leave_once = PTHREAD_ONCE_INIT;

static void leave(size_t slot) {
    int live = LIVE;
    while (!atomic_compare_exchange_weak(&targets[slot].state, &live, EMPTY)) {
        live = LIVE;
        sched_yield();
    }
}

/* The value is twice the slot, plus 2 in the first round of destructors and 3 in the second. */
static void leave_destructor(void *value) {
    uintptr_t coded = (uintptr_t)value;
    if (coded % 2 == 0) {
        if (pthread_setspecific(leave_key, (void *)(coded + 1)) == 0) {
            return;
        }
    }
    leave(coded / 2 - 1);
}

static void make_key(void) {
    pthread_key_create(&leave_key, leave_destructor);
}

/* Makes the calling thread a target until it ends. With more than TARGETS threads the rest is left in peace. */
void c_storm_enrol(void) {
    pthread_once(&leave_once, make_key);
    for (size_t slot = 0; slot < TARGETS; slot++) {
        int empty = EMPTY;
        if (!atomic_compare_exchange_strong(&targets[slot].state, &empty, CLAIMED)) {
            continue;
        }
        targets[slot].thread = pthread_self();
        size_t seen = atomic_load(&used);
        while (seen <= slot && !atomic_compare_exchange_weak(&used, &seen, slot + 1)) {
        }
        if (pthread_setspecific(leave_key, (void *)(uintptr_t)(slot * 2 + 2)) != 0) {
            atomic_store(&targets[slot].state, EMPTY);
            return;
        }
        atomic_store(&targets[slot].state, LIVE);
        return;
    }
}

static void on_signal(int signal) {
    int error = errno;
    c_on_signal handler = atomic_load(&handler_fn);
    atomic_fetch_add_explicit(&received, 1, memory_order_relaxed);
    if (handler != NULL) {
        handler(signal);
    }
    errno = error;
}

/*
 * Installs `handler` for both signals of the storm, on the thread's signal stack where it has one. It stays for good:
 * a SIGPROF may be pending when the timer is stopped, and its default is to end the process.
 */
int c_storm_handle(c_on_signal handler) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    atomic_store(&handler_fn, handler);
    if (sigaction(STORM_SIGNAL, &action, NULL) != 0 || sigaction(SIGPROF, &action, NULL) != 0) {
        return errno;
    }
    return 0;
}

/*
 * A signal that finds one pending is lost in it. So when none has arrived for some rounds, all targets wait for a core,
 * and the storm gives up its own: this keeps it a storm where there are fewer cores than work. Not sooner: the signals
 * that matter most are those that hit a thread while it runs on another core.
 */
static void *storm_main(void *arg) {
    uint64_t arrived_before = 0;
    int calm = 0;
    (void)arg;
    while (!atomic_load(&stopping)) {
        size_t end = atomic_load(&used);
        for (size_t slot = 0; slot < end; slot++) {
            int live = LIVE;
            if (atomic_compare_exchange_strong(&targets[slot].state, &live, SENDING)) {
                pthread_kill(targets[slot].thread, STORM_SIGNAL);
                atomic_store(&targets[slot].state, LIVE);
                atomic_fetch_add(&sent, 1);
            }
        }
        uint64_t arrived = atomic_load(&received);
        calm = arrived == arrived_before ? calm + 1 : 0;
        arrived_before = arrived;
        if (calm >= CALM_ROUNDS) {
            sched_yield();
            calm = 0;
        }
    }
    return NULL;
}

static int set_timer(suseconds_t period) {
    struct itimerval timer = {{0, period}, {0, period}};
    return setitimer(ITIMER_PROF, &timer, NULL) == 0 ? 0 : errno;
}

/* c_storm_handle comes first. The storm's own thread takes no signals: it has no time for them. */
int c_storm_start(void) {
    sigset_t all, before;
    atomic_store(&stopping, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&storm_thread, NULL, storm_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error != 0 ? error : set_timer(TIMER_US);
}

void c_storm_stop(void) {
    set_timer(0);
    atomic_store(&stopping, 1);
    pthread_join(storm_thread, NULL);
}

uint64_t c_storm_sent(void) {
    return atomic_load(&sent);
}

int c_storm_signal(void) {
    return STORM_SIGNAL;
}
