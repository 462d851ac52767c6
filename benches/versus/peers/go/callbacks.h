// C threads that call into Go.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The function that each thread of a crew calls, with the thread's number.
enum callee { CALLS_EMPTY, CALLS_CHANNEL, CALLS_SERVICE, CALLS_CLOSURE, CALLS_POST };

struct crew {
    enum callee callee;
    // The handle of a function, with CALLS_CLOSURE.
    uintptr_t closure;
    uint32_t threads;
    // The calls of each thread: before the counted calls, and the counted calls.
    uint32_t warm_up, calls;
    // A thread sleeps a random time up to this before each call. 0: it does not sleep.
    uint32_t pause_us;
    // Each thread stops after this time, even before it has made all its calls. 0: it makes them
    // all. Only with `latencies`.
    uint32_t limit_ms;
    // An array of `threads` times `calls`, or NULL: the nanoseconds of each call, 0 for a call that
    // was not made.
    int64_t *latencies;
};

// Runs the crew. Returns the nanoseconds from the first counted call to the last.
int64_t crew_work(const struct crew *crew);

// Stores how many nanoseconds the first call of a new thread takes longer than a later call, for
// each of `threads` threads. The threads run one after the other.
void first_calls(int64_t *extra, size_t threads);

// Returns how many bytes of resident memory and page tables `threads` threads take after one call
// each, beyond what they took before it.
int64_t bound_threads_memory(size_t threads);

// Calls `callback_light` on a new thread every `every_us` microseconds, for so many milliseconds.
void call_light(uint32_t every_us, uint32_t for_ms);
