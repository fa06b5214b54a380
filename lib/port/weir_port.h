/* SPDX-License-Identifier: BSD-3-Clause */
/* size: most of it is what users have to know. */
#ifndef WEIR_PORT_H
#define WEIR_PORT_H
/**
 * @file
 * A vhost-user port: a socket, a guest behind it, and queues that lcores poll.
 *
 * The port joins the other rooms. Its control thread, one for all ports of the
 * process, speaks vhost-user, maps guest memory here and in the IOMMU, and
 * starts and stops rings. The lcores see queues: a receive queue gives the
 * frames that the guest sends, a transmit queue takes frames for the guest.
 *
 *     weir_port_create(&conf, &port);
 *     weir_port_rxq_setup(port, 0, pool, NULL);
 *     weir_port_txq_setup(port, 0, "dma_weir0");
 *     weir_port_start(port);
 *     for (;;) {                                    any lcore, one a queue
 *             n = weir_port_rx_burst(rxq, pkts, 32);
 *             n = weir_port_tx_burst(txq, pkts, n);
 *     }
 *     weir_port_stop(port);
 *     weir_port_destroy(port);
 *
 * **Guests come and go.** When a peer goes away the rings are stopped, copies
 * under way are waited for, its memory leaves the IOMMU and then this process,
 * and the port listens (or connects) again. Bursts return 0 meanwhile. A peer
 * that breaks the protocol or a ring is disconnected, with one message in the
 * log that names what it did; no other port notices.
 *
 * **Nothing is lost at a stop.** Frames that were being sent reach the guest;
 * frames that were being received stay in its ring and are received after the
 * next start.
 *
 * **A guest's memory comes and goes** while its rings run. Memory that is added
 * is waited for by nobody. Memory that is removed leaves the IOMMU and the process
 * when no burst and no copy is in it any more, and only then is the guest told; if
 * copies into it do not end it stays, and the guest is told so. A ring that lies
 * in it stops.
 *
 * **DMA.** A queue that was given a dmadev lets it copy. Bursts then return
 * frames whose copies are done, in ring order; a transmitted mbuf is freed when
 * the guest has it. A receive burst also collects for the transmit queue of the
 * same number, and the control thread does for one that nobody calls, so that a
 * frame does not wait for the next one. A queue may have several dmadevs, or
 * several channels of one: bursts take them in turn, and one that is full or does
 * not work is passed over. Frames keep their order whichever ends first.
 *
 * Threads: setup, start, stop and destroy belong to one control-plane thread
 * per port; none of them from a polling lcore. One thread at a time may burst
 * on a queue. Everything else, as said with it. Needs EAL, primary process.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "weir_mirror.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_port;
struct weir_queue;

/** Queue pairs of a port at most: the protocol numbers rings with a byte. */
#define WEIR_PORT_MAX_PAIRS 128

/** Names of dmadevs that a queue may be given at most. */
#define WEIR_PORT_MAX_DMAS 8

/** Bytes of the longest frame that is received, without virtio's header. */
#define WEIR_PORT_MAX_FRAME 65588u

/**
 * Name of the mbuf's dynamic flag (rte_mbuf_dynflag_lookup()) of a UDP frame that
 * is to be cut, or was received to be cut, into datagrams of rte_mbuf.tso_segsz
 * bytes (USO). DPDK's own RTE_MBUF_F_TX_UDP_SEG cuts one datagram into IP
 * fragments (UFO). A frame to be sent has RTE_MBUF_F_TX_UDP_CKSUM and the
 * headers' lengths as well; a received one has RTE_MBUF_F_RX_LRO. Registered
 * with the first port.
 */
#define WEIR_PORT_USO_FLAG "weir_dynflag_uso"

/** What happened to a port. */
enum weir_port_event {
	WEIR_PORT_EV_LINK,   /**< weir_port_link() has changed */
	WEIR_PORT_EV_QUEUE,  /**< a queue has started or stopped */
	WEIR_PORT_EV_MTU,    /**< weir_port_peer_mtu() has changed */
	WEIR_PORT_EV_FILTER, /**< weir_port_guest_filter() has changed */
};

/**
 * Called on the control thread, soon after. Changes that follow each other may
 * be told of once. It may call anything of its own port but weir_port_destroy(),
 * and must not wait for another thread that does.
 */
typedef void (*weir_port_notify_t)(void *arg, enum weir_port_event event);

