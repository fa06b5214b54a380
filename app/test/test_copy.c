/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Engines that hang, fail, do not stop, or are gone: what was submitted is done
 * in the end, by whomever, and its memory is not given back before.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_dmadev_pmd.h>
#include <rte_memory.h>

#include "deadline.h"
#include "fake_dma.h"
#include "test.h"
#include "weir_copy.h"

#define LEN 512u
#define NR 32u

static uint8_t src[NR][LEN], dst[NR][LEN];
static struct fake_dma *dev;
static struct weir_copy_chan *chan;

/* An engine with a short watchdog. */
static int
open_chan(void)
{
	dev = fake_dma_plug();
	if (dev == NULL)
		return -ENODEV;
	weir_copy_set_watchdog(20000);
	for (unsigned int i = 0; i < NR; i++)
		memset(src[i], (int)(i + 1), LEN);
	memset(dst, 0, sizeof(dst));
	return weir_copy_get(FAKE_DMA_NAME, &chan);
}

static enum test_result
close_chan(void)
{
	weir_copy_put(chan);
	fake_dma_unplug();
	weir_copy_set_watchdog(500000);
	return TEST_OK;
}

/* As submit(), as one job. */
static bool
submit_sg(unsigned int first, unsigned int nr)
{
	struct weir_copy_piece p[FAKE_DMA_SGES];
	bool taken;

	for (unsigned int i = 0; i < nr; i++)
		p[i] = (struct weir_copy_piece){ dst[first + i], src[first + i],
						 (uintptr_t)dst[first + i],
						 (uintptr_t)src[first + i], LEN };
	weir_copy_lock(chan);
	taken = weir_copy_submit_sg(chan, p, nr);
	weir_copy_kick(chan);
	weir_copy_poll(chan);
	weir_copy_unlock(chan);
	return taken;
}

/* Submit copies from @p first on, as far as there is room. @return how many. */
static unsigned int
submit(unsigned int first, unsigned int nr)
{
	unsigned int n;

	weir_copy_lock(chan);
	for (n = 0; n < nr && weir_copy_room(chan) != 0; n++)
		if (!weir_copy_submit(chan, dst[first + n], (uintptr_t)dst[first + n],
				      src[first + n], (uintptr_t)src[first + n], LEN))
			break;
	weir_copy_kick(chan);
	weir_copy_poll(chan);
	weir_copy_unlock(chan);
	return n;
}

static bool
arrived(unsigned int first, unsigned int nr)
{
	return memcmp(src[first], dst[first], (size_t)nr * LEN) == 0;
}

static bool
is_down(void)
{
	bool down;

	weir_copy_lock(chan);
	down = weir_copy_room(chan) == 0;
	weir_copy_unlock(chan);
	return down;
}

/* Tend until the channel is down, or up again; a bound of some seconds. */
static bool
tend_until(bool down)
{
	for (int i = 0; i < 20000 && is_down() != down; i++) {
		weir_copy_tend();
		rte_delay_us_sleep(500);
	}
	return is_down() == down;
}

/* Tend for so long; whether the channel is down. */
static bool
tend_for_ms(unsigned int ms)
{
	for (uint64_t end = deadline_in(ms * 1000); deadline_left_us(end) != 0;) {
		weir_copy_tend();
		rte_delay_us_sleep(500);
	}
	return is_down();
}

static enum test_result
engine_that_hangs_is_reset_and_comes_back(void)
{
	TEST_EQ(open_chan(), 0);
	dev->credit = 5;
	TEST_EQ(submit(0, 16), 16);
	TEST_EQ(chan->done, 5);
	TEST_ASSERT(tend_until(true));
	/* by CPU, and only after the engine was stopped */
	TEST_ASSERT(weir_copy_done(chan, 16));
	TEST_ASSERT(arrived(0, 16));
	TEST_EQ(submit(16, 1), 0);
	dev->credit = UINT64_MAX;
	TEST_ASSERT(tend_until(false));
	TEST_EQ(dev->stub.starts, 2);
	TEST_EQ(submit(16, 16), 16);
	TEST_ASSERT(weir_copy_done(chan, 32));
	TEST_ASSERT(arrived(16, 16));
	TEST_EQ(dev->calls, 0);
	return close_chan();
}

