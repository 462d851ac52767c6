// The workloads of benches/versus with Boost.Fiber. benches/versus/src/workload.rs describes them.
//
//     g++ -O2 -std=c++17 main.cpp -o peer -lboost_fiber -lboost_context -lpthread
//     VERSUS_PROCS=2 ./peer WORKLOAD
//
// Prints a line `FIGURE VALUE` for each figure, or `unsupported`.
//
// A fiber of Boost stays in its thread unless the program chooses a scheduler that steals. One
// thread is faster wherever nothing has to happen at the same time. So most workloads have one
// thread. Where fibers compute or block there are VERSUS_PROCS threads that steal from each other.
// Boost.Fiber has no select, and an empty callback would call nothing of Boost's.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/fiber/all.hpp>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

namespace {

namespace fibers = boost::fibers;
using clock_type = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using figures = std::vector<std::pair<const char *, double>>;

// ---- measuring

double ns_since(clock_type::time_point began) {
    return static_cast<double>(nanoseconds(clock_type::now() - began).count());
}

figures ns_per_op(std::uint64_t operations, clock_type::time_point began) {
    return {{"ns_per_op", ns_since(began) / static_cast<double>(operations)}};
}

void must(bool holds, const char *what) {
    if (!holds) {
        std::fprintf(stderr, "%s\n", what);
        std::abort();
    }
}

// Sorts the values, and returns the value below which that part of them lies.
double percentile(std::vector<double> &values, double part) {
    std::sort(values.begin(), values.end());
    return values.at(static_cast<std::size_t>(static_cast<double>(values.size() - 1) * part));
}

// Returns the resident bytes, with page tables.
double memory() {
    std::ifstream status("/proc/self/status");
    double kib = 0;
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmRSS:", 0) == 0 || line.rfind("VmPTE:", 0) == 0) {
            kib += std::atof(line.c_str() + 6);
        }
    }
    return kib * 1024;
}

