// Threads of C's own that call into Go.
#pragma once

#include <stddef.h>
#include <stdint.h>

// What each thread of a crew calls, told which thread it is.
enum callee { CALLS_EMPTY, CALLS_CHANNEL };

struct crew {
    enum callee callee;
    uint32_t threads;
    // Of each thread, before they are counted, and counted.
    uint32_t warm_up, calls;
    // The most that a thread sleeps before a call, by chance; 0: it does not sleep.
    uint32_t pause_us;
    // Each thread stops after this time, whether it has made all its calls or not; 0: it makes them all. Only with `latencies`.
    uint32_t limit_ms;
    // Where nanoseconds of each call go, `threads` times `calls` of them, 0 for a call that was not made; or NULL.
    int64_t *latencies;
};

// Has the crew work, and says how many nanoseconds that took from the first counted call to the last.
int64_t crew_work(const struct crew *crew);

// The nanoseconds that the first call of a new thread takes longer than a later one: one for each of so many threads, one thread
// after the other.
void first_calls(int64_t *extra, size_t threads);

// What so many threads take in resident memory and page tables once each has made a call, in bytes, beyond what they took before it.
int64_t bound_threads_memory(size_t threads);