/** What a port is made of. Strings are copied. */
struct weir_port_conf {
	const char *name;   /**< for messages and telemetry, up to 63 characters */
	const char *path;   /**< of the socket, up to 107 bytes */
	bool client;	    /**< connect to the path instead of listening there */
	uint16_t nr_pairs;  /**< queue pairs offered, 1 to WEIR_PORT_MAX_PAIRS; one less
			       with ctrl_vq */
	uint16_t mbuf_port; /**< rte_mbuf.port of received frames */
	bool split_only;    /**< do not offer packed rings */
	bool ctrl_vq;	    /**< serve the control queue, if the frontend hands it over */
	bool postcopy;	    /**< offer postcopy migration */
	bool rss;	    /**< offer RSS and hash reports; with ctrl_vq. See
			       weir_port_tx_steer() */
	bool inband;  /**< offer kicks and calls as messages, for frontends that have no
			 eventfds: of use in simulations, slow elsewhere */
	bool iommu;   /**< offer VIRTIO_F_ACCESS_PLATFORM: guests may have a vIOMMU */
	bool tso;     /**< offer segmentation of TCP and UDP, both ways */
	bool linear;  /**< receive only frames that fit one mbuf */
	bool ext_buf; /**< ... or give a long one an external buffer */
	bool legacy_flags;	/**< mark received frames with RTE_MBUF_F_TX_* flags */
	uint32_t dma_threshold; /**< pieces of fewer bytes are copied by CPU */
	bool dma_auto; /**< instead: measure, as traffic flows, from where on DMA costs
			  the lcore less */
	bool dma_near; /**< of a queue's dmadevs those first that are on the NUMA node of
			  the lcore that bursts; else in turn */
	struct weir_mirror
		*mirror; /**< where guest memory is mapped for DMA; NULL: nowhere */
	/** With ctrl_vq, what the guest's device has: its address, and an MTU of 68 to
	 * 65535. 0: the guest decides. */
	uint8_t guest_mac[6];
	uint16_t guest_mtu;
	weir_port_notify_t notify; /**< NULL: nobody is told */
	void *notify_arg;
};

/**
 * Make a port; nothing is opened yet.
 *
 * @return 0; -EINVAL: name, path, nr_pairs, guest_mac, guest_mtu, or rss without
 *         ctrl_vq; -ENAMETOOLONG: path or name; -ENOTSUP: not in a secondary process;
 *         -ENOMEM; or why the control thread could not be started.
 */
int weir_port_create(const struct weir_port_conf *conf, struct weir_port **out);

/** Stop, disconnect, remove the socket, free. Waits for copies. NULL is allowed. */
void weir_port_destroy(struct weir_port *p);

/**
 * Set up receive queue @p pair, or set it up anew while the port is stopped and
 * nobody bursts on it.
 *
 * @param pool  Its mbufs hold what is received; more than one a frame if need be.
 * @param dma   Name of the dmadev that copies, NULL: the CPU does. Several names
 *              are separated by ',', up to WEIR_PORT_MAX_DMAS; each gives the
 *              queue one more channel, also if it is the same name again.
 * @return 0; -ERANGE: no such pair; -EINVAL: no pool, or one whose mbufs have no room
 *         for an Ethernet header behind their headroom, or an empty name; -E2BIG: too
 *         many names; -EBUSY: the port is started, or copies from before its stop are
 *         not over; -ENODEV, -ENOTSUP, -EBUSY, ...: as weir_copy_get() answers.
 */
int weir_port_rxq_setup(struct weir_port *p, uint16_t pair, struct rte_mempool *pool,
			const char *dma);

/** Set up transmit queue @p pair. As weir_port_rxq_setup(). */
int weir_port_txq_setup(struct weir_port *p, uint16_t pair, const char *dma);

/** Receive queue @p pair; NULL if it was not set up. Valid until destroy. */
struct weir_queue *weir_port_rxq(struct weir_port *p, uint16_t pair);

/** Transmit queue @p pair; NULL if it was not set up. */
struct weir_queue *weir_port_txq(struct weir_port *p, uint16_t pair);

/**
 * Complete checksums of received frames in software (the default), or leave
 * them to an application that asked for checksum offload. While stopped.
 */
void weir_port_set_sw_csum(struct weir_port *p, bool on);

/**
 * Open the socket, if it is not open, and let rings run.
 *
 * @return 0; what weir_vhost_listen() answers. In client mode a peer that is
 *         not there yet is no error: the port goes on trying.
 */
int weir_port_start(struct weir_port *p);

/**
 * Stop the rings; the connection stays, unless copies under way do not end. The copies
 * are waited for, half a second longer than weir_copy_watchdog() says, but 1 s at least
 * and 2 s at most. Any thread, not an lcore.
 *
 * @return 0; -EBUSY: some have not ended, and the guest is parted with: bursts do
 * nothing, and mbufs of the queues' are read and written, and will be freed. Their pools
 *         have to stay. Ask again: 0 says that it is over, as does weir_port_destroy()
 *         by returning.
 */
