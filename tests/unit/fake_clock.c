/* SPDX-License-Identifier: MIT */
#include "tests/unit/fake_clock.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "tests/unit/check.h"

#define YEAR_2026_MS 1767225600000

static _Atomic int64_t passed_ms;
/* What the kernel would tell the refresher by. */
static atomic_int step_fd = -1;

int64_t __wrap_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void)
{
	return YEAR_2026_MS + passed_ms;
}

uint64_t __wrap_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void)
{
	return 1000 + (uint64_t)passed_ms;
}

int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags)
{
	CHECK(clock == CLOCK_REALTIME);
	CHECK(flags == (TFD_CLOEXEC | TFD_NONBLOCK));
	step_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return step_fd;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value,
			   struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value,
			   struct itimerspec *old)
{
	CHECK(fd == step_fd && old == NULL && value->it_value.tv_sec > 0);
	CHECK(flags == (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET));
	return 0;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asleep = PTHREAD_COND_INITIALIZER;
static unsigned n_sleeps; /* mutex */

static bool is_refresher(const struct pollfd *fds, nfds_t n)
{
	return n == 2 && fds[1].fd == step_fd && step_fd >= 0;
}

int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	int rc;

	if (!is_refresher(fds, n))
		return __real_poll(fds, n, timeout);
	CHECK(pthread_mutex_lock(&mutex) == 0);
	rc = __real_poll(fds, n, 0);
	if (rc == 0) {
		n_sleeps++;
		CHECK(pthread_cond_broadcast(&asleep) == 0);
	}
	CHECK(pthread_mutex_unlock(&mutex) == 0);
	return rc != 0 ? rc : __real_poll(fds, n, timeout);
}

unsigned fake_clock_sleeps(void)
{
	unsigned n;

	CHECK(pthread_mutex_lock(&mutex) == 0);
	n = n_sleeps;
	CHECK(pthread_mutex_unlock(&mutex) == 0);
	return n;
}

void fake_clock_await_sleep(unsigned sleeps)
{
	CHECK(pthread_mutex_lock(&mutex) == 0);
	while (n_sleeps <= sleeps)
		CHECK(pthread_cond_wait(&asleep, &mutex) == 0);
	CHECK(pthread_mutex_unlock(&mutex) == 0);
}

unsigned fake_clock_advance(int64_t ms)
{
	unsigned n;

	CHECK(pthread_mutex_lock(&mutex) == 0);
	n = n_sleeps;
	passed_ms += ms;
	if (step_fd >= 0)
		CHECK(eventfd_write(step_fd, 1) == 0);
	CHECK(pthread_mutex_unlock(&mutex) == 0);
	return n;
}

int64_t fake_clock_now(void)
{
	return (YEAR_2026_MS + passed_ms) / 1000;
}