static enum test_result
engine_that_hangs_again_is_tried_again(void)
{
	TEST_EQ(open_chan(), 0);
	dev->credit = 0;
	TEST_EQ(submit(0, 4), 4);
	TEST_ASSERT(tend_until(true));
	/* its test copies do not arrive either: several starts, and still down */
	for (int i = 0; i < 20000 && dev->stub.starts < 4; i++) {
		weir_copy_tend();
		rte_delay_us_sleep(500);
	}
	TEST_ASSERT(dev->stub.starts >= 4 && is_down());
	dev->credit = UINT64_MAX;
	dev->wrong = true;
	TEST_ASSERT(!arrived(4, 4));
	for (unsigned int was = dev->stub.starts, i = 0;
	     i < 20000 && dev->stub.starts < was + 2; i++) {
		weir_copy_tend();
		rte_delay_us_sleep(500);
	}
	TEST_ASSERT(is_down());
	dev->wrong = false;
	TEST_ASSERT(tend_until(false));
	TEST_ASSERT(arrived(0, 4));
	TEST_EQ(dev->calls, 0);
	return close_chan();
}

static enum test_result
engine_that_does_not_stop_keeps_its_copies(void)
{
	TEST_EQ(open_chan(), 0);
	dev->credit = 0;
	dev->stub.stop_ret = -EBUSY;
	TEST_EQ(submit(0, 4), 4);
	TEST_ASSERT(tend_until(true));
	TEST_ASSERT(!weir_copy_done(chan, 1));
	TEST_EQ(weir_copy_drain(chan, 4, 50000), -EBUSY);
	TEST_EQ(weir_copy_touching(chan, (struct weir_range){ (uintptr_t)dst[3],
							      (uintptr_t)dst[3] }),
		4);
	dev->stub.stop_ret = 0;
	TEST_EQ(weir_copy_drain(chan, 4, 10000000), 0);
	TEST_ASSERT(arrived(0, 4));
	dev->credit = UINT64_MAX;
	TEST_ASSERT(tend_until(false));
	return close_chan();
}

static enum test_result
engine_that_fails_all_is_put_aside(void)
{
	TEST_EQ(open_chan(), 0);
	dev->fails = true;
	TEST_EQ(submit(0, 32), 32);
	/* recovered by CPU as it is polled, at once */
	TEST_ASSERT(weir_copy_done(chan, 32));
	TEST_ASSERT(arrived(0, 32));
	TEST_EQ(chan->errors, 32);
	TEST_ASSERT(tend_until(true));
	dev->fails = false;
	TEST_ASSERT(tend_until(false));
	TEST_EQ(submit(0, 32), 32);
	TEST_EQ(chan->errors, 32);
	return close_chan();
}

/* Few copies between two looks, all of which fail. */
static enum test_result
engine_that_fails_all_of_little_is_put_aside(void)
{
	TEST_EQ(open_chan(), 0);
	dev->fails = true;
	for (int i = 0; i < 2000 && !is_down(); i++) {
		TEST_EQ(submit(0, 2), 2);
		rte_delay_us_sleep(1500);
		weir_copy_tend();
	}
	TEST_ASSERT(is_down());
	TEST_ASSERT(chan->errors >= 16);
	dev->fails = false;
	TEST_ASSERT(tend_until(false));
	return close_chan();
}

static enum test_result
engine_that_fails_seldom_stays(void)
{
	TEST_EQ(open_chan(), 0);
	for (int i = 0; i < 100; i++) {
		dev->fails = i % 40 == 0;
		TEST_EQ(submit(0, i % 40 == 0 ? 1 : 32), i % 40 == 0 ? 1 : 32);
		weir_copy_tend();
		TEST_ASSERT(!is_down());
	}
	TEST_EQ(chan->errors, 3);
	return close_chan();
}

static enum test_result
engine_idle_or_unwatched_is_left_alone(void)
{
	TEST_EQ(open_chan(), 0);
	TEST_EQ(submit(0, 4), 4);
	TEST_ASSERT(!tend_for_ms(50));
	weir_copy_set_watchdog(0);
	dev->credit = 0;
	TEST_EQ(submit(4, 4), 4);
	TEST_ASSERT(!tend_for_ms(50));
	dev->credit = UINT64_MAX;
	TEST_EQ(weir_copy_drain(chan, 8, 1000000), 0);
	return close_chan();
}

static enum test_result
engine_polled_by_nobody_is_polled_before_judged(void)
{
	TEST_EQ(open_chan(), 0);
	dev->credit = 0;
	TEST_EQ(submit(0, 4), 4);
	dev->credit = UINT64_MAX;
	TEST_ASSERT(!tend_for_ms(50));
	TEST_ASSERT(weir_copy_done(chan, 4));
	return close_chan();
}

