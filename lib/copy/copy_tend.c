/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The watch over devices: which of them stand still or fail too often, and the
 * way back for those. See copy_impl.h for the states.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "copy_impl.h"
#include "deadline.h"
#include "weir_errno.h"
#include "weir_log.h"

/* Looks need not follow closer than this. */
#define TEND_US 1000u

/* Longer than any engine needs for a full ring, shorter than a user waits. */
#define WATCHDOG_DEFAULT_US 500000u

/* A copy is too old after so many looks at the least. While nobody looked, nothing else
 * may have run either: a machine that was paused is no fault of its devices. */
#define WATCHDOG_LOOKS 4u

/* So many failed, and more than one in so many: of the last copies, that many or those
 * of that time. */
#define FAILED_MIN 16u
#define FAILED_SHARE 16u
#define FAILED_OF 1024u
#define FAILED_US 1000000u

#define PAUSE_MIN_US 10000u
#define PAUSE_MAX_US 10000000u

/* A place that is empty, or taken while nobody says so, is looked at so often. */
#define FIND_US 10000u

/*
 * A driver puts its dmadev where it can be found before it has made it, and EAL does not
 * say when it is made. One of which nobody says so has to have been there for as long.
 */
#define FOUND_US 300000u

/* Bytes of a test copy. */
#define PROBE_LEN 4096u

static _Atomic uint64_t watchdog_us = WATCHDOG_DEFAULT_US;

void
weir_copy_set_watchdog(uint64_t timeout_us)
{
	atomic_store(&watchdog_us, timeout_us);
}

uint64_t
weir_copy_watchdog(void)
{
	return atomic_load(&watchdog_us);
}

/* Look at a channel once more, as whoever uses it may not be polling. */
static bool
vchan_stands(struct copy_vchan *v)
{
	struct weir_copy_chan *c = &v->chan;
	bool stands;

	weir_copy_lock(c);
	weir_copy_kick(c);
	weir_copy_poll(c);
	stands = c->done == v->seen_done;
	weir_copy_unlock(c);
	return stands;
}

/* Begin to count failures anew. */
static void
vchan_base(struct copy_vchan *v, uint64_t done, uint64_t errors, uint64_t now)
{
	v->base_done = done;
	v->base_errors = errors;
	v->base_at = now;
}

/* Too many have failed, of however many looks it takes to say so. */
static bool
vchan_fails(struct copy_vchan *v, uint64_t done, uint64_t now)
{
	const uint64_t errors = __atomic_load_n(&v->chan.errors, __ATOMIC_RELAXED);
	const uint64_t copies = done - v->base_done, failed = errors - v->base_errors;
	const bool share = failed > copies / FAILED_SHARE;

	if (failed >= FAILED_MIN && share)
		return true;
	/* an engine with little to do, all of which fails, is waited for */
	if (copies >= FAILED_OF || (!share && now - v->base_at > cycles_of_us(FAILED_US)))
		vchan_base(v, done, errors, now);
	return false;
}

/* What is wrong with a channel, in words; NULL: nothing. */
static const char *
vchan_look(struct copy_vchan *v, uint64_t now)
{
	const uint64_t limit = cycles_of_us(weir_copy_watchdog());
	uint64_t submitted = __atomic_load_n(&v->chan.submitted, __ATOMIC_RELAXED);
	uint64_t done = __atomic_load_n(&v->chan.done, __ATOMIC_RELAXED);

	if (done != v->seen_done || done == submitted)
		v->since = now;
	else if (limit != 0 && now - v->looked_at > limit / WATCHDOG_LOOKS)
		v->since += now - v->looked_at - limit / WATCHDOG_LOOKS;
	v->looked_at = now;
	v->seen_done = done;
	if (vchan_fails(v, done, now))
		return "too many copies fail";
	if (limit != 0 && now - v->since > limit && vchan_stands(v))
		return "its oldest copy does not end";
	return NULL;
}

/* Keep all lcores from the device. They are out of it when this returns. */
static void
dev_down(struct copy_dev *d, const char *why, uint64_t now)
{
	const uint64_t longest = cycles_of_us(PAUSE_MAX_US);

	for (uint16_t v = 0; v < d->nr_vchans; v++) {
		struct weir_copy_chan *c = &d->vchan[v].chan;

		weir_copy_lock(c);
		__atomic_store_n(&c->down, true, __ATOMIC_RELAXED);
		weir_copy_unlock(c);
	}
	if (d->pause == 0 || now - d->up_at > longest)
		d->pause = cycles_of_us(PAUSE_MIN_US);
	d->health = COPY_STOPPING;
	d->retry_at = now;
	__atomic_store_n(&d->resets, d->resets + 1, __ATOMIC_RELAXED);
	weir_log(WEIR_LOG_WARN, "%s: %s; copies by CPU until it works again", d->name,
		 why);
}

