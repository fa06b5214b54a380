/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_QUEUE_H
#define WEIR_PORT_QUEUE_H
/*
 * A queue of a port: one virtqueue, one end of it polled by an lcore, the other
 * held by the control thread.
 *
 * **Who may touch it.** While `live` is true the lcore owns everything but the
 * fields marked "control"; while it is false the control thread does. The
 * control thread clears `live` and then waits until the lcore is out:
 *
 *   - a burst is an epoch reader's section, which costs the lcore one store at
 *     either end (weir_epoch.h);
 *   - a queue with a DMA channel has completions to collect even when the
 *     application does not call it, so that a second thread has to come in: the
 *     lcore that receives on the same pair, or the control thread. `lock` is
 *     for them. They try it and go away if it is taken; only the owner waits,
 *     at most for one collection;
 *   - where a guest chooses the queue of each frame (`steer`), all lcores that
 *     send come in by `lock`. `reader` is then its owner's while it chooses;
 *   - where a guest may have a vIOMMU the control thread comes in to look for what
 *     is not translated.
 *
 * **The window** (queues with a channel). Packets whose chains were taken and
 * not yet given back, in ring order, whether their bytes go by DMA or went by
 * CPU. A packet is over when the channel is past its last copy, and is handed
 * on when all before it are.
 *
 * **Several channels.** All DMA copies of a packet go to one of them. A burst has
 * one, the next burst the next; one that is full, or down, passes its turn on in
 * the middle of a burst, and if all are, the CPU copies. Whatever ends first, the
 * window's order is the ring's.
 *
 * size: the queue is one structure, and who comes in is inlined in bursts.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include <linux/virtio_net.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>

#include "queue_coal.h"
#include "queue_log.h"
#include "queue_tune.h"
#include "trail.h"
#include "weir_copy.h"
#include "weir_epoch.h"
#include "weir_port.h"
#include "weir_vring_ops.h"

/* Longest frame that is carried: a 64 KiB TSO frame and its Ethernet header. */
#define QUEUE_MAX_FRAME (65536u + 64u)

/*
 * What a burst function is made for: what was negotiated and how the queue
 * copies, fixed while a ring runs. There is one function for each mode with
 * QUEUE_HDR12 and without QUEUE_LOG, QUEUE_IOTLB and QUEUE_KEPT, and one for all others,
 * all of one source; see rx.c and tx.c.
 */
#define QUEUE_PACKED 1u	  /* VIRTIO_F_RING_PACKED */
#define QUEUE_CHAN 2u	  /* with a DMA channel */
#define QUEUE_MERGE 4u	  /* tx: VIRTIO_NET_F_MRG_RXBUF */
#define QUEUE_OFFLOAD 4u  /* rx: frames may come with offloads */
#define QUEUE_HDR12 8u	  /* virtio_net_hdr with num_buffers, all but old guests' */
#define QUEUE_LOG 16u	  /* tx: what is written is logged, the guest migrates */
#define QUEUE_IOTLB 32u	  /* tx: behind a vIOMMU; see queue_miss.c */
#define QUEUE_KEPT 64u	  /* packed: with an in-flight area, see weir_inflight.h */
#define QUEUE_NR_MODES 8u /* those with a function of their own */

/* How a burst is declared that those functions are made of, or share. */
#ifdef WEIR_BURST_SHARED
#define QUEUE_BURST static __rte_noinline
#else
#define QUEUE_BURST static __rte_always_inline
#endif

struct weir_port;
struct weir_queue;
typedef uint16_t (*queue_burst_t)(struct weir_queue *q, struct rte_mbuf **pkts,
				  uint16_t n);

/* Written by whoever is inside, read by anyone: plain adds, untorn. */
struct queue_stats {
	_Atomic uint64_t packets;
	_Atomic uint64_t bytes;
	_Atomic uint64_t cpu_copies; /* pieces */
	_Atomic uint64_t calls;	     /* interrupts sent to the guest */
	_Atomic uint64_t dma_copies; /* pieces */
	_Atomic uint64_t dma_full;   /* pieces, by CPU for want of room in a channel */
	_Atomic uint64_t dropped;    /* frames that could not be carried */
	_Atomic uint64_t no_mbuf;    /* bursts ended for want of mbufs */
	_Atomic uint64_t rewound;    /* received, given back to the ring at a stop */
};

static inline void
stat_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* Fields of an mbuf from data_off to ol_flags that are the same in each. */
struct queue_rearm {
	uint64_t v[2];
};

