// gosched: goroutines, channels and locks for C, and a way in for threads that C made.
//
// This file is written from the Rust sources, and a test compares the two.
//
// THREADS. "Threads: any" is a goroutine, a thread in gosched_enter or attached, or any other
// thread of the process.
//
// WAITS. Where a function waits, a goroutine parks and its thread runs others; a thread in
// gosched_enter, an attached one and any other sleep. A wait of a goroutine that is cancelled, or
// whose runtime shuts down, returns GOSCHED_CANCELLED at once, and so do all its further waits: no
// frame of C's is ever unwound. A thread that is no goroutine is never cancelled.
//
// HANDLERS. "Handlers: yes" is async-signal-safe. No other function may be called by a signal
// handler.
//
// STATES. "up": the runtime is there and was not shut down; otherwise a code says so.
//
// FORKS. In a forked child nothing of the parent's can be used: whatever was made before the fork
// is GOSCHED_FORKED at once, and gosched_*_free does nothing. So is everything on a thread that was
// a goroutine when it forked; only gosched_detach undoes what it has attached. Elsewhere the child
// may make its own. A child made by vfork, or by clone without the C library, is not recognised.
//
// HANDLES. A function that makes something leaves one reference. gosched_*_share adds one, and
// gosched_*_free gives one back. A call of a function begins with a reference that its caller has;
// once it has begun, others may free theirs: whoever receives an answer may free its channel, and
// whoever has waited for a group may free that. But for gosched_runtime and gosched_mailbox_post,
// whose callers have a reference until they return. A handle that was freed must not be used, and
// neither must one that this library did not make; that is not seen. NULL is: GOSCHED_INVALID.
// Handles may be used by many threads at once, but for gosched_attached.
//
// FUNCTIONS that the library calls return. They are not left by longjmp or pthread_exit or a C++
// exception; the latter two end the process with a message. What user points to may be used on
// whatever thread the function runs. errno is the same after each function as before; the value
// that a function of yours has left in it is lost.
//
// In the mode GOSCHED_MODE_SETTLED goroutines share threads: a thread-local may be changed by
// another goroutine while this one waits, and what is held over a wait by the thread (a pthread
// mutex, errno) is held against the others on it, too. Use gosched_mutex.

#ifndef GOSCHED_H
#define GOSCHED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The capacity of a channel in which a send never waits.
#define GOSCHED_UNBOUNDED SIZE_MAX

// The time limit of a gosched_select that has none.
#define GOSCHED_FOREVER UINT64_MAX

// The number of the binary interface: of structs, codes and functions. A program says which one it
// was compiled for when it makes a runtime. It rises when a program has to be compiled anew.
#define GOSCHED_ABI 1

// The release of the header, major.minor.patch. gosched_version tells that of the library.
#define GOSCHED_VERSION_MAJOR 0

// See GOSCHED_VERSION_MAJOR.
#define GOSCHED_VERSION_MINOR 1

// See GOSCHED_VERSION_MAJOR.
#define GOSCHED_VERSION_PATCH 0

// Each goroutine has a thread of its own. Asks for no promise; slow.
#define GOSCHED_MODE_THREADS 1

// A goroutine stays on the thread that started it, and shares that thread. Whoever says so
// promises, for all code that runs in the runtime's goroutines: nothing waits inside the
// initialiser or destructor of a thread-local, nor inside a callback of code that keeps something
// on the thread while it calls (a C++ catch block, a chain of setjmp buffers, an interpreter's
// lock). Code in gosched_enter, and on attached threads, has nothing to promise.
#define GOSCHED_MODE_SETTLED 2

// A thread that comes in keeps its place in the runtime until it ends. The default.
#define GOSCHED_BINDING_THREAD 0

// A thread keeps its place for one call. Its signal mask and signal stack are the same afterwards.
#define GOSCHED_BINDING_CALL 1

// Warnings are lines on standard error: above all that a goroutine keeps others waiting. The
// default.
#define GOSCHED_WARNINGS_STDERR 0

