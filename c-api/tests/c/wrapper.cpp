// The wrapper: what is thrown arrives, what is captured is destroyed once, and a cancel unwinds
// C++'s frames by an exception.
#include "check.h"
#include <gosched.hpp>

#include <atomic>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

static std::atomic<int> alive{0};

struct counted {
    counted() { alive++; }
    counted(const counted &) { alive++; }
    counted(counted &&) noexcept { alive++; }
    counted &operator=(const counted &) = default;
    ~counted() { alive--; }
};

template <class F>
static gosched_code code_of(F f) {
    try {
        f();
    } catch (const gosched::error &error) {
        return error.code();
    }
    return GOSCHED_OK;
}

static void carries_results_and_exceptions(gosched::runtime &runtime) {
    CHECK(runtime.enter([] { return 7; }) == 7);
    CHECK(runtime.call([] { return std::string("text"); }) == "text");
    CHECK(gosched::blocking([] { return 0.5; }) == 0.5);
    CHECK(*runtime.call([] { return std::make_unique<int>(3); }) == 3);
    int caught = 0;
    auto throws = []() -> int { throw std::string("thrown"); };
    auto catches = [&](auto f) {
        std::string thrown;
        try {
            f();
        } catch (const std::string &it) {
            thrown = it;
        }
        caught += thrown == "thrown";
    };
    catches([&] { runtime.enter(throws); });
    catches([&] { runtime.enter_for(1h, throws); });
    catches([&] { runtime.call(throws); });
    catches([&] { gosched::blocking(throws); });
    auto goroutine = runtime.go([throws] { throws(); });
    catches([&] { goroutine.join(); });
    catches([&] { goroutine.join_for(1h); });
    CHECK(caught == 6);
}

static void destroys_what_was_captured(gosched::runtime &runtime) {
    auto goroutine = runtime.go([one = counted()] { (void)one; });
    goroutine.join();
    CHECK(alive == 0);
    gosched_go_options options = gosched_go_options_of();
    options.stack_size = 1;
    auto goes = [&] { runtime.go([one = counted()] { (void)one; }, options); };
    CHECK(code_of(goes) == GOSCHED_INVALID);
    CHECK(alive == 0);
    {
        gosched::chan<counted> channel(8);
        for (int i = 0; i < 5; i++) channel.send(counted());
        CHECK(alive == 5 && channel.size() == 5);
        CHECK(channel.recv() && channel.try_recv());
        CHECK(alive == 3);
        gosched::chan<counted> same = channel;
        same.close();
        CHECK(!channel.send(counted()));
        CHECK(alive == 3);
    }
    CHECK(alive == 0);
}

static void a_cancel_is_an_exception(gosched::runtime &runtime) {
    gosched::chan<int> never(0), began(0);
    std::atomic<int> unwound{0};
    struct notes {
        std::atomic<int> &count;
        ~notes() { count++; }
    };
    auto waits = [&] {
        notes first{unwound};
        began.send(1);
        never.recv();
        CHECK(!"it is cancelled");
    };
    auto goroutine = runtime.go(waits);
    began.recv();
    CHECK(!goroutine.join_for(1ms));
    goroutine.cancel();
    goroutine.join();
    CHECK(unwound == 1);
    auto late = [&] { runtime.enter_for(5ms, [&] { never.recv(); }); };
    CHECK(code_of(late) == GOSCHED_TIMED_OUT);
}

static void locks(gosched::runtime &runtime) {
    gosched::mutex mutex;
    gosched::wait_group group;
    int total = 0;
    for (int i = 0; i < 10; i++) {
        group.add();
        runtime.go([&, group]() mutable {
            for (int n = 0; n < 100; n++) {
                std::lock_guard<gosched::mutex> guard(mutex);
                int before = total;
                gosched::yield();
                total = before + 1;
            }
            group.done();
        });
    }
    group.wait();
    CHECK(total == 1000);
    std::unique_lock<gosched::mutex> held(mutex);
    CHECK(!mutex.try_lock() && !mutex.try_lock_for(1ms));
}

static void attaches(gosched::runtime &runtime) {
    std::thread([&] {
        CHECK(gosched_current() == 0);
        gosched::attached attached(runtime);
        uint64_t number = gosched_current();
        CHECK(number != 0);
        gosched::attached again(runtime);
        CHECK(gosched_current() == number);
        CHECK(runtime.stats().callbacks == 1);
        CHECK(runtime.dump().size() > 10);
        gosched::sleep_for(1us);
    }).join();
    CHECK(runtime.stats().callbacks == 0);
}

int main() {
    CHECK(code_of([] { gosched::runtime none(9); }) == GOSCHED_INVALID);
    for (uint32_t mode : {GOSCHED_MODE_THREADS, GOSCHED_MODE_SETTLED}) {
        gosched::runtime runtime(mode);
        carries_results_and_exceptions(runtime);
        destroys_what_was_captured(runtime);
        a_cancel_is_an_exception(runtime);
        locks(runtime);
        attaches(runtime);
        runtime.shutdown(60s);
        auto goes = [&] { runtime.go([one = counted()] { (void)one; }); };
        CHECK(code_of(goes) == GOSCHED_SHUT_DOWN);
        CHECK(alive == 0);
    }
}