/* As after a pause of the whole machine, when this is who runs first. */
static enum test_result
engine_is_not_judged_by_time_without_a_look(void)
{
	TEST_EQ(open_chan(), 0);
	dev->credit = 0;
	TEST_EQ(submit(0, 4), 4);
	for (unsigned int look = 0; look < 3; look++) {
		weir_copy_tend();
		TEST_ASSERT(!is_down());
		rte_delay_us_sleep(50000);
	}
	TEST_ASSERT(tend_until(true));
	return close_chan();
}

static enum test_result
engine_unplugged_and_plugged_in_again(void)
{
	TEST_EQ(open_chan(), 0);
	dev->credit = 2;
	TEST_EQ(submit(0, 8), 8);
	fake_dma_unplug();
	TEST_ASSERT(tend_until(true));
	TEST_ASSERT(weir_copy_done(chan, 8));
	TEST_ASSERT(arrived(0, 8));
	dev = fake_dma_plug();
	TEST_ASSERT(dev != NULL);
	TEST_ASSERT(tend_until(false));
	TEST_EQ(submit(8, 8), 8);
	TEST_ASSERT(weir_copy_done(chan, 16));
	TEST_ASSERT(arrived(8, 8));
	TEST_EQ(dev->calls, 0);
	return close_chan();
}

/* A dmadev as its driver has put it where it is found, and is not done with it. */
static uint64_t asked_at;

static int
half_info(const struct rte_dma_dev *half, struct rte_dma_info *info, uint32_t len)
{
	(void)half, (void)len;
	if (asked_at == 0)
		asked_at = rte_get_timer_cycles();
	info->dev_capa = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
	info->max_vchans = 1;
	return 0;
}

static bool
half_plug(const char *name)
{
	static const struct rte_dma_dev_ops ops = { .dev_info_get = half_info };
	static struct rte_device device = { .name = "half" };
	struct rte_dma_dev *half = rte_dma_pmd_allocate(name, 0, 8);

	asked_at = 0;
	if (half == NULL)
		return false;
	half->dev_ops = &ops;
	half->device = &device;
	return true;
}

static enum test_result
engine_of_which_nobody_says_so_is_given_time(void)
{
	uint64_t begun;

	TEST_EQ(open_chan(), 0);
	fake_dma_unplug();
	TEST_ASSERT(tend_until(true));
	/* its empty place is seen */
	for (int i = 0; i < 20; i++) {
		rte_delay_us_sleep(2000);
		weir_copy_tend();
	}
	begun = rte_get_timer_cycles();
	TEST_ASSERT(half_plug(FAKE_DMA_NAME));
	for (int i = 0; i < 10000 && asked_at == 0; i++) {
		weir_copy_tend();
		rte_delay_us_sleep(1000);
	}
	TEST_ASSERT(asked_at != 0);
	TEST_ASSERT(asked_at - begun >= rte_get_timer_hz() / 1000 * 300);
	rte_dma_pmd_release(FAKE_DMA_NAME);
	dev = fake_dma_plug();
	TEST_ASSERT(dev != NULL);
	TEST_ASSERT(tend_until(false));
	return close_chan();
}

/* What was said of a dmadev is not said of the next one that has its id. */
static enum test_result
engine_with_the_id_of_another_refused(void)
{
	struct weir_copy_chan *c;
	int id;

	TEST_EQ(open_chan(), 0);
	id = rte_dma_get_dev_id_by_name(FAKE_DMA_NAME);
	weir_copy_put(chan);
	rte_dma_pmd_release(FAKE_DMA_NAME);
	TEST_ASSERT(half_plug("fake_next"));
	TEST_EQ(rte_dma_get_dev_id_by_name("fake_next"), id);
	TEST_EQ(weir_copy_get("fake_next", &c), -EXDEV);
	rte_dma_pmd_release("fake_next");
	weir_copy_set_watchdog(500000);
	return TEST_OK;
}

static enum test_result
engine_put_while_down_is_left_stopped(void)
{
	TEST_EQ(open_chan(), 0);
	dev->credit = 0;
	TEST_EQ(submit(0, 1), 1);
	TEST_ASSERT(tend_until(true));
	TEST_ASSERT(!dev->stub.running);
	weir_copy_put(chan);
	TEST_EQ(weir_copy_get(FAKE_DMA_NAME, &chan), 0);
	TEST_ASSERT(!is_down());
	return close_chan();
}