// There are no warnings.
#define GOSCHED_WARNINGS_OFF 1

// The stack of a goroutine of C's, unless the options say otherwise. It is measured: see the
// documentation, docs/c.md.
#define GOSCHED_STACK_SIZE (1 << 20)

// Nothing is known of the goroutine; the runtime goes by what the same function did before.
#define GOSCHED_BEHAVES_UNKNOWN 0

// It waits or ends soon whenever it runs: it may share a thread from the beginning.
#define GOSCHED_BEHAVES_TALKS 1

// It computes or blocks for milliseconds: it begins where no others have settled.
#define GOSCHED_BEHAVES_COMPUTES 2

// The calling thread, or what a signal handler interrupted, is nothing of the library.
#define GOSCHED_CONTEXT_OUTSIDE 0

// It is a goroutine; a handler that asks runs on a signal stack.
#define GOSCHED_CONTEXT_ON_SIGNAL_STACK 1

// It is a goroutine, and the caller runs on its stack.
#define GOSCHED_CONTEXT_GOROUTINE 2

// A thread that is a goroutine until it is detached.
typedef struct gosched_attached gosched_attached;

// A channel of pointers, between goroutines and threads of any kind.
typedef struct gosched_chan gosched_chan;

// A goroutine that can be joined and cancelled.
typedef struct gosched_goroutine gosched_goroutine;

// Pointers that signal handlers and real-time threads post, and a goroutine receives.
typedef struct gosched_mailbox gosched_mailbox;

// Mutual exclusion between goroutines and threads of any kind. It may be held over a wait.
typedef struct gosched_mutex gosched_mutex;

// A runtime: goroutines, and the threads that run them.
typedef struct gosched_runtime gosched_runtime;

// A count, and those that wait until it is zero.
typedef struct gosched_wait_group gosched_wait_group;

// What most functions return: GOSCHED_OK, or what was wrong. The numbers do not change; new ones
// may come.
typedef int32_t gosched_code;

// How a runtime is to be built. Take gosched_options_of, and change what is to differ. Zero is the
// default of every field but the first three.
typedef struct {
    // sizeof(gosched_options).
    size_t size;
    // GOSCHED_ABI.
    uint32_t abi;
    // GOSCHED_MODE_THREADS or GOSCHED_MODE_SETTLED.
    uint32_t mode;
    // How many goroutines run at the same time, at most 1024. 0: as many as the process has CPUs.
    size_t procs;
    // Bytes of stack for each goroutine, 32 KiB to 1 TiB: address space, of which memory is what
    // was touched. 0: GOSCHED_STACK_SIZE.
    size_t stack_size;
    // The most threads that run goroutines, at most 100,000. 0: 10,000.
    size_t max_threads;
    // The most threads that gosched_blocking uses. 0: 512.
    size_t max_blocking_threads;
    // What its threads are called, in UTF-8; it is copied. NULL: "gosched".
    const char *name;
    // GOSCHED_BINDING_THREAD or GOSCHED_BINDING_CALL.
    uint32_t binding;
    // GOSCHED_WARNINGS_STDERR or GOSCHED_WARNINGS_OFF.
    uint32_t warnings;
} gosched_options;

// A function of yours, called with the pointer that was passed along with it. It returns: it is
// not left by longjmp, pthread_exit or an exception.
typedef void (*gosched_fn)(void *user);

// How a goroutine is to be made. Zero is the default of every field but the first.
typedef struct {
    // sizeof(gosched_go_options).
    size_t size;
    // What it is called in reports, in UTF-8; it is copied. NULL: nothing.
    const char *name;
    // Bytes of its stack, 32 KiB to 1 TiB. 0: those of the runtime.
    size_t stack_size;
    // Is called with the goroutine's pointer when its function has returned, or is not going to be
    // called; on any thread, as a goroutine or not. It does not wait. NULL: nothing is called.
    gosched_fn release;
    // Not 0: it has a thread of its own, and holds nobody up.
    uint32_t own_thread;
    // GOSCHED_BEHAVES_UNKNOWN, GOSCHED_BEHAVES_TALKS or GOSCHED_BEHAVES_COMPUTES.
    uint32_t behaves;
} gosched_go_options;

