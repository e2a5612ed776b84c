/* Gives the programs that preload it a clock of their own: CLOCK_REALTIME plus an offset that grows by a drift.

   Other clocks, and how long anything waits, stay as they are. The values are in a file of 32 bytes that is mapped into
   every program, so that a change is in force everywhere at once. See __init__.py beside this file. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

struct shift {
    uint64_t turn; /* odd while the values change */
    int64_t offset_ns, drift_ppb;
    int64_t since_ns; /* of CLOCK_MONOTONIC, from when on it drifts */
};

static const volatile struct shift *shared;
static int (*real_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void attach(void) {
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("TESTBED_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *found = mmap(NULL, sizeof(struct shift), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (found != MAP_FAILED)
        shared = found;
}

static int64_t shift_ns(void) {
    if (!shared)
        return 0;
    uint64_t turn;
    int64_t offset_ns, drift_ppb, since_ns;
    do {
        turn = __atomic_load_n(&shared->turn, __ATOMIC_ACQUIRE);
        offset_ns = shared->offset_ns, drift_ppb = shared->drift_ppb, since_ns = shared->since_ns;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (turn % 2 || turn != __atomic_load_n(&shared->turn, __ATOMIC_RELAXED));
    if (!drift_ppb)
        return offset_ns;
    struct timespec now;
    real_gettime(CLOCK_MONOTONIC, &now);
    int64_t gone_ns = now.tv_sec * SECOND + now.tv_nsec - since_ns;
    return offset_ns + (int64_t)((__int128)gone_ns * drift_ppb / SECOND);
}

static void move(struct timespec *time, int64_t by_ns) {
    int64_t all = time->tv_nsec + by_ns % SECOND;
    time->tv_sec += by_ns / SECOND + all / SECOND;
    time->tv_nsec = all % SECOND;
    if (time->tv_nsec < 0) {
        time->tv_sec -= 1;
        time->tv_nsec += SECOND;
    }
}

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!real_gettime) /* another library's constructor calls it */
        attach();
    int failed = real_gettime(clock, time);
    if (!failed && is_wall(clock))
        move(time, shift_ns());
    return failed;
}

int gettimeofday(struct timeval *time, void *zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *time) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (time)
        *time = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *time, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, time) ? base : 0;
}

/* What waits until a time of this clock waits as long as it would by the machine's. */

static const struct timespec *real_time(clockid_t clock, const struct timespec *time, struct timespec *real) {
    if (!time || !is_wall(clock))
        return time;
    *real = *time;
    move(real, -shift_ns());
    return real;
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *rest) {
    struct timespec real;
    return REAL(clock_nanosleep)(clock, flags, flags & TIMER_ABSTIME ? real_time(clock, time, &real) : time, rest);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *time) {
    struct timespec real;
    return REAL(pthread_cond_clockwait)(cond, mutex, clock, real_time(clock, time, &real));
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *time) {
    /* Bit 1 of __wrefs says by which clock it waits (glibc, nptl/pthreadP.h, __PTHREAD_COND_CLOCK_MONOTONIC_MASK). */
    clockid_t clock = cond->__data.__wrefs & 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    return pthread_cond_clockwait(cond, mutex, clock, time);
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *time) {
    struct timespec real;
    return REAL(pthread_mutex_timedlock)(mutex, real_time(CLOCK_REALTIME, time, &real));
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *time) {
    struct timespec real;
    return REAL(pthread_rwlock_timedrdlock)(lock, real_time(CLOCK_REALTIME, time, &real));
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *time) {
    struct timespec real;
    return REAL(pthread_rwlock_timedwrlock)(lock, real_time(CLOCK_REALTIME, time, &real));
}

int sem_timedwait(sem_t *semaphore, const struct timespec *time) {
    struct timespec real;
    return REAL(sem_timedwait)(semaphore, real_time(CLOCK_REALTIME, time, &real));
}