/* A packet in the window. */
struct queue_pkt {
	struct rte_mbuf *m; /* NULL: its chain goes back, nothing else */
	uint64_t seq;	    /* its last copy's number; 0: all by CPU */
	uint16_t nr_used;   /* used entries written for it */
	uint8_t chan;	    /* the channel's place in the queue's, to whom seq is */
	struct virtio_net_hdr hdr; /* rx: as the guest wrote it */
};

/*
 * What a burst by CPU looks at is in four cache lines: two here, the statistics'
 * first half among them, a ring's places, and the guest's table of memory. A lcore
 * that polls many ports has each queue's lines to fetch each time.
 */
struct weir_queue {
	struct weir_epoch_reader reader __attribute__((aligned(64)));
	_Atomic bool live;
	bool locked;	 /* who comes in takes the lock, see queue_lock_rule() */
	uint8_t hdr_len; /* virtio_net_hdr: 10, 12 with num_buffers, 20 with a hash */
	uint8_t place;	 /* see trail.h */
	int call_fd;	 /* -1: the guest polls */
	/* guest memory; the control thread puts another table here, also while the
	 * queue is live, and vr has it from the next burst on */
	const struct weir_gmem *_Atomic gmem;
	queue_burst_t burst;	      /* for mode; called from inside */
	struct queue_log *log;	      /* NULL: nobody migrates */
	_Atomic uint64_t coal_cycles; /* that a call may wait; 0: none waits */
	unsigned int mode;	      /* QUEUE_*, set by queue_start() */
	uint32_t mbuf_room;	      /* rx: bytes of a frame that an mbuf holds */

	struct weir_queue *pair __attribute__((aligned(64))); /* rx: the tx queue to
								 collect for */
	struct rte_mempool *pool;			      /* rx */
	struct queue_rearm mbuf_rearm;			      /* rx */
	struct queue_stats stats;

	bool shared;	   /* its guest may have a vIOMMU; set while nobody bursts */
	bool mergeable;	   /* VIRTIO_NET_F_MRG_RXBUF */
	bool rx_offload;   /* rx: the guest may leave checksums, segmentation to us */
	bool sw_csum;	   /* rx: complete partial checksums in software */
	bool linear;	   /* rx: one segment a frame, or it is dropped */
	bool ext_buf;	   /* rx: ... or it gets an external buffer */
	bool legacy_flags; /* rx: offload flags as of old, RTE_MBUF_F_TX_* */
	uint32_t max_iov;
	struct weir_iov *iov; /* scratch: the pieces of one packet */

	struct weir_vring vr __attribute__((aligned(64)));

	/* with a channel only */
	struct weir_copy_chan *chan /* the one whose turn it is; NULL: the CPU copies */
		__attribute__((aligned(64)));
	struct queue_pkt *win;
	uint32_t win_mask;
	_Atomic uint32_t win_head; /* next free; the window is head - tail long */
	_Atomic uint32_t win_tail; /* oldest */
	uint32_t win_dma;	   /* rx: behind the last whose bytes go by DMA */
	uint32_t threshold;	   /* bytes from which a piece goes by DMA */
	bool tuned;		   /* ... follow from what copies cost */
	bool measured;		   /* this burst is */
	uint8_t cur, nr_chans;	   /* chan's place in chans; how many there are */
	rte_spinlock_t lock;
	_Atomic uint32_t turns; /* how often somebody has left */
	bool near;		/* channels of the lcore's own node first */
	struct weir_copy_chan *chans[WEIR_PORT_MAX_DMAS];
	struct queue_tune tune; /* if tuned */

	/* tx: VIRTIO_NET_F_GUEST_* bits: what the guest takes as it is */
	_Atomic uint64_t guest_offloads;
	/* tx: how the guest has frames hashed, if it has; as gmem */
	const struct hash *_Atomic hash;
	/* tx: the port by whose wish lcores burst on each other's queues; NULL: one
	 * lcore at a time bursts here. port_steer.c */
	struct weir_port *steer;
	struct weir_vring_used *shadow; /* packed: for the ring */
	_Atomic int fault;		/* enum weir_vring_fault, with live cleared */

	struct queue_coal coal;
	/* behind a vIOMMU: what is missing, the lcore's while asked is false, the
	 * control thread's while it is true */
	uint16_t scout; /* tx: chains before this place lacked nothing */
	_Atomic bool asked;
	uint32_t nr_missing;
	struct weir_vring_miss missing[WEIR_VRING_MISSES];

	/* rx: sleeping, see port_wake.c */
	_Atomic bool armed; /* its owner sleeps, or is about to */
	int wake_fd;	    /* epoll(7) of the next two; -1: the queue is polled */
	int nudge_fd;	    /* eventfd: look at the ring, kick or no kick */
	int kick_fd;	    /* the guest's; -1: it has none */

