/* Tells ThreadSanitizer of each switch between stacks.
 *
 * The coroutine library calls the functions by which AddressSanitizer is told: before a switch with
 * the bounds of the stack that it goes to, and after it, when it wants the bounds of the stack that
 * it came from. Here these functions drive ThreadSanitizer's fibers. A stack has one fiber for as
 * long as the process lives, also when it serves one goroutine after another: nobody says when a
 * stack is given up. A thread's own stack has the fiber that its thread began with; what is told as
 * its bounds is that fiber, and a size that no stack has.
 *
 * This file is compiled without the sanitizer. Its switches order what a thread does before them
 * and after them, as a thread's own order does. A goroutine that another thread takes over keeps
 * its fiber, so a fault in that hand-over is not seen by what the goroutine itself touches.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void *__tsan_create_fiber(unsigned flags);
void *__tsan_get_current_fiber(void);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_func_entry(void *caller);

enum {
    /* More than the sanitizer has: it ends the process before the table is full. */
    PLACES = 1 << 14,
    /* Entries below those that a fiber makes itself. A function that began before the switch and
     * ends after it takes its entry from the other stack of calls. */
    HEADROOM = 16,
};

/* The size that says that the bottom is a fiber. */
static const size_t FIBER = (size_t)1 << 63;

static struct {
    const void *bottom;
    void *fiber;
} places[PLACES];

static char taken;

/* The fiber that this thread switched from last. */
static __thread void *left;

/* Returns the fiber of the stack with this bottom; *fresh says that it is new. */
static void *fiber_of(const void *bottom, int *fresh)
{
    size_t at = (uintptr_t)bottom / 4096 * 2654435761u % PLACES;
    while (__atomic_test_and_set(&taken, __ATOMIC_ACQUIRE)) {
    }
    size_t looked = 0;
    while (places[at].bottom != NULL && places[at].bottom != bottom) {
        if (++looked == PLACES) {
            fputs("fibers.c: more stacks than places\n", stderr);
            abort();
        }
        at = (at + 1) % PLACES;
    }
    *fresh = places[at].bottom == NULL;
    if (*fresh) {
        places[at].bottom = bottom;
        places[at].fiber = __tsan_create_fiber(0);
    }
    void *fiber = places[at].fiber;
    __atomic_clear(&taken, __ATOMIC_RELEASE);
    return fiber;
}

void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size)
{
    int fresh = 0;
    void *fiber = size == FIBER ? (void *)bottom : fiber_of(bottom, &fresh);
    if (save != NULL)
        *save = NULL;
    left = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber, 0);
    for (int made = 0; fresh && made < HEADROOM; made++)
        __tsan_func_entry(__builtin_return_address(0));
}

void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size)
{
    (void)save;
    if (bottom != NULL)
        *bottom = left;
    if (size != NULL)
        *size = FIBER;
}

/* Asked of AddressSanitizer alone. */
void __asan_unpoison_memory_region(const void *from, size_t size)
{
    (void)from;
    (void)size;
}
