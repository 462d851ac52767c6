/* A host that does not link the library: it opens it by dlopen.
 * Arguments: scenario, library, mode, number of Ps, bound; for `two` a second library.
 * Status 0 when all is well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct guest {
    void *library;
    int (*init)(int, int);
    int64_t (*call)(int, int64_t);
    int (*call_fn)(int, void (*)(void *), void *);
    int (*go_fn)(void (*)(void));
    void (*overflow_in_callback)(int);
    void (*overflow)(void);
    int (*context)(void);
    int (*shutdown)(void);
};

static struct guest guest, second;
static int bound;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "host: line %d: %s\n", __LINE__, #condition); \
            _exit(9); \
        } \
    } while (0)

static struct guest load(const char *path) {
    struct guest g;
    g.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!g.library) fprintf(stderr, "host: %s\n", dlerror());
    CHECK(g.library);
    *(void **)&g.init = dlsym(g.library, "guest_init");
    *(void **)&g.call = dlsym(g.library, "guest_call");
    *(void **)&g.call_fn = dlsym(g.library, "guest_call_fn");
    *(void **)&g.go_fn = dlsym(g.library, "guest_go_fn");
    *(void **)&g.overflow_in_callback = dlsym(g.library, "guest_overflow_in_callback");
    *(void **)&g.overflow = dlsym(g.library, "guest_overflow");
    *(void **)&g.context = dlsym(g.library, "guest_context");
    *(void **)&g.shutdown = dlsym(g.library, "guest_shutdown");
    return g;
}

static pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

static void on_thread(void *(*body)(void *), void *argument) {
    CHECK(pthread_join(start(body, argument), NULL) == 0);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    CHECK(sigaction(number, &action, NULL) == 0);
}

/* ---- malloc: a thread that never called in faults while malloc holds its lock. It dies. */
static void *faults_in_malloc(void *unused) {
    (void)unused;
    char *first = malloc(1000); /* the thread's arena */
    uintptr_t page = ((uintptr_t)first & ~(uintptr_t)0xfff) + 0x1000;
    CHECK(mprotect((void *)page, 0x1000 * 30, PROT_NONE) == 0);
    static const char text[] = "host: malloc faults\n";
    CHECK(write(2, text, sizeof text - 1) > 0);
    for (int i = 0; i < 40; i++) first = malloc(3000); /* the arena may have had free blocks */
    return first;
}

/* ---- storm-first: handlers ask for the context on threads that never called in and allocate. */
static atomic_long asked, goal;
static atomic_int allocating;
static void asks(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    CHECK(guest.context() == 0);
    asked++;
}
static void *allocates(void *unused) {
    (void)unused;
    /* Until the round's signals have come, to whichever thread. */
    for (int i = 0; i < 500 || asked < goal; i++) {
        char *block = malloc(20000 + (size_t)i % 5000);
        *(volatile char *)block = 1;
        free(block);
    }
    allocating--;
    return NULL;
}
static void storm_first(void) {
    handle(SIGUSR1, asks);
    for (int round = 0; round < 15; round++) {
        pthread_t threads[8];
        allocating = 8;
        goal = asked + 8;
        for (int i = 0; i < 8; i++) threads[i] = start(allocates, NULL);
        while (allocating)
            for (int i = 0; i < 8; i++) pthread_kill(threads[i], SIGUSR1);
        for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    }
}

/* ---- seen: a handler that interrupts a callback finds the goroutine. */
static atomic_int seen;
static void sees(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    seen = guest.context();
}
static void raises(void *unused) {
    (void)unused;
    raise(SIGUSR1);
}
static pthread_key_t late;
static void calls_late(void *unused) {
    (void)unused;
    seen = -1;
    CHECK(guest.call_fn(bound, raises, NULL) == 0);
    CHECK(seen == 1);
}
static void *is_seen(void *unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) {
        seen = -1;
        CHECK(guest.call_fn(bound, raises, NULL) == 0);
        CHECK(seen == 1);
        raise(SIGUSR1);
        CHECK(seen == 0);
    }
    /* Its destructor calls in once more, after those of the library's own keys. */
    CHECK(pthread_setspecific(late, &late) == 0);
    return NULL;
}