// As gosched_fn, with a pointer as its result.
typedef void *(*gosched_value_fn)(void *user);

// A case of gosched_select.
typedef struct {
    // The channel; NULL: a case that is never ready.
    gosched_chan *channel;
    // Not 0: the pointer is sent. 0: one is received.
    uint32_t sends;
    // Set where this case was chosen: GOSCHED_OK, or GOSCHED_CLOSED.
    gosched_code code;
    // What is sent, or was received; NULL if nothing was.
    void *pointer;
} gosched_case;

// A runtime in numbers. Each was true a moment ago.
typedef struct {
    // sizeof(gosched_stats), set by the caller.
    size_t size;
    // Goroutines that were made and have not ended.
    uint64_t goroutines;
    // Of these, those that run.
    uint64_t running;
    // Those that could go on, and wait for a thread or a processor.
    uint64_t runnable;
    // Those that wait for something, or block in gosched_blocking.
    uint64_t waiting;
    // Those that have not begun.
    uint64_t unstarted;
    // Threads of C's inside gosched_enter, or attached. They are not among the goroutines.
    uint64_t callbacks;
    // Processors: how many goroutines may run at the same time.
    uint64_t procs;
    // Processors without use.
    uint64_t idle_procs;
    // Threads that run goroutines.
    uint64_t threads;
    // Threads of gosched_blocking.
    uint64_t helper_threads;
    // How often a processor was taken from a goroutine that blocked its thread.
    uint64_t retaken_blocked;
    // How often from one that computed for longer than its slice.
    uint64_t retaken_computing;
    // The longest time, in nanoseconds, that a goroutine was seen to run while others waited.
    uint64_t longest_run_ns;
    // Stacks in use.
    uint64_t stacks;
} gosched_stats;

// It is done.
#define GOSCHED_OK 0

// No runtime is there yet.
#define GOSCHED_NOT_RUNNING 1

// The runtime is shutting down, or has.
#define GOSCHED_SHUT_DOWN 2

// The channel is closed, and empty where something was to be received.
#define GOSCHED_CLOSED 3

// This process is a forked child of the one that made it, or the calling thread was a goroutine
// when it forked.
#define GOSCHED_FORKED 4

// The call came from a signal handler.
#define GOSCHED_SIGNAL_HANDLER 5

// The system had no memory or no thread for it.
#define GOSCHED_RESOURCES 6

// The library itself panicked: a fault of its own, which the text tells.
#define GOSCHED_PANICKED 7

// The wait was ended because the goroutine was cancelled, or its runtime shuts down. What it
// waited for has not happened. Every further wait of the goroutine returns this at once: return
// from the goroutine's function, soon.
#define GOSCHED_CANCELLED 8

// The time was over first.
#define GOSCHED_TIMED_OUT 9

// A library in Rust has no room for a request. The functions here return GOSCHED_WOULD_BLOCK.
#define GOSCHED_FULL 10

// Nobody in a library in Rust serves requests any more. The functions here return GOSCHED_CLOSED.
#define GOSCHED_DISCONNECTED 11

// A library in Rust has dropped a request without a reply. No function here returns it.
#define GOSCHED_NO_REPLY 12

// An argument that cannot be: NULL, a size or number out of its range. Nothing has happened.
#define GOSCHED_INVALID 32

// The program was compiled with a header of another ABI than the library has.
#define GOSCHED_WRONG_ABI 33

// A function that only tries would have had to wait.
#define GOSCHED_WOULD_BLOCK 34

// Somebody else is receiving from this mailbox, which has one receiver at a time.
#define GOSCHED_BUSY 35

// The caller is inside the runtime, and would wait for itself.
#define GOSCHED_INSIDE 36

