// What an author of bindings writes for a host whose threads ask and goroutines answer: its own
// names for its own work. gosched.h is what it stands on, and what its users need not see.
#include <gosched.h>

static gosched_runtime *runtime;
static gosched_mailbox *posted;
static _Atomic int64_t total, count;

static void *works(void *value) {
    total += *(int64_t *)value;
    count++;
    *(int64_t *)value = 2 * *(int64_t *)value + 1;
    return NULL;
}

static void takes_posts(void *unused) {
    for (void *value = unused; gosched_mailbox_recv(posted, &value) == GOSCHED_OK;)
        works(&(int64_t){(intptr_t)value});
}

static void sleeps(void *duration) { gosched_sleep(*(uint64_t *)duration); }

gosched_code shim_init(size_t procs) {
    gosched_options options = gosched_options_of(GOSCHED_MODE_SETTLED);
    options.procs = procs;
    gosched_code code = gosched_runtime_new(&options, &runtime);
    if (code == GOSCHED_OK) code = gosched_mailbox_new(64, &posted);
    return code == GOSCHED_OK ? gosched_go(runtime, takes_posts, NULL) : code;
}
// By way of a goroutine, whose answer the calling thread waits for.
gosched_code shim_call(int64_t *value) { return gosched_call(runtime, works, value, NULL); }
gosched_code shim_enter(gosched_fn fn, void *user) { return gosched_enter(runtime, fn, user); }
gosched_code shim_go(gosched_fn fn, void *user) { return gosched_go(runtime, fn, user); }
gosched_code shim_sleep(uint64_t ns) { return gosched_enter(runtime, sleeps, &ns); }
// From a signal handler, or on a real-time thread.
gosched_code shim_post(intptr_t value) { return gosched_mailbox_post(posted, (void *)value); }
int64_t shim_total(void) { return total; }
int64_t shim_count(void) { return count; }
gosched_code shim_shutdown(uint64_t ns) { return gosched_runtime_shutdown(runtime, ns); }
