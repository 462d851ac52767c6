// A function that is left by pthread_exit ends the process with a message. Argument: from where.
#include "check.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

static void leaves(void *unused) {
    (void)unused;
    pthread_exit(NULL);
}

static void *leaves_with_a_value(void *unused) {
    leaves(unused);
    return unused;
}

static void *plays(void *from) {
    gosched_runtime *runtime = runtime_of(GOSCHED_MODE_SETTLED, 1);
    gosched_goroutine *goroutine;
    switch (*(char *)from) {
    case 'e': gosched_enter(runtime, leaves, NULL); break;
    case 'c': gosched_call(runtime, leaves_with_a_value, NULL, NULL); break;
    case 'b': gosched_blocking(leaves, NULL); break;
    default:
        OK(gosched_go_with(runtime, NULL, leaves, NULL, &goroutine));
        gosched_join(goroutine);
    }
    return NULL;
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, plays, arguments[1]) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