// The time is over, and goroutines or callbacks are left, which the text counts.
#define GOSCHED_STILL_RUNNING 37

// The calling thread is not the one that this belongs to.
#define GOSCHED_WRONG_THREAD 38

// The mutex is not locked; the wait group has a count of zero.
#define GOSCHED_NOT_HELD 39

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the ABI of the library, to be compared with GOSCHED_ABI.
//
// Threads: any. Waits: no. Handlers: yes. States: any.
uint32_t gosched_abi(void);

// Returns the release of the library, such as "0.1.0".
//
// Threads: any. Waits: no. Handlers: yes. States: any.
const char *gosched_version(void);

// Returns what a code means, in English: a text that stays for good.
//
// Threads: any. Waits: no. Handlers: yes. States: any.
const char *gosched_code_text(gosched_code code);

// Returns the text of the last function that failed on the calling thread; before the first one,
// an empty text. It is valid until the next call of this library on the thread, and the thread's
// end. A function that succeeds leaves it alone.
//
// Threads: any. Waits: no. Handlers: no. States: any.
const char *gosched_last_error(void);

// Makes a runtime, and leaves it in *runtime. It makes no thread until there is something to run.
// Handlers of SIGSEGV and SIGBUS are installed before those that are there, once per process, and
// pass on what is no overflow of a stack.
//
// GOSCHED_WRONG_ABI if the program was compiled with another header; GOSCHED_INVALID for an option
// out of its range; GOSCHED_RESOURCES.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_runtime_new(const gosched_options *options, gosched_runtime **runtime);

// Ends the runtime: nothing new begins, and each wait of its goroutines and callbacks returns
// GOSCHED_CANCELLED. Waits until they have ended, for grace_ns nanoseconds at most. May be called
// again, and waits again.
//
// GOSCHED_STILL_RUNNING if something is left, which goes on; GOSCHED_INSIDE in a goroutine, a
// callback or on an attached thread of this runtime; GOSCHED_FORKED in a forked child.
//
// Threads: any outside of this runtime. Waits: yes. Handlers: no. States: any.
gosched_code gosched_runtime_shutdown(gosched_runtime *runtime, uint64_t grace_ns);

// Puts another runtime behind the handle and all its references: after gosched_runtime_shutdown,
// or in a forked child, where the handle is the child's from then on. So what holds the handle
// goes on working. Goroutines, and threads that are inside, stay what they were, and so does the
// binding: the option is ignored.
//
// GOSCHED_INVALID if the runtime is up; otherwise the errors of gosched_runtime_new. After an
// error nothing has changed. What a runtime leaves after its shutdown, some 50 KB, stays with the
// handle.
//
// Threads: any. Waits: no. Handlers: no. States: shut down, or in a forked child.
gosched_code gosched_runtime_restart(gosched_runtime *runtime, const gosched_options *options);

// Adds a reference to the runtime and returns it. Each reference is freed once. NULL stays NULL.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_runtime *gosched_runtime_share(gosched_runtime *runtime);

// Gives a reference back. With the last one the runtime is shut down, if that was not done, with a
// grace of ten seconds; what is left then goes on, and its memory stays. NULL is ignored.
//
// Threads: any. Waits: yes, with the last reference. Handlers: no. States: any.
void gosched_runtime_free(gosched_runtime *runtime);

// Makes a goroutine that runs fn(user).
//
// It has a stack of its own, in the mode GOSCHED_MODE_THREADS a thread. fn waits by the functions
// of this library; what blocks the thread otherwise goes into gosched_blocking. When a wait
// returns GOSCHED_CANCELLED, fn returns soon. If the runtime is shut down before the goroutine has
// begun, fn is not called, and nobody is told: gosched_go_with tells.
//
// GOSCHED_SHUT_DOWN; GOSCHED_FORKED; GOSCHED_RESOURCES if there is no thread for it.
//
// Threads: any. Waits: no. Handlers: no. States: up.
gosched_code gosched_go(gosched_runtime *runtime, gosched_fn fn, void *user);

