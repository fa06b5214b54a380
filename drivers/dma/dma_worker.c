/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine's thread. It polls the doorbells of all vchans of its device, a
 * bounded number of jobs each in turn, so that no vchan starves another. With
 * nothing to do it first spins, then gives its core away at every turn, and
 * after a while sleeps between turns: on a machine with few cores it shares one
 * with the threads it works for.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "dma_weir.h"
#include "dpdk_thread.h"

#define TURN_JOBS 32   /* of one vchan before the next has its turn */
#define IDLE_SPINS 256 /* turns before it yields */
#define IDLE_SLEEP_MS 10
#define SLEEP_NS 50000

static void
rest(unsigned int *idle_turns, uint64_t *idle_since)
{
	static const struct timespec nap = { .tv_nsec = SLEEP_NS };

	if (*idle_turns < IDLE_SPINS) {
		if (++*idle_turns == IDLE_SPINS)
			*idle_since = rte_rdtsc();
		rte_pause();
	} else if (rte_rdtsc() - *idle_since < rte_get_tsc_hz() / 1000 * IDLE_SLEEP_MS) {
		sched_yield();
	} else {
		nanosleep(&nap, NULL);
	}
}

static void
work(struct wdma_dev *d)
{
	unsigned int idle_turns = 0, nr;
	uint64_t idle_since = 0;

	while (!atomic_load_explicit(&d->worker_stop, memory_order_acquire)) {
		nr = 0;
		for (uint16_t i = 0; i < d->nr_vchans; i++)
			nr += wdma_run(&d->vchans[i], TURN_JOBS);
		if (nr != 0)
			idle_turns = 0;
		else
			rest(&idle_turns, &idle_since);
	}
}

static dpdk_thread_ret
worker_main(void *arg)
{
	work(arg);
	return 0;
}

static int
worker_pin(struct wdma_dev *d)
{
	cpu_set_t set;

	if (d->conf.cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(d->conf.cpu, &set);
	return -pthread_setaffinity_np(d->worker, sizeof(set), &set);
}

int
wdma_worker_start(struct wdma_dev *d)
{
	int ret;

	atomic_store_explicit(&d->worker_stop, false, memory_order_relaxed);
	ret = dpdk_control_thread(&d->worker, "weir-dma", worker_main, d);
	if (ret != 0) {
		WDMA_LOG(ERR, "%s: no thread for the engine: %s", d->name,
			 rte_strerror(-ret));
		return ret;
	}
	ret = worker_pin(d);
	if (ret != 0) {
		WDMA_LOG(ERR, "%s: argument 'lcore=%d': the engine cannot run there: %s",
			 d->name, d->conf.cpu, rte_strerror(-ret));
		wdma_worker_stop(d);
	}
	return ret;
}

void
wdma_worker_stop(struct wdma_dev *d)
{
	atomic_store_explicit(&d->worker_stop, true, memory_order_release);
	pthread_join(d->worker, NULL);
}
