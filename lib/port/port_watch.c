/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleep until a word of guest memory changes, by an instruction that waits for that
 * (umwait, mwaitx). It costs the guest nothing, unlike a kick.
 *
 * Nothing tells when such a sleep ends but the burst that comes behind it. The guest
 * does not wait for it: its memory may go at any time, from under a lcore that is about
 * to read the word. So where memory with such a word is unmapped, a page of zeroes
 * comes in its place the same moment (weir_gmem_put_watched()), and is the port's until
 * the queue was seen to burst. The exchange interrupts the CPU that sleeps, which ends
 * its sleep.
 *
 * A burst pays nothing for it: who looks at a word leaves its queue with another burst
 * function, once.
 *
 * The word is 64 bits at a multiple of 8, whatever the guest's field: who wakes a lcore
 * (rte_power_monitor_wakeup()) writes so much, and must not hit what is behind the
 * page, nor two cache lines.
 */
#include <sys/mman.h>

#include "port.h"
#include "port_watch.h"

/* A field that does not cross a word, as bits of it: sleep until they are equal to
 * value, or while they are. */
static void
watch_field(struct weir_queue_watch *w, const volatile void *field, uint64_t mask,
	    uint64_t value, bool until_equal)
{
	const uintptr_t at = (uintptr_t)field;
	const unsigned int shift = (unsigned int)(at % sizeof(uint64_t)) * 8;

	w->word = (volatile uint64_t *)(at - at % sizeof(uint64_t));
	w->mask = mask << shift;
	w->value = value << shift;
	w->until_equal = until_equal;
}

static void
watch_ring(const struct weir_vring *vr, struct weir_queue_watch *w)
{
	const uint16_t owner = VRING_PACKED_AVAIL | VRING_PACKED_USED;

	if (vr->packed)
		watch_field(w,
			    &vr->packed_desc[vr->last_avail & WEIR_VRING_POS_IDX].flags,
			    owner, vring_packed_offer(vr->last_avail), true);
	else
		watch_field(w, &vr->avail->idx, UINT16_MAX, vr->last_avail, false);
}

bool
weir_queue_watch_over(const struct weir_queue_watch *w, uint64_t word)
{
	return ((word & w->mask) == w->value) == w->until_equal ||
	       atomic_load(&w->rxq->run) != w->run;
}

/*
 * Who sleeps armed the instruction first, and looked at `run` then. So either it sees
 * that this is another, or what is written here comes behind the arming.
 */
void
queue_watch_wake(struct weir_queue *q)
{
	uint64_t *word, old;

	atomic_fetch_add(&q->run, 1);
	word = (uint64_t *)(uintptr_t)atomic_load(&q->watched);
	if (word == NULL)
		return;
	old = __atomic_load_n(word, __ATOMIC_RELAXED);
	(void)__atomic_compare_exchange_n(word, &old, old, false, __ATOMIC_SEQ_CST,
					  __ATOMIC_RELAXED);
}

/* Something is under way that is to be looked for, in this queue or by it. */
static bool
is_busy(const struct weir_queue *q)
{
	return queue_in_flight(q) != 0 || queue_announces(q) ||
	       (q->pair != NULL && queue_in_flight(q->pair) != 0);
}

void
weir_queue_watch(struct weir_queue *q, struct weir_queue_watch *out)
{
	queue_unwatch(q);
	out->rxq = q;
	/* first: a ring that starts from here on is noticed */
	out->run = atomic_load(&q->run);
	watch_field(out, &q->run, UINT64_MAX, out->run, false);
	if (!queue_enter(q))
		return;
	if (is_busy(q)) {
		/* over, whatever is there */
		out->mask = 0;
		out->value = 0;
		out->until_equal = true;
	} else {
		watch_ring(&q->vr, out);
		q->burst = queue_rx_unwatch;
		atomic_store_explicit(&q->watched, (uintptr_t)out->word,
				      memory_order_relaxed);
	}
	queue_leave(q);
}

uint16_t
queue_rx_unwatch(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n)
{
	q->burst = queue_rx_select(q->mode);
	queue_unwatch(q);
	return q->burst(q, pkts, n);
}

/* The words that lcores may be looking at, each as the range of its first byte. */
static unsigned int
words(const struct weir_port *p, struct weir_range *out)
{
	unsigned int nr = 0;

	for (uint32_t i = 1; i < p->nr_rings; i += 2) {
		uint64_t word =
			atomic_load_explicit(&p->ring[i].q.watched, memory_order_acquire);

		if (word != 0)
			out[nr++] = (struct weir_range){ word, word };
	}
	return nr;
}

static bool
has_word(struct weir_range page, const struct weir_range *word, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (weir_range_has(page, word[i].start))
			return true;
	return false;
}

/* Let go of the pages that have none of these words. */
static void
stays_drop(struct weir_port *p, const struct weir_range *word, unsigned int nr)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < p->nr_stays; i++) {
		const struct weir_range page = p->stay[i];

		if (has_word(page, word, nr))
			p->stay[left++] = page;
		else
			munmap((void *)(uintptr_t)page.start, weir_range_len(page));
	}
	p->nr_stays = left;
}

void
port_watch_put(struct weir_port *p, const struct weir_gmem *g)
{
	struct weir_range word[WEIR_PORT_MAX_PAIRS] = { 0 };
	unsigned int nr = words(p, word);

	stays_drop(p, word, nr);
	weir_gmem_put_watched(g, word, nr);
	/* each has a word of its own, so there are no more of them than queues */
	for (unsigned int i = 0; i < nr; i++)
		if (word[i].start != word[i].last &&
		    !has_word(word[i], p->stay, p->nr_stays))
			p->stay[p->nr_stays++] = word[i];
}

void
port_watch_free(struct weir_port *p)
{
	stays_drop(p, NULL, 0);
}
