/* More of what threads of a host do, for main.c, which includes this after its helpers. */

/* ---- barrier: faults that the host's handler mends, in callbacks and outside, as collectors do */
static char *barrier_page;
static void mends(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char *at = info->si_addr;
    if (at < barrier_page || at >= barrier_page + 4096) _exit(43);
    faults++;
    mprotect(barrier_page, 4096, PROT_READ | PROT_WRITE);
}
static void touches(void *unused) {
    (void)unused;
    mprotect(barrier_page, 4096, PROT_NONE);
    *(volatile char *)barrier_page = 1;
}
static void *meets_barriers(void *unused) {
    for (int i = 1; i <= 100; i++) {
        touches(NULL);
        CHECK(guest.call_fn(bound, touches, NULL) == 0);
        CHECK(guest.call(bound, i) == 2 * i + 1);
        CHECK(faults == 2 * i);
    }
    return unused;
}
static void handle_barriers(int flags) {
    barrier_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(barrier_page != MAP_FAILED);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = mends;
    action.sa_flags = SA_SIGINFO | flags;
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
}

/* ---- tiny: stacks as small as they may be */
static void *calls_a_little(void *unused) {
    for (int i = 0; i < 20; i++) CHECK(guest.call(bound, i) == 2 * i + 1);
    return unused;
}
static void tiny(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0);
    for (int round = 0; round < 10; round++) {
        pthread_t threads[8];
        for (int i = 0; i < 8; i++)
            CHECK(pthread_create(&threads[i], &attributes, calls_a_little, NULL) == 0);
        for (int i = 0; i < 8; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

/* ---- setuid: the C library runs a handler on all threads, and waits for them */
static atomic_int over;
static void *calls_on(void *unused) {
    while (!over) CHECK(guest.call(bound, 3) == 7);
    return unused;
}
static void sets_ids(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) threads[i] = start(calls_on, NULL);
    for (int i = 0; i < 200; i++) CHECK(setresuid((uid_t)-1, geteuid(), (uid_t)-1) == 0);
    over = 1;
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- exit-while: the process ends while threads are inside */
static void exits_while(void) {
    for (int i = 0; i < 4; i++) start(calls_on, NULL);
    for (int i = 0; i < 100; i++) CHECK(guest.call(bound, i) == 2 * i + 1);
    exit(0);
}

/* ---- keys: destructors call in, of keys from before and after the library's, more than once */
static pthread_key_t early_key, late_key;
static atomic_int destroyed;
static void calls_again(void *value) {
    CHECK(guest.call(bound, 4) == 9);
    destroyed++;
    uintptr_t left = (uintptr_t)value - 1;
    if (left > 0) pthread_setspecific(early_key, (void *)left);
}
static void calls_once(void *unused) {
    (void)unused;
    CHECK(guest.call(bound, 5) == 11);
    destroyed++;
}
static void *has_values(void *calls) {
    if (calls) CHECK(guest.call(bound, 6) == 13);
    CHECK(pthread_setspecific(early_key, (void *)3) == 0);
    CHECK(pthread_setspecific(late_key, (void *)1) == 0);
    return NULL;
}
static void keys(void) {
    CHECK(pthread_key_create(&late_key, calls_once) == 0);
    for (int i = 0; i < 50; i++) on_thread(has_values, i % 2 ? &over : NULL);
    CHECK(destroyed == 50 * 4);
}

/* ---- fork: children, of a thread that is outside, and of one that is in a callback */
static void ends_well(pid_t child) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
static void forks_in_callback(void *child) { *(pid_t *)child = fork(); }
static void forks(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) threads[i] = start(calls_on, NULL);
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) _exit(guest.call(bound, 1) == -1 && guest.call(!bound, 1) == -1 ? 0 : 1);
        ends_well(child);
        sigset_t before, after;
        pthread_sigmask(SIG_BLOCK, NULL, &before);
        guest.call_fn(bound, forks_in_callback, &child);
        pthread_sigmask(SIG_BLOCK, NULL, &after);
        int same = memcmp(&before, &after, 8) == 0; /* the child has come back from it, too */
        if (child == 0) _exit(same && guest.context() == 0 && guest.call(bound, 1) == -1 ? 0 : 1);
        CHECK(same);
        ends_well(child);
    }
    over = 1;
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- atexit: handlers of the process's end call in, on a thread that is outside, in a callback or
   a goroutine, while others are inside. The last one says how it went: without it, it is 44 */
static int last_calls;
static int calls_in(void) { return guest.call(0, 7) == 15 && guest.call(1, 8) == 17; }
static void at_exit_early(void) {
    if (last_calls == 100 + calls_in()) _exit(0);
}
static void at_exit_late(void) { last_calls = calls_in() ? 101 : 0; }
static void exits(void) { exit(44); }
static void exits_in_callback(void *unused) {
    (void)unused;
    exits();
}
static void *exits_on_a_thread(void *unused) {
    exits();
    return unused;
}
static void calls_at_exit(const char *where) {
    CHECK(atexit(at_exit_late) == 0);
    for (int i = 0; i < 4; i++) start(calls_on, NULL);
    if (strcmp(where, "atexit-callback") == 0) guest.call_fn(bound, exits_in_callback, NULL);
    if (strcmp(where, "atexit-goroutine") == 0) guest.go_fn(exits);
    if (strcmp(where, "atexit-thread") == 0) on_thread(exits_on_a_thread, NULL);
    exits();
}