// As gosched_go, with options, which may be NULL. Leaves a handle of the goroutine in *goroutine,
// which is to be freed; if that is NULL, nobody can join it.
//
// The options' release is called once, however the goroutine ends, and also if this fails, unless
// it returns GOSCHED_INVALID: then nothing has happened.
//
// Threads: any. Waits: no. Handlers: no. States: up.
gosched_code gosched_go_with(gosched_runtime *runtime,
                             const gosched_go_options *options,
                             gosched_fn fn,
                             void *user,
                             gosched_goroutine **goroutine);

// Waits until the goroutine's function has returned and its pointer was released. The handle stays
// as it is: it may be joined again, by others at the same time, and is still to be freed.
//
// GOSCHED_OK if the function has returned, also after a cancel. If it was never called:
// GOSCHED_CANCELLED, or GOSCHED_RESOURCES if there was no memory for its stack. GOSCHED_CANCELLED
// as well if the caller is cancelled while it waits, which gosched_goroutine_is_over tells apart.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_join(gosched_goroutine *goroutine);

// As gosched_join, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_join_timeout(gosched_goroutine *goroutine, uint64_t timeout_ns);

// Returns 1 if the goroutine's function has returned or is never going to be called, and its
// pointer was released; otherwise 0, as for NULL and in a forked child.
//
// Threads: any. Waits: no. Handlers: no. States: any.
int32_t gosched_goroutine_is_over(gosched_goroutine *goroutine);

// Cancels the goroutine: the wait that it is in, and each further one, returns GOSCHED_CANCELLED.
// If it has not begun, its function is not called. One that never waits goes on.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_cancel(gosched_goroutine *goroutine);

// Returns the goroutine's number, as dumps have it; 0 for NULL, and in a forked child.
//
// Threads: any. Waits: no. Handlers: no. States: any.
uint64_t gosched_goroutine_number(gosched_goroutine *goroutine);

// Adds a reference to the handle and returns it. Each reference is freed once. NULL stays NULL.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_goroutine *gosched_goroutine_share(gosched_goroutine *goroutine);

// Gives a reference to the handle back. The goroutine goes on. NULL is ignored.
//
// Threads: any. Waits: no. Handlers: no. States: any.
void gosched_goroutine_free(gosched_goroutine *goroutine);

// Runs fn(user) in a new goroutine, waits for its end, and leaves what it returned in *value,
// unless that is NULL. fn has a goroutine's stack and is where goroutines run: a thread that has
// not come in, and holds something of C's that forbids waiting, may hand work over by this.
//
// fn may use what lies on the caller's stack: this returns after fn has. If the caller is
// cancelled, fn is, too, and GOSCHED_CANCELLED comes after fn has returned. So it does if fn is
// not called, because the runtime shuts down.
//
// GOSCHED_SHUT_DOWN, GOSCHED_FORKED, GOSCHED_RESOURCES: fn was not called. *value is written with
// GOSCHED_OK only.
//
// Threads: any. Waits: yes. Handlers: no. States: up.
gosched_code gosched_call(gosched_runtime *runtime, gosched_value_fn fn, void *user, void **value);

// Calls fn(user), which may block for long (a file, a library that waits by itself), without
// holding other goroutines up: on a thread of a pool, with a thread's stack. The calling goroutine
// waits meanwhile, and fn runs as that goroutine. On an attached thread, in gosched_enter and on a
// thread that is no goroutine, fn is just called. fn may use what lies on the caller's stack.
//
// GOSCHED_CANCELLED: the goroutine was cancelled before, and fn was not called. A cancel that
// comes later is told by the goroutine's next wait.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_blocking(gosched_fn fn, void *user);