	/* rx: the word of guest memory at which its owner may be looking until its next
	 * burst; 0: none. See port_watch.c */
	_Atomic uint64_t watched;
	_Atomic uint64_t run; /* how often the word may have become another */

	/* control */
	uint8_t announced[6]; /* rx: whom the next burst announces */
	int fault_fd;	      /* eventfd that wakes the control thread */
	uint16_t port_id;
	uint16_t index;		 /* of the virtqueue */
	uint32_t seen_tail;	 /* window at the control thread's last look */
	struct queue_stats base; /* stats when they were reset last. Any thread */
};

static_assert(offsetof(struct weir_queue, pair) == 64 &&
		      offsetof(struct weir_queue, stats.dma_copies) == 128 &&
		      offsetof(struct weir_queue, vr) % 64 == 0 &&
		      offsetof(struct weir_vring, nr_misses) == 64,
	      "what a burst looks at is in few cache lines");

/* The table that a queue takes of a view: one that only reads has that half. */
static inline const struct weir_gmem *
queue_table(const struct weir_queue *q, const struct weir_gmem *g)
{
	return g->memory != NULL && q->pool != NULL ? g->readable : g;
}

/* Packets in the window now. */
static inline uint32_t
queue_in_flight(const struct weir_queue *q)
{
	return atomic_load_explicit(&q->win_head, memory_order_relaxed) -
	       atomic_load_explicit(&q->win_tail, memory_order_relaxed);
}

/* Whoever comes in takes the lock, or does not: while nobody bursts. */
static inline void
queue_lock_rule(struct weir_queue *q)
{
	q->locked = q->chan != NULL || q->steer != NULL || q->shared;
}

/* Use the table that is in force. From inside; the one of before may be gone. */
static inline void
queue_refresh(struct weir_queue *q)
{
	q->vr.gmem = atomic_load_explicit(&q->gmem, memory_order_acquire);
}

/* Let the lock go: whoever waits for us sees that we have been, also if another holds
 * it whenever he looks. */
static inline void
queue_unlock(struct weir_queue *q)
{
	uint32_t turns = atomic_load_explicit(&q->turns, memory_order_relaxed);

	atomic_store_explicit(&q->turns, turns + 1, memory_order_release);
	weir_copy_release(&q->lock);
}

/* Come in as the owner. False: not live, and nothing is held. */
static inline bool
queue_enter(struct weir_queue *q)
{
	if (q->locked)
		rte_spinlock_lock(&q->lock);
	else
		weir_epoch_enter(&q->reader);
	if (__builtin_expect(atomic_load_explicit(&q->live, memory_order_acquire), 1)) {
		queue_refresh(q);
		return true;
	}
	if (q->locked)
		queue_unlock(q);
	else
		weir_epoch_leave(&q->reader);
	return false;
}

static inline void
queue_leave(struct weir_queue *q)
{
	if (q->locked)
		queue_unlock(q);
	else
		weir_epoch_leave(&q->reader);
}

/* As those two, of an lcore that polls queue after queue. */
static inline bool
queue_burst_enter(struct weir_queue *q, struct trail **t)
{
	if (__builtin_expect(!queue_enter(q), 0))
		return false;
	*t = trail_enter(q->place);
	return true;
}

static inline void
queue_burst_leave(struct weir_queue *q, struct trail *t)
{
	const void *line[2];

	weir_vring_ahead(&q->vr, line);
	trail_leave(t, q->place, line[0], line[1]);
	queue_leave(q);
}

/* Come into a queue that is locked as a guest. False: somebody is in, or it is not
 * live. */
static inline bool
queue_enter_idle(struct weir_queue *q)
{
	if (!rte_spinlock_trylock(&q->lock))
		return false;
	if (atomic_load_explicit(&q->live, memory_order_acquire)) {
		queue_refresh(q);
		return true;
	}
	queue_unlock(q);
	return false;
}

/* The queue's owner looks at no word of guest memory any more: it bursts. */
static inline void
queue_unwatch(struct weir_queue *q)
{
	atomic_store_explicit(&q->watched, 0, memory_order_release);
}

/* Control thread: what is to be looked at is another from now on. */
void queue_watch_wake(struct weir_queue *q);

/* The burst function of a queue at whose ring its owner may be looking. */
uint16_t queue_rx_unwatch(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n);

/* Used entries were published: log them, and interrupt the guest if it wants it. */
void queue_call(struct weir_queue *q);

/*
 * A guest broke the ring: nothing more of it is touched; the control thread learns
 * why and resets the port. Unless the table of memory was exchanged since the burst
 * began: then the next burst looks again. From inside; the burst is to end.
 */
void queue_break(struct weir_queue *q, int fault);

