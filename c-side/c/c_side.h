/* The C half of the examples and tests. ../src repeats these declarations: keep the two alike. */
#ifndef C_SIDE_H
#define C_SIDE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* ---- lines.c: what a C library with threads of its own looks like ---- */

/*
 * Called for each line, without its newline. Returns the total of words so far, or a negative
 * number if the call was refused.
 */
typedef int64_t (*c_on_line)(void *ctx, const char *line, size_t len);

struct c_lines_report {
    uint64_t lines;     /* calls made */
    uint64_t refused;   /* calls that returned a negative number */
    uint64_t backwards; /* totals smaller than one that the same thread had been given before */
    int64_t last_total; /* the greatest total that a thread ended with */
};

int c_lines_run(const char *text, size_t len, size_t rounds, c_on_line on_line, void *const *ctxs,
                size_t threads, struct c_lines_report *out);
uint64_t c_count_words(const char *text, size_t len);
uint64_t c_count_lines(const char *text, size_t len);

/* ---- storm.c: signals, as many as one thread can send ---- */

typedef void (*c_on_signal)(int signal);

int c_storm_handle(c_on_signal handler);
int c_storm_start(void);
void c_storm_stop(void);
uint64_t c_storm_sent(void);
int c_storm_signal(void);
void c_storm_enrol(void);

/* ---- thread.c: threads that record their own state before and after each call ---- */

struct c_thread_state {
    uint64_t mask;        /* bit n-1: signal n is blocked */
    uintptr_t stack_base; /* the registered signal stack; 0 when there is none */
    uint64_t stack_size;
    int32_t stack_flags; /* SS_DISABLE, SS_ONSTACK */
    int32_t error_number;
};

struct c_call {
    struct c_thread_state before;
    struct c_thread_state after;
    int64_t returned;
};

struct c_thread {
    /* set by the caller of c_thread_start */
    size_t signal_stack; /* bytes; 0: none */
    uint64_t blocked;    /* signals to block, as in c_thread_state.mask */
    size_t calls;
    int64_t (*call)(void *ctx, size_t index);
    void *ctx;
    struct c_call *records; /* one for each call */
    /* filled in by the thread; to be read after c_thread_join */
    struct c_thread_state at_exit; /* after the other thread-specific destructors have run */
    size_t returned;               /* calls that came back */
    int32_t reached_end;           /* not cancelled */
    int32_t cancelled;
    void *signal_stack_memory;
    pthread_t thread;
};

void c_thread_state(struct c_thread_state *out);
int c_signal_stack_flags(void);
int c_thread_start(struct c_thread *thread);
int c_thread_join(struct c_thread *thread);
int c_thread_cancel(const struct c_thread *thread);
int c_thread_kill(const struct c_thread *thread, int signal);
_Noreturn void c_exit_thread(void);
int64_t c_call(int64_t (*call)(void *ctx, size_t index), void *ctx);
int64_t c_overflow_stack(int64_t depth);
_Noreturn void c_exit_process(int status);

/* ---- calls.c: threads that call again and again, and take the time ---- */

struct c_calls {
    /* set by the caller of c_calls_run */
    size_t calls;
    /* sleeps for less than this before each call; 0: not at all. Only if calls are timed */
    uint64_t max_pause_ns;
    uint64_t limit_ns; /* no further call after this time. Only if calls are timed */
    uint64_t seed;     /* of the pauses */
    void (*call)(void *ctx);
    void *ctx;
    uint64_t *took_ns; /* room for one figure for each call; NULL: they are not timed one by one */
    /* filled in by the thread; to be read after c_calls_run */
    size_t made; /* 0 before */
    uint64_t began_ns;
    uint64_t ended_ns;
    pthread_mutex_t *gate;
    pthread_t thread;
};

int c_calls_run(struct c_calls *jobs, size_t count);

#endif
