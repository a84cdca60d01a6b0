/* The allocator's functions, and those of locks and of system calls that wait, with a count before
 * each. A program's definitions are taken before those of the C library, in shared libraries too. */
#define _GNU_SOURCE
#include "counting.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static volatile int counts;
static unsigned long calls;

static void count(void) {
    if (counts) __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

void counting_start(void) {
    __atomic_store_n(&calls, 0, __ATOMIC_RELAXED);
    counts = 1;
}

unsigned long counting_stop(void) {
    counts = 0;
    return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
    count();
    return __libc_realloc(memory, size);
}

void free(void *memory) {
    count();
    __libc_free(memory);
}

void *memalign(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    count();
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

/* The next definition of a function, looked up before anything counts. */
#define NEXT(result, name, parameters, arguments)                                    \
    static result(*next_##name) parameters;                                          \
    __attribute__((constructor)) static void find_##name(void) {                     \
        *(void **)(&next_##name) = dlsym(RTLD_NEXT, #name);                          \
    }                                                                                \
    result name parameters {                                                         \
        count();                                                                     \
        if (!next_##name) find_##name();                                             \
        return next_##name arguments;                                                \
    }

NEXT(int, pthread_mutex_lock, (pthread_mutex_t *m), (m))
NEXT(int, pthread_mutex_trylock, (pthread_mutex_t *m), (m))
NEXT(int, pthread_rwlock_rdlock, (pthread_rwlock_t *l), (l))
NEXT(int, pthread_rwlock_wrlock, (pthread_rwlock_t *l), (l))
NEXT(int, pthread_cond_wait, (pthread_cond_t *c, pthread_mutex_t *m), (c, m))
NEXT(int, pthread_cond_signal, (pthread_cond_t *c), (c))
NEXT(int, pthread_create,
     (pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *x), (t, a, f, x))
NEXT(int, sem_wait, (sem_t *s), (s))
NEXT(int, sched_yield, (void), ())
NEXT(void *, mmap, (void *p, size_t n, int r, int f, int d, long o), (p, n, r, f, d, o))
NEXT(int, munmap, (void *p, size_t n), (p, n))

/* How Rust's standard library waits on a lock that another thread has. */
long syscall(long number, ...) {
    static long (*next)(long, ...);
    long given[6];
    va_list arguments;
    int i;
    count();
    if (!next) *(void **)(&next) = dlsym(RTLD_NEXT, "syscall");
    va_start(arguments, number);
    for (i = 0; i < 6; i++) given[i] = va_arg(arguments, long);
    va_end(arguments);
    return next(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}
