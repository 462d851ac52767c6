/*
 * C threads that record their own signal mask, signal stack and errno before and after every call,
 * and once more when all other libraries' destructors have run. And what a C library may do to a
 * callback's thread, against Rust's wishes: cancel it, end it from inside, run its stack over.
 */
#define _GNU_SOURCE
#include "c_side.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int exit_key_error;

/* Async-signal-safe: three system calls and stores to `out`. */
void c_thread_state(struct c_thread_state *out) {
    stack_t stack;
    sigset_t mask;
    out->error_number = errno;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigaltstack(NULL, &stack);
    out->mask = 0;
    for (int signal = 1; signal <= 64; signal++) {
        if (sigismember(&mask, signal) == 1) {
            out->mask |= UINT64_C(1) << (signal - 1);
        }
    }
    out->stack_base = (uintptr_t)stack.ss_sp;
    out->stack_size = stack.ss_size;
    out->stack_flags = stack.ss_flags;
    errno = out->error_number;
}

/* Async-signal-safe and one system call: for handlers that are called a million times. */
int c_signal_stack_flags(void) {
    stack_t stack;
    sigaltstack(NULL, &stack);
    return stack.ss_flags;
}

/* Records in its second round: by then every key's destructor has run once. */
static void exit_destructor(void *value) {
    struct c_thread *thread = (struct c_thread *)((uintptr_t)value & ~(uintptr_t)1);
    if (((uintptr_t)value & 1) == 0 &&
        pthread_setspecific(exit_key, (void *)((uintptr_t)value | 1)) == 0) {
        return;
    }
    c_thread_state(&thread->at_exit);
}

static void make_key(void) {
    exit_key_error = pthread_key_create(&exit_key, exit_destructor);
}

static void *thread_main(void *arg) {
    struct c_thread *thread = arg;
    pthread_setspecific(exit_key, thread);
    if (thread->signal_stack != 0) {
        stack_t own = {
            .ss_sp = thread->signal_stack_memory,
            .ss_size = thread->signal_stack,
            .ss_flags = 0,
        };
        sigaltstack(&own, NULL);
    }
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int signal = 1; signal <= 64; signal++) {
        if ((thread->blocked >> (signal - 1)) & 1) {
            sigaddset(&blocked, signal);
        }
    }
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    for (size_t i = 0; i < thread->calls; i++) {
        struct c_call *record = &thread->records[i];
        errno = (int)(i % 64) + 1; /* a new value for each call, so that a stale one shows */
        c_thread_state(&record->before);
        record->returned = thread->call(thread->ctx, i);
        c_thread_state(&record->after);
        thread->returned = i + 1;
        pthread_testcancel();
    }
    thread->reached_end = 1;
    return NULL;
}

/* Returns 0 or an errno value. `thread` stays where it is until c_thread_join. */
int c_thread_start(struct c_thread *thread) {
    pthread_once(&exit_once, make_key);
    if (exit_key_error != 0) {
        return exit_key_error;
    }
    if (thread->signal_stack != 0) {
        void *memory = mmap(NULL, thread->signal_stack, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (memory == MAP_FAILED) {
            return errno;
        }
        thread->signal_stack_memory = memory;
    }
    return pthread_create(&thread->thread, NULL, thread_main, thread);
}

/* Unmaps the signal stack only here: the thread leaves it registered, as C programs do. */
int c_thread_join(struct c_thread *thread) {
    void *result = NULL;
    int error = pthread_join(thread->thread, &result);
    thread->cancelled = result == PTHREAD_CANCELED;
    if (thread->signal_stack_memory != NULL) {
        munmap(thread->signal_stack_memory, thread->signal_stack);
        thread->signal_stack_memory = NULL;
    }
    return error;
}

int c_thread_cancel(const struct c_thread *thread) {
    return pthread_cancel(thread->thread);
}

int c_thread_kill(const struct c_thread *thread, int signal) {
    return pthread_kill(thread->thread, signal);
}

_Noreturn void c_exit_thread(void) {
    pthread_exit(NULL);
}

/* A frame of C between two of its caller's. Its local variable keeps the frame there. */
__attribute__((noinline)) int64_t c_call(int64_t (*call)(void *ctx, size_t index), void *ctx) {
    volatile int64_t frame = 1;
    frame = call(ctx, (size_t)frame);
    return frame;
}

/* 512 bytes a call, and work left after each, so that the compiler makes no loop of it. */
__attribute__((noinline)) int64_t c_overflow_stack(int64_t depth) {
    volatile char frame[512];
    memset((void *)frame, (int)depth, sizeof frame);
    if (depth < 0) {
        return frame[0];
    }
    return c_overflow_stack(depth + 1) + frame[depth % 512];
}

_Noreturn void c_exit_process(int status) {
    _exit(status);
}