static void
dev_later(struct copy_dev *d, uint64_t now)
{
	d->retry_at = now + d->pause;
	d->pause = RTE_MIN(2 * d->pause, cycles_of_us(PAUSE_MAX_US));
}

/* The device is stopped: make what it has not by CPU. It may have made some of
 * it; the bytes are the same, since their users hold both ends until then. */
static uint64_t
vchan_rescue(struct copy_vchan *v)
{
	struct weir_copy_chan *c = &v->chan;
	uint64_t nr = c->submitted - c->done;

	while (c->done != c->submitted) {
		struct weir_copy_op *op = &c->ring[(c->done + 1) & c->mask];

		op->more = 0;
		copy_repeat(op);
		weir_copy_advance(c, 1);
	}
	c->kicked = c->submitted;
	return nr;
}

static void
dev_stop(struct copy_dev *d, uint64_t now)
{
	uint64_t rescued = 0;
	int ret = copy_dev_halt(d);

	dev_later(d, now);
	if (ret != 0) {
		weir_log(WEIR_LOG_ERR, "%s: does not stop, its copies stay under way: %s",
			 d->name, weir_strerror(ret));
		return;
	}
	for (uint16_t v = 0; v < d->nr_vchans; v++)
		rescued += vchan_rescue(&d->vchan[v]);
	__atomic_store_n(&d->rescued, d->rescued + rescued, __ATOMIC_RELAXED);
	copy_probe_end(d);
	d->health = COPY_DOWN;
}

int
copy_dev_leave(struct copy_dev *d)
{
	const uint64_t now = rte_get_timer_cycles();

	if (d->health == COPY_UP)
		dev_down(d, "it is going to be removed", now);
	if (d->health != COPY_DOWN && d->health != COPY_GONE) {
		d->health = COPY_STOPPING;
		dev_stop(d, now);
	}
	if (d->health == COPY_STOPPING)
		return -EBUSY;
	d->health = COPY_GONE;
	/* no fault of its own: the next one begins anew */
	d->pause = cycles_of_us(PAUSE_MIN_US);
	d->retry_at = now + cycles_of_us(PAUSE_MAX_US);
	d->look_at = now;
	d->announced = false;
	d->found_at = 0;
	return 0;
}

void
copy_dev_plugged(const char *name)
{
	for (struct copy_dev *d = copy_devs; d != NULL; d = d->next) {
		if (strcmp(d->name, name) != 0)
			continue;
		d->announced = true;
		if (d->health == COPY_GONE) {
			d->health = COPY_DOWN;
			d->retry_at = 0;
		}
	}
}

/* Its place is empty, or another is in it, or nobody removes it: look for it. */
static void
dev_gone(struct copy_dev *d, uint64_t now)
{
	if (now < d->look_at)
		return;
	d->look_at = now + cycles_of_us(FIND_US);
	if (copy_dev_there(d) && now < d->retry_at)
		return;
	d->health = COPY_DOWN;
	d->retry_at = now;
}

void
copy_probe_end(struct copy_dev *d)
{
	rte_free(d->probe);
	d->probe = NULL;
}

/* The two ends of a vchan's test copy. */
static uint8_t *
probe_src(const struct copy_dev *d, uint16_t v)
{
	return d->probe + (size_t)v * 2 * PROBE_LEN;
}

static uint8_t *
probe_dst(const struct copy_dev *d, uint16_t v)
{
	return probe_src(d, v) + PROBE_LEN;
}

