/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of guest memory under traffic: queues are given another one while they
 * run, and what only the old one has is waited for.
 *
 * A queue takes the table once, when a burst begins. So when every lcore has
 * been seen outside since the new table was put before its queue, nobody
 * translates by the old one any more, and none of the copies that come can lead
 * into what it alone has. The copies that do are under way already; a channel
 * knows of each where it leads, and the last of them is waited for. Copies that
 * lead elsewhere, bursts, and rings go on.
 */
#include <errno.h>
#include <pthread.h>

#include "deadline.h"
#include "port.h"
#include "port_fence.h"
#include "port_mem.h"

void
port_publish(struct weir_port *p, const struct weir_gmem *g)
{
	for (uint32_t i = 0; i < p->nr_rings; i++)
		if (p->ring[i].running)
			atomic_store(&p->ring[i].q.gmem, queue_table(&p->ring[i].q, g));
	p->ctrl.vr.gmem = g;
}

int
port_wait_out(struct weir_port *p, uint64_t timeout_us)
{
	uint64_t deadline = deadline_in(timeout_us);
	int ret = weir_epoch_synchronize(&p->epoch, timeout_us);

	for (uint32_t i = 0; i < p->nr_rings && ret == 0; i++)
		if (p->ring[i].running && p->ring[i].q.locked)
			ret = queue_wait_out(&p->ring[i].q, deadline_left_us(deadline));
	return ret;
}

static struct weir_range
slot_hva(const struct weir_gmem_slot *s)
{
	return (struct weir_range){ s->hva, s->hva + (s->gpa.last - s->gpa.start) };
}

/* Wait in one way or the other for what touches host memory, on all of a queue's
 * channels. */
static int
queue_wait_touching(struct weir_queue *q, struct weir_range hva, uint64_t deadline,
		    int (*wait)(struct weir_copy_chan *, uint64_t, uint64_t))
{
	int ret = 0;

	for (unsigned int i = 0; i < q->nr_chans && ret == 0; i++)
		ret = wait(q->chans[i], weir_copy_touching(q->chans[i], hva),
			   deadline_left_us(deadline));
	return ret;
}

int
port_wait_range(struct weir_port *p, struct weir_range hva, uint64_t deadline)
{
	int ret = 0;

	for (uint32_t i = 0; i < p->nr_rings && ret == 0; i++)
		if (p->ring[i].running)
			ret = queue_wait_touching(&p->ring[i].q, hva, deadline,
						  weir_copy_drain);
	return ret;
}

int
port_wait_copies(struct weir_port *p, const struct weir_gmem *g,
		 const struct weir_gmem *keep, uint64_t timeout_us,
		 const struct weir_gmem_slot **stuck)
{
	uint64_t deadline = deadline_in(timeout_us);
	int ret = 0;

	for (uint32_t i = 0; i < g->nr_slots && ret == 0; i++) {
		if (port_table_has(keep, &g->slot[i]))
			continue;
		ret = port_wait_range(p, slot_hva(&g->slot[i]), deadline);
		*stuck = &g->slot[i];
	}
	return ret;
}

/*
 * The mirror asks: a guest's memory is unmapped, by whomever. EAL's is in another mirror,
 * which asks nobody: it goes when EAL says so, and a pool's is not to be freed while
 * weir_port_stop() says that its mbufs are in use.
 */
static int
user_drain(struct weir_mirror_user *u, const struct weir_region *r, uint64_t timeout_us)
{
	struct port_ring *ring =
		(struct port_ring *)((char *)u - offsetof(struct port_ring, user));
	struct weir_range hva;

	/* did not wrap when it was mapped */
	if (weir_range_make(&hva, r->hva, weir_range_len(r->iova)) != 0)
		return 0;
	return queue_wait_touching(&ring->q, hva, deadline_in(timeout_us),
				   weir_copy_wait);
}

/* A queue's channels, against who reads its statistics while it is set up anew. */
static pthread_mutex_t chans_lock = PTHREAD_MUTEX_INITIALIZER;

uint64_t
port_ring_errors(const struct weir_queue *q)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&chans_lock);
	for (unsigned int i = 0; i < q->nr_chans; i++)
		sum += __atomic_load_n(&q->chans[i]->errors, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&chans_lock);
	return sum;
}

static void
chans_exchange(struct weir_queue *q, struct weir_copy_chan *const *chans, unsigned int nr)
{
	struct weir_copy_chan *old[WEIR_PORT_MAX_DMAS];
	unsigned int nr_old = q->nr_chans;

	pthread_mutex_lock(&chans_lock);
	for (unsigned int i = 0; i < nr_old; i++)
		old[i] = q->chans[i];
	for (unsigned int i = 0; i < nr; i++)
		q->chans[i] = chans[i];
	q->nr_chans = (uint8_t)nr;
	pthread_mutex_unlock(&chans_lock);
	weir_copy_put_all(old, nr_old);
}

void
port_ring_set_chans(struct weir_port *p, struct port_ring *r,
		    struct weir_copy_chan *const *chans, unsigned int nr)
{
	struct weir_queue *q = &r->q;

	if (q->nr_chans != 0 && p->conf.mirror != NULL)
		weir_mirror_user_del(p->conf.mirror, &r->user);
	chans_exchange(q, chans, nr);
	q->cur = 0;
	q->chan = nr != 0 ? chans[0] : NULL;
	if (nr == 0 || p->conf.mirror == NULL)
		return;
	r->user = (struct weir_mirror_user){
		.drain = user_drain,
		.iova = { 0, UINT64_MAX },
	};
	weir_mirror_user_add(p->conf.mirror, &r->user);
}