int weir_port_stop(struct weir_port *p);

/**
 * Unplug the guest's link, or plug it in again; a port begins plugged in. While it is
 * not, rings rest, as they do while the port is stopped, and weir_port_link() is
 * false. A driver that reads its status from here (VIRTIO_NET_F_STATUS over CONFIG)
 * loses its carrier; others see that no frame comes or goes. Any thread, not an lcore.
 *
 * @return 0; -EBUSY: copies under way do not end: bursts do nothing, and the port goes
 *         on waiting for them; or why a ring does not start.
 */
int weir_port_set_link(struct weir_port *p, bool up);

/** True if the first pair's rings run. Any thread. */
bool weir_port_link(const struct weir_port *p);

/** True if a queue's ring runs. Any thread. */
bool weir_queue_running(const struct weir_queue *q);

/**
 * Let receive queue @p pair run, the default after its setup, or hold it at
 * rest, whatever the port and the guest do. The link does not depend on it.
 * Nobody bursts on a queue that is being held.
 *
 * @return 0; -ERANGE: no such pair; -ENOENT: it was not set up; -EBUSY: copies under way
 * do not end: it is at rest for bursts, and the port goes on waiting for them; or why its
 * ring does not start.
 */
int weir_port_rxq_enable(struct weir_port *p, uint16_t pair, bool on);

/** Let transmit queue @p pair run, or hold it. As weir_port_rxq_enable(). */
int weir_port_txq_enable(struct weir_port *p, uint16_t pair, bool on);

/** A queue that has started or stopped. */
struct weir_queue_event {
	uint16_t pair;
	bool rx;      /**< the receive queue; else the transmit queue */
	bool running; /**< now */
};

/**
 * Which queue has changed since it was last told of here. Answer by answer all
 * of them, each once, however often it changed; what is back where it was is
 * left out. Any thread, one at a time; not an lcore.
 *
 * @return false: none is left.
 */
bool weir_port_queue_event(struct weir_port *p, struct weir_queue_event *ev);

/**
 * A descriptor to sleep on until receive queue @p pair may have something to
 * receive: it is readable then. The port's; it is made by the first call, is
 * the same across peers, and must not be read. After setup, while stopped.
 *
 *     weir_queue_wake_arm(rxq);
 *     poll(fd), epoll_wait(), ...
 *     weir_queue_wake_disarm(rxq);
 *     weir_port_rx_burst(rxq, ...) until it returns 0
 *
 * @return 0; -ERANGE: no such pair; -ENOENT: the queue was not set up; -EMFILE, -ENFILE,
 * -ENOMEM.
 */
int weir_port_rxq_wake_fd(struct weir_port *p, uint16_t pair, int *fd);

/**
 * Ask the guest to say when it has sent something, and make the descriptor
 * unreadable until then. If there is something already, or the guest has no way
 * to say so, or copies are under way, the descriptor is readable at once; it
 * also becomes so when the ring starts. By the thread that bursts on the queue,
 * before each sleep.
 *
 * @return 0; -ENOTSUP: weir_port_rxq_wake_fd() was not called.
 */
int weir_queue_wake_arm(struct weir_queue *rxq);

/** The queue is polled: the guest need not say anything. As weir_queue_wake_arm(). */
int weir_queue_wake_disarm(struct weir_queue *rxq);

/** What to look at in order to sleep until a receive queue may have something. */
struct weir_queue_watch {
	volatile uint64_t *word; /**< aligned; never to be changed */
	uint64_t mask, value;	 /**< bits of it, and what they are compared with */
	bool until_equal;	 /**< sleep until they are equal; else while they are */
	uint64_t run;		 /**< of the ring whose word it is */
	const struct weir_queue *rxq;
};

/**
 * What changes when receive queue @p rxq may have something to receive, for an
 * instruction that waits for a change of memory (umwait, mwaitx): where the guest
 * says what it has sent, or, while the ring does not run, whether it does. If there
 * is something to look for already, copies under way among it, the watch is over at
 * once. The guest is not asked for kicks.
 *
 * The word may be the guest's memory. It can be read, and written as it is, until the
 * next receive burst on the queue, or the next call of this: if the guest's memory
 * goes meanwhile zeroes are there. A ring that starts anew, maybe elsewhere, writes
 * the old word as it is, which ends a sleep. By the thread that bursts on the queue,
 * or while nobody does.
 *
 *     weir_queue_watch(rxq, &w);
 *     arm the instruction with w.word;
 *     if (!weir_queue_watch_over(&w, *w.word))
 *             sleep;
 *     weir_port_rx_burst(rxq, ...)
 */
