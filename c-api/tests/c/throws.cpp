// An exception that leaves a function which the library has called ends the process with a message.
// Argument: from where.
#include "check.h"
#include <stdexcept>
#include <sys/resource.h>

static void throws(void *) { throw std::runtime_error("lost"); }

static void *throws_for_a_value(void *) { throw 7; }

int main(int count, char **arguments) {
    CHECK(count == 2);
    rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    gosched_runtime *runtime = runtime_of(GOSCHED_MODE_SETTLED, 1);
    gosched_goroutine *goroutine;
    gosched_go_options options = gosched_go_options_of();
    switch (*arguments[1]) {
    case 'e': gosched_enter(runtime, throws, nullptr); break;
    case 't': gosched_enter_timeout(runtime, throws, nullptr, SECOND); break;
    case 'c': gosched_call(runtime, throws_for_a_value, nullptr, nullptr); break;
    case 'b': gosched_blocking(throws, nullptr); break;
    case 's': gosched_on_thread_stack(throws, nullptr); break;
    case 'r':
        options.release = throws;
        OK(gosched_go_with(runtime, &options, [](void *) {}, nullptr, &goroutine));
        gosched_join(goroutine);
        break;
    default:
        OK(gosched_go_with(runtime, nullptr, throws, nullptr, &goroutine));
        gosched_join(goroutine);
    }
    return 0;
}