/* ---- mask: threads of the library leave the host its signals. */
static void *takes_sigterm(void *got) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    for (int i = 0; i < 50; i++) {
        int number;
        CHECK(sigwait(&set, &number) == 0);
        sem_post(got);
    }
    return NULL;
}
static void sigwait_host(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    CHECK(guest.call(bound, 1) == 3); /* its threads run */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sem_t got;
    sem_init(&got, 0, 0);
    pthread_t waiter = start(takes_sigterm, &got);
    for (int i = 0; i < 50; i++) {
        CHECK(guest.call(bound, i) == 2 * i + 1);
        kill(getpid(), SIGTERM);
        sem_wait(&got);
    }
    pthread_join(waiter, NULL);
}
static atomic_int ran_elsewhere, ran;
static void notes_thread(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    ran++;
    if (syscall(SYS_gettid) != getpid()) ran_elsewhere++;
}
static void critical(void) {
    handle(SIGALRM, notes_thread);
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    for (int i = 0; i < 100; i++) {
        pthread_sigmask(SIG_BLOCK, &set, &before);
        CHECK(guest.call(bound, i) == 2 * i + 1);
        kill(getpid(), SIGALRM);
        CHECK(guest.call(bound, i) == 2 * i + 1);
        CHECK(ran == i);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        CHECK(ran == i + 1);
    }
    CHECK(ran_elsewhere == 0);
}
static void has_the_table(void) {
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    for (int number = 1; number <= 64; number++) {
        int is_open = number == SIGKILL || number == SIGSTOP || number == 32 || number == 33;
        for (size_t i = 0; i < sizeof open / sizeof *open; i++) is_open |= open[i] == number;
        if (sigismember(&set, number) == is_open) fprintf(stderr, "host: signal %d\n", number);
        CHECK(sigismember(&set, number) == !is_open);
    }
}
static void block_all(void) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}
static atomic_int profiled;
static void profiles(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    if (guest.context() == 1) profiled = 1;
}
static void computes(void) {
    while (!profiled) {
    }
}
static void profiler(void) {
    handle(SIGPROF, profiles);
    struct itimerval often = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_PROF, &often, NULL);
    CHECK(guest.go_fn(computes) == 0);
}

/* ---- faults of the host's own */
static sigjmp_buf before_fault;
static atomic_int faults;
static void jumps(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    faults++;
    siglongjmp(before_fault, 1);
}
static uintptr_t arena, arena_end;
static void commits(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    if (at < arena || at >= arena_end) _exit(43);
    faults++;
    mprotect((void *)(at & ~(uintptr_t)0xfff), 4096, PROT_READ | PROT_WRITE);
}
static void gives_up(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    faults++;
    signal(number, SIG_DFL);
}
static void writes(void *at) {
    if (!sigsetjmp(before_fault, 1)) *(volatile char *)at = 1;
}
static __attribute__((noinline)) int eats(int n) {
    volatile char room[1024];
    room[0] = (char)n;
    return n == 0 ? 0 : eats(n + 1) + room[0];
}
static void overflows(void *unused) {
    (void)unused;
    if (!sigsetjmp(before_fault, 1)) eats(1);
}
static void *reaches_below(void *distance) {
    CHECK(guest.call_fn(bound, writes, (char *)arena_end - (intptr_t)distance) == 0);
    CHECK(faults == 1);
    CHECK(guest.call(bound, 4) == 9);
    return NULL;
}
/* A thread on a stack of the host's, right above memory of the host's. */
static void below_the_stack(intptr_t distance) {
    size_t below = 64 << 10, size = 256 << 10;
    char *memory = mmap(NULL, below + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    CHECK(mprotect(memory + below, size, PROT_READ | PROT_WRITE) == 0);
    arena = (uintptr_t)memory;
    arena_end = arena + below;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstack(&attributes, memory + below, size) == 0);
    CHECK(pthread_create(&thread, &attributes, reaches_below, (void *)distance) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}
static void *overflow_recovered(void *unused) {
    (void)unused;
    for (int i = 1; i <= 10; i++) {
        CHECK(guest.call_fn(bound, overflows, NULL) == 0);
        CHECK(faults == i);
        CHECK(guest.call(bound, i) == 2 * i + 1);
    }
    return NULL;
}
static void *overflow_in_callback(void *unused) {
    (void)unused;
    guest.overflow_in_callback(bound);
    return NULL;
}

/* ---- unloading */
static int mapped(const char *path) {
    char line[4096];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    while (fgets(line, sizeof line, maps)) count += strstr(line, path) != NULL;
    fclose(maps);
    return count;
}
static sem_t called, closed;
static void *lingers(void *unused) {
    (void)unused;
    CHECK(guest.call(bound, 20) == 41);
    sem_post(&called);
    sem_wait(&closed);
    return NULL;
}
static int mode, procs;
static void *begins(void *unused) {
    (void)unused;
    CHECK(guest.init(mode, procs) == 0);
    CHECK(guest.call(bound, 20) == 41);
    return NULL;
}
static void *ends(void *unused) {
    (void)unused;
    CHECK(guest.shutdown() == 0);
    return NULL;
}
/* All use is on threads that end: a live one with a destructor of the library's would keep it. */
static void close_library(const char *path) {
    sem_init(&called, 0, 0);
    sem_init(&closed, 0, 0);
    on_thread(begins, NULL);
    pthread_t thread = start(lingers, NULL);
    sem_wait(&called);
    on_thread(ends, NULL);
    CHECK(dlclose(guest.library) == 0);
    CHECK(mapped(path) > 0);
    sem_post(&closed);
    CHECK(pthread_join(thread, NULL) == 0); /* the hook on its end is still there */
    writes(NULL); /* ours still passes faults on to the host's handler */
    CHECK(faults == 1);
}

/* ---- two copies of the library in one process */
/* Of each thread; a program's own need no allocation. */
static _Thread_local volatile int seen_first, seen_second;
static void asks_both(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    seen_first = guest.context();
    seen_second = second.context();
}
static void in_first(void *in) {
    CHECK(second.call(*(int *)in, 5) == 11);
    seen_first = seen_second = -1;
    raise(SIGUSR1);
    CHECK(seen_first > 0 && seen_second == 0);
}
static void *enters_both(void *unused) {
    (void)unused;
    for (int i = 0; i < 100; i++) {
        int in = (i >> 2) & 1;
        CHECK(guest.call(i & 1, 1) == 3 && second.call((i >> 1) & 1, 1) == 3);
        CHECK(guest.call_fn((i >> 3) & 1, in_first, &in) == 0);
    }
    return NULL;
}
static void two(const char *path) {
    second = load(path);
    CHECK(second.call != guest.call);
    CHECK(second.init(mode, procs) == 0);
    handle(SIGUSR1, asks_both);
    for (int round = 0; round < 5; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) threads[i] = start(enters_both, NULL);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    }
    CHECK(second.shutdown() == 0);
}