void weir_queue_watch(struct weir_queue *rxq, struct weir_queue_watch *out);

/** True if who has read @p word should not sleep. As weir_queue_watch(). */
bool weir_queue_watch_over(const struct weir_queue_watch *w, uint64_t word);

/**
 * Frames, at most, that a receive burst would find: chains that the guest has
 * made available, and frames whose copies are under way. By the thread that
 * bursts on the queue. @return 0 as well if the ring does not run.
 */
uint32_t weir_queue_pending(struct weir_queue *rxq);

/**
 * Give back to the guest, and free, what was sent and is over. Bursts do so by
 * themselves. By the thread that bursts on the queue.
 *
 * @return frames freed; without a dmadev always 0.
 */
uint32_t weir_queue_tx_cleanup(struct weir_queue *txq);

/** Stations' addresses that a guest has asked for. */
struct weir_guest_macs {
	uint16_t nr;   /**< of mac */
	bool overflow; /**< they were too many: all such frames are wanted */
	uint8_t mac[64][6];
};

/**
 * What a guest has asked for over its control queue (VIRTIO 1.3, 5.1.6.5.1 to
 * 5.1.6.5.3). weir sends it what it is given to send; a switch may spare it the
 * rest. Without a control queue of ours: promiscuous, and nothing else.
 */
struct weir_guest_filter {
	bool promiscuous;
	bool all_unicast, all_multicast;
	bool no_unicast, no_multicast, no_broadcast;
	bool has_mac;	/**< mac was set */
	bool all_vlans; /**< vlan does not count */
	uint8_t mac[6]; /**< its own address */
	struct weir_guest_macs unicast, multicast;
	uint64_t vlan[64]; /**< a bit each VLAN, 0 to 4095 */
};

/** What the guest has asked for. Any thread; not an lcore. */
void weir_port_guest_filter(struct weir_port *p, struct weir_guest_filter *out);

/**
 * The guest's MTU in bytes, 68 to 65535, as its frontend says (NET_SET_MTU); 0: it
 * has not, or the device was reset since. What is sent is not held to it. Any thread.
 */
uint16_t weir_port_peer_mtu(const struct weir_port *p);

/**
 * Receive up to @p n frames that the guest sent. Data plane.
 *
 * @return frames in @p pkts, the caller's.
 */
uint16_t weir_port_rx_burst(struct weir_queue *rxq, struct rte_mbuf **pkts, uint16_t n);

/**
 * Send up to @p n frames to the guest, in order. Data plane.
 *
 * @return frames taken, from the front; the rest stays the caller's. A frame
 *         that can never be carried is taken, freed and counted as dropped.
 */
uint16_t weir_port_tx_burst(struct weir_queue *txq, struct rte_mbuf **pkts, uint16_t n);

/**
 * Send up to @p n frames to the guest, each on the queue that the guest has
 * chosen by RSS; on @p txq if it has not, or, if it does not use that many queues,
 * on one that it uses. Data plane; for ports with weir_port_conf.rss, of which
 * weir_port_tx_burst() as well may be called by several lcores for one queue.
 *
 * Frames of a queue keep their order. One for which a queue has no room delays
 * none for other queues, so those that are left may be anywhere in @p pkts: they
 * are moved to its end, in their order.
 *
 * @return frames taken; those from there on in @p pkts stay the caller's.
 */
uint16_t weir_port_tx_steer(struct weir_queue *txq, struct rte_mbuf **pkts, uint16_t n);

/** A queue's counters, since the last reset. */
struct weir_queue_stats {
	uint64_t packets;	/**< frames received, or sent and in flight */
	uint64_t bytes;		/**< of those, without the virtio header */
	uint64_t cpu_copies;	/**< pieces copied by CPU */
	uint64_t dma_copies;	/**< pieces given to the DMA channel */
	uint64_t dma_full;	/**< of cpu_copies: channels had no room, or were down */
	uint64_t dma_threshold; /**< bytes, in force now */
	uint64_t dma_errors; /**< pieces that the channel's device failed, done by CPU; of
				all queues that share the channel */
	uint64_t in_flight;  /**< frames in the window now */
	uint64_t dropped;    /**< frames that could not be carried */
	uint64_t no_mbuf;    /**< bursts ended for want of mbufs */
	uint64_t calls;	     /**< interrupts sent to the guest */
	uint64_t rewound;    /**< frames given back to the ring at a stop */
};

/** Read a queue's counters. Any thread; each is read untorn. */
void weir_queue_stats_get(const struct weir_queue *q, struct weir_queue_stats *out);

/** Set a queue's counters to 0. What an lcore counts at that moment may be lost. */
void weir_queue_stats_reset(struct weir_queue *q);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_PORT_H */
