/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>

#include "copy_impl.h"
#include "deadline.h"
#include "weir_errno.h"
#include "weir_fail.h"
#include "weir_log.h"

pthread_mutex_t copy_devs_lock = PTHREAD_MUTEX_INITIALIZER;
struct copy_dev *copy_devs;

/* Ids of dmadevs that EAL gives out, unless it was told of another number. */
#define MAX_DEVS 64
/*
 * The dmadev of each id that sees what is copied, by its name: an id whose dmadev goes
 * is the next one's, of which nothing was said. Guarded by copy_devs_lock.
 */
static char reach[MAX_DEVS][RTE_DEV_NAME_MAX_LEN];

static void
reach_set(int16_t dev_id, const char *name)
{
	if (dev_id >= 0 && dev_id < MAX_DEVS)
		snprintf(reach[dev_id], sizeof(reach[dev_id]), "%s", name);
}

/* Entries of a vchan's ring: a power of two, never more than the device has. */
static uint32_t
ring_size(const struct rte_dma_info *info)
{
	uint32_t nb_desc = WEIR_COPY_RING;

	if (nb_desc > info->max_desc)
		nb_desc = info->max_desc;
	if (nb_desc < info->min_desc)
		nb_desc = info->min_desc;
	while ((nb_desc & (nb_desc - 1)) != 0)
		nb_desc &= nb_desc - 1;
	return nb_desc;
}

static int
vchan_init(struct copy_vchan *v, int16_t dev_id, uint16_t nr,
	   const struct rte_dma_info *info)
{
	struct weir_copy_chan *c = &v->chan;

	v->since = v->looked_at = rte_get_timer_cycles();
	rte_spinlock_init(&c->lock);
	c->dev_id = dev_id;
	c->vchan = nr;
	c->node = info->numa_node;
	/* some devices keep one descriptor to themselves: we ask them, not count */
	c->mask = ring_size(info) - 1;
	c->ring = weir_calloc(ring_size(info), sizeof(c->ring[0]));
	return c->ring == NULL ? -ENOMEM : 0;
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
	struct rte_dma_info info = { .dev_name = "" };

	if (reaches && rte_dma_info_get(dev_id, &info) != 0)
		return;
	pthread_mutex_lock(&copy_devs_lock);
	reach_set(dev_id, info.dev_name);
	if (reaches)
		copy_dev_plugged(info.dev_name);
	pthread_mutex_unlock(&copy_devs_lock);
}

static weir_copy_rejoin_t rejoin; /* guarded by the lock, as its context */
static void *rejoin_ctx;

void
weir_copy_set_rejoin(weir_copy_rejoin_t fn, void *ctx)
{
	pthread_mutex_lock(&copy_devs_lock);
	rejoin = fn;
	rejoin_ctx = ctx;
	pthread_mutex_unlock(&copy_devs_lock);
}

int
copy_dev_rejoin(const struct copy_dev *d)
{
	int ret = rejoin != NULL ? rejoin(rejoin_ctx, d->name) : -ENODEV;

	if (ret == 0)
		reach_set(d->dev_id, d->name);
	return ret == -ENODEV ? 0 : ret;
}

static bool
dev_reaches(int16_t dev_id, const struct rte_dma_info *info)
{
	if (dev_id < MAX_DEVS && strcmp(reach[dev_id], info->dev_name) == 0)
		return true;
	return (info->dev_capa & RTE_DMA_CAPA_SVA) != 0 &&
	       rte_eal_iova_mode() == RTE_IOVA_VA;
}

/* What a device lacks; NULL: nothing. */
static const char *
dev_lacks(const struct rte_dma_info *info)
{
	if ((info->dev_capa & RTE_DMA_CAPA_MEM_TO_MEM) == 0)
		return "transfers from memory to memory (mem2mem)";
	if ((info->dev_capa & RTE_DMA_CAPA_OPS_COPY) == 0)
		return "the operation copy";
	return info->max_vchans == 0 ? "virtual channels" : NULL;
}

static int
dev_check(int16_t dev_id, struct rte_dma_info *info)
{
	int ret = rte_dma_info_get(dev_id, info);
	const char *lacks;

	if (ret != 0)
		return ret;
	lacks = dev_lacks(info);
	if (lacks != NULL) {
		weir_log(WEIR_LOG_ERR, "%s: cannot be used for copies, it lacks %s",
			 info->dev_name, lacks);
		return -ENOTSUP;
	}
	return dev_reaches(dev_id, info) ? 0 : -EXDEV;
}

/* Copies that a job may have. */
static uint16_t
dev_max_sg(const struct rte_dma_info *info)
{
	if ((info->dev_capa & RTE_DMA_CAPA_OPS_COPY_SG) == 0 || info->max_sges == 0)
		return 1;
	return RTE_MIN(info->max_sges, (uint16_t)WEIR_COPY_MAX_SG);
}

