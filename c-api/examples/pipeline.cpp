// A pipeline of goroutines: numbers, their squares, and a sum, with an exception on the way.
//
// Prints "sum 385, then: no more than 10".
#include <gosched.hpp>

#include <cstdio>
#include <stdexcept>
#include <thread>

int main() {
    // Nothing here waits in a catch block, or in a callback of other people's code.
    gosched::runtime runtime(GOSCHED_MODE_SETTLED);
    gosched::chan<int> numbers(0), squares(4);

    auto source = runtime.go([numbers]() mutable {
        for (int n = 1; n <= 10; n++) numbers.send(n);
        numbers.close();
        throw std::runtime_error("no more than 10");
    });
    runtime.go([numbers, squares]() mutable {
        while (auto n = numbers.recv()) squares.send(*n * *n);
        squares.close();
    });

    // A thread that the runtime did not make adds up, as a goroutine.
    int sum = 0;
    std::thread([&] {
        sum = runtime.enter([&] {
            int total = 0;
            while (auto square = squares.recv()) total += *square;
            return total;
        });
    }).join();

    try {
        source.join();
    } catch (const std::exception &error) {
        std::printf("sum %d, then: %s\n", sum, error.what());
    }
    runtime.shutdown(std::chrono::seconds(1));
}
