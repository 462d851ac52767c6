// What the test programs share. A check that fails says its line, and the program ends with 9.
#ifndef CHECK_H
#define CHECK_H

#include <gosched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, \
                    gosched_last_error()); \
            _exit(9); \
        } \
    } while (0)

#define OK(call) CHECK((call) == GOSCHED_OK)

static const uint64_t SECOND = 1000000000;
static const uint64_t MS = 1000000;

static inline gosched_runtime *runtime_of(uint32_t mode, size_t procs) {
    gosched_options options = gosched_options_of(mode);
    gosched_runtime *runtime;
    options.procs = procs;
    OK(gosched_runtime_new(&options, &runtime));
    return runtime;
}

#endif
