/*
 * A storm of signals on every thread of lines.c. One thread calls pthread_kill round robin as fast
 * as it can. The profiling timer of the process adds its signal, which goes to a running thread.
 *
 * A target leaves the storm in the second round of its thread-specific destructors. So signals also
 * arrive while the other libraries' destructors run: at the end of a thread, a callback library
 * takes off what it put on.
 */
#define _GNU_SOURCE
#include "c_side.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>

enum { TARGETS = 1024, TIMER_US = 1000 };

/* Ignored by default: one signal too many does no harm. */
#define STORM_SIGNAL SIGURG

/*
 * The target may use `thread` while CLAIMED, the storm while SENDING. Only a LIVE slot changes
 * hands.
 */
enum { EMPTY, CLAIMED, LIVE, SENDING };

static struct target {
    atomic_int state;
    atomic_bool pending; /* a signal was sent and not yet handled: one more would be lost in it */
    pthread_t thread;
} targets[TARGETS];

static _Thread_local struct target *own_target;

static atomic_size_t used; /* no slot at or above it was ever taken */
static _Atomic(c_on_signal) handler_fn;
static atomic_bool running;
static atomic_uint_least64_t sent;
static pthread_t storm_thread;
static pthread_key_t leave_key;
static pthread_once_t leave_once = PTHREAD_ONCE_INIT;

static void leave(size_t slot) {
    int live = LIVE;
    own_target = NULL;
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

/*
 * Keeps the calling thread on the storm's processor, or off it. The signals that matter most hit a
 * thread while it runs, so sender and targets must run at the same time. Otherwise the kernel moves
 * the targets to the processor of the thread that wakes them. Threads that a target makes inherit
 * this.
 */
static int set_apart(int sender) {
    cpu_set_t allowed;
    int mine = CPU_SETSIZE - 1;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) {
        return 0;
    }
    while (!CPU_ISSET(mine, &allowed)) {
        mine--;
    }
    if (sender) {
        CPU_ZERO(&allowed);
        CPU_SET(mine, &allowed);
    } else {
        CPU_CLR(mine, &allowed);
    }
    return sched_setaffinity(0, sizeof allowed, &allowed) == 0;
}

/* Makes the calling thread a target until it ends; does nothing once there are TARGETS of them. */
void c_storm_enrol(void) {
    pthread_once(&leave_once, make_key);
    if (atomic_load(&running)) {
        set_apart(0);
    }
    for (size_t slot = 0; slot < TARGETS; slot++) {
        int empty = EMPTY;
        if (!atomic_compare_exchange_strong(&targets[slot].state, &empty, CLAIMED)) {
            continue;
        }
        targets[slot].thread = pthread_self();
        atomic_store(&targets[slot].pending, 0);
        own_target = &targets[slot];
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
    if (handler != NULL) {
        handler(signal);
    }
    if (signal == STORM_SIGNAL && own_target != NULL) {
        atomic_store(&own_target->pending, 0);
    }
    errno = error;
}

/*
 * Installs `handler` for both signals of the storm, on the thread's signal stack if it has one. The
 * handler stays for good: a SIGPROF may be pending when the timer is stopped, and its default ends
 * the process.
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
 * The sender. With a processor to itself it never rests. If it shares one with its targets, it
 * yields when each of them has a signal pending.
 */
static void *storm_main(void *arg) {
    (void)arg;
    int alone = set_apart(1);
    while (atomic_load(&running)) {
        size_t end = atomic_load(&used);
        int any = 0;
        for (size_t slot = 0; slot < end; slot++) {
            struct target *target = &targets[slot];
            int live = LIVE;
            if (atomic_load(&target->pending) ||
                !atomic_compare_exchange_strong(&target->state, &live, SENDING)) {
                continue;
            }
            atomic_store(&target->pending, 1);
            pthread_kill(target->thread, STORM_SIGNAL);
            atomic_store(&target->state, LIVE);
            atomic_fetch_add(&sent, 1);
            any = 1;
        }
        if (!any && !alone) {
            sched_yield();
        }
    }
    return NULL;
}

static int set_timer(suseconds_t period) {
    struct itimerval timer = {{0, period}, {0, period}};
    return setitimer(ITIMER_PROF, &timer, NULL) == 0 ? 0 : errno;
}

/* To be called after c_storm_handle. The sender blocks all signals: it has no time for them. */
int c_storm_start(void) {
    sigset_t all, before;
    atomic_store(&running, 1);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&storm_thread, NULL, storm_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error != 0 ? error : set_timer(TIMER_US);
}

void c_storm_stop(void) {
    set_timer(0);
    atomic_store(&running, 0);
    pthread_join(storm_thread, NULL);
}

uint64_t c_storm_sent(void) {
    return atomic_load(&sent);
}

int c_storm_signal(void) {
    return STORM_SIGNAL;
}
