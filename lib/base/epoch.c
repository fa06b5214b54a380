/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "weir_epoch.h"

#if defined(__SANITIZE_THREAD__)
#define EPOCH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EPOCH_TSAN 1
#endif
#endif

bool weir_epoch_asymmetric;

/* Before any thread exists, so that the flag never changes under a reader. */
__attribute__((constructor)) static void
epoch_ctor(void)
{
#ifndef EPOCH_TSAN
	weir_epoch_asymmetric =
		syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
			0) == 0;
#endif
}

static void
epoch_fence(void)
{
	/* after a fork() the registration is gone: register again and retry */
	if (weir_epoch_asymmetric &&
	    syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
		syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
		syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Spin a little, then give the reader the core: on two cores it may need it. */
static int
reader_wait(struct weir_epoch_reader *r, uint64_t deadline_us)
{
	uint64_t seen = __atomic_load_n(&r->ctr, __ATOMIC_ACQUIRE);
	unsigned int spins = 0;

	if ((seen & 1) == 0)
		return 0;
	while (__atomic_load_n(&r->ctr, __ATOMIC_ACQUIRE) == seen) {
		if (++spins < 64)
			continue;
		if (now_us() >= deadline_us)
			return -EBUSY;
		sched_yield();
	}
	return 0;
}

int
weir_epoch_wait(struct weir_epoch_reader *r, uint64_t timeout_us)
{
	epoch_fence();
	return reader_wait(r, now_us() + timeout_us);
}

void
weir_epoch_init(struct weir_epoch *e)
{
	pthread_mutex_init(&e->lock, NULL);
	e->head = NULL;
}

void
weir_epoch_register(struct weir_epoch *e, struct weir_epoch_reader *r)
{
	pthread_mutex_lock(&e->lock);
	r->next = e->head;
	e->head = r;
	pthread_mutex_unlock(&e->lock);
}

void
weir_epoch_unregister(struct weir_epoch *e, struct weir_epoch_reader *r)
{
	struct weir_epoch_reader **p;

	pthread_mutex_lock(&e->lock);
	for (p = &e->head; *p != NULL; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			break;
		}
	}
	pthread_mutex_unlock(&e->lock);
}

int
weir_epoch_synchronize(struct weir_epoch *e, uint64_t timeout_us)
{
	uint64_t deadline_us = now_us() + timeout_us;
	struct weir_epoch_reader *r;
	int ret = 0;

	epoch_fence();
	pthread_mutex_lock(&e->lock);
	for (r = e->head; r != NULL && ret == 0; r = r->next)
		ret = reader_wait(r, deadline_us);
	pthread_mutex_unlock(&e->lock);
	return ret;
}