/* Pass the turn to the next channel that has room, if one has. No lock is held. */
void queue_chan_turn(struct weir_queue *q);

/* The channel is full in the middle of a burst: as queue_chan_turn(), with the locks
 * of both. */
void queue_chan_full(struct weir_queue *q);

/*
 * The chain at @p at cannot be taken: the ring is broken, or a translation is not
 * there (WEIR_VRING_MISS). Then the control thread is told of it, and of what the
 * next chains lack, unless it was told of some and has not done with them. From
 * inside; what is in q->iov is lost.
 */
void queue_untaken(struct weir_queue *q, const struct weir_vring_at *at, int fault);

/* Tell of what the chains lack that were not looked at yet. Tx, from inside. */
void queue_scout(struct weir_queue *q);

/* The same, as a guest in the queue. */
void queue_scout_idle(struct weir_queue *q);

/* queue_tune.c. A burst of copies begins, of which it may be that each is measured;
 * one of those, or several that are one job; they are submitted, and the channel is
 * told. Under its lock. */
void queue_tune_begin(struct weir_queue *q);
uint64_t queue_tune_copy(struct weir_queue *q, const struct weir_copy_piece *p,
			 unsigned int nr);
void queue_tune_end(struct weir_queue *q);

/*
 * queue_ext.c. Copy a piece of which the host's side lies in an mbuf's external buffer,
 * with its channel's lock. @return the number of its last copy; 0: it is done.
 */
uint64_t queue_copy_ext(struct weir_queue *q, const struct rte_mbuf *m,
			struct weir_copy_piece p, bool to_guest);

/* queue_chans_poll(), measured. */
void queue_tune_poll(struct weir_queue *q);

/* Take the completions of all channels that have some to come. */
static inline void
queue_chans_poll(struct weir_queue *q)
{
	for (unsigned int i = 0; i < q->nr_chans; i++) {
		struct weir_copy_chan *c = q->chans[i];

		if (weir_copy_idle(c))
			continue;
		weir_copy_lock(c);
		weir_copy_poll(c);
		weir_copy_unlock(c);
	}
}

/* Give back what is over at the window's tail of a tx queue. From inside. */
void queue_collect_tx(struct weir_queue *q);

/* As a guest: collect for a tx queue nobody may be calling. */
void queue_collect_idle(struct weir_queue *q);

/* Control thread: allocate what a ring of @p size entries needs.
 * 0; -ENOMEM, and nothing has changed. */
int queue_alloc(struct weir_queue *q, uint32_t size, bool packed);

/* Control thread: free it. Not live. */
void queue_free(struct weir_queue *q);

/* Control thread: let the lcore in, to the burst function for what was set, and
 * with the table that the ring was found in. */
void queue_start(struct weir_queue *q);

/* Control thread: keep the lcore out. 0: it is; -EBUSY: not after timeout_us. */
int queue_quiet(struct weir_queue *q, uint64_t timeout_us);

/* Control thread: let it in again after a stop that did not come about. */
void queue_resume(struct weir_queue *q);

/*
 * Control thread: wait until whoever is inside a queue that is locked has left.
 * Nobody is kept out meanwhile. 0; -EBUSY: the same after timeout_us.
 */
int queue_wait_out(struct weir_queue *q, uint64_t timeout_us);

/*
 * Control thread: keep the lcore out, wait for copies under way, settle the
 * window. What was being sent has been given to the guest; what was being
 * received goes back to the ring, untouched, to be received again: nothing is
 * lost, nothing comes twice.
 *
 * 0; -EBUSY: the lcore, or a copy, is not out after timeout_us; call it again.
 */
int queue_stop(struct weir_queue *q, uint64_t timeout_us);

/*
 * Control thread: have the next receive burst begin with a frame that says where
 * this guest is now. 0; -EBUSY: the lcore is not out after timeout_us.
 */
int queue_announce(struct weir_queue *q, const uint8_t *mac, uint64_t timeout_us);

/* True if it was not received yet. From inside, or not live. */
bool queue_announces(const struct weir_queue *q);

uint16_t queue_rx_burst(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n);
uint16_t queue_tx_burst(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n);

/* Control thread: learn how the pool's mbufs begin. */
void queue_rx_mbuf_init(struct weir_queue *q);

/* The burst function for a mode; the one for any, which looks at q->mode. */
queue_burst_t queue_rx_select(unsigned int mode);
queue_burst_t queue_tx_select(unsigned int mode);
uint16_t queue_rx_any(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n);
uint16_t queue_tx_any(struct weir_queue *q, struct rte_mbuf **pkts, uint16_t n);

#endif /* WEIR_PORT_QUEUE_H */
