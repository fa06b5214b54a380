/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ether.h>

#include "offload.h"
#include "port.h"
#include "port_coal.h"
#include "port_config.h"
#include "port_conn.h"
#include "port_fence.h"
#include "port_mem.h"
#include "port_steer.h"
#include "port_wake.h"
#include "port_watch.h"
#include "weir_fail.h"
#include "weir_log.h"

/* What IPv4 asks of a link at the least (RFC 791). */
#define MTU_MIN 68

static struct weir_port *ports; /* the control thread's */

struct weir_port *
port_first(void)
{
	return ports;
}

/* A public call on its way to the control thread. */
struct call {
	struct weir_port *p;
	int ret;
};

static void
do_register(void *arg)
{
	static uint32_t last_id;
	struct call *c = arg;

	c->ret = ctl_watch(&c->p->fault);
	if (c->ret != 0)
		return;
	c->p->id = ++last_id;
	c->p->next = ports;
	ports = c->p;
}

static void
told_expired(struct ctl_timer *t)
{
	struct weir_port *p =
		(struct weir_port *)((char *)t - offsetof(struct weir_port, told));
	bool link = p->link_changed, queue = p->queue_changed;
	bool filter = p->filter_changed, mtu = p->mtu_changed;

	p->link_changed = false;
	p->queue_changed = false;
	p->filter_changed = false;
	p->mtu_changed = false;
	if (mtu)
		p->conf.notify(p->conf.notify_arg, WEIR_PORT_EV_MTU);
	if (queue)
		p->conf.notify(p->conf.notify_arg, WEIR_PORT_EV_QUEUE);
	if (filter)
		p->conf.notify(p->conf.notify_arg, WEIR_PORT_EV_FILTER);
	if (link)
		p->conf.notify(p->conf.notify_arg, WEIR_PORT_EV_LINK);
}

void
port_notify(struct weir_port *p, enum weir_port_event event)
{
	if (p->conf.notify == NULL)
		return;
	p->link_changed |= event == WEIR_PORT_EV_LINK;
	p->queue_changed |= event == WEIR_PORT_EV_QUEUE;
	p->mtu_changed |= event == WEIR_PORT_EV_MTU;
	p->filter_changed |= event == WEIR_PORT_EV_FILTER;
	ctl_timer_set(&p->told, 0);
}

static int
conf_check(const struct weir_port_conf *conf)
{
	if (conf->name == NULL || conf->name[0] == '\0' || conf->path == NULL ||
	    conf->path[0] == '\0')
		return -EINVAL;
	if ((conf->guest_mac[0] & 1) != 0 ||
	    (conf->guest_mtu != 0 && conf->guest_mtu < MTU_MIN))
		return -EINVAL;
	if (conf->nr_pairs == 0 ||
	    conf->nr_pairs > WEIR_PORT_MAX_PAIRS - (conf->ctrl_vq ? 1 : 0) ||
	    (conf->rss && !conf->ctrl_vq))
		return -EINVAL;
	if (strlen(conf->name) >= sizeof(((struct weir_port *)0)->name) ||
	    strlen(conf->path) >= sizeof(((struct weir_port *)0)->path))
		return -ENAMETOOLONG;
	return rte_eal_process_type() == RTE_PROC_PRIMARY ? 0 : -ENOTSUP;
}

