/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>

#include "weir_copy.h"
#include "weir_fail.h"
#include "weir_log.h"

/* What one vchan is to its users. */
struct copy_vchan {
	struct weir_copy_chan chan;
	unsigned int users;
};

/* A dmadev that we have configured and started. */
struct copy_dev {
	struct copy_dev *next;
	int16_t dev_id;
	uint16_t nr_vchans;
	unsigned int users;
	struct copy_vchan vchan[];
};

static pthread_mutex_t devs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct copy_dev *devs; /* guarded by devs_lock, as all in the list */

/* Ids of dmadevs that EAL gives out, unless it was told of another number. */
#define MAX_DEVS 64
static bool reach[MAX_DEVS]; /* guarded by devs_lock */

/* More vchans than any port has queues would be memory for nothing. */
#define MAX_VCHANS 64

static int
vchan_start(struct copy_dev *d, uint16_t v, const struct rte_dma_info *info)
{
	struct rte_dma_vchan_conf conf = { .direction = RTE_DMA_DIR_MEM_TO_MEM };
	struct weir_copy_chan *c = &d->vchan[v].chan;
	uint32_t nb_desc = WEIR_COPY_RING;

	if (nb_desc > info->max_desc)
		nb_desc = info->max_desc;
	if (nb_desc < info->min_desc)
		nb_desc = info->min_desc;
	/* ours is a power of two, and never more than the device has */
	while ((nb_desc & (nb_desc - 1)) != 0)
		nb_desc &= nb_desc - 1;
	conf.nb_desc = (uint16_t)(nb_desc < info->min_desc ? info->min_desc : nb_desc);
	rte_spinlock_init(&c->lock);
	c->dev_id = d->dev_id;
	c->vchan = v;
	/* some devices keep one descriptor to themselves: we ask them, not count */
	c->mask = nb_desc - 1;
	c->ring = weir_calloc(nb_desc, sizeof(c->ring[0]));
	if (c->ring == NULL)
		return -ENOMEM;
	return rte_dma_vchan_setup(d->dev_id, v, &conf);
}

static void
dev_free(struct copy_dev *d)
{
	for (uint16_t v = 0; v < d->nr_vchans; v++)
		free(d->vchan[v].chan.ring);
	free(d);
}

void
weir_copy_set_reach(int16_t dev_id, bool reaches)
{
	pthread_mutex_lock(&devs_lock);
	if (dev_id >= 0 && dev_id < MAX_DEVS)
		reach[dev_id] = reaches;
	pthread_mutex_unlock(&devs_lock);
}

static bool
dev_reaches(int16_t dev_id, const struct rte_dma_info *info)
{
	if (dev_id < MAX_DEVS && reach[dev_id])
		return true;
	return (info->dev_capa & RTE_DMA_CAPA_SVA) != 0 &&
	       rte_eal_iova_mode() == RTE_IOVA_VA;
}

static int
dev_check(int16_t dev_id, struct rte_dma_info *info)
{
	const uint64_t need = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
	int ret = rte_dma_info_get(dev_id, info);

	if (ret != 0)
		return ret;
	if ((info->dev_capa & need) != need || info->max_vchans == 0)
		return -ENOTSUP;
	return dev_reaches(dev_id, info) ? 0 : -EXDEV;
}

/* Configure and start a device that nobody of ours uses yet. */
static int
dev_start(int16_t dev_id, struct copy_dev **out)
{
	struct rte_dma_conf conf = { 0 };
	struct rte_dma_info info;
	struct copy_dev *d;
	int ret;

	ret = dev_check(dev_id, &info);
	if (ret != 0)
		return ret;
	conf.nb_vchans = info.max_vchans < MAX_VCHANS ? info.max_vchans : MAX_VCHANS;
	d = weir_zalloc(sizeof(*d) + conf.nb_vchans * sizeof(d->vchan[0]));
	if (d == NULL)
		return -ENOMEM;
	d->dev_id = dev_id;
	d->nr_vchans = conf.nb_vchans;
	ret = rte_dma_configure(dev_id, &conf);
	for (uint16_t v = 0; v < d->nr_vchans && ret == 0; v++)
		ret = vchan_start(d, v, &info);
	if (ret == 0)
		ret = rte_dma_start(dev_id);
	if (ret != 0) {
		dev_free(d);
		return ret;
	}
	d->next = devs;
	devs = d;
	*out = d;
	return 0;
}