// Calls fn(user) on the stack of the goroutine's thread, for functions that need more than the
// goroutine has: 2 MiB, or RUST_MIN_STACK, on the runtime's threads. Until fn returns, nothing
// else runs on the thread. On a thread that is no goroutine of the runtime's, fn is just called.
//
// Threads: any. Waits: only fn. Handlers: no. States: any.
gosched_code gosched_on_thread_stack(gosched_fn fn, void *user);

// Calls fn(user) as a goroutine, here and now, on the calling thread and its stack: fn may use all
// of the library, and where it waits, the thread sleeps. On a goroutine of this runtime, fn is a
// part of that goroutine. A signal finds a whole goroutine on a thread with a whole signal stack,
// or nothing of the library.
//
// After GOSCHED_OK fn has returned, whatever its waits have returned. Otherwise it was not called:
// GOSCHED_SHUT_DOWN, GOSCHED_FORKED, GOSCHED_RESOURCES, or GOSCHED_SIGNAL_HANDLER where that can
// be seen.
//
// Threads: any. Waits: only fn. Handlers: no. States: up.
gosched_code gosched_enter(gosched_runtime *runtime, gosched_fn fn, void *user);

// As gosched_enter. When timeout_ns nanoseconds have passed, the wait that fn is in, and each
// further one, returns GOSCHED_TIMED_OUT. A function that does not wait is not ended.
//
// Threads: any. Waits: only fn. Handlers: no. States: up.
gosched_code gosched_enter_timeout(gosched_runtime *runtime,
                                   gosched_fn fn,
                                   void *user,
                                   uint64_t timeout_ns);

// Makes the calling thread a goroutine until gosched_detach, and leaves what that takes in
// *attached. For a host with pairs of calls; for one call, gosched_enter is the better form.
//
// A thread may attach several times, and is attached until the last gosched_detach. A shutdown
// waits for it. A thread that ends while it is attached is not detached by that. Errors
// are those of gosched_enter.
//
// Threads: any. Waits: no. Handlers: no. States: up.
gosched_code gosched_attach(gosched_runtime *runtime, gosched_attached **attached);

// Undoes one gosched_attach. On the thread that attached: elsewhere nothing happens, and the code
// is GOSCHED_WRONG_THREAD. In a goroutine that attached itself, in that goroutine. NULL is
// GOSCHED_INVALID. In a forked child the thread that forked may undo its own.
//
// Threads: the one that attached. Waits: no. Handlers: no. States: any.
gosched_code gosched_detach(gosched_attached *attached);

// Lets other goroutines run; a thread that is no goroutine offers its core. GOSCHED_CANCELLED.
//
// Threads: any. Waits: yes, for its turn. Handlers: no. States: any.
gosched_code gosched_yield(void);

// Waits for duration_ns nanoseconds. GOSCHED_CANCELLED.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_sleep(uint64_t duration_ns);

// Returns the number of the calling goroutine, 0 if it is none.
//
// Threads: any. Waits: no. Handlers: no. States: any.
uint64_t gosched_current(void);

// Returns one of GOSCHED_CONTEXT_OUTSIDE, GOSCHED_CONTEXT_ON_SIGNAL_STACK and
// GOSCHED_CONTEXT_GOROUTINE: what a handler has interrupted. If that is a goroutine, its number is
// left in *number, unless number is NULL. Leaves errno alone.
//
// Threads: any. Waits: no. Handlers: yes. States: any.
int32_t gosched_context(uint64_t *number);

// Makes a channel, and leaves it in *channel. A send waits while capacity pointers are in it; with
// 0, until a receiver takes the pointer; with GOSCHED_UNBOUNDED, never. release, unless it is
// NULL, is called with each pointer that is left when the channel goes; it does not wait.
//
// The pointers may be anything, NULL too. Whoever receives one may use it on its own thread.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_chan_new(size_t capacity, gosched_fn release, gosched_chan **channel);

// Sends a pointer, and waits until there is room for it. After any other code than GOSCHED_OK the
// pointer is the caller's as before.
//
// GOSCHED_CLOSED, also if the channel is closed while this waits; GOSCHED_CANCELLED.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_chan_send(gosched_chan *channel, void *pointer);

