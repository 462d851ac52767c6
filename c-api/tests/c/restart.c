// A handle that goes on with another runtime, while threads call in.
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

static gosched_runtime *runtime;
static atomic_int over, entered, called, made, released;

static void counts(void *counter) { atomic_fetch_add((atomic_int *)counter, 1); }
static void *returns(void *user) { return user; }

static void *calls(void *unused) {
    gosched_go_options options = gosched_go_options_of();
    options.release = counts;
    while (!over) {
        gosched_code code = gosched_enter(runtime, counts, &entered);
        CHECK(code == GOSCHED_OK || code == GOSCHED_SHUT_DOWN);
        void *value = NULL;
        code = gosched_call(runtime, returns, &over, &value);
        CHECK(code == GOSCHED_OK ? value == &over
                                 : code == GOSCHED_SHUT_DOWN || code == GOSCHED_CANCELLED);
        called += code == GOSCHED_OK;
        code = gosched_go_with(runtime, &options, counts, &released, NULL);
        CHECK(code == GOSCHED_OK || code == GOSCHED_SHUT_DOWN);
        made++;
    }
    return unused;
}

int main(void) {
    for (uint32_t mode = GOSCHED_MODE_THREADS; mode <= GOSCHED_MODE_SETTLED; mode++) {
        gosched_options options = gosched_options_of(mode);
        options.procs = 2;
        runtime = runtime_of(mode, 2);
        CHECK(gosched_runtime_restart(NULL, &options) == GOSCHED_INVALID);
        pthread_t threads[3];
        over = 0;
        for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, calls, NULL) == 0);
        for (int i = 0; i < 20; i++) {
            for (int before = entered; entered < before + 10;) OK(gosched_yield());
            for (int before = called; called < before + 10;) OK(gosched_yield());
            CHECK(gosched_runtime_restart(runtime, &options) == GOSCHED_INVALID);
            OK(gosched_runtime_shutdown(runtime, 30 * SECOND));
            gosched_stats stats = {.size = sizeof stats};
            OK(gosched_runtime_stats(runtime, &stats));
            CHECK(stats.goroutines == 0);
            options.abi++;
            CHECK(gosched_runtime_restart(runtime, &options) == GOSCHED_WRONG_ABI);
            options.abi--;
            OK(gosched_runtime_restart(runtime, &options));
            OK(gosched_enter(runtime, counts, &entered));
        }
        over = 1;
        for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
        OK(gosched_runtime_shutdown(runtime, 30 * SECOND));
        // Each goroutine was released once; those that have begun have counted, too.
        CHECK(released >= made && released <= 2 * made);
        gosched_runtime_free(runtime);
    }
    return 0;
}
