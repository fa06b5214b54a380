/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_branch_prediction.h>

#include "gen.h"

static void
count_note(struct gen_counters *c, const struct gen_seq_note *n)
{
	gen_count(c, GEN_RX_OK, n->ok);
	if (likely((n->dup | n->reordered | n->restarted | (uint64_t)n->lost) == 0))
		return;
	gen_count(c, GEN_RX_DUP, n->dup);
	gen_count(c, GEN_RX_REORDERED, n->reordered);
	gen_count(c, GEN_RX_RESTARTS, n->restarted);
	/* the sum over all queues is what is missing now */
	gen_count(c, GEN_RX_LOST, (uint64_t)n->lost);
}

/* Enter an intact packet into its stream, and tell the generator of it. */
static void
take(struct gen_txq *q, const struct gen_info *info)
{
	struct gen_stream *s = &q->dev->streams[info->stream];
	struct gen_seq_note note;

	rte_spinlock_lock(&s->lock);
	note = gen_seq_take(&s->seq, info->run, info->seq);
	atomic_store_explicit(&s->to_ack, gen_ack_pack(info->run, (uint32_t)s->seq.next),
			      memory_order_relaxed);
	/* a late packet acknowledges less than its successors did */
	if (note.ok && !note.reordered)
		atomic_store_explicit(&s->from_ack,
				      gen_ack_pack(info->ack_run, info->ack),
				      memory_order_relaxed);
	rte_spinlock_unlock(&s->lock);
	count_note(&q->counters, &note);
}

static void
hear_peer(struct gen_dev *d, const struct rte_ether_addr *from)
{
	uint64_t peer = 0;

	memcpy(&peer, from, sizeof(*from));
	if (unlikely(atomic_load_explicit(&d->peer, memory_order_relaxed) != peer))
		atomic_store_explicit(&d->peer, peer, memory_order_relaxed);
}

uint16_t
gen_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nr)
{
	struct gen_txq *q = txq;
	struct gen_dev *d = q->dev;
	struct gen_info info;
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < nr; i++) {
		bytes += pkts[i]->pkt_len;
		switch (gen_packet_check(pkts[i], &d->mac, &info)) {
		case GEN_INTACT:
			take(q, &info);
			hear_peer(d, &info.from);
			break;
		case GEN_FOREIGN:
			gen_count(&q->counters, GEN_RX_FOREIGN, 1);
			break;
		case GEN_CORRUPT:
			gen_count(&q->counters, GEN_RX_CORRUPT, 1);
			break;
		}
	}
	rte_pktmbuf_free_bulk(pkts, nr);
	gen_count(&q->counters, GEN_PACKETS, nr);
	gen_count(&q->counters, GEN_BYTES, bytes);
	if (nr != 0)
		atomic_fetch_add_explicit(&d->checked, 1, memory_order_relaxed);
	return nr;
}