static struct weir_port *
port_alloc(const struct weir_port_conf *conf)
{
	uint32_t nr_rings = 2u * conf->nr_pairs;
	struct weir_port *p = weir_zalloc_aligned(
		RTE_CACHE_LINE_SIZE, sizeof(*p) + nr_rings * sizeof(p->ring[0]));

	if (p == NULL)
		return NULL;
	memcpy(p->name, conf->name, strlen(conf->name) + 1);
	memcpy(p->path, conf->path, strlen(conf->path) + 1);
	p->conf = *conf;
	p->conf.name = p->name;
	p->conf.path = p->path;
	p->nr_rings = nr_rings;
	p->listen.fd = -1;
	p->conn.fd = -1;
	p->ctrl.kick.fd = -1;
	p->backend.chan.fd = -1;
	p->log_event_fd = -1;
	p->postcopy.ufd = -1;
	pthread_mutex_init(&p->postcopy.lock, NULL);
	p->fault.ready = port_fault_ready;
	p->told.expired = told_expired;
	p->reap.expired = port_reap_expired;
	p->config_again.expired = port_config_expired;
	p->coal.expired = port_coal_expired;
	p->inband_again.expired = port_inband_expired;
	p->coal_dozes = true;
	p->iotlb.retry.expired = port_iotlb_expired;
	weir_epoch_init(&p->epoch);
	for (uint32_t i = 0; i < nr_rings; i++) {
		p->ring[i].q.call_fd = -1;
		p->ring[i].q.kick_fd = -1;
		p->ring[i].q.wake_fd = -1;
		p->ring[i].q.coal.dozes = &p->coal_dozes;
		p->ring[i].q.steer = conf->rss && i % 2 == 0 ? p : NULL;
		queue_lock_rule(&p->ring[i].q);
		p->ring[i].q.place = trail_place();
		weir_epoch_register(&p->epoch, &p->ring[i].q.reader);
	}
	p->gmem = &weir_gmem_empty;
	weir_vhost_msg_init(&p->rx);
	return p;
}

int
weir_port_create(const struct weir_port_conf *conf, struct weir_port **out)
{
	struct call c;
	int ret = conf_check(conf);

	if (ret != 0)
		return ret;
	ret = offload_init();
	if (ret != 0)
		return ret;
	c.p = port_alloc(conf);
	if (c.p == NULL)
		return -ENOMEM;
	c.p->fault.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c.p->fault.fd < 0) {
		ret = -errno;
		goto err_free;
	}
	ret = ctl_get();
	if (ret != 0)
		goto err_close;
	ctl_run(do_register, &c);
	if (c.ret != 0) {
		ret = c.ret;
		goto err_ctl;
	}
	*out = c.p;
	return 0;

err_ctl:
	ctl_put();
err_close:
	close(c.p->fault.fd);
err_free:
	free(c.p);
	return ret;
}