int
copy_dev_up(struct copy_dev *d)
{
	const struct rte_dma_conf conf = { .nb_vchans = d->nr_vchans };
	struct rte_dma_vchan_conf vconf = { .direction = RTE_DMA_DIR_MEM_TO_MEM };
	struct rte_dma_info info;
	int ret = dev_check(d->dev_id, &info);

	if (ret == 0)
		ret = rte_dma_configure(d->dev_id, &conf);
	for (uint16_t v = 0; v < d->nr_vchans && ret == 0; v++) {
		d->vchan[v].chan.max_sg = dev_max_sg(&info);
		vconf.nb_desc = (uint16_t)RTE_MAX(d->vchan[v].chan.mask + 1,
						  (uint32_t)info.min_desc);
		ret = rte_dma_vchan_setup(d->dev_id, v, &vconf);
	}
	d->halted = false;
	return ret != 0 ? ret : rte_dma_start(d->dev_id);
}

int
copy_dev_halt(struct copy_dev *d)
{
	const bool gone = copy_pci_gone(d->name);
	int ret = 0;

	if (!copy_dev_there(d))
		return 0;
	if (!d->halted && (!gone || d->idxd))
		ret = rte_dma_stop(d->dev_id);
	d->halted = ret == 0;
	if (gone)
		return 0;
	return ret == 0 && d->idxd && copy_idxd_writes(d) ? -EBUSY : ret;
}

bool
copy_dev_there(const struct copy_dev *d)
{
	return rte_dma_get_dev_id_by_name(d->name) == d->dev_id;
}

/* Configure and start a device that nobody of ours uses yet. */
static int
dev_start(int16_t dev_id, struct copy_dev **out)
{
	struct rte_dma_info info;
	struct copy_dev *d;
	uint16_t nr;
	int ret;

	ret = dev_check(dev_id, &info);
	if (ret != 0)
		return ret;
	nr = RTE_MIN(info.max_vchans, (uint16_t)COPY_MAX_VCHANS);
	d = weir_zalloc(sizeof(*d) + nr * sizeof(d->vchan[0]));
	if (d == NULL)
		return -ENOMEM;
	snprintf(d->name, sizeof(d->name), "%s", info.dev_name);
	d->dev_id = dev_id;
	/* who asks for it knows that it is there */
	d->announced = true;
	d->nr_vchans = nr;
	d->idxd = copy_name_is_idxd(d->name);
	for (uint16_t v = 0; v < nr && ret == 0; v++) {
		ret = vchan_init(&d->vchan[v], dev_id, v, &info);
		d->vchan[v].chan.ask_each = d->idxd;
	}
	if (ret == 0)
		ret = copy_dev_up(d);
	if (ret != 0) {
		dev_free(d);
		return ret;
	}
	d->next = copy_devs;
	copy_devs = d;
	copy_events_on();
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
	pthread_mutex_lock(&copy_devs_lock);
	for (d = copy_devs; d != NULL && strcmp(d->name, dma_name) != 0; d = d->next)
		;
	if (d == NULL)
		ret = dev_start((int16_t)dev_id, &d);
	if (ret == 0) {
		v = dev_least_used(d);
		v->users++;
		d->users++;
		*out = &v->chan;
	}
	pthread_mutex_unlock(&copy_devs_lock);
	return ret;
}

int
weir_copy_get_all(const char *dma_names, struct weir_copy_chan **out, unsigned int max,
		  unsigned int *nr)
{
	char name[RTE_DEV_NAME_MAX_LEN];
	unsigned int n = 0;
	size_t len;
	int ret;

	for (const char *s = dma_names; s != NULL; n++) {
		len = strcspn(s, ",");
		snprintf(name, sizeof(name), "%.*s", (int)len, s);
		ret = n == max		    ? -E2BIG
		      : len == 0	    ? -EINVAL
		      : len >= sizeof(name) ? -ENODEV
					    : weir_copy_get(name, &out[n]);
		if (ret != 0)
			goto err_put;
		s = s[len] == ',' ? s + len + 1 : NULL;
	}
	*nr = n;
	return 0;

err_put:
	/* of a single name the caller knows which it was */
	if (strchr(dma_names, ',') != NULL)
		weir_log(WEIR_LOG_ERR, "of the dmadevs %s: '%s': %s", dma_names, name,
			 weir_strerror(ret));
	weir_copy_put_all(out, n);
	return ret;
}

/* The last user has gone. */
static void
dev_end(struct copy_dev *d)
{
	bool stopped =
		d->health == COPY_DOWN || d->health == COPY_GONE || copy_dev_halt(d) == 0;

	/* a device that does not stop may still write to what it is tested with */
	if (stopped)
		copy_probe_end(d);
	dev_free(d);
}

static bool
dev_has(struct copy_dev *d, const struct weir_copy_chan *c)
{
	return c->vchan < d->nr_vchans && &d->vchan[c->vchan].chan == c;
}