// As gosched_chan_send, without a wait: GOSCHED_WOULD_BLOCK. A goroutine whose slice is over gives
// its turn where it fails.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_chan_try_send(gosched_chan *channel, void *pointer);

// As gosched_chan_send, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_chan_send_timeout(gosched_chan *channel, void *pointer, uint64_t timeout_ns);

// Receives a pointer into *pointer, and waits for it. After any other code than GOSCHED_OK nothing
// was received, and *pointer is NULL.
//
// GOSCHED_CLOSED once the channel is closed and empty; GOSCHED_CANCELLED.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_chan_recv(gosched_chan *channel, void **pointer);

// As gosched_chan_recv, without a wait: GOSCHED_WOULD_BLOCK. A goroutine whose slice is over gives
// its turn where it fails.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_chan_try_recv(gosched_chan *channel, void **pointer);

// As gosched_chan_recv, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_chan_recv_timeout(gosched_chan *channel, void **pointer, uint64_t timeout_ns);

// Closes the channel: sends fail from now on, also those that wait. What is in it can still be
// received. Closing it again does nothing.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_chan_close(gosched_chan *channel);

// Returns how many pointers are in the channel; 0 for NULL, and in a forked child.
//
// Threads: any. Waits: no. Handlers: no. States: any.
size_t gosched_chan_length(gosched_chan *channel);

// Waits until one of the cases can go on, and does that one; of several, any. Its index is left in
// *chosen, and its code in the case. A case whose channel is closed can go on.
//
// timeout_ns is how long it waits at most: GOSCHED_TIMED_OUT, or with 0, GOSCHED_WOULD_BLOCK.
// GOSCHED_FOREVER: no limit. After these codes, and after GOSCHED_CANCELLED, nothing was done.
//
// Threads: any. Waits: yes, unless timeout_ns is 0. Handlers: no. States: any.
gosched_code gosched_select(gosched_case *cases, size_t count, uint64_t timeout_ns, size_t *chosen);

// Adds a reference to the channel and returns it. Each reference is freed once. NULL stays NULL.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_chan *gosched_chan_share(gosched_chan *channel);

// Gives a reference back. With the last one the channel goes, and what is left in it is released.
// NULL is ignored.
//
// Threads: any. Waits: no. Handlers: no. States: any.
void gosched_chan_free(gosched_chan *channel);

// Makes a mutex, unlocked, and leaves it in *mutex.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_mutex_new(gosched_mutex **mutex);

// Locks, and waits until nobody else holds the mutex. To lock a mutex that the caller holds
// already is a deadlock.
//
// GOSCHED_CANCELLED: it is not locked.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_mutex_lock(gosched_mutex *mutex);

// As gosched_mutex_lock, without a wait: GOSCHED_WOULD_BLOCK.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_mutex_try_lock(gosched_mutex *mutex);

// As gosched_mutex_lock, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_mutex_lock_timeout(gosched_mutex *mutex, uint64_t timeout_ns);

// Unlocks; by whoever holds the mutex, on whatever thread. GOSCHED_NOT_HELD if it is not locked.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_mutex_unlock(gosched_mutex *mutex);

// Adds a reference to the mutex and returns it. Each reference is freed once. NULL stays NULL.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_mutex *gosched_mutex_share(gosched_mutex *mutex);

// Gives a reference back. NULL is ignored.
//
// Threads: any. Waits: no. Handlers: no. States: any.
void gosched_mutex_free(gosched_mutex *mutex);

// Makes a wait group with a count of zero, and leaves it in *group.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_wait_group_new(gosched_wait_group **group);

// Counts count more.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_wait_group_add(gosched_wait_group *group, size_t count);

// Counts one down. The last one wakes those that wait. GOSCHED_NOT_HELD if the count is zero.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_wait_group_done(gosched_wait_group *group);