static int
probe_begin(struct copy_dev *d)
{
	d->probe = rte_zmalloc(NULL, (size_t)d->nr_vchans * 2 * PROBE_LEN, PROBE_LEN);
	if (d->probe == NULL)
		return -ENOMEM;
	for (uint16_t v = 0; v < d->nr_vchans; v++) {
		uint8_t *src = probe_src(d, v);
		int ret;

		for (uint32_t i = 0; i < PROBE_LEN; i++)
			src[i] = (uint8_t)(i * 7 + v + 1);
		d->vchan[v].probed = false;
		ret = rte_dma_copy(d->dev_id, v, rte_mem_virt2iova(src),
				   rte_mem_virt2iova(probe_dst(d, v)), PROBE_LEN,
				   RTE_DMA_OP_FLAG_SUBMIT);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* 0: all test copies are right; -EAGAIN: not all are back; -EIO: one is wrong. */
static int
probe_look(struct copy_dev *d)
{
	int ret = 0;

	for (uint16_t v = 0; v < d->nr_vchans; v++) {
		struct copy_vchan *vc = &d->vchan[v];
		bool error = false;

		if (vc->probed)
			continue;
		vc->probed = rte_dma_completed(d->dev_id, v, 1, NULL, &error) == 1;
		if (error || (vc->probed &&
			      memcmp(probe_src(d, v), probe_dst(d, v), PROBE_LEN) != 0))
			return -EIO;
		if (!vc->probed)
			ret = -EAGAIN;
	}
	return ret;
}

/* Its driver is done with it. */
static bool
dev_made(struct copy_dev *d, uint64_t now)
{
	if (d->announced)
		return true;
	if (d->found_at == 0)
		d->found_at = now;
	d->announced = now - d->found_at > cycles_of_us(FOUND_US);
	return d->announced;
}

/* It may have come back under another id. 0; -ENODEV: it has not, or not yet. */
static int
dev_find(struct copy_dev *d, uint64_t now)
{
	int id = rte_dma_get_dev_id_by_name(d->name);
	struct rte_dma_info info;

	if (id < 0 || copy_pci_gone(d->name)) {
		d->announced = false;
		d->found_at = 0;
		return -ENODEV;
	}
	if (!dev_made(d, now) || rte_dma_info_get((int16_t)id, &info) != 0)
		return -ENODEV;
	d->dev_id = (int16_t)id;
	for (uint16_t v = 0; v < d->nr_vchans; v++) {
		struct weir_copy_chan *c = &d->vchan[v].chan;

		weir_copy_lock(c);
		c->dev_id = d->dev_id;
		__atomic_store_n(&c->node, info.numa_node, __ATOMIC_RELAXED);
		weir_copy_unlock(c);
	}
	return 0;
}

static void
dev_probe(struct copy_dev *d, uint64_t now)
{
	const uint64_t limit = weir_copy_watchdog();
	int ret = dev_find(d, now);

	if (ret == -ENODEV) {
		/* to look for it costs nothing */
		d->pause = cycles_of_us(PAUSE_MIN_US);
		d->retry_at = now + cycles_of_us(FIND_US);
		return;
	}
	if (ret == 0)
		ret = copy_dev_rejoin(d);
	if (ret == 0)
		ret = copy_dev_up(d);
	if (ret != 0) {
		weir_log(WEIR_LOG_ERR, "%s: does not start again: %s", d->name,
			 weir_strerror(ret));
		dev_later(d, now);
		return;
	}
	ret = probe_begin(d);
	d->health = ret == 0 ? COPY_PROBED : COPY_STOPPING;
	d->retry_at = now + cycles_of_us(limit != 0 ? limit : WATCHDOG_DEFAULT_US);
}

static void
dev_back(struct copy_dev *d, uint64_t now)
{
	copy_probe_end(d);
	for (uint16_t v = 0; v < d->nr_vchans; v++) {
		struct copy_vchan *vc = &d->vchan[v];

		vc->seen_done = vc->chan.done;
		vc->since = vc->looked_at = now;
		vchan_base(vc, vc->chan.done, vc->chan.errors, now);
		weir_copy_lock(&vc->chan);
		__atomic_store_n(&vc->chan.down, false, __ATOMIC_RELAXED);
		weir_copy_unlock(&vc->chan);
	}
	d->health = COPY_UP;
	d->up_at = now;
	weir_log(WEIR_LOG_NOTICE, "%s: test copies arrive, in use again", d->name);
}

static void
dev_probed(struct copy_dev *d, uint64_t now)
{
	int ret = probe_look(d);

	if (ret == 0) {
		dev_back(d, now);
	} else if (ret != -EAGAIN || now >= d->retry_at) {
		d->health = COPY_STOPPING;
		dev_stop(d, now);
	}
}

static void
dev_up(struct copy_dev *d, uint64_t now)
{
	const char *why = NULL;

	if (!copy_dev_there(d)) {
		why = "it is gone";
		d->announced = false;
		d->found_at = 0;
	}
	for (uint16_t v = 0; v < d->nr_vchans && why == NULL; v++)
		why = vchan_look(&d->vchan[v], now);
	if (why == NULL)
		return;
	dev_down(d, why, now);
	dev_stop(d, now);
}

static void
dev_tend(struct copy_dev *d, uint64_t now)
{
	if (d->health == COPY_UP)
		dev_up(d, now);
	else if (d->health == COPY_PROBED)
		dev_probed(d, now);
	else if (d->health == COPY_GONE)
		dev_gone(d, now);
	else if (now < d->retry_at)
		return;
	else if (d->health == COPY_STOPPING)
		dev_stop(d, now);
	else
		dev_probe(d, now);
}

void
weir_copy_tend(void)
{
	static _Atomic uint64_t next;
	uint64_t now;

	if (rte_get_timer_cycles() < atomic_load_explicit(&next, memory_order_relaxed) ||
	    pthread_mutex_trylock(&copy_devs_lock) != 0)
		return;
	/* not before: times that were noted under the lock are not to lie ahead */
	now = rte_get_timer_cycles();
	atomic_store_explicit(&next, now + cycles_of_us(TEND_US), memory_order_relaxed);
	for (struct copy_dev *d = copy_devs; d != NULL; d = d->next)
		dev_tend(d, now);
	pthread_mutex_unlock(&copy_devs_lock);
}