static struct copy_vchan *
dev_least_used(struct copy_dev *d)
{
	struct copy_vchan *best = &d->vchan[0];

	for (uint16_t v = 1; v < d->nr_vchans; v++)
		if (d->vchan[v].users < best->users)
			best = &d->vchan[v];
	return best;
}

int
weir_copy_get(const char *dma_name, struct weir_copy_chan **out)
{
	int dev_id = rte_dma_get_dev_id_by_name(dma_name);
	struct copy_vchan *v;
	struct copy_dev *d;
	int ret = 0;

	if (dev_id < 0)
		return -ENODEV;
	pthread_mutex_lock(&devs_lock);
	for (d = devs; d != NULL && d->dev_id != dev_id; d = d->next)
		;
	if (d == NULL)
		ret = dev_start((int16_t)dev_id, &d);
	if (ret == 0) {
		v = dev_least_used(d);
		v->users++;
		d->users++;
		*out = &v->chan;
	}
	pthread_mutex_unlock(&devs_lock);
	return ret;
}

void
weir_copy_put(struct weir_copy_chan *c)
{
	struct copy_dev **p, *d;

	pthread_mutex_lock(&devs_lock);
	for (p = &devs; (*p)->dev_id != c->dev_id; p = &(*p)->next)
		;
	d = *p;
	d->vchan[c->vchan].users--;
	if (--d->users == 0) {
		*p = d->next;
		rte_dma_stop(d->dev_id);
		dev_free(d);
	}
	pthread_mutex_unlock(&devs_lock);
}

void
weir_copy_recover(struct weir_copy_chan *c)
{
	enum rte_dma_status_code status[32];
	uint16_t n, want = (uint16_t)RTE_MIN(c->kicked - c->done, RTE_DIM(status));

	n = rte_dma_completed_status(c->dev_id, c->vchan, want, NULL, status);
	for (uint16_t i = 0; i < n; i++) {
		const struct weir_copy_op *op = &c->ring[(c->done + 1 + i) & c->mask];

		if (status[i] == RTE_DMA_STATUS_SUCCESSFUL)
			continue;
		memcpy(op->dst, op->src, op->len);
		__atomic_store_n(&c->errors, c->errors + 1, __ATOMIC_RELAXED);
	}
	weir_copy_advance(c, n);
}

static bool
op_touches(const struct weir_copy_op *op, struct weir_range hva)
{
	uint64_t dst = (uintptr_t)__atomic_load_n(&op->dst, __ATOMIC_RELAXED);
	uint64_t src = (uintptr_t)__atomic_load_n(&op->src, __ATOMIC_RELAXED);
	uint32_t len = __atomic_load_n(&op->len, __ATOMIC_RELAXED);
	struct weir_range r;

	return (weir_range_make(&r, dst, len) == 0 && weir_range_overlaps(r, hva)) ||
	       (weir_range_make(&r, src, len) == 0 && weir_range_overlaps(r, hva));
}

uint64_t
weir_copy_touching(const struct weir_copy_chan *c, struct weir_range hva)
{
	uint64_t seq = __atomic_load_n(&c->submitted, __ATOMIC_ACQUIRE);

	/*
	 * The place of a copy is taken again only when the copy is done. So what is
	 * read of one that is not was written by its own submission.
	 */
	for (; !weir_copy_done(c, seq); seq--)
		if (op_touches(&c->ring[seq & c->mask], hva))
			return seq;
	return 0;
}

/* Looks before a waiting thread sleeps: an engine that is fast is over by then. */
#define DRAIN_SPINS 64u
#define DRAIN_SLEEP_US 20u

int
weir_copy_drain(struct weir_copy_chan *c, uint64_t seq, uint64_t timeout_us)
{
	uint64_t deadline =
		rte_get_timer_cycles() + timeout_us * rte_get_timer_hz() / 1000000;

	for (unsigned int spins = 0; !weir_copy_done(c, seq); spins++) {
		/* whoever has it polls, too */
		if (rte_spinlock_trylock(&c->lock)) {
			weir_copy_kick(c);
			weir_copy_poll(c);
			weir_copy_unlock(c);
		}
		if (rte_get_timer_cycles() > deadline)
			return weir_copy_done(c, seq) ? 0 : -EBUSY;
		if (spins < DRAIN_SPINS)
			rte_pause();
		else
			usleep(DRAIN_SLEEP_US);
	}
	return 0;
}