void
weir_copy_put(struct weir_copy_chan *c)
{
	struct copy_dev **p, *d;

	pthread_mutex_lock(&copy_devs_lock);
	for (p = &copy_devs; !dev_has(*p, c); p = &(*p)->next)
		;
	d = *p;
	d->vchan[c->vchan].users--;
	if (--d->users == 0) {
		*p = d->next;
		dev_end(d);
	}
	pthread_mutex_unlock(&copy_devs_lock);
}

void
weir_copy_put_all(struct weir_copy_chan *const *c, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		weir_copy_put(c[i]);
}

bool
weir_copy_submit_sg(struct weir_copy_chan *c, const struct weir_copy_piece *piece,
		    unsigned int nr)
{
	struct rte_dma_sge src[WEIR_COPY_MAX_SG], dst[WEIR_COPY_MAX_SG];
	uint64_t seq = c->submitted + 1;

	for (unsigned int i = 0; i < nr; i++) {
		src[i] = (struct rte_dma_sge){ piece[i].src_iova, piece[i].len };
		dst[i] = (struct rte_dma_sge){ piece[i].dst_iova, piece[i].len };
	}
	if (rte_dma_copy_sg(c->dev_id, c->vchan, src, dst, (uint16_t)nr, (uint16_t)nr,
			    0) < 0)
		return false;
	c->ring[seq & c->mask].more = nr - 1;
	for (unsigned int i = 0; i < nr; i++) {
		struct weir_copy_op *op = &c->ring[(seq + i) & c->mask];

		/* as in weir_copy_submit() */
		__atomic_store_n(&op->dst, piece[i].dst, __ATOMIC_RELAXED);
		__atomic_store_n(&op->src, piece[i].src, __ATOMIC_RELAXED);
		__atomic_store_n(&op->len, piece[i].len, __ATOMIC_RELAXED);
	}
	c->sg_last = seq + nr - 1;
	__atomic_store_n(&c->submitted, c->sg_last, __ATOMIC_RELEASE);
	return true;
}

/* The job that begins behind copy number @p seq: how many copies it is. Its place is
 * the next one's, which may be of a single copy. */
static uint16_t
job_take(struct weir_copy_chan *c, uint64_t seq)
{
	struct weir_copy_op *op = &c->ring[(seq + 1) & c->mask];
	uint16_t nr = (uint16_t)(op->more + 1);

	op->more = 0;
	return nr;
}

uint16_t
weir_copy_job_copies(struct weir_copy_chan *c, uint16_t jobs)
{
	uint16_t n = 0;

	for (; jobs != 0; jobs--)
		n = (uint16_t)(n + job_take(c, c->done + n));
	return n;
}

/* Take completions one by one, and make what has failed by CPU. @return how many. */
static uint16_t
take_each(struct weir_copy_chan *c, enum rte_dma_status_code *status, uint16_t max)
{
	uint16_t n, want = (uint16_t)RTE_MIN(c->kicked - c->done, (uint64_t)max);
	uint64_t seq = c->done, errors = c->errors;

	n = rte_dma_completed_status(c->dev_id, c->vchan, want, NULL, status);
	for (uint16_t i = 0; i < n; i++) {
		const uint64_t last = seq + job_take(c, seq);

		if (status[i] == RTE_DMA_STATUS_SUCCESSFUL)
			seq = last;
		else
			errors++;
		while (seq != last)
			copy_repeat(&c->ring[++seq & c->mask]);
	}
	__atomic_store_n(&c->errors, errors, __ATOMIC_RELAXED);
	weir_copy_advance(c, (uint16_t)(seq - c->done));
	return n;
}

void
weir_copy_recover(struct weir_copy_chan *c)
{
	enum rte_dma_status_code status[32];
	uint16_t n;

	do
		n = take_each(c, status, RTE_DIM(status));
	while (c->ask_each && n == RTE_DIM(status));
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

static int
chan_wait(struct weir_copy_chan *c, uint64_t seq, uint64_t timeout_us, bool tend)
{
	uint64_t deadline = deadline_in(timeout_us);

	for (unsigned int spins = 0; !weir_copy_done(c, seq); spins++) {
		/* whoever has it polls, too */
		if (rte_spinlock_trylock(&c->lock)) {
			weir_copy_kick(c);
			weir_copy_poll(c);
			weir_copy_unlock(c);
		}
		if (tend)
			weir_copy_tend();
		if (rte_get_timer_cycles() > deadline)
			return weir_copy_done(c, seq) ? 0 : -EBUSY;
		if (spins < DRAIN_SPINS)
			rte_pause();
		else
			usleep(DRAIN_SLEEP_US);
	}
	return 0;
}

int
weir_copy_drain(struct weir_copy_chan *c, uint64_t seq, uint64_t timeout_us)
{
	return chan_wait(c, seq, timeout_us, true);
}

int
weir_copy_wait(struct weir_copy_chan *c, uint64_t seq, uint64_t timeout_us)
{
	return chan_wait(c, seq, timeout_us, false);
}