/* The engine ends jobs, its user counts copies. */
static enum test_result
job_of_several_is_as_many_copies(void)
{
	dev = fake_dma_plug();
	TEST_ASSERT(dev != NULL);
	dev->stub.info.dev_capa |= RTE_DMA_CAPA_OPS_COPY_SG;
	weir_copy_set_watchdog(20000);
	for (unsigned int i = 0; i < NR; i++)
		memset(src[i], (int)(i + 1), LEN);
	memset(dst, 0, sizeof(dst));
	TEST_EQ(weir_copy_get(FAKE_DMA_NAME, &chan), 0);
	TEST_EQ(chan->max_sg, FAKE_DMA_SGES);
	dev->credit = 0;
	TEST_EQ(submit(0, 2), 2);
	TEST_ASSERT(submit_sg(2, 4));
	TEST_EQ(submit(6, 1), 1);
	TEST_ASSERT(submit_sg(7, 3));
	TEST_EQ(dev->jobs, 5);
	TEST_EQ(chan->submitted, 10);
	TEST_EQ(weir_copy_touching(chan, (struct weir_range){ (uintptr_t)dst[4],
							      (uintptr_t)dst[4] }),
		5);
	dev->credit = 2;
	TEST_EQ(weir_copy_drain(chan, 3, 1000), -EBUSY);
	TEST_EQ(chan->done, 2);
	dev->credit = 1;
	TEST_EQ(weir_copy_drain(chan, 6, 1000000), 0);
	TEST_EQ(chan->done, 6);
	dev->credit = UINT64_MAX;
	TEST_EQ(weir_copy_drain(chan, 10, 1000000), 0);
	TEST_ASSERT(arrived(0, 10));
	/* a job that fails is copied by CPU, all of it; its place is anybody's again */
	dev->fails = true;
	for (unsigned int i = 0; i < 200; i++)
		TEST_ASSERT(submit_sg(10, 4) && submit(14, 1) == 1);
	TEST_ASSERT(arrived(10, 5));
	TEST_EQ(chan->done, 10 + 200 * 5);
	TEST_EQ(chan->errors, 400);
	/* one that never ends is rescued, all of it */
	dev->fails = false;
	dev->credit = 0;
	TEST_ASSERT(submit_sg(15, 4) && submit(19, 1) == 1);
	TEST_ASSERT(tend_until(true));
	TEST_ASSERT(arrived(15, 5));
	dev->credit = UINT64_MAX;
	TEST_ASSERT(tend_until(false));
	for (unsigned int i = 0; i < 200; i++)
		TEST_EQ(submit(20, 1), 1);
	TEST_EQ(chan->done, chan->submitted);
	return close_chan();
}

/* It was told of: no call from then on, though the device is still there. */
static enum test_result
engine_about_to_be_removed_is_let_go(void)
{
	TEST_EQ(open_chan(), 0);
	dev->credit = 2;
	TEST_EQ(submit(0, 8), 8);
	TEST_EQ(weir_copy_unplug(FAKE_DMA_NAME), 0);
	TEST_ASSERT(is_down() && !dev->stub.running);
	TEST_ASSERT(weir_copy_done(chan, 8));
	TEST_ASSERT(arrived(0, 8));
	for (int i = 0; i < 100; i++) {
		weir_copy_tend();
		rte_delay_us_sleep(1000);
	}
	TEST_ASSERT(is_down());
	TEST_EQ(dev->stub.starts, 1);
	TEST_EQ(submit(8, 1), 0);
	TEST_EQ(weir_copy_unplug(FAKE_DMA_NAME), 0);
	fake_dma_unplug();
	weir_copy_tend();
	dev = fake_dma_plug();
	TEST_ASSERT(dev != NULL);
	TEST_ASSERT(tend_until(false));
	TEST_EQ(submit(8, 8), 8);
	TEST_ASSERT(arrived(8, 8));
	TEST_EQ(dev->calls, 0);
	return close_chan();
}

/* EAL tells of a removal; the device's name may have more behind it. */
static enum test_result
engine_of_whose_removal_eal_tells_is_let_go(void)
{
	TEST_EQ(open_chan(), 0);
	rte_dev_event_callback_process("fake", RTE_DEV_EVENT_REMOVE);
	rte_dev_event_callback_process(FAKE_DMA_NAME, RTE_DEV_EVENT_ADD);
	TEST_ASSERT(!is_down());
	dev->credit = 0;
	TEST_EQ(submit(0, 4), 4);
	rte_dev_event_callback_process(FAKE_DMA_NAME, RTE_DEV_EVENT_REMOVE);
	TEST_ASSERT(is_down() && !dev->stub.running);
	TEST_ASSERT(arrived(0, 4));
	/* another in its place before anybody has looked */
	fake_dma_unplug();
	dev = fake_dma_plug();
	TEST_ASSERT(dev != NULL);
	TEST_ASSERT(tend_until(false));
	return close_chan();
}

