/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "dpdk_thread.h"

/* A function that another thread wants run. Lives on that thread's stack. */
struct ctl_call {
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
	struct ctl_call *next;
};

static struct {
	pthread_mutex_t life; /* guards users; held while the thread starts or ends */
	unsigned int users;
	pthread_mutex_t lock; /* guards calls */
	struct ctl_call *calls;
	struct ctl_call **calls_end;
	int epoll_fd;
	struct ctl_fd wake;	  /* an eventfd: there are calls, or it is to end */
	struct ctl_timer *timers; /* the thread's, soonest first */
	bool end;
	pthread_t thread;
	const void *_Atomic at; /* the descriptor or timer whose function runs */
	_Atomic uint64_t since; /* when it began to, of now_us() */
} ctl = {
	.life = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.calls_end = &ctl.calls,
	.epoll_fd = -1,
	.wake = { .fd = -1 },
};

static _Thread_local bool on_ctl_thread;

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct ctl_call *
call_pop(void)
{
	struct ctl_call *c;

	pthread_mutex_lock(&ctl.lock);
	c = ctl.calls;
	if (c != NULL) {
		ctl.calls = c->next;
		if (ctl.calls == NULL)
			ctl.calls_end = &ctl.calls;
	}
	pthread_mutex_unlock(&ctl.lock);
	return c;
}

static void
wake_ready(struct ctl_fd *f)
{
	struct ctl_call *c;
	eventfd_t n;

	(void)!eventfd_read(f->fd, &n);
	while ((c = call_pop()) != NULL) {
		c->fn(c->arg);
		sem_post(&c->done);
	}
}

/* Microseconds to the first timer; UINT64_MAX: there is none. */
static uint64_t
timers_wait_us(void)
{
	uint64_t now = now_us();

	if (ctl.timers == NULL)
		return UINT64_MAX;
	return ctl.timers->due_us > now ? ctl.timers->due_us - now : 0;
}

/* As epoll_wait(), until the first timer at most: to the microsecond where the
 * kernel can (Linux 5.11). */
static int
wait_event(struct epoll_event *ev)
{
	static bool coarse;
	const uint64_t us = timers_wait_us();
	const struct timespec ts = { .tv_sec = (time_t)(us / 1000000),
				     .tv_nsec = (long)(us % 1000000 * 1000) };
	int n;

	if (!coarse) {
		n = epoll_pwait2(ctl.epoll_fd, ev, 1, us != UINT64_MAX ? &ts : NULL,
				 NULL);
		if (n >= 0 || errno != ENOSYS)
			return n;
		coarse = true;
	}
	return epoll_wait(ctl.epoll_fd, ev, 1,
			  us != UINT64_MAX ? (int)((us + 999) / 1000) : -1);
}

/* What the thread is at; NULL: nothing. */
static void
busy(const void *at)
{
	/* first: who sees a new one does not see the time of an old one */
	atomic_store(&ctl.since, now_us());
	atomic_store(&ctl.at, at);
}

uint64_t
ctl_busy_us(const void *obj, size_t len)
{
	const uintptr_t first = (uintptr_t)obj, at = (uintptr_t)atomic_load(&ctl.at);
	const uint64_t now = now_us(), since = atomic_load(&ctl.since);

	return at - first < len && since < now ? now - since : 0;
}

static void
timers_run(void)
{
	uint64_t now = now_us();

	while (ctl.timers != NULL && ctl.timers->due_us <= now) {
		struct ctl_timer *t = ctl.timers;

		ctl_timer_clear(t);
		busy(t);
		t->expired(t);
		busy(NULL);
	}
}

static void
ctl_loop(void)
{
	/* one event at a time: its handler may close any other descriptor */
	struct epoll_event ev;

	on_ctl_thread = true;
	while (!ctl.end) {
		int n = wait_event(&ev);

		if (n == 1) {
			struct ctl_fd *f = ev.data.ptr;

			busy(f);
			f->ready(f);
			busy(NULL);
		}
		timers_run();
	}
}

static dpdk_thread_ret
ctl_main(void *arg)
{
	(void)arg;
	ctl_loop();
	return 0;
}

/* With ctl.life held, by the first user. */
static int
ctl_start(void)
{
	int ret;

	ctl.end = false;
	ctl.wake.watched = false;
	ctl.wake.ready = wake_ready;
	ctl.wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ctl.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ctl.wake.fd < 0 || ctl.epoll_fd < 0) {
		ret = -errno;
		goto err_close;
	}
	ret = ctl_watch(&ctl.wake);
	if (ret == 0)
		ret = dpdk_control_thread(&ctl.thread, "weir-ctl", ctl_main, NULL);
	if (ret == 0)
		return 0;

err_close:
	if (ctl.epoll_fd >= 0)
		close(ctl.epoll_fd);
	if (ctl.wake.fd >= 0)
		close(ctl.wake.fd);
	ctl.epoll_fd = -1;
	ctl.wake.fd = -1;
	return ret;
}

int
ctl_get(void)
{
	int ret = 0;

	pthread_mutex_lock(&ctl.life);
	if (ctl.users == 0)
		ret = ctl_start();
	if (ret == 0)
		ctl.users++;
	pthread_mutex_unlock(&ctl.life);
	return ret;
}

static void
ctl_end(void *arg)
{
	(void)arg;
	ctl.end = true;
}

void
ctl_put(void)
{
	pthread_mutex_lock(&ctl.life);
	if (--ctl.users == 0) {
		ctl_run(ctl_end, NULL);
		pthread_join(ctl.thread, NULL);
		close(ctl.epoll_fd);
		close(ctl.wake.fd);
		ctl.epoll_fd = -1;
		ctl.wake.fd = -1;
	}
	pthread_mutex_unlock(&ctl.life);
}

void
ctl_run(void (*fn)(void *arg), void *arg)
{
	struct ctl_call call = { .fn = fn, .arg = arg };

	if (on_ctl_thread) {
		fn(arg);
		return;
	}
	sem_init(&call.done, 0, 0);
	pthread_mutex_lock(&ctl.lock);
	*ctl.calls_end = &call;
	ctl.calls_end = &call.next;
	pthread_mutex_unlock(&ctl.lock);
	(void)!eventfd_write(ctl.wake.fd, 1);
	while (sem_wait(&call.done) != 0)
		; /* a signal */
	sem_destroy(&call.done);
}

int
ctl_watch(struct ctl_fd *f)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = f };

	if (epoll_ctl(ctl.epoll_fd, EPOLL_CTL_ADD, f->fd, &ev) != 0)
		return -errno;
	f->watched = true;
	return 0;
}

void
ctl_unwatch(struct ctl_fd *f)
{
	if (f->watched)
		epoll_ctl(ctl.epoll_fd, EPOLL_CTL_DEL, f->fd, NULL);
	f->watched = false;
}

void
ctl_close(struct ctl_fd *f)
{
	if (f->fd < 0)
		return;
	ctl_unwatch(f);
	close(f->fd);
	f->fd = -1;
}

void
ctl_timer_set(struct ctl_timer *t, uint64_t delay_us)
{
	struct ctl_timer **p = &ctl.timers;

	ctl_timer_clear(t);
	t->due_us = now_us() + delay_us;
	while (*p != NULL && (*p)->due_us <= t->due_us)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
	t->armed = true;
}

void
ctl_timer_clear(struct ctl_timer *t)
{
	struct ctl_timer **p = &ctl.timers;

	if (!t->armed)
		return;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->armed = false;
}
