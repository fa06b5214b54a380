/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_cycles.h>
#include <rte_memcpy.h>

#include "queue.h"
#include "queue_tune.h"

/* At first each burst is measured, so many; then one in so many. */
#define WARM_BURSTS 32u
#define EVERY 64u

#define OUTLIER 4u

void
tune_sample(uint64_t *average, uint64_t cycles)
{
	uint64_t s = 16 * cycles;

	if (*average == 0) {
		*average = s;
		return;
	}
	if (s > OUTLIER * *average)
		s = OUTLIER * *average;
	*average += s / 8;
	*average -= *average / 9 + 1;
}

/* What a copy by DMA costs, times 16; 0: not known yet. */
static uint64_t
tune_dma(const struct queue_tune *t)
{
	if (t->submit == 0 || t->complete == 0)
		return 0;
	return t->submit + t->kick + t->complete;
}

uint32_t
tune_threshold(const struct queue_tune *t, uint32_t now)
{
	const uint64_t dma = tune_dma(t);

	if (dma == 0)
		return now;
	for (unsigned int k = TUNE_CLASSES; k-- > 0;) {
		/* what goes by DMA now stays there a little longer, and vice versa */
		const unsigned int share = (1u << k) >= now ? 7 : 9;

		if (t->cpu[k] != 0 && t->cpu[k] * 8 <= dma * share)
			return 2u << k;
	}
	return 0;
}

void
queue_tune_begin(struct weir_queue *q)
{
	struct queue_tune *t = &q->tune;

	if (t->wait-- != 0)
		return;
	if (t->warm < WARM_BURSTS)
		t->warm++;
	t->wait = t->warm < WARM_BURSTS ? 0 : EVERY - 1;
	t->pieces = 0;
	q->measured = true;
}

static unsigned int
class_of(uint32_t len)
{
	unsigned int k = 31u - (unsigned int)__builtin_clz(len | 1);

	return RTE_MIN(k, TUNE_CLASSES - 1);
}

/* Give pieces to the channel, as one job. @return the last one's number; 0: it was
 * not taken. */
static uint64_t
measure_dma(struct weir_queue *q, const struct weir_copy_piece *p, unsigned int nr)
{
	struct queue_tune *t = &q->tune;
	uint64_t start = rte_rdtsc();
	bool taken;

	if (nr == 0 || weir_copy_room(q->chan) < nr)
		return 0;
	taken = nr == 1 ? weir_copy_submit(q->chan, p->dst, p->dst_iova, p->src,
					   p->src_iova, p->len)
			: weir_copy_submit_sg(q->chan, p, nr);
	if (!taken)
		return 0;
	tune_sample(&t->submit, (rte_rdtsc() - start) / nr);
	t->poll = true;
	stat_add(&q->stats.dma_copies, nr);
	return q->chan->submitted;
}

static void
measure_cpu(struct weir_queue *q, const struct weir_copy_piece *p)
{
	uint64_t start = rte_rdtsc();

	rte_memcpy(p->dst, p->src, p->len);
	tune_sample(&q->tune.cpu[class_of(p->len)], rte_rdtsc() - start);
	stat_add(&q->stats.cpu_copies, 1);
}

uint64_t
queue_tune_copy(struct weir_queue *q, const struct weir_copy_piece *p, unsigned int nr)
{
	struct queue_tune *t = &q->tune;
	uint64_t last = 0;

	t->pieces += nr;
	t->by_dma = !t->by_dma;
	if (t->by_dma)
		last = measure_dma(q, p, nr);
	for (unsigned int i = 0; i < nr && last == 0; i++)
		measure_cpu(q, &p[i]);
	return last;
}

void
queue_tune_end(struct weir_queue *q)
{
	struct queue_tune *t = &q->tune;
	uint64_t start = rte_rdtsc();

	q->measured = false;
	if (t->pieces == 0)
		return;
	weir_copy_kick(q->chan);
	/* one doorbell for all of them, if they all went this way */
	tune_sample(&t->kick, (rte_rdtsc() - start) / t->pieces);
	__atomic_store_n(&q->threshold, tune_threshold(t, q->threshold),
			 __ATOMIC_RELAXED);
}

static uint64_t
all_done(const struct weir_queue *q)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < q->nr_chans; i++)
		sum += __atomic_load_n(&q->chans[i]->done, __ATOMIC_RELAXED);
	return sum;
}

void
queue_tune_poll(struct weir_queue *q)
{
	struct queue_tune *t = &q->tune;
	uint64_t start = rte_rdtsc(), before = all_done(q), n;

	queue_chans_poll(q);
	t->poll_cycles += rte_rdtsc() - start;
	n = all_done(q) - before;
	if (n == 0)
		return;
	tune_sample(&t->complete, t->poll_cycles / n);
	t->poll_cycles = 0;
	t->poll = false;
}