#include "edges.h"

int main(int count, char **arguments) {
    CHECK(count >= 6);
    const char *scenario = arguments[1], *path = arguments[2];
    mode = atoi(arguments[3]), procs = atoi(arguments[4]);
    bound = atoi(arguments[5]);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#define IS(name) (strcmp(scenario, name) == 0)
    if (IS("blocked-maker")) block_all();
    if (IS("below-stack")) handle(SIGSEGV, commits);
    if (IS("wild") || IS("overflow-recovered") || IS("close")) handle(SIGSEGV, jumps);
    if (IS("overflow-declined")) handle(SIGSEGV, gives_up);
    if (IS("barrier")) handle_barriers(0);
    if (IS("barrier-on-stack")) handle_barriers(SA_ONSTACK);
    if (IS("keys")) CHECK(pthread_key_create(&early_key, calls_again) == 0);
    if (strncmp(scenario, "atexit", 6) == 0) CHECK(atexit(at_exit_early) == 0);
    guest = load(path);
    if (IS("close")) {
        close_library(path);
        return 0;
    }
    CHECK(guest.init(mode, procs) == 0);
    CHECK(guest.call(bound, 20) == 41);
    if (IS("malloc")) on_thread(faults_in_malloc, NULL);
    if (IS("storm-first")) storm_first();
    if (IS("seen")) {
        handle(SIGUSR1, sees);
        CHECK(pthread_key_create(&late, calls_late) == 0);
        on_thread(is_seen, NULL);
    }
    if (IS("sigwait")) sigwait_host();
    if (IS("critical")) critical();
    if (IS("table")) CHECK(guest.go_fn(has_the_table) == 0);
    if (IS("blocked-maker")) {
        CHECK(guest.go_fn(has_the_table) == 0);
        guest.overflow();
    }
    if (IS("profiler")) profiler();
    if (IS("below-stack")) below_the_stack(8);
    if (IS("wild")) below_the_stack(40 << 10);
    if (IS("overflow-recovered")) on_thread(overflow_recovered, NULL);
    if (IS("overflow") || IS("overflow-declined")) on_thread(overflow_in_callback, NULL);
    if (IS("barrier") || IS("barrier-on-stack")) on_thread(meets_barriers, NULL);
    if (IS("tiny")) tiny();
    if (IS("setuid")) sets_ids();
    if (IS("exit-while")) exits_while();
    if (strncmp(scenario, "atexit", 6) == 0) calls_at_exit(scenario);
    if (IS("keys")) keys();
    if (IS("fork")) forks();
    if (IS("two")) two(arguments[6]);
    CHECK(guest.call(bound, 20) == 41);
    CHECK(guest.shutdown() == 0);
    return 0;
}
