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
