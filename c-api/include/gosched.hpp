// gosched for C++17: gosched.h with RAII, lambdas and exceptions.
//
// What fails throws gosched::error. A wait that was cancelled throws gosched::cancelled, which
// unwinds the goroutine's function as any exception does, up to where the library called it; there
// it ends. An exception never passes frames of the library: enter, call and blocking carry it over
// to their caller, and goroutine::join to whoever joins.
//
// Do not wait in a catch block, nor in a destructor that runs because of an exception: the thread
// has the exception meanwhile, and goroutines of GOSCHED_MODE_SETTLED share threads.
#ifndef GOSCHED_HPP
#define GOSCHED_HPP

#include <gosched.h>

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace gosched {

using nanoseconds = std::chrono::nanoseconds;

// A function of the library has failed; what() is the text.
class error : public std::runtime_error {
public:
    error(gosched_code code, const char *text) : std::runtime_error(text), code_(code) {}
    gosched_code code() const noexcept { return code_; }

private:
    gosched_code code_;
};

// The goroutine is cancelled: its runtime shuts down, or somebody cancelled it.
class cancelled : public error {
public:
    using error::error;
};

// Throws what a code says.
inline void check(gosched_code code) {
    if (code == GOSCHED_OK) return;
    if (code == GOSCHED_CANCELLED) throw cancelled(code, gosched_last_error());
    throw error(code, gosched_last_error());
}

// False for one code that is no error here; throws for any other.
inline bool check_but(gosched_code code, gosched_code expected) {
    if (code == expected) return false;
    check(code);
    return true;
}

namespace detail {

inline uint64_t ns(nanoseconds duration) {
    return duration.count() < 0 ? 0 : static_cast<uint64_t>(duration.count());
}

// A function that the library calls, on the caller's stack: with its result or exception.
template <class F>
class frame {
public:
    using result = std::invoke_result_t<F &>;
    static_assert(!std::is_reference_v<result>, "return a pointer, or a value");

    explicit frame(F &f) : f_(f) {}
    void *user() { return this; }

    static void run(void *user) noexcept {
        frame &self = *static_cast<frame *>(user);
        try {
            if constexpr (std::is_void_v<result>) {
                self.f_();
            } else {
                self.value_.emplace(self.f_());
            }
        } catch (...) {
            self.error_ = std::current_exception();
        }
    }

    static void *run_for_value(void *user) noexcept {
        run(user);
        return nullptr;
    }

    // After the library has returned this code. What the function threw comes first.
    result take(gosched_code code) {
        if (error_) std::rethrow_exception(error_);
        check(code);
        if constexpr (!std::is_void_v<result>) return std::move(*value_);
    }

private:
    using kept = std::conditional_t<std::is_void_v<result>, char, result>;
    F &f_;
    std::optional<kept> value_;
    std::exception_ptr error_;
};

// A counted handle.
template <class T, T *(*Share)(T *), void (*Free)(T *)>
class handle {
public:
    handle() = default;
    explicit handle(T *owned) : it_(owned) {}
    handle(const handle &other) : it_(Share(other.it_)) {}
    handle(handle &&other) noexcept : it_(std::exchange(other.it_, nullptr)) {}
    handle &operator=(handle other) noexcept {
        std::swap(it_, other.it_);
        return *this;
    }
    ~handle() { Free(it_); }

    // For functions of gosched.h.
    T *get() const noexcept { return it_; }

private:
    T *it_ = nullptr;
};

} // namespace detail

// A goroutine that can be joined. If this goes before, the goroutine goes on.
class goroutine {
public:
    goroutine() = default;

    // Waits for its end, and throws what it has thrown. May be called again, also by others.
    void join() {
        check(gosched_join(it_.get()));
        rethrow();
    }

    // False if the time was over first.
    bool join_for(nanoseconds timeout) {
        if (!check_but(gosched_join_timeout(it_.get(), detail::ns(timeout)), GOSCHED_TIMED_OUT))
            return false;
        rethrow();
        return true;
    }

    void cancel() { check(gosched_cancel(it_.get())); }
    uint64_t number() const { return gosched_goroutine_number(it_.get()); }

private:
    friend class runtime;
    using thrown = std::shared_ptr<std::exception_ptr>;

    goroutine(gosched_goroutine *owned, thrown error) : it_(owned), error_(std::move(error)) {}

    void rethrow() {
        if (*error_) std::rethrow_exception(*error_);
    }

    detail::handle<gosched_goroutine, gosched_goroutine_share, gosched_goroutine_free> it_;
    thrown error_;
};

// A runtime. The last copy that goes shuts it down with a grace of ten seconds.
class runtime {
public:
    // As gosched_options_of(mode) says.
    explicit runtime(uint32_t mode) : runtime(gosched_options_of(mode)) {}

    explicit runtime(const gosched_options &options) {
        gosched_runtime *made = nullptr;
        check(gosched_runtime_new(&options, &made));
        it_ = decltype(it_)(made);
    }

    // Runs f as a goroutine. f is destroyed when the goroutine is over, on its thread; also if it
    // is never called, because the runtime shuts down.
    template <class F>
    goroutine go(F f, gosched_go_options options = gosched_go_options_of()) {
        struct job {
            F f;
            goroutine::thrown error;
        };
        auto error = std::make_shared<std::exception_ptr>();
        auto mine = std::make_unique<job>(job{std::move(f), error});
        options.release = [](void *user) { delete static_cast<job *>(user); };
        auto run = [](void *user) {
            job &self = *static_cast<job *>(user);
            try {
                self.f();
            } catch (const cancelled &) {
                // Has done what it is for.
            } catch (...) {
                *self.error = std::current_exception();
            }
        };
        gosched_goroutine *made = nullptr;
        gosched_code code = gosched_go_with(it_.get(), &options, run, mine.get(), &made);
        // After any other failure it was released.
        if (code != GOSCHED_INVALID) mine.release();
        check(code);
        return goroutine(made, std::move(error));
    }

    // Runs f in a goroutine, waits for it, and returns what it returns. f may use references.
    template <class F>
    auto call(F f) {
        detail::frame<F> frame(f);
        auto code = gosched_call(it_.get(), &frame.run_for_value, frame.user(), nullptr);
        return frame.take(code);
    }

    // Runs f as a goroutine on the calling thread, and returns what it returns.
    template <class F>
    auto enter(F f) {
        detail::frame<F> frame(f);
        return frame.take(gosched_enter(it_.get(), &frame.run, frame.user()));
    }

    // As enter; when the time is over, waits of f throw an error with GOSCHED_TIMED_OUT.
    template <class F>
    auto enter_for(nanoseconds timeout, F f) {
        detail::frame<F> frame(f);
        auto limit = detail::ns(timeout);
        return frame.take(gosched_enter_timeout(it_.get(), &frame.run, frame.user(), limit));
    }

    // Throws if something is left after the grace.
    // After a shutdown, or in a forked child: all copies go on with another runtime.
    void restart(const gosched_options &options) {
        check(gosched_runtime_restart(it_.get(), &options));
    }

    void shutdown(nanoseconds grace) {
        check(gosched_runtime_shutdown(it_.get(), detail::ns(grace)));
    }

    gosched_stats stats() const {
        gosched_stats stats{};
        stats.size = sizeof stats;
        check(gosched_runtime_stats(it_.get(), &stats));
        return stats;
    }

    std::string dump() const {
        std::string text;
        size_t length = 256;
        do {
            text.resize(length + 256);
            check(gosched_runtime_dump(it_.get(), text.data(), text.size(), &length));
        } while (length >= text.size());
        text.resize(length);
        return text;
    }

    gosched_runtime *get() const noexcept { return it_.get(); }

private:
    detail::handle<gosched_runtime, gosched_runtime_share, gosched_runtime_free> it_;
};

// Makes the thread a goroutine until this goes, on the same thread.
class attached {
public:
    explicit attached(const runtime &in) { check(gosched_attach(in.get(), &it_)); }
    attached(const attached &) = delete;
    attached &operator=(const attached &) = delete;
    ~attached() { gosched_detach(it_); }

private:
    gosched_attached *it_ = nullptr;
};

// A channel of values, each of which is moved to the heap and back. Copies are the same channel.
template <class T>
class chan {
public:
    explicit chan(size_t capacity) {
        gosched_chan *made = nullptr;
        auto release = [](void *left) { delete static_cast<T *>(left); };
        check(gosched_chan_new(capacity, release, &made));
        it_ = decltype(it_)(made);
    }

    // False if the channel is closed; the value is lost then.
    bool send(T value) {
        auto box = std::make_unique<T>(std::move(value));
        if (!check_but(gosched_chan_send(it_.get(), box.get()), GOSCHED_CLOSED)) return false;
        box.release();
        return true;
    }

    // Nothing once the channel is closed and empty.
    std::optional<T> recv() {
        void *box = nullptr;
        if (!check_but(gosched_chan_recv(it_.get(), &box), GOSCHED_CLOSED)) return std::nullopt;
        return unbox(box);
    }

    // Nothing if there is nothing now.
    std::optional<T> try_recv() {
        void *box = nullptr;
        gosched_code code = gosched_chan_try_recv(it_.get(), &box);
        if (code == GOSCHED_CLOSED || code == GOSCHED_WOULD_BLOCK) return std::nullopt;
        check(code);
        return unbox(box);
    }

    void close() { check(gosched_chan_close(it_.get())); }
    size_t size() const { return gosched_chan_length(it_.get()); }
    gosched_chan *get() const noexcept { return it_.get(); }

private:
    static std::optional<T> unbox(void *box) {
        std::unique_ptr<T> owned(static_cast<T *>(box));
        return std::optional<T>(std::move(*owned));
    }

    detail::handle<gosched_chan, gosched_chan_share, gosched_chan_free> it_;
};

// A mutex for std::lock_guard, std::unique_lock and std::scoped_lock. May be held over a wait.
class mutex {
public:
    mutex() { check(gosched_mutex_new(&it_)); }
    mutex(const mutex &) = delete;
    mutex &operator=(const mutex &) = delete;
    ~mutex() { gosched_mutex_free(it_); }

    void lock() { check(gosched_mutex_lock(it_)); }
    bool try_lock() { return check_but(gosched_mutex_try_lock(it_), GOSCHED_WOULD_BLOCK); }
    void unlock() { gosched_mutex_unlock(it_); }
    bool try_lock_for(nanoseconds timeout) {
        return check_but(gosched_mutex_lock_timeout(it_, detail::ns(timeout)), GOSCHED_TIMED_OUT);
    }

private:
    gosched_mutex *it_ = nullptr;
};

// Copies are the same group.
class wait_group {
public:
    wait_group() {
        gosched_wait_group *made = nullptr;
        check(gosched_wait_group_new(&made));
        it_ = decltype(it_)(made);
    }

    void add(size_t count = 1) { check(gosched_wait_group_add(it_.get(), count)); }
    void done() { check(gosched_wait_group_done(it_.get())); }
    void wait() { check(gosched_wait_group_wait(it_.get())); }

private:
    detail::handle<gosched_wait_group, gosched_wait_group_share, gosched_wait_group_free> it_;
};

// Runs f, which may block, where it holds no other goroutine up.
template <class F>
auto blocking(F f) {
    detail::frame<F> frame(f);
    return frame.take(gosched_blocking(&frame.run, frame.user()));
}

inline void sleep_for(nanoseconds duration) { check(gosched_sleep(detail::ns(duration))); }
inline void yield() { check(gosched_yield()); }

} // namespace gosched

#endif
