// A host that uses the shim of the examples, from several threads.
#include "../../examples/shim.c"
#include "check.h"
#include <pthread.h>

static void counts(void *number) { ++*(_Atomic int *)number; }

static void *calls(void *number) {
    for (int64_t i = 0; i < 100; i++) {
        int64_t value = i;
        OK(shim_call(&value));
        CHECK(value == 2 * i + 1);
        OK(shim_enter(counts, number));
    }
    return NULL;
}

int main(void) {
    _Atomic int number = 0;
    OK(shim_init(2));
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, calls, &number) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(shim_total() == 3 * 4950 && shim_count() == 300 && number == 300);
    OK(shim_post(50));
    OK(shim_go(counts, &number));
    while (shim_total() < 3 * 4950 + 50 || number < 301) OK(shim_sleep(MS));
    OK(shim_shutdown(60 * SECOND));
    int64_t late = 0;
    CHECK(shim_call(&late) == GOSCHED_SHUT_DOWN);
    return 0;
}