static enum test_result
engine_that_does_not_stop_is_not_let_go(void)
{
	TEST_EQ(weir_copy_unplug("no such"), 0);
	TEST_EQ(open_chan(), 0);
	dev->credit = 0;
	dev->stub.stop_ret = -EBUSY;
	TEST_EQ(submit(0, 4), 4);
	TEST_EQ(weir_copy_unplug(FAKE_DMA_NAME), -EBUSY);
	TEST_ASSERT(is_down() && !weir_copy_done(chan, 1));
	dev->stub.stop_ret = 0;
	TEST_EQ(weir_copy_unplug(FAKE_DMA_NAME), 0);
	TEST_ASSERT(arrived(0, 4));
	return close_chan();
}

/* An lcore that never pauses, while the device is taken away and put back. */
static void *
lcore_main(void *arg)
{
	const _Atomic bool *end = arg;

	while (!atomic_load(end)) {
		submit(0, 8);
		sched_yield();
	}
	return NULL;
}

static enum test_result
engine_unplugged_under_traffic_is_not_called(void)
{
	_Atomic bool end = false;
	unsigned int calls = 0;
	pthread_t lcore;

	TEST_EQ(open_chan(), 0);
	TEST_EQ(pthread_create(&lcore, NULL, lcore_main, &end), 0);
	for (int i = 0; i < 20; i++) {
		rte_delay_us_sleep(2000);
		TEST_EQ(weir_copy_unplug(FAKE_DMA_NAME), 0);
		rte_delay_us_sleep(500);
		calls += dev->calls;
		fake_dma_unplug();
		dev = fake_dma_plug();
		TEST_ASSERT(dev != NULL);
		TEST_ASSERT(tend_until(false));
	}
	atomic_store(&end, true);
	pthread_join(lcore, NULL);
	TEST_EQ(calls, 0);
	TEST_EQ(weir_copy_drain(chan, chan->submitted, 1000000), 0);
	TEST_ASSERT(arrived(0, 8));
	return close_chan();
}

static const struct test_case copy_cases[] = {
	{ "engine_that_hangs_is_reset_and_comes_back",
	  engine_that_hangs_is_reset_and_comes_back },
	{ "engine_that_hangs_again_is_tried_again",
	  engine_that_hangs_again_is_tried_again },
	{ "engine_that_does_not_stop_keeps_its_copies",
	  engine_that_does_not_stop_keeps_its_copies },
	{ "engine_that_fails_all_is_put_aside", engine_that_fails_all_is_put_aside },
	{ "engine_that_fails_all_of_little_is_put_aside",
	  engine_that_fails_all_of_little_is_put_aside },
	{ "engine_of_which_nobody_says_so_is_given_time",
	  engine_of_which_nobody_says_so_is_given_time },
	{ "engine_with_the_id_of_another_refused",
	  engine_with_the_id_of_another_refused },
	{ "engine_that_fails_seldom_stays", engine_that_fails_seldom_stays },
	{ "engine_idle_or_unwatched_is_left_alone",
	  engine_idle_or_unwatched_is_left_alone },
	{ "engine_polled_by_nobody_is_polled_before_judged",
	  engine_polled_by_nobody_is_polled_before_judged },
	{ "engine_is_not_judged_by_time_without_a_look",
	  engine_is_not_judged_by_time_without_a_look },
	{ "engine_unplugged_and_plugged_in_again",
	  engine_unplugged_and_plugged_in_again },
	{ "engine_put_while_down_is_left_stopped",
	  engine_put_while_down_is_left_stopped },
	{ "job_of_several_is_as_many_copies", job_of_several_is_as_many_copies },
	{ "engine_about_to_be_removed_is_let_go", engine_about_to_be_removed_is_let_go },
	{ "engine_of_whose_removal_eal_tells_is_let_go",
	  engine_of_whose_removal_eal_tells_is_let_go },
	{ "engine_that_does_not_stop_is_not_let_go",
	  engine_that_does_not_stop_is_not_let_go },
	{ "engine_unplugged_under_traffic_is_not_called",
	  engine_unplugged_under_traffic_is_not_called },
};
AUTOTEST_EAL(copy_autotest, copy_cases);