// Returns the processor time that this process has used, in user code and in the kernel.
double processor_ms() {
    rusage usage{};
    must(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    auto ms = [](timeval t) {
        return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
    };
    return ms(usage.ru_utime) + ms(usage.ru_stime);
}

std::size_t workers() {
    const char *said = std::getenv("VERSUS_PROCS");
    int n = said == nullptr ? 0 : std::atoi(said);
    return n > 0 ? static_cast<std::size_t>(n) : 2;
}

// ---- fibers

// Reused stacks: a program that makes many fibers would choose them.
fibers::pooled_fixedsize_stack &pool() {
    static fibers::pooled_fixedsize_stack stacks(16 * 1024);
    return stacks;
}

template <typename F> fibers::fiber go(F f) {
    return fibers::fiber(fibers::launch::post, std::allocator_arg, pool(), std::move(f));
}

void join_all(std::vector<fibers::fiber> &all) {
    for (fibers::fiber &one : all) {
        one.join();
    }
}

// Runs a tenth of the work first, which is not counted.
figures yields(std::uint64_t count, std::uint64_t each) {
    auto all = [count](std::uint64_t each) {
        std::vector<fibers::fiber> running;
        for (std::uint64_t i = 0; i < count; i++) {
            running.push_back(go([each] {
                for (std::uint64_t n = 0; n < each; n++) {
                    boost::this_fiber::yield();
                }
            }));
        }
        join_all(running);
    };
    all(each / 10);
    auto began = clock_type::now();
    all(each);
    return ns_per_op(count * each, began);
}

// As many fibers as there are results: all are made, then all are joined.
std::uint64_t collect(std::vector<std::uint64_t> &results) {
    std::vector<fibers::fiber> running;
    running.reserve(results.size());
    for (std::size_t i = 0; i < results.size(); i++) {
        running.push_back(go([&results, i] { results[i] = i; }));
    }
    join_all(running);
    std::uint64_t sum = 0;
    for (std::uint64_t result : results) {
        sum += result;
    }
    return sum;
}

// The median of five rounds after one.
figures spawn_100k() {
    std::vector<std::uint64_t> results(100'000);
    std::vector<double> rounds;
    for (int round = 0; round < 6; round++) {
        auto began = clock_type::now();
        must(collect(results) == 4'999'950'000, "a result is missing");
        rounds.push_back(ns_since(began) / 1e5);
    }
    rounds.erase(rounds.begin());
    return {{"ns_per_op", percentile(rounds, 0.5)}};
}

figures spawn_1000() {
    std::vector<std::uint64_t> results(1000);
    auto batches = [&results](std::uint64_t n) {
        for (std::uint64_t i = 0; i < n; i++) {
            must(collect(results) == 499'500, "a result is missing");
        }
    };
    batches(10);
    auto began = clock_type::now();
    batches(500);
    return ns_per_op(500'000, began);
}

// A child runs at once, so few stacks are in use.
std::uint64_t grow(unsigned depth) {
    if (depth == 0) {
        return 1;
    }
    std::uint64_t nodes[2] = {0, 0};
    auto child = [depth](std::uint64_t &nodes) {
        auto body = [&nodes, depth] { nodes = grow(depth - 1); };
        return fibers::fiber(fibers::launch::dispatch, std::allocator_arg, pool(), body);
    };
    fibers::fiber left = child(nodes[0]), right = child(nodes[1]);
    left.join();
    right.join();
    return 1 + nodes[0] + nodes[1];
}

figures tree(unsigned depth) {
    grow(depth - 2);
    auto began = clock_type::now();
    std::uint64_t nodes = grow(depth);
    must(nodes == (2u << depth) - 1, "a node is missing");
    return ns_per_op(nodes, began);
}

figures contended(std::uint64_t count, std::uint64_t each) {
    fibers::mutex mutex;
    std::uint64_t counter = 0;
    std::vector<fibers::fiber> running;
    auto began = clock_type::now();
    for (std::uint64_t i = 0; i < count; i++) {
        running.push_back(go([&mutex, &counter, each] {
            for (std::uint64_t n = 0; n < each; n++) {
                std::lock_guard<fibers::mutex> guard(mutex);
                counter++;
            }
        }));
    }
    join_all(running);
    must(counter == count * each, "an increment is missing");
    return ns_per_op(counter, began);
}

// With Boost's default stacks: its pool writes into each stack that it has.
figures parked(std::uint64_t count) {
    double before = memory();
    static fibers::unbuffered_channel<int> never;
    std::uint64_t waiting = 0;
    for (std::uint64_t i = 0; i < count; i++) {
        fibers::fiber([&waiting] {
            waiting++;
            int value;
            never.pop(value);
        }).detach();
        // A fiber that has begun is in the channel when the next one runs.
        boost::this_fiber::yield();
    }
    must(waiting == count, "a fiber has not begun");
    return {{"bytes_per_g", (memory() - before) / static_cast<double>(count)}};
}

// ---- channels

figures ping_pong(std::uint64_t round_trips) {
    fibers::unbuffered_channel<std::uint64_t> ping, pong;
    fibers::fiber echo = go([&ping, &pong] {
        for (std::uint64_t value : ping) {
            pong.push(value);
        }
    });
    auto rally = [&ping, &pong](std::uint64_t n) {
        for (std::uint64_t value = 0; value < n; value++) {
            ping.push(value);
            must(pong.value_pop() == value, "another value came back");
        }
    };
    rally(round_trips / 10);
    auto began = clock_type::now();
    rally(round_trips);
    figures found = ns_per_op(round_trips, began);
    ping.close();
    echo.join();
    return found;
}

figures prod_cons(std::uint64_t items) {
    fibers::buffered_channel<std::uint64_t> channel(128);
    std::uint64_t received = 0;
    std::vector<fibers::fiber> consumers, producers;
    auto began = clock_type::now();
    for (int i = 0; i < 4; i++) {
        consumers.push_back(go([&channel, &received] {
            std::uint64_t n = 0, value = 0;
            while (channel.pop(value) == fibers::channel_op_status::success) {
                n++;
            }
            received += n;
        }));
    }
    for (int i = 0; i < 4; i++) {
        producers.push_back(go([&channel, items] {
            for (std::uint64_t value = 0; value < items / 4; value++) {
                channel.push(value);
            }
        }));
    }
    join_all(producers);
    channel.close();
    join_all(consumers);
    must(received == items, "an item is missing");
    return ns_per_op(items, began);
}

using reply_channel = fibers::buffered_channel<std::uint64_t>;

struct request {
    std::uint64_t value;
    reply_channel *reply;
};

// Clients send requests. A dispatcher hands each request to the next worker, which replies to the
// client.
figures fan_out(std::uint64_t requests) {
    constexpr std::uint64_t clients = 64, servers = 16;
    fibers::buffered_channel<request> asked(64);
    std::vector<std::unique_ptr<fibers::buffered_channel<request>>> handed;
    std::vector<fibers::fiber> asking, serving;
    auto began = clock_type::now();
    for (std::uint64_t i = 0; i < servers; i++) {
        handed.push_back(std::make_unique<fibers::buffered_channel<request>>(16));
        serving.push_back(go([mine = handed.back().get()] {
            for (request one : *mine) {
                one.reply->push(one.value + 1);
            }
        }));
    }
    serving.push_back(go([&asked, &handed] {
        std::uint64_t next = 0;
        for (request one : asked) {
            handed[next++ % servers]->push(one);
        }
        for (auto &worker : handed) {
            worker->close();
        }
    }));
    for (std::uint64_t i = 0; i < clients; i++) {
        asking.push_back(go([&asked, requests] {
            reply_channel reply(2);
            for (std::uint64_t value = 0; value < requests / clients; value++) {
                asked.push({value, &reply});
                must(reply.value_pop() == value + 1, "another reply came back");
            }
        }));
    }
    join_all(asking);
    figures found = ns_per_op(requests, began);
    asked.close();
    join_all(serving);
    return found;
}

// ---- shapes of programs

// A source, eight stages and a sink, in a line.
figures pipeline(std::uint64_t items) {
    constexpr std::uint64_t stages = 8;
    using channel = fibers::buffered_channel<std::uint64_t>;
    std::vector<std::unique_ptr<channel>> line;
    for (std::uint64_t i = 0; i <= stages; i++) {
        line.push_back(std::make_unique<channel>(16));
    }
    std::vector<fibers::fiber> running;
    std::uint64_t sum = 0;
    auto began = clock_type::now();
    for (std::uint64_t i = 0; i < stages; i++) {
        running.push_back(go([from = line[i].get(), next = line[i + 1].get()] {
            for (std::uint64_t value : *from) {
                next->push(value + 1);
            }
            next->close();
        }));
    }
    running.push_back(go([source = line.front().get(), items] {
        for (std::uint64_t value = 0; value < items; value++) {
            source->push(value);
        }
        source->close();
    }));
    running.push_back(go([out = line.back().get(), &sum] {
        for (std::uint64_t value : *out) {
            sum += value;
        }
    }));
    join_all(running);
    must(sum == items * (items - 1) / 2 + items * stages, "an item is missing");
    return ns_per_op(items, began);
}

// Each actor hands a number to the next, one less each time, until it is 0.
figures ring(std::uint64_t hops) {
    constexpr std::size_t actors = 503;
    using channel = fibers::buffered_channel<std::uint64_t>;
    std::vector<std::unique_ptr<channel>> boxes;
    for (std::size_t i = 0; i < actors; i++) {
        boxes.push_back(std::make_unique<channel>(2));
    }
    channel done(2);
    std::vector<fibers::fiber> running;
    for (std::size_t i = 0; i < actors; i++) {
        auto from = boxes[i].get(), next = boxes[(i + 1) % actors].get();
        running.push_back(go([from, next, &done] {
            for (std::uint64_t left : *from) {
                (left == 0 ? done : *next).push(left == 0 ? 0 : left - 1);
            }
        }));
    }
    auto lap = [&](std::uint64_t hops) {
        boxes[0]->push(hops);
        done.value_pop();
    };
    lap(hops / 10);
    auto began = clock_type::now();
    lap(hops);
    figures found = ns_per_op(hops, began);
    for (auto &box : boxes) {
        box->close();
    }
    join_all(running);
    return found;
}

// One fiber sends a value to each of a thousand, and waits until each has said that it has it.
figures broadcast(std::uint64_t rounds) {
    constexpr std::size_t listeners = 1'000;
    using channel = fibers::buffered_channel<std::uint64_t>;
    channel heard(1024);
    std::vector<std::unique_ptr<channel>> tell;
    std::vector<fibers::fiber> running;
    for (std::size_t i = 0; i < listeners; i++) {
        tell.push_back(std::make_unique<channel>(2));
        running.push_back(go([told = tell.back().get(), &heard] {
            for (std::uint64_t value : *told) {
                heard.push(value);
            }
        }));
    }
    auto speak = [&](std::uint64_t rounds) {
        for (std::uint64_t value = 0; value < rounds; value++) {
            for (auto &listener : tell) {
                listener->push(value);
            }
            for (std::size_t i = 0; i < listeners; i++) {
                must(heard.value_pop() == value, "another value was heard");
            }
        }
    };
    speak(rounds / 10);
    auto began = clock_type::now();
    speak(rounds);
    figures found = ns_per_op(rounds * listeners, began);
    for (auto &listener : tell) {
        listener->close();
    }
    join_all(running);
    return found;
}

// ---- time

// Returns how long the sleeper of that number sleeps: less than a second, the same in all peers.
std::chrono::microseconds nap(std::uint64_t index) {
    std::uint64_t random = index * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
    return std::chrono::microseconds((random >> 33) % 1'000'000);
}

figures timers(std::uint64_t sleepers) {
    std::vector<double> late(sleepers);
    std::vector<fibers::fiber> running;
    auto began = clock_type::now();
    double before = processor_ms();
    for (std::uint64_t i = 0; i < sleepers; i++) {
        running.push_back(go([&late, i] {
            auto deadline = clock_type::now() + nap(i);
            boost::this_fiber::sleep_until(deadline);
            late[i] = ns_since(deadline) / 1e6;
        }));
    }
    join_all(running);
    double wall = ns_since(began) / 1e6, cpu = processor_ms() - before;
    return {{"wall_ms", wall},
            {"cpu_ms", cpu},
            {"late_p50_ms", percentile(late, 0.5)},
            {"late_p99_ms", percentile(late, 0.99)}};
}

// Computes for this time.
void compute(nanoseconds duration) {
    static std::atomic<std::uint64_t> results;
    std::uint64_t x = 1;
    for (auto began = clock_type::now(); clock_type::now() - began < duration;) {
        for (int i = 0; i < 1000; i++) {
            x = x * 6'364'136'223'846'793'005 + 1;
        }
    }
    results += x;
}

// Runs `body` in a fiber of this thread, which shares fibers with the other workers. A worker
// without a fiber spins: nothing would wake a sleeping worker when there is a fiber to steal.
void with_workers(const std::function<void()> &body) {
    std::uint32_t threads = static_cast<std::uint32_t>(workers());
    fibers::mutex mutex;
    fibers::condition_variable_any ended;
    bool done = false;
    std::vector<std::thread> others;
    for (std::uint32_t i = 1; i < threads; i++) {
        others.emplace_back([&, threads] {
            fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(threads);
            std::unique_lock<fibers::mutex> guard(mutex);
            ended.wait(guard, [&done] { return done; });
        });
    }
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(threads);
    body();
    {
        std::lock_guard<fibers::mutex> guard(mutex);
        done = true;
    }
    ended.notify_all();
    for (std::thread &other : others) {
        other.join();
    }
}

struct beside {
    double took_ms, worst_gap_ms;
};

// Returns how long `each` takes in `count` fibers, and the worst gap of a ticker of 1 ms meanwhile.
// Several threads run these fibers. So their stacks are not from the pool, which belongs to one
// thread.
beside beside_a_ticker(std::size_t count, void (*each)()) {
    beside found{};
    with_workers([&] {
        std::atomic<bool> stop{false};
        std::atomic<int> ticks{0};
        double worst = 0;
        fibers::fiber ticker(fibers::launch::post, [&] {
            for (auto last = clock_type::now(); !stop; ticks++) {
                boost::this_fiber::sleep_for(milliseconds(1));
                worst = std::max(worst, ns_since(last) / 1e6);
                last = clock_type::now();
            }
        });
        while (ticks < 3) {
            boost::this_fiber::yield();
        }
        auto began = clock_type::now();
        std::vector<fibers::fiber> running;
        for (std::size_t i = 0; i < count; i++) {
            running.emplace_back(fibers::launch::post, each);
        }
        join_all(running);
        found.took_ms = ns_since(began) / 1e6;
        stop = true;
        ticker.join();
        found.worst_gap_ms = worst;
    });
    return found;
}

figures blocking() {
    beside found = beside_a_ticker(64, [] {
        timespec left{0, 20'000'000};
        nanosleep(&left, nullptr);
    });
    return {{"wall_ms", found.took_ms}, {"gap_ms", found.worst_gap_ms}};
}

figures hog() {
    beside found = beside_a_ticker(workers(), [] { compute(std::chrono::seconds(2)); });
    return {{"gap_ms", found.worst_gap_ms}};
}

figures hog_200() {
    return {{"gap_ms", beside_a_ticker(200, [] { compute(milliseconds(50)); }).worst_gap_ms}};
}

// ---- other threads

struct line {
    fibers::unbuffered_channel<std::uint64_t> ask, answer;
};

struct calls {
    double wall_ns;
    std::vector<double> ns;
};

// Threads that are no workers each ask a fiber of a worker, and wait for the answer.
calls round_trips(std::size_t threads, std::uint64_t count) {
    std::vector<line> lines(threads);
    std::thread worker([&lines] {
        std::vector<fibers::fiber> running;
        for (line &mine : lines) {
            running.push_back(go([&mine] {
                for (std::uint64_t value : mine.ask) {
                    mine.answer.push(value);
                }
            }));
        }
        join_all(running);
    });
    std::vector<std::vector<double>> took(threads);
    std::vector<clock_type::time_point> began(threads), ended(threads);
    pthread_barrier_t warm;
    must(pthread_barrier_init(&warm, nullptr, static_cast<unsigned>(threads)) == 0,
         "pthread_barrier_init");
    std::vector<std::thread> callers;
    for (std::size_t i = 0; i < threads; i++) {
        callers.emplace_back([&, i] {
            auto call = [&mine = lines[i]](std::uint64_t value) {
                mine.ask.push(value);
                must(mine.answer.value_pop() == value, "another value came back");
            };
            for (std::uint64_t n = 0; n < 200; n++) {
                call(n);
            }
            took[i].reserve(count);
            pthread_barrier_wait(&warm);
            began[i] = clock_type::now();
            for (std::uint64_t n = 0; n < count; n++) {
                auto before = clock_type::now();
                call(n);
                took[i].push_back(ns_since(before));
            }
            ended[i] = clock_type::now();
            lines[i].ask.close();
        });
    }
    calls found{};
    for (std::size_t i = 0; i < threads; i++) {
        callers[i].join();
        found.ns.insert(found.ns.end(), took[i].begin(), took[i].end());
    }
    worker.join();
    pthread_barrier_destroy(&warm);
    auto first = *std::min_element(began.begin(), began.end());
    auto last = *std::max_element(ended.begin(), ended.end());
    found.wall_ns = static_cast<double>(nanoseconds(last - first).count());
    return found;
}

figures callback_channel() {
    calls found = round_trips(1, 20'000);
    return {{"p50_us", percentile(found.ns, 0.5) / 1e3},
            {"p99_us", percentile(found.ns, 0.99) / 1e3}};
}

figures callback_four_channels() {
    constexpr std::uint64_t each = 5'000;
    calls found = round_trips(4, each);
    return {{"us_per_call", found.wall_ns / each / 1e3},
            {"p99_us", percentile(found.ns, 0.99) / 1e3}};
}

const std::map<std::string, figures (*)()> workloads = {
    {"yield1", [] { return yields(1, 2'000'000); }},
    {"yield1000", [] { return yields(1000, 2'000); }},
    {"spawn100k", spawn_100k},
    {"spawn1000", spawn_1000},
    {"tree16", [] { return tree(16); }},
    {"pingpong", [] { return ping_pong(300'000); }},
    {"prodcons", [] { return prod_cons(1'000'000); }},
    {"mutex", [] { return contended(8, 200'000); }},
    {"fanout", [] { return fan_out(200'000); }},
    {"pipeline", [] { return pipeline(100'000); }},
    {"ring", [] { return ring(500'000); }},
    {"broadcast", [] { return broadcast(200); }},
    {"parked100k", [] { return parked(100'000); }},
    {"parked1m", [] { return parked(1'000'000); }},
    {"timers", [] { return timers(100'000); }},
    {"blocking", blocking},
    {"hog", hog},
    {"hog200", hog_200},
    {"callback_chan1", callback_channel},
    {"callback_chan4", callback_four_channels},
};

} // namespace

int main(int count, char **arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: peer WORKLOAD\n");
        return 2;
    }
    auto workload = workloads.find(arguments[1]);
    if (workload == workloads.end()) {
        std::puts("unsupported");
        return 0;
    }
    for (auto [name, value] : workload->second()) {
        std::printf("%s %.3f\n", name, value);
    }
    // Fibers that wait for ever are not unwound.
    std::fflush(stdout);
    std::_Exit(0);
}