static void
do_close(void *arg)
{
	struct call *c = arg;
	struct weir_port *p = c->p;

	p->started = false;
	p->closing = true;
	port_conn_close(p, NULL);
	/* copies that do not end keep the memory, and us, here: better than reuse */
	c->ret = p->state == PORT_CLOSING ? -EBUSY : 0;
	if (c->ret != 0)
		return;
	ctl_timer_clear(&p->retry);
	ctl_timer_clear(&p->idle);
	ctl_timer_clear(&p->discard);
	ctl_timer_clear(&p->reap);
	ctl_timer_clear(&p->resubmit);
	ctl_timer_clear(&p->inband_again);
	ctl_timer_clear(&p->coal);
	ctl_timer_clear(&p->iotlb.retry);
	ctl_timer_clear(&p->told);
	ctl_timer_clear(&p->config_again);
	if (p->listen.fd >= 0)
		unlink(p->path);
	ctl_close(&p->listen);
	ctl_close(&p->fault);
	for (struct weir_port **at = &ports; *at != NULL; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
}

void
weir_port_destroy(struct weir_port *p)
{
	struct call c = { .p = p };

	if (p == NULL)
		return;
	ctl_run(do_close, &c);
	while (c.ret != 0) {
		usleep(10000);
		ctl_run(do_close, &c);
	}
	for (uint32_t i = 0; i < p->nr_rings; i++) {
		queue_free(&p->ring[i].q);
		port_wake_free(&p->ring[i]);
		port_ring_set_chans(p, &p->ring[i], NULL, 0);
	}
	ctl_put();
	port_watch_free(p);
	port_hash_free(p);
	free(p);
}

/* A queue to be set up, on its way to the control thread. */
struct setup {
	struct weir_port *p;
	uint32_t ring;
	struct rte_mempool *pool;
	const char *dma;
	int ret;
};

static void
do_setup(void *arg)
{
	struct setup *s = arg;
	const struct weir_port *p = s->p;
	struct port_ring *r = &s->p->ring[s->ring];
	struct weir_copy_chan *chans[WEIR_PORT_MAX_DMAS];
	unsigned int nr = 0;

	/* a ring still runs after a stop if its copies do not end */
	s->ret = p->started || r->running ? -EBUSY : 0;
	if (s->ret == 0 && s->dma != NULL)
		s->ret = weir_copy_get_all(s->dma, chans, RTE_DIM(chans), &nr);
	if (s->ret != 0)
		return;
	port_ring_set_chans(s->p, r, chans, nr);
	r->q.shared = p->conf.iommu;
	queue_lock_rule(&r->q);
	r->q.pool = s->pool;
	r->q.tuned = p->conf.dma_auto && nr != 0;
	r->q.tune = (struct queue_tune){ 0 };
	r->q.threshold = r->q.tuned ? TUNE_FIRST : p->conf.dma_threshold;
	r->q.near = p->conf.dma_near;
	r->q.linear = p->conf.linear;
	r->q.ext_buf = p->conf.ext_buf;
	r->q.legacy_flags = p->conf.legacy_flags;
	r->q.port_id = p->conf.mbuf_port;
	r->q.index = (uint16_t)s->ring;
	r->q.fault_fd = p->fault.fd;
	rte_spinlock_init(&r->q.lock);
	r->held = false;
	r->set_up = true;
}

static int
queue_setup(struct weir_port *p, uint32_t i, struct rte_mempool *pool, const char *dma)
{
	struct setup s = { .p = p, .ring = i, .pool = pool, .dma = dma };

	ctl_run(do_setup, &s);
	return s.ret;
}

int
weir_port_rxq_setup(struct weir_port *p, uint16_t pair, struct rte_mempool *pool,
		    const char *dma)
{
	int ret;

	if (pair >= p->conf.nr_pairs)
		return -ERANGE;
	/* no frame is shorter than its header, and none of a run is longer than the room
	 */
	if (pool == NULL ||
	    rte_pktmbuf_data_room_size(pool) < RTE_PKTMBUF_HEADROOM + RTE_ETHER_HDR_LEN)
		return -EINVAL;
	ret = queue_setup(p, 2u * pair + 1, pool, dma);
	if (ret == 0)
		p->ring[2 * pair + 1].q.sw_csum = true;
	return ret;
}

int
weir_port_txq_setup(struct weir_port *p, uint16_t pair, const char *dma)
{
	return pair < p->conf.nr_pairs ? queue_setup(p, 2u * pair, NULL, dma) : -ERANGE;
}

static struct weir_queue *
queue_get(struct weir_port *p, uint32_t i)
{
	return i < p->nr_rings && p->ring[i].set_up ? &p->ring[i].q : NULL;
}

struct weir_queue *
weir_port_rxq(struct weir_port *p, uint16_t pair)
{
	return queue_get(p, 2u * pair + 1);
}

struct weir_queue *
weir_port_txq(struct weir_port *p, uint16_t pair)
{
	return queue_get(p, 2u * pair);
}

void
weir_port_set_sw_csum(struct weir_port *p, bool on)
{
	for (uint32_t i = 1; i < p->nr_rings; i += 2)
		p->ring[i].q.sw_csum = on;
}

static void
do_start(void *arg)
{
	struct call *c = arg;
	struct weir_port *p = c->p;

	/* each receive queue collects for the transmit queue of its pair */
	for (uint32_t i = 0; i < p->nr_rings; i += 2) {
		bool both = p->ring[i].set_up && p->ring[i].q.chan != NULL;

		p->ring[i + 1].q.pair = both ? &p->ring[i].q : NULL;
	}
	c->ret = p->state == PORT_IDLE ? port_conn_open(p) : 0;
	if (c->ret != 0)
		return;
	p->started = true;
	if (p->session != NULL)
		port_rings_sync(p);
	port_config_changed(p);
}

int
weir_port_start(struct weir_port *p)
{
	struct call c = { .p = p };

	ctl_run(do_start, &c);
	return c.ret;
}

static void
do_stop(void *arg)
{
	struct call *c = arg;
	struct weir_port *p = c->p;

	p->started = false;
	if (p->session != NULL && port_rings_sync(p) != 0)
		/* the queues must be quiet when this returns: part with the guest */
		port_conn_close(p, "copies under way do not end");
	port_config_changed(p);
	c->ret = 0;
	/* and one that is not is not, whatever was parted with */
	for (uint32_t i = 0; i < p->nr_rings; i++)
		if (p->ring[i].running)
			c->ret = -EBUSY;
}

int
weir_port_stop(struct weir_port *p)
{
	struct call c = { .p = p };

	ctl_run(do_stop, &c);
	return c.ret;
}

/* A plug to be pulled or put back, on its way to the control thread. */
struct plug {
	struct weir_port *p;
	bool in;
	int ret;
};

static void
do_plug(void *arg)
{
	struct plug *s = arg;

	s->ret = 0;
	if (s->p->unplugged == !s->in)
		return;
	s->p->unplugged = !s->in;
	if (s->p->session != NULL)
		s->ret = port_rings_sync(s->p);
	port_config_changed(s->p);
}

int
weir_port_set_link(struct weir_port *p, bool up)
{
	struct plug s = { .p = p, .in = up };

	ctl_run(do_plug, &s);
	return s.ret;
}

bool
weir_port_link(const struct weir_port *p)
{
	return atomic_load(&p->link);
}

bool
weir_queue_running(const struct weir_queue *q)
{
	return atomic_load_explicit(&q->live, memory_order_relaxed);
}

uint16_t
weir_port_peer_mtu(const struct weir_port *p)
{
	return atomic_load(&p->peer_mtu);
}

uint16_t
weir_port_rx_burst(struct weir_queue *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	return queue_rx_burst(rxq, pkts, n);
}

uint16_t
weir_port_tx_burst(struct weir_queue *txq, struct rte_mbuf **pkts, uint16_t n)
{
	return queue_tx_burst(txq, pkts, n);
}

static uint64_t
counter(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* What was counted since the counters were reset. The base first: the counter that is
 * read then is not less. */
#define SINCE(q, field) since(&(q)->base.field, &(q)->stats.field)

static uint64_t
since(const _Atomic uint64_t *base, const _Atomic uint64_t *c)
{
	uint64_t from = atomic_load_explicit(base, memory_order_acquire);

	return counter(c) - from;
}

void
weir_queue_stats_get(const struct weir_queue *q, struct weir_queue_stats *out)
{
	*out = (struct weir_queue_stats){
		.packets = SINCE(q, packets),
		.bytes = SINCE(q, bytes),
		.cpu_copies = SINCE(q, cpu_copies),
		.dma_copies = SINCE(q, dma_copies),
		.dma_full = SINCE(q, dma_full),
		.dma_threshold = __atomic_load_n(&q->threshold, __ATOMIC_RELAXED),
		.dma_errors = port_ring_errors(q),
		.in_flight = q->chan != NULL ? queue_in_flight(q) : 0,
		.dropped = SINCE(q, dropped),
		.no_mbuf = SINCE(q, no_mbuf),
		.calls = SINCE(q, calls),
		.rewound = SINCE(q, rewound),
	};
}

/* The counters are their lcore's, which adds without looking: they stay. */
void
weir_queue_stats_reset(struct weir_queue *q)
{
	const _Atomic uint64_t *c = (const _Atomic uint64_t *)&q->stats;
	_Atomic uint64_t *base = (_Atomic uint64_t *)&q->base;

	for (size_t i = 0; i < sizeof(q->base) / sizeof(*base); i++)
		atomic_store_explicit(&base[i], counter(&c[i]), memory_order_release);
}