// Waits until the count is zero. GOSCHED_CANCELLED.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_wait_group_wait(gosched_wait_group *group);

// As gosched_wait_group_wait, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
//
// Threads: any. Waits: yes. Handlers: no. States: any.
gosched_code gosched_wait_group_wait_timeout(gosched_wait_group *group, uint64_t timeout_ns);

// Adds a reference to the group and returns it. Each reference is freed once. NULL stays NULL.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_wait_group *gosched_wait_group_share(gosched_wait_group *group);

// Gives a reference back. NULL is ignored.
//
// Threads: any. Waits: no. Handlers: no. States: any.
void gosched_wait_group_free(gosched_wait_group *group);

// Makes a mailbox with room for capacity pointers, 1 to 2^24 - 1, and leaves it in *mailbox. The
// first one makes a thread, which wakes the receivers of all.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_mailbox_new(size_t capacity, gosched_mailbox **mailbox);

// Posts a pointer. It takes no lock, allocates nothing, waits for nobody, and makes one system
// call at most, which wakes the receiver. errno stays, and so does the text of
// gosched_last_error.
//
// GOSCHED_WOULD_BLOCK if there is no room; GOSCHED_FORKED in a forked child.
//
// Threads: any. Waits: no. Handlers: yes. States: any.
gosched_code gosched_mailbox_post(gosched_mailbox *mailbox, void *pointer);

// Receives the oldest pointer into *pointer, and waits for it. After any other code than
// GOSCHED_OK nothing was received, and *pointer is NULL. To end a receiver, post a pointer that
// both know.
//
// GOSCHED_BUSY if somebody else is receiving; GOSCHED_CANCELLED; GOSCHED_FORKED in a forked child.
//
// Threads: any, one at a time. Waits: yes. Handlers: no. States: any.
gosched_code gosched_mailbox_recv(gosched_mailbox *mailbox, void **pointer);

// As gosched_mailbox_recv, without a wait: GOSCHED_WOULD_BLOCK.
//
// Threads: any, one at a time. Waits: no. Handlers: no. States: any.
gosched_code gosched_mailbox_try_recv(gosched_mailbox *mailbox, void **pointer);

// As gosched_mailbox_recv, for timeout_ns nanoseconds at most: GOSCHED_TIMED_OUT.
//
// Threads: any, one at a time. Waits: yes. Handlers: no. States: any.
gosched_code gosched_mailbox_recv_timeout(gosched_mailbox *mailbox,
                                          void **pointer,
                                          uint64_t timeout_ns);

// Adds a reference to the mailbox and returns it. Each reference is freed once. NULL stays NULL.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_mailbox *gosched_mailbox_share(gosched_mailbox *mailbox);

// Gives a reference back. With the last one the mailbox goes, and what is in it is lost: take the
// handlers that post away before. NULL is ignored.
//
// Threads: any. Waits: no. Handlers: no. States: any.
void gosched_mailbox_free(gosched_mailbox *mailbox);

// Writes the runtime's numbers into *stats, whose size the caller has set. Takes about a
// microsecond and stops nobody.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_runtime_stats(gosched_runtime *runtime, gosched_stats *stats);

// Writes a list of the runtime's goroutines (their numbers and names, what each does, how much of
// its stack it has used) into buffer, as a string that is cut after size - 1 bytes, and the length
// of the whole list into *length. With size 0 nothing is written, and buffer may be NULL. Stops
// nobody.
//
// Threads: any. Waits: no. Handlers: no. States: any.
gosched_code gosched_runtime_dump(gosched_runtime *runtime,
                                  char *buffer,
                                  size_t size,
                                  size_t *length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

// Options for a runtime in this mode, with everything else as it is by default.
static inline gosched_options gosched_options_of(uint32_t mode) {
    gosched_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.abi = GOSCHED_ABI;
    options.mode = mode;
    return options;
}

// Options for a goroutine, with everything as it is by default.
static inline gosched_go_options gosched_go_options_of(void) {
    gosched_go_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

#endif
