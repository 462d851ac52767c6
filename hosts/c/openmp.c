/* Loops of OpenMP that call back: a worker of its pool is in the middle of a region. */
#include <stdint.h>

typedef int64_t (*host_call)(int64_t value, void *user);

/* A parallel loop, the same as nested regions, and as tasks; each calls once for each number. */
int64_t host_openmp_sum(int64_t n, host_call call, void *user) {
    int64_t sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(4) schedule(dynamic, 8)
    for (int64_t i = 0; i < n; i++) sum += call(i, user);

#pragma omp parallel for reduction(+ : sum) num_threads(2)
    for (int64_t half = 0; half < 2; half++) {
        int64_t part = 0;
#pragma omp parallel for reduction(+ : part) num_threads(2)
        for (int64_t i = half * n / 2; i < (half + 1) * n / 2; i++) part += call(i, user);
        sum += part;
    }

#pragma omp parallel num_threads(4)
#pragma omp single
    for (int64_t i = 0; i < n; i++) {
#pragma omp task firstprivate(i) shared(sum)
        {
            int64_t one = call(i, user);
#pragma omp atomic
            sum += one;
        }
    }
    return sum;
}
